# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a playbook of the collection, and what it left in its report directory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = str(Path(sys.executable).parent / "ansible-playbook")
_RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", re.MULTILINE)


@dataclass
class Outcome:
    rc: int
    out: str
    reports: Path

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.reports / "verdict.json").read_text())
        return found

    @property
    def changed(self) -> dict[str, int]:
        """The number of changed tasks of each host, as Ansible counts them."""
        return {host: int(number) for host, number in _RECAP.findall(self.out) if host != "localhost"}

    def record(self, step: str, host: str) -> dict[str, Any]:
        path = self.reports / self.verdict["run_id"] / "records" / step / f"{host}.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def failed_checks(self) -> list[tuple[str | None, str]]:
        return [(item["host"], item["check"]) for item in self.verdict["failures"]]


def command(playbook: str, inventory: Path, *arguments: str) -> list[str]:
    """``playbook`` is the name of one of ours, or the path of somebody's own."""
    named = playbook if playbook.endswith(".yml") else f"ascend.fleet.{playbook}"
    return [PROGRAM, "-i", str(inventory), named, *arguments]


def environment(collections: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }


def run(playbook: str, inventory: Path, *arguments: str, collections: str, seconds: float = 120) -> Outcome:
    folder = inventory.parent
    done = subprocess.run(
        command(playbook, inventory, *arguments),
        cwd=folder,
        env=environment(collections),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Outcome(done.returncode, done.stdout + done.stderr, folder / "report")
