# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.bench.node_container: what a task inside a container costs beside the same task over plain ssh."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tests import playbook_run
from tests.fleet_workbench import start_box
from tests.simfleet import inventory
from tests.simfleet.fleet import Fleet
from tests.simfleet.spec import NodeSpec

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests" / "output" / "bench-node-container.json"
AIM = 1.6
OPENING = "Open the connection"


def hosts(fleet: Fleet, box: str) -> str:
    """The node, and a container on it, as two hosts."""
    document: dict[str, Any] = yaml.safe_load(inventory.render(fleet))
    group = document["all"]["children"]["fleet"]
    known = group["hosts"]["n1"]
    inside = {**known, "ansible_connection": "ascend.fleet.node_container", "ansible_node_container": box}
    group["hosts"] = {"node": known, "box": inside}
    return yaml.safe_dump(document)


def measure(fleet: Fleet, rounds: int, times: int) -> list[dict[str, Any]]:
    path = fleet.folder / "bench-hosts.yml"
    path.write_text(hosts(fleet, start_box(fleet.node("n1"))), encoding="utf-8")
    log = fleet.folder / "durations.jsonl"
    environment = playbook_run.environment(str(ROOT / "collections")) | {
        "ASCEND_FLEET_DURATIONS": str(log),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "durations",
    }
    command = ["ansible-playbook", "-i", str(path), "-e", f"times={times}", str(Path(__file__).with_suffix(".yml"))]
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def result(samples: list[dict[str, Any]], times: int) -> dict[str, Any]:
    rows = {}
    for task in dict.fromkeys(sample["task"] for sample in samples if sample["task"] != OPENING):
        node, box = (
            median(s["seconds"] / times for s in samples if (s["host"], s["task"]) == (host, task))
            for host in ("node", "box")
        )
        ratio = box / node
        rows[task] = {"ssh": round(node, 3), "container": round(box, 3), "ratio": round(ratio, 2), "met": ratio <= AIM}
    return {"schema": 1, "aim": AIM, "processors": os.cpu_count(), "tasks": rows, "samples": samples}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.node_container", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of the playbook (default: %(default)s)")
    parser.add_argument("--times", type=int, default=8, help="tasks of a kind in each (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    parser.add_argument("--strict", action="store_true", help="fail also when the aim is missed")
    options = parser.parse_args()
    with Fleet(f"benchbox-{os.getpid()}", [NodeSpec("n1")]) as fleet:
        found = result(measure(fleet, options.rounds, options.times), options.times)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for task, row in found["tasks"].items():
        print(f"{task:8} ssh {row['ssh']:.3f} s, container {row['container']:.3f} s: {row['ratio']:.2f} x (aim {AIM})")
    return 1 if options.strict and not all(row["met"] for row in found["tasks"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
