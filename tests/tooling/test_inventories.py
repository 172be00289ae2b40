# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories that users copy compile as they stand, without a server being contacted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPILE = """
- name: Compile
  hosts: fleet
  gather_facts: false
  tasks:
    - name: Compile
      ascend.fleet.fleet_compile:
        step: plan
      run_once: true
      register: compiled
    - name: Keep the documents
      ansible.builtin.copy:
        dest: "{{ playbook_dir }}/documents.json"
        content: "{{ compiled.documents | to_json }}"
        mode: "0600"
      run_once: true
      delegate_to: localhost
      vars:
        ansible_connection: local
        ansible_become: false
        ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""


BLOCK = re.compile(r"```yaml\n(.*?)```|((?:^ {4}[^\n]*\n)+)", re.S | re.M)


def entries(text: str) -> list[dict[str, Any]]:
    """Services and jobs in the indented blocks of a page; a fenced block is a whole inventory."""
    indented = [block for _fenced, block in BLOCK.findall(text) if block]
    return [yaml.safe_load(block) for block in indented if re.match(r" *fleet_(services|jobs)", block)]


def readme(folder: Path) -> Path:
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert text
    (folder / "inventory.yml").write_text(text[1])
    return folder / "inventory.yml"


def sample(_folder: Path) -> Path:
    return ROOT / "inventories/sample/hosts.yml"


def documents(inventory: Path, folder: Path) -> dict[str, Any]:
    (folder / "compile.yml").write_text(COMPILE)
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "compile.yml", "-i", str(inventory)]
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    done = subprocess.run(
        argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "documents.json").read_text())


@pytest.mark.parametrize(("inventory", "nodes"), [(readme, {"npu1"}), (sample, {"npu1", "npu2"})])
def test_it_compiles(tmp_path: Path, inventory: Any, nodes: set[str]) -> None:
    found = documents(inventory(tmp_path), tmp_path)
    assert found.keys() == nodes
    for document in found.values():
        assert [(s["name"], s["npus"]["count"]) for s in document["services"]] == [("chat", 2)]


def test_the_folder_of_the_sample_is_an_inventory_too(tmp_path: Path) -> None:
    """Also when the playbook beside it and people have left there what the comments say."""
    folder = tmp_path / "sample"
    shutil.copytree(ROOT / "inventories/sample", folder)
    (folder / "known_hosts").write_text("192.0.2.11 ssh-ed25519 AAAA\n")
    (folder / "secrets").mkdir()
    (folder / "secrets/chat.key").write_text("none of anybody's business\n")
    argv = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(folder), "--list"]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_COLOR": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert sorted(json.loads(done.stdout)["_meta"]["hostvars"]) == ["npu1", "npu2"]


def test_the_entries_of_the_readme_compile(tmp_path: Path) -> None:
    found = []
    for index, variables in enumerate(entries((ROOT / "README.md").read_text())):
        folder = tmp_path / str(index)
        folder.mkdir()
        inventory = {"fleet": {"hosts": {"npu1": {"ansible_host": "10.0.0.11"}}, "vars": variables}}
        (folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
        document = documents(folder / "inventory.yml", folder)["npu1"]
        found += [item["entry"] for item in document["services"] + document["jobs"]]
    assert found == ["pictures"]


def test_what_differs_on_one_server_reaches_its_document(tmp_path: Path) -> None:
    found = documents(sample(tmp_path), tmp_path)
    assert {name: d["host"]["npus"]["expected"] for name, d in found.items()} == {"npu1": 8, "npu2": 4}


def test_the_commented_host_settings_are_settings_too(tmp_path: Path) -> None:
    """A suggestion that the collection does not know would be worse than none."""
    known = yaml.safe_load((ROOT / "roles/fleet/defaults/main.yml").read_text())
    offered = set(re.findall(r"^# ?(fleet_\w+):", (ROOT / "inventories/sample/group_vars/fleet.yml").read_text(), re.M))
    used = set(yaml.safe_load((ROOT / "inventories/sample/group_vars/fleet.yml").read_text()))
    assert offered
    assert offered | {name for name in used if name.startswith("fleet_")} <= known.keys()


def test_the_commented_jobs_are_jobs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "inventories/sample", tmp_path / "sample")
    hosts = tmp_path / "sample/hosts.yml"
    path = tmp_path / "sample/group_vars/npu_nodes.yml"
    before, mark, jobs_text = path.read_text().partition("# fleet_jobs_pictures:")
    assert mark
    path.write_text(before + re.sub("^# ", "", mark + jobs_text, flags=re.M))
    found = documents(hosts, tmp_path)
    jobs = {(name, job["name"]): job for name, document in found.items() for job in document["jobs"]}
    assert set(jobs) == {(host, f"pictures-{index}") for host in found for index in range(4)}
    prompts = [item["prompt"] for job in jobs.values() for item in json.loads(job["files"]["request.json"])["items"]]
    assert len(prompts) == len(set(prompts)) == 8
