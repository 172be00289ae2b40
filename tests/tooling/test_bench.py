# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark refuses to measure what is not converged, and reckons its ratios right."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.bench import measure, report

CALM = "n1 : ok=9 changed=0 unreachable=0 failed=0 skipped=1\nlocalhost : ok=2 changed=1 unreachable=0 failed=0\n"


def test_a_converged_run_counts() -> None:
    measure.judge("site", 1, CALM)
    measure.judge("ping", 2, "n1 | SUCCESS => {}\nn2 | SUCCESS => {}\n")


@pytest.mark.parametrize(
    ("name", "size", "output"),
    [
        ("site", 1, CALM.replace("n1 : ok=9 changed=0", "n1 : ok=9 changed=1")),
        ("site", 1, CALM.replace("unreachable=0", "unreachable=1")),
        ("site", 2, CALM),
        ("site", 1, ""),
        ("ping", 2, "n1 | SUCCESS => {}\nn2 | UNREACHABLE! => {}\n"),
    ],
    ids=["changed", "unreachable", "a node is missing", "no recap", "a node does not answer"],
)
def test_anything_else_is_refused(name: str, size: int, output: str) -> None:
    with pytest.raises(measure.InvalidRunError):
        measure.judge(name, size, output)


class Commands:
    def __init__(self) -> None:
        self.environment = dict(os.environ)

    def commands(self, size: int) -> dict[str, list[str]]:
        ping = f"print('n | SUCCESS => {{}}\\n' * {size})"
        recap = "".join(f"n{i} : ok=1 changed=0 unreachable=0 failed=0\n" for i in range(size))
        scripts = {
            "ping": ping,
            "drift": f"print({recap!r})",
            "site": f"print({recap!r})",
            "stock": f"print({recap!r})",
        }
        return {name: [sys.executable, "-c", code] for name, code in scripts.items()}


def test_commands_take_turns() -> None:
    samples = measure.alternate(Commands(), [1, 2], 2)
    turn = ["ping", "drift", "site", "stock"]
    assert [s.command for s in samples] == turn * 4
    assert [s.nodes for s in samples] == [1] * 8 + [2] * 8
    assert all(s.seconds > 0 and s.cpu_seconds > 0 for s in samples)


def test_processor_time_of_children_counts(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint('n | SUCCESS')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    sample = measure.timed("ping", 1, [sys.executable, "-c", code], dict(os.environ))
    assert sample.cpu_seconds >= 0.3


def test_ratios_are_of_medians() -> None:
    times = {"ping": [1, 1, 9], "drift": [1.5, 1.5, 0], "site": [6, 6, 6], "stock": [10, 10, 10]}
    samples = [measure.Sample(2, name, s, s) for name, all_ in times.items() for s in all_]
    found = report.result(samples)
    assert [(a["command"], a["ratio"], a["met"]) for a in found["aims"]] == [
        ("drift", 1.5, True),
        ("site", 0.6, False),
    ]
    assert "site takes 0.60 x stock (aim 0.5): MISSED" in report.table(found)
