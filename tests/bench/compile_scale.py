# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds that a compile takes in a real ansible-playbook, beside a play that does nothing; prints JSON.

python tests/bench/compile_scale.py --hosts 1000 --entries 4
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SIZES = (10, 100, 1000)

COMPILE = """
- name: Compile
  hosts: fleet
  gather_facts: false
  tasks:
    - name: Compile the inventory
      ascend.fleet.fleet_compile:
      register: compiled
      run_once: true
    - name: Look at the size
      ansible.builtin.assert:
        that: compiled.table | length == {rows}
        quiet: true
      run_once: true
"""
NOTHING = """
- name: Nothing
  hosts: fleet
  gather_facts: false
  tasks:
    - name: Do nothing
      ansible.builtin.assert:
        that: ansible_play_hosts | length > 0
        quiet: true
      run_once: true
"""


def inventory(hosts: int, entries: int) -> dict[str, Any]:
    """Half of the entries stand in group variables, half are templates of host variables."""
    services: dict[str, list[dict[str, Any]]] = {"fleet_services_web": [], "fleet_services_llm": []}
    for number in range(entries):
        common = {"name": f"service-{number}", "port": 8000 + number, "image": "10.0.0.2:5000/image:1"}
        if number % 2:
            services["fleet_services_web"].append({**common, "kind": "container", "probe": {"path": "/"}})
        else:
            model = "{{ models }}/Qwen2.5-7B-Instruct"
            services["fleet_services_llm"].append({**common, "kind": "vllm", "npus": "{{ cards }}", "model": model})
    return {
        "fleet": {
            "hosts": {
                f"n{number:04}": {"ansible_host": f"10.0.{number // 250}.{number % 250}", "cards": 2}
                for number in range(hosts)
            },
            "vars": {"fleet_npus_expected": 8, "models": "/mnt/models", **services},
        }
    }


def spend(folder: Path, playbook: str) -> tuple[float, float]:
    """Seconds by the clock, and of the processor in all processes of the run."""
    (folder / "play.yml").write_text(playbook, encoding="utf-8")
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.yml", "play.yml"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    elapsed = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise SystemExit(result.stdout + result.stderr)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _named(spent: tuple[float, float]) -> dict[str, float]:
    return {"seconds": round(spent[0], 2), "cpu": round(spent[1], 2)}


def measure(hosts: int, entries: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inventory.yml").write_text(yaml.safe_dump(inventory(hosts, entries)), encoding="utf-8")
        nothing = spend(folder, NOTHING)
        compiled = spend(folder, COMPILE.format(rows=hosts * entries))
    return {
        "hosts": hosts,
        "entries": entries,
        "nothing": _named(nothing),
        "compile": _named(compiled),
        "cpu_of_compiling": round(compiled[1] - nothing[1], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="*", default=SIZES)
    parser.add_argument("--entries", type=int, default=4)
    arguments = parser.parse_args()
    print(json.dumps([measure(hosts, arguments.entries) for hosts in arguments.hosts], indent=2))


if __name__ == "__main__":
    main()
