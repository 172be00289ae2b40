# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action in a real ansible-playbook, over nodes at addresses where nobody answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible.errors import AnsibleError

from ansible_collections.ascend.fleet.plugins.plugin_utils._inventory import _template_flaw

PLAYBOOK = """
- name: Compile
  hosts: fleet
  gather_facts: false
  tasks:
    - name: Compile the inventory
      ascend.fleet.fleet_compile:
        step: plan
      register: compiled
      run_once: true
    - name: Compile an entry by itself
      ascend.fleet.fleet_compile:
        step: plan
        entries: "{{ fleet_services }}"
      register: single
      run_once: true
    - name: Look at the owner of the run
      ansible.builtin.command: cat /proc/{{ compiled.run.owner.split(':')[1] }}/cmdline
      register: owner
      run_once: true
      delegate_to: localhost
      check_mode: false
      changed_when: false
      vars:
        ansible_connection: local
    - name: Keep the results
      ansible.builtin.copy:
        content: "{{ {'compiled': compiled, 'single': single, 'owner': owner.stdout} | to_json }}"
        dest: "{{ keep }}"
        mode: "0600"
      run_once: true
      delegate_to: localhost
      check_mode: false
      vars:
        ansible_connection: local
"""

RESCUE = """
- name: Compile
  hosts: fleet
  gather_facts: false
  tasks:
    - name: Try
      block:
        - name: Compile the inventory
          ascend.fleet.fleet_compile:
          run_once: true
      rescue:
        - name: Keep the results
          ansible.builtin.copy:
            content: "{{ ansible_failed_result | to_json }}"
            dest: "{{ keep }}"
            mode: "0600"
          run_once: true
          delegate_to: localhost
          vars:
            ansible_connection: local
"""

WEB = {"name": "web", "kind": "container", "image": "reg:5000/web:1", "port": 8080, "probe": {"path": "/"}}
CHAT = {
    "name": "chat",
    "kind": "vllm",
    "image": "reg:5000/vllm:1",
    "model": "/m",
    "npus": "{{ cards }}",
    "nodes": "npu",
}


class Ran(NamedTuple):
    rc: int
    out: str
    kept: dict[str, Any] | None


