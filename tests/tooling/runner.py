# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the steps of some rings and says at the end what came of each.

Steps of one lane run one after another, two lanes side by side: what computes beside what waits
for servers; whichever ends first goes on with the next lane. A failed step hides no other. The last
line is `N passed, N failed, N skipped`, where a pytest step counts its tests and every other step counts one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from layout import OUTPUT, ROOT, environment
from steps import CLEANUP, RINGS, STAGES, STEPS, Step

GRACE_SECONDS = 60
SIDE_BY_SIDE = 2
FAILURE_LINES, FAILURE_WIDTH = 60, 240


class Interrupted(BaseException):
    """Ctrl-C, or the end of the session that started us."""


@dataclass(frozen=True)
class Failure:
    name: str
    text: str

    def last(self, count: int) -> list[str]:
        lines = [line[:FAILURE_WIDTH] for line in self.text.splitlines() if line.strip()]
        return lines[-count:]


@dataclass
class Outcome:
    step: Step
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def word(self) -> str:
        return "FAILED" if self.failed else "ok" if self.passed else "skipped"


def end_group(process: subprocess.Popen[bytes], seconds: float = GRACE_SECONDS) -> None:
    """Asks a step and its children to stop, gives them time to clean up, then ends them."""
    for number, patience in ((signal.SIGINT, seconds), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue


class Running:
    """The processes of the steps under way, so that an interrupt ends them all and no new one starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    @contextlib.contextmanager
    def started(self, argv: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes] | None]:
        with self._lock:
            if self.stopped:
                process = None
            else:
                process = subprocess.Popen(
                    argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
                self._live.add(process)
        yield process
        with self._lock:
            self._live.discard(process)

    def stop(self) -> None:
        with self._lock:
            self.stopped = True
            live = list(self._live)
        for process in live:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        for process in live:
            end_group(process)


class Screen:
    """One line at a time from whoever has one; it says whose it is while several steps run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.shared = False

    def line(self, name: str, raw: bytes) -> None:
        self._write(f"{name}: ".encode() + raw if self.shared else raw)

    def say(self, text: str) -> None:
        self._write(f"{text}\n".encode())

    def _write(self, raw: bytes) -> None:
        with self._lock:
            sys.stdout.buffer.write(raw)
            sys.stdout.buffer.flush()


RUNNING, SCREEN = Running(), Screen()


def run_logged(step: Step, argv: list[str], log: Path) -> int | None:
    """Shows and keeps the output of a command; None when it did not end in time."""
    late = threading.Event()
    with RUNNING.started(argv, environment(step.venv)) as process:
        if process is None:
            return -signal.SIGINT

        def stop_late() -> None:
            late.set()
            end_group(process)

        timer = threading.Timer(step.timeout, stop_late)
        timer.start()
        try:
            assert process.stdout is not None
            with log.open("wb") as file:
                for line in process.stdout:
                    file.write(line)
                    SCREEN.line(step.name, line)
            process.wait()
        finally:
            timer.cancel()
    return None if late.is_set() else process.returncode


def read_junit(path: Path) -> tuple[Counter[str], list[str], list[Failure]]:
    """What pytest counted, why it left tests out, and what failed."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    failures: list[Failure] = []
    for case in ET.parse(path).getroot().iter("testcase"):
        skipped = case.find("skipped")
        bad = [found.text or "" for kind in ("failure", "error") for found in case.findall(kind)]
        if bad:
            counts["failed"] += 1
            failures.append(Failure(f"{case.get('file', case.get('classname'))}::{case.get('name')}", "\n".join(bad)))
        elif skipped is not None:
            counts["skipped"] += 1
            reasons[(skipped.get("message") or "no reason given").splitlines()[0][:110]] += 1
        else:
            counts["passed"] += 1
    return counts, [f"{count} skipped: {reason}" for reason, count in reasons.most_common()], failures


def run_step(step: Step, folder: Path) -> Outcome:
    reason = step.left_out()
    if reason:
        return Outcome(step, 0, skipped=1, notes=[f"skipped: {reason}"])
    log, junit = folder / f"{step.name}.log", folder / f"{step.name}.xml"
    argv = step.argv()
    if step.pytest:
        argv += ["--durations=40", "--durations-min=3", "--override-ini=junit_family=xunit1", f"--junitxml={junit}"]
    started = time.monotonic()
    status = run_logged(step, argv, log)
    outcome = Outcome(step, time.monotonic() - started)
    good = (0, 5) if step.pytest else (0,)
    if step.pytest and junit.exists():
        counts, outcome.notes, outcome.failures = read_junit(junit)
        outcome.passed, outcome.failed = counts["passed"], counts["failed"]
        outcome.skipped = counts["skipped"]
    elif status in good:
        outcome.passed = 0 if step.pytest else 1
    if status not in good:
        outcome.failed = outcome.failed or 1
        ended = f"no end after {step.timeout} s" if status is None else f"exit status {status}"
        outcome.notes.insert(0, f"{ended}; all of its output: {log}")
        outcome.notes += [f"failed: {failure.name}" for failure in outcome.failures]
        if not outcome.failures and log.exists():
            outcome.failures.append(Failure("the last it said", log.read_text(errors="replace")))
    return outcome


def show_failures(outcomes: list[Outcome]) -> None:
    """The end of what every failed test said, once more, since the start of a long log may be cut away."""
    failed = [(o.step.name, failure) for o in outcomes for failure in o.failures]
    if not failed:
        return
    print(f"\n{'=' * 30} failures {'=' * 29}")
    for name, failure in failed:
        print(f"--- {name}: {failure.name}")
        for line in failure.last(max(1, FAILURE_LINES // len(failed) - 1)):
            print(f"    {line}")


def summarise(outcomes: list[Outcome], seconds: float) -> None:
    width = max([len(o.step.name) for o in outcomes], default=0)
    print(f"\n{'=' * 30} summary {'=' * 30}")
    for o in outcomes:
        counts = f"{o.passed} passed, {o.failed} failed, {o.skipped} skipped"
        print(f"{o.word:8}{o.step.name:{width + 2}}{o.seconds:7.1f} s  {counts}")
        for note in o.notes:
            print(f"{'':10}{note}")
    print(f"{seconds:.0f} s in all")
    total = [sum(getattr(o, n) for o in outcomes) for n in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*total), flush=True)


def chosen(rings: list[str], names: list[str]) -> list[Step]:
    wanted = {ring for name in rings for ring in RINGS[name]}
    return [s for s in STEPS if (s.name in names if names else s.ring in wanted)]


def interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted


def lanes(steps: list[Step], serial: bool) -> list[list[list[Step]]]:
    """Stage after stage, the lanes that may run side by side, each with its steps in order."""
    if serial:
        return [[steps]]
    stages = [[[s for s in steps if s.ring in rings] for rings in stage] for stage in STAGES]
    placed = [s for stage in stages for lane in stage for s in lane]
    others = [s for s in steps if s not in placed]
    return [kept for stage in [*stages, [others]] if (kept := [lane for lane in stage if lane])]


def run_lane(steps: list[Step], folder: Path, number: dict[str, int]) -> list[Outcome]:
    outcomes = []
    for step in steps:
        if RUNNING.stopped:
            break
        SCREEN.say(f"\n==> [{number[step.name]}/{len(number)}] {step.name}: {step.what}")
        outcome = run_step(step, folder)
        if RUNNING.stopped:
            outcome.passed, outcome.failed = 0, max(1, outcome.failed)
            outcome.notes.insert(0, "interrupted; later steps did not run")
        outcomes.append(outcome)
        SCREEN.say(f"<== {step.name}: {outcome.word} after {outcome.seconds:.1f} s")
    return outcomes


def run_all(stages: list[list[list[Step]]], folder: Path, outcomes: list[Outcome]) -> None:
    """Adds what came of every step, also when an interrupt ends them."""
    number = {s.name: i for i, s in enumerate([s for stage in stages for lane in stage for s in lane], 1)}
    for stage in stages:
        SCREEN.shared = len(stage) > 1
        with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
            begun = [pool.submit(run_lane, lane, folder, number) for lane in stage]
            try:
                wait(begun)
            except Interrupted:
                RUNNING.stop()
                raise
            finally:
                for lane in begun:
                    outcomes += lane.result()


def clean_up(outcomes: list[Outcome], folder: Path) -> None:
    """Takes away what steps left behind; only what could not be removed counts."""
    RUNNING.stopped = SCREEN.shared = False
    for step in CLEANUP:
        if step.left_out() is None:
            outcome = run_step(step, folder)
            if outcome.failed:
                outcomes.append(outcome)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rings", nargs="*", choices=[*RINGS, []], help="what to run")
    parser.add_argument("--step", action="append", default=[], help="run only this step")
    parser.add_argument("--serial", action="store_true", help="one step at a time")
    parser.add_argument("--list", action="store_true", help="show the steps and stop")
    args = parser.parse_args()
    steps = chosen(args.rings or ["test"], args.step)
    if args.list:
        for step in steps:
            print(f"{step.ring:12}{step.name:24}{' '.join(step.command)}")
        return 0
    if not steps:
        parser.error(f"no such step; known are: {', '.join(s.name for s in STEPS)}")
    os.environ["ASCEND_FLEET_RUN"] = f"{os.getpid()}-{time.time_ns()}"
    folder = OUTPUT / "steps"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    interrupted = False
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        run_all(lanes(steps, args.serial), folder, outcomes)
    except Interrupted:
        interrupted = True
        print("\ninterrupted: cleaning up", flush=True)
    outcomes.sort(key=lambda outcome: steps.index(outcome.step))
    clean_up(outcomes, folder)
    show_failures(outcomes)
    summarise(outcomes, time.monotonic() - started)
    if interrupted:
        return 130
    return 1 if any(o.failed for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
