# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times commands in turns, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any, Protocol

RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


class InvalidRunError(Exception):
    """A run that measured something else than it should."""


class Runs(Protocol):
    """What can be timed."""

    environment: dict[str, str]

    def commands(self, size: int) -> dict[str, list[str]]: ...


@dataclass(frozen=True)
class Sample:
    nodes: int
    command: str
    seconds: float
    cpu_seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def timed(name: str, size: int, argv: list[str], environment: dict[str, str]) -> Sample:
    """One run to its end; the processor time is that of the command and all its children."""
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        output = log.read().decode(errors="replace")
    if process.returncode:
        raise InvalidRunError(f"{name} on {size} nodes ended with {process.returncode}:\n{output[-3000:]}")
    judge(name, size, output)
    return Sample(size, name, round(seconds, 3), round(usage.ru_utime + usage.ru_stime, 3))


def judge(name: str, size: int, output: str) -> None:
    """A playbook must have met every node and changed nothing."""
    if name == "ping":
        met = len(re.findall(r"SUCCESS", output))
        if met != size:
            raise InvalidRunError(f"ping met {met} of {size} nodes:\n{output[-3000:]}")
        return
    recap = {host: tuple(map(int, rest)) for host, *rest in RECAP.findall(output) if host != "localhost"}
    if len(recap) != size or any(any(counts) for counts in recap.values()):
        raise InvalidRunError(f"{name} did not find {size} nodes as they should be:\n{output[-3000:]}")


def alternate(runs: Runs, sizes: list[int], rounds: int) -> list[Sample]:
    samples = []
    for size in sizes:
        commands = runs.commands(size)
        timed("ping", size, commands["ping"], runs.environment)  # opens the ssh connections
        for number in range(1, rounds + 1):
            for name, argv in commands.items():
                sample = timed(name, size, argv, runs.environment)
                samples.append(sample)
                print(f"{size} nodes, round {number}: {name:6}{sample.seconds:7.2f} s", flush=True)
    return samples
