# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long npu_smi_facts takes on a node beyond the calls of npu-smi, as JSON.

What Ansible sends to a node is kept and run again by itself: the module, and ansible.builtin.ping as a module that does
nothing. The processor time of the module, less that of ping and less that of the calls themselves, is the overhead: on
a quiet machine it is the time that passes, for the module waits for nothing but the calls. Of each the least of several
runs counts. Aim: 0.15 s.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "simfleet" / "npu"))

import npu_smi as simulator  # noqa: E402 - a program copied to nodes, in no package

AIM = 0.15
ROUNDS = 15
CHIPS = ("310P3-duo", "910B4", "A3", "950PR")


def payload(module: str, arguments: dict[str, str], folder: Path) -> Path:
    """The file that Ansible runs on a node."""
    folder.mkdir()
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_KEEP_REMOTE_FILES": "1",
        "ANSIBLE_REMOTE_TMP": str(folder),
    }
    ansible = Path(sys.executable).parent / "ansible"
    command = [str(ansible), "localhost", "-m", module, *(["-a", json.dumps(arguments)] if arguments else [])]
    subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return next(folder.rglob("AnsiballZ_*.py"))


def seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(chip: str, folder: Path) -> dict[str, float | str]:
    state = simulator.default_state(chip, cards=8)
    queries = {"table": [], "count": ["-l"], "map": ["-m"], "board": ["-t", "board", "-i", "0"]}
    for query, arguments in queries.items():
        (folder / query).write_text(simulator.answer(state, ["info", *arguments])[0])
    program = folder / "npu-smi"
    answers = f"-l) cat {folder}/count;; -m) cat {folder}/map;; -t) cat {folder}/board;; *) cat {folder}/table;;"
    program.write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\ncase "$2" in {answers} esac\n')
    program.chmod(0o755)
    commands = {
        "module": [
            sys.executable,
            str(payload("ascend.fleet.npu_smi_facts", {"npu_smi": str(program)}, folder / "module")),
        ],
        "ping": [sys.executable, str(payload("ansible.builtin.ping", {}, folder / "ping"))],
        "call": [str(program), "info"],
    }
    calls = len((folder / "calls").read_text().splitlines())
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _round in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(seconds(command))
    best = {name: min(values) for name, values in times.items()}
    overhead = best["module"] - best["ping"] - calls * best["call"]
    return {
        "chip": chip,
        "calls": calls,
        **{name: round(value, 4) for name, value in best.items()},
        "overhead": round(overhead, 4),
    }


def main() -> int:
    results = []
    for chip in CHIPS:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(chip, Path(folder)))
    ok = all(float(result["overhead"]) <= AIM for result in results)
    print(json.dumps({"aim": AIM, "ok": ok, "results": results}, indent=2))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