@pytest.fixture(scope="module")
def door() -> Iterator[socket.socket]:
    """Stands where the nodes should be, and notices anybody who knocks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        yield server


def knocked(door: socket.socket) -> bool:
    try:
        door.accept()[0].close()
    except TimeoutError:
        return False
    return True


@pytest.fixture
def play(tmp_path: Path, door: socket.socket, root: Path) -> Callable[..., Ran]:
    def run(fleet: dict[str, Any], *arguments: str, playbook: str = PLAYBOOK) -> Ran:
        address = {"ansible_host": "127.0.0.1", "ansible_port": door.getsockname()[1]}
        hosts = {name: {**address, **(values or {})} for name, values in fleet.pop("hosts").items()}
        inventory = {"all": {"children": {"fleet": {"hosts": hosts, **fleet}}}}
        (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        (tmp_path / "play.yml").write_text(playbook, encoding="utf-8")
        keep = tmp_path / "kept.json"
        command = ["ansible-playbook", "-i", "inventory.yml", "play.yml", "-e", f"keep={keep}", *arguments]
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(root / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_NOCOLOR": "1",
        }
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        kept = json.loads(keep.read_text(encoding="utf-8")) if keep.exists() else None
        return Ran(result.returncode, result.stdout + result.stderr, kept)

    return run


FLEET: dict[str, Any] = {
    "hosts": {"n1": {"cards": 2}, "n2": {"cards": 4, "fleet_work_dir": "/srv/n2"}, "n3": {"cards": 1}},
    "children": {"npu": {"hosts": {"n1": {}, "n2": {}}}},
    "vars": {"fleet_npus_expected": 8, "fleet_services": [WEB], "fleet_services_llm": [CHAT], "npu_count": 8},
}


def fleet(**more: Any) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(FLEET))
    copied["vars"].update(more)
    return copied


def test_a_right_inventory(play, door, tmp_path):
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "chat"
    key.write_text("s3cret", encoding="utf-8")
    key.chmod(0o600)
    ran = play(fleet(fleet_services_llm=[{**CHAT, "api_key_file": "keys/chat"}]))
    assert ran.rc == 0, ran.out
    compiled = ran.kept["compiled"]
    assert sorted(compiled["documents"]) == ["n1", "n2", "n3"]
    assert [(row["node"], row["service"], row["cards"]) for row in compiled["table"]] == [
        ("n1", "web", []),
        ("n1", "chat", [0, 1]),
        ("n2", "web", []),
        ("n2", "chat", [0, 1, 2, 3]),
        ("n3", "web", []),
    ]
    assert compiled["documents"]["n2"]["host"]["work_dir"] == "/srv/n2"
    # Files of the controller lie beside the inventory; their content goes nowhere.
    chat = compiled["documents"]["n1"]["services"][1]
    assert chat["container"]["secret_files"][0]["source"] == str(key)
    assert "s3cret" not in json.dumps(ran.kept) + ran.out
    assert compiled["changed"] is False
    assert compiled["run"] == ran.kept["single"]["run"]
    assert compiled["run"]["report_dir"] == str(tmp_path / "fleet-report")
    assert compiled["run"]["step"] == "plan"
    single = ran.kept["single"]["documents"]
    assert [[service["name"] for service in document["services"]] for document in single.values()] == [["web"]] * 3
    # The owner outlives the task, so that a later run can tell whether this one still goes on.
    assert "ansible-playbook" in ran.kept["owner"]
    assert "play.yml" in ran.kept["owner"]
    assert not knocked(door)


def test_a_limit_and_check_mode_change_no_document(play):
    whole, ran = play(fleet()), play(fleet(), "--check", "--limit", "n2")
    assert ran.rc == 0, ran.out
    assert ran.kept["compiled"]["documents"] == {"n2": whole.kept["compiled"]["documents"]["n2"]}
    assert ran.kept["compiled"]["run"]["id"] != whole.kept["compiled"]["run"]["id"]


def test_values_of_play_and_command_line(play):
    of_play = "  vars:\n    fleet_prune: remove\n    fleet_release: [old]\n"
    playbook = PLAYBOOK.replace("  gather_facts: false\n", "  gather_facts: false\n" + of_play, 1)
    extra = {"fleet_work_dir": "/x", "fleet_npus_expected": "{{ npu_count }}", "fleet_directories": []}
    ran = play(fleet(), "-e", json.dumps(extra), "-e", "fleet_only=web,chat", playbook=playbook)
    assert ran.rc == 0, ran.out
    for document in ran.kept["compiled"]["documents"].values():
        assert (document["prune"], document["release"]) == ("ignore", ["old"])
        assert document["host"]["work_dir"] == "/x"
        assert document["host"]["npus"]["expected"] == 8


def test_every_error_is_told_and_nothing_happens(play, door, tmp_path):
    nowhere = {**WEB, "name": "nowhere", "port": 1, "nodes": "n1:&"}
    hollow = {**WEB, "name": "hollow", "port": 5, "image": "{{ no_such_registry }}/web:1"}
    wrong = fleet(fleet_metdata_block="absent", fleet_services=[{**WEB, "port": 0, "prot": 1}, hollow, nowhere])
    for group, port in (("left", 2), ("right", 3), ("apart", 4)):
        twin = [{**WEB, "name": group, "port": port}]
        host = "n3" if group == "apart" else "n1"
        wrong["children"][group] = {"hosts": {host: {}}, "vars": {"fleet_services_twin": twin}}
    wrong["hosts"]["n2"]["fleet_npus_expected"] = "many"
    wrong["vars"]["fleet_services_bad"] = "{{ nobody_defined_this }}"
    wrong["vars"]["fleet_services_llm"] = [{**CHAT, "model": "m", "env": {"VLLM_API_KEY": "s3cret"}}]
    ran = play(wrong)
    assert ran.rc == 2
    for line in (
        (
            "fleet_metdata_block = absent: is no variable of the collection, to which the prefix fleet_ belongs."
            " Did you mean fleet_metadata_block? (n1, n2, n3)"
        ),
        "fleet_services[0] web: port = 0: is out of range. Use a number from 1 to 65535. (n1, n2, n3)",
        "fleet_services[0] web: prot = 1: is no key of this entry of kind container. Did you mean port? (n1, n2, n3)",
        "fleet_npus_expected = many: is not a whole number. Write a whole number. (n2)",
        (
            "fleet_services_llm[0] chat: model = m: is not an absolute path. Write the whole path, beginning with /."
            " (n1, n2, n3)"
        ),
        "fleet_services_bad: cannot be templated (",
        "fleet_services: cannot be templated (",
        "fleet_services[2] nowhere: nodes = n1:&: is no host pattern.",
        "fleet_services_twin: stands in the groups left, right beside each other, of which Ansible takes right alone.",
    ):
        assert line in ran.out.replace("\\n", "\n"), ran.out
    assert "'nobody_defined_this' is undefined" in ran.out
    assert "'no_such_registry' is undefined" in ran.out
    assert "The inventory has 9 errors; nothing was contacted." in ran.out
    assert "s3cret" not in ran.out
    assert ran.kept is None
    assert not knocked(door)
    assert not (tmp_path / "fleet-report").exists()


def test_the_place_of_an_error_is_told_whole_whatever_its_folder_is_called():
    class UndefinedError(AnsibleError):
        _formatted_source_context = "Origin: /srv/NPU \u96c6\u7fa4/inv/all.yml:3:5\n\n3 nobody"

    assert "(/srv/NPU \u96c6\u7fa4/inv/all.yml:3:5)" in _template_flaw("fleet_x", UndefinedError("nobody")).message


def test_what_fails_can_be_judged(play):
    ran = play(fleet(fleet_prune="yes"), "--limit", "n1", playbook=RESCUE)
    assert ran.rc == 0, ran.out
    assert ran.kept["documents"] == {}
    assert ran.kept["run"]["id"]
    assert [finding["check"] for finding in ran.kept["findings"]] == ["inventory-invalid"]
