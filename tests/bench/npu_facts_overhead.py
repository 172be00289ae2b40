# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long npu_smi_facts takes beyond the calls of npu-smi, as JSON.

The module runs as Ansible runs it on a node, as a Python process with its arguments on stdin. Its time, less that of
a module that does nothing and less that of the calls themselves, is the overhead. Aim: 0.15 s.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "simfleet" / "npu"))

import npu_smi as simulator  # noqa: E402

AIM = 0.15
ROUNDS = 9
NOTHING = (
    "from ansible.module_utils.basic import AnsibleModule\n"
    "AnsibleModule(argument_spec={'npu_smi': {}}).exit_json(changed=False)\n"
)


def seconds(command: list[str], data: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    started = time.perf_counter()
    subprocess.run(command, input=data, env=environment, capture_output=True, text=True, check=True)
    return time.perf_counter() - started


def measure(chip: str, folder: Path) -> dict[str, float | str]:
    state = simulator.default_state(chip, cards=8)
    for query, arguments in {"table": [], "count": ["-l"], "map": ["-m"], "board": ["-t", "board", "-i", "0"]}.items():
        (folder / query).write_text(simulator.answer(state, ["info", *arguments])[0])
    program = folder / "npu-smi"
    answers = f"-l) cat {folder}/count;; -m) cat {folder}/map;; -t) cat {folder}/board;; *) cat {folder}/table;;"
    program.write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\ncase "$2" in {answers} esac\n')
    program.chmod(0o755)
    nothing = folder / "nothing.py"
    nothing.write_text(NOTHING)
    data = json.dumps({"ANSIBLE_MODULE_ARGS": {"npu_smi": str(program)}})
    module = ROOT / "plugins" / "modules" / "npu_smi_facts.py"
    seconds([sys.executable, str(module)], data)
    calls = len((folder / "calls").read_text().splitlines())
    runs = {"module": [str(module)], "empty": [str(nothing)]}
    times: dict[str, list[float]] = {"module": [], "empty": [], "call": []}
    for _ in range(ROUNDS):
        for name, script in runs.items():
            times[name].append(seconds([sys.executable, *script], data))
        times["call"].append(seconds([str(program), "info"], ""))
    middle = {name: statistics.median(values) for name, values in times.items()}
    overhead = middle["module"] - middle["empty"] - calls * middle["call"]
    return {"chip": chip, "calls": calls, **{k: round(v, 4) for k, v in middle.items()}, "overhead": round(overhead, 4)}


def main() -> int:
    results = []
    for chip in ("310P3-duo", "910B4", "A3", "950PR"):
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(chip, Path(folder)))
    ok = all(float(result["overhead"]) <= AIM for result in results)
    print(json.dumps({"aim": AIM, "ok": ok, "results": results}, indent=2))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
