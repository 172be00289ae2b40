# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner hides no failure, counts what it ran and leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from steps import STAGES, STEPS

TOOLING = Path(__file__).resolve().parent
HEADER = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(TOOLING)!r})
import layout, runner
from steps import Step
layout.OUTPUT = runner.OUTPUT = Path(sys.argv.pop(1))
VENV = Path({sys.prefix!r})
runner.RINGS, runner.CLEANUP = {{"test": ("here",)}}, ()
def python(name, code, **more):
    return Step(name, "here", "a try", ("python", "-c", code), venv=VENV, **more)
"""


def script(tmp_path: Path, steps: str) -> list[str]:
    path = tmp_path / "run.py"
    path.write_text(f"{HEADER}\n{textwrap.dedent(steps)}\nsys.exit(runner.main())\n")
    return [sys.executable, str(path), str(tmp_path / "output")]


def run(tmp_path: Path, steps: str) -> tuple[int, list[str]]:
    done = subprocess.run(script(tmp_path, steps), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("steps", "status", "last"),
    [
        ("runner.STEPS = [python('a', 'pass')]", 0, "1 passed, 0 failed, 0 skipped"),
        (
            "runner.STEPS = [python('a', 'raise SystemExit(3)'), python('b', 'pass')]",
            1,
            "1 passed, 1 failed, 0 skipped",
        ),
        (
            "runner.STEPS = [python('a', 'import time; time.sleep(60)', timeout=1)]",
            1,
            "0 passed, 1 failed, 0 skipped",
        ),
        (
            "runner.STEPS = [python('a', 'pass', paths=('absent/*',)), python('b', 'pass')]",
            0,
            "1 passed, 0 failed, 1 skipped",
        ),
        (
            "runner.STEPS = [python('a', 'pass')]\nrunner.CLEANUP = [python('left', 'raise SystemExit(1)')]",
            1,
            "1 passed, 1 failed, 0 skipped",
        ),
    ],
    ids=["good", "a failure hides no other step", "late", "left out", "cleanup failed"],
)
def test_the_last_line_and_the_status(tmp_path: Path, steps: str, status: int, last: str) -> None:
    returncode, lines = run(tmp_path, steps)
    assert (returncode, lines[-1]) == (status, last), lines


def test_pytest_steps_count_their_tests(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_good(): pass\ndef test_bad(): assert 1 == 2\ndef test_left(): pytest.skip('no card')\n"
    )
    target = str(tmp_path / "test_it.py")
    returncode, lines = run(
        tmp_path,
        f"runner.STEPS = [Step('p', 'here', 'tests', ('python', '-m', 'pytest', '-q', {target!r},"
        f" '-c', '/dev/null', '--rootdir', {str(tmp_path)!r}), venv=VENV, pytest=True)]",
    )
    assert returncode == 1
    assert lines[-1] == "1 passed, 1 failed, 1 skipped"
    assert any("1 skipped: no card" in line for line in lines)
    end = lines[lines.index(f"{'=' * 30} failures {'=' * 29}") :]
    assert "--- p: test_it.py::test_bad" in end, end
    assert any(line.split() == ["E", "assert", "1", "==", "2"] for line in end), end


def test_what_is_told_of_failures_stays_short(tmp_path: Path) -> None:
    """A log that is cut still names every failure, and a step that is no pytest says its last words."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_bad(n): assert 0, 'long\\n' * 500\n"
    )
    returncode, lines = run(
        tmp_path,
        f"runner.STEPS = [Step('p', 'here', 'tests', ('python', '-m', 'pytest', '-q', {str(tmp_path)!r},"
        f" '-c', '/dev/null', '--rootdir', {str(tmp_path)!r}), venv=VENV, pytest=True),"
        " python('words', 'raise SystemExit(\"the cause of it\")')]",
    )
    assert (returncode, lines[-1]) == (1, "0 passed, 10 failed, 0 skipped")
    end = lines[lines.index(f"{'=' * 30} failures {'=' * 29}") : lines.index(f"{'=' * 30} summary {'=' * 30}")]
    assert sum("test_it.py::test_bad" in line for line in end if line.startswith("---")) == 9
    assert len(end) <= 65
    assert "    the cause of it" in end


def test_lanes_run_side_by_side_and_stages_one_after_another(tmp_path: Path) -> None:
    """Each of two steps ends only when it has seen the other at work; what needs the machine alone comes after both."""
    here = str(tmp_path)
    meet = (
        "import pathlib, sys, time; own, other = (pathlib.Path({here!r}, n) for n in {names!r}); own.touch()\n"
        "end = time.monotonic() + 20\n"
        "while not other.exists() and time.monotonic() < end: time.sleep(0.02)\n"
        "sys.exit(not other.exists())"
    )
    alone = f"import pathlib, sys; sys.exit(not all(pathlib.Path({here!r}, n).exists() for n in 'ab'))"
    steps = f"""
    import dataclasses
    runner.RINGS = {{"test": ("left", "right", "after")}}
    runner.STAGES = ((("left",), ("right",)), (("after",),))
    def on(ring, step): return dataclasses.replace(step, ring=ring)
    runner.STEPS = [
        on("after", python("c", {alone!r})),
        on("left", python("a", {meet.format(here=here, names="ab")!r})),
        on("right", python("b", "print('seen', flush=True);" + {meet.format(here=here, names="ba")!r})),
    ]
    """
    returncode, lines = run(tmp_path, steps)
    assert (returncode, lines[-1]) == (0, "3 passed, 0 failed, 0 skipped"), lines
    assert "b: seen" in lines
    returncode, lines = run(tmp_path, f"{textwrap.dedent(steps)}\nsys.argv.append('--serial')")
    assert returncode == 0, lines


def test_the_lane_that_is_done_first_takes_up_the_next_one(tmp_path: Path) -> None:
    """No more than two at a time: the long step ends when the last lane has run, which waits for no end of it."""
    done = tmp_path / "done"
    long = (
        f"import pathlib, sys, time; done = pathlib.Path({str(done)!r}); end = time.monotonic() + 20\n"
        "while not done.exists() and time.monotonic() < end: time.sleep(0.02)\n"
        "sys.exit(not done.exists())"
    )
    steps = f"""
    import dataclasses
    runner.RINGS = {{"test": ("long", "short", "last")}}
    runner.STAGES = ((("long",), ("short",), ("last",)),)
    def on(ring, step): return dataclasses.replace(step, ring=ring)
    runner.STEPS = [
        on("long", python("a", {long!r})),
        on("short", python("b", "import pathlib, sys; sys.exit(pathlib.Path({str(done)!r}).exists())")),
        on("last", python("c", "import pathlib; pathlib.Path({str(done)!r}).touch()")),
    ]
    """
    returncode, lines = run(tmp_path, steps)
    assert (returncode, lines[-1]) == (0, "3 passed, 0 failed, 0 skipped"), lines
    order = [line.split(":")[0].split()[-1] for line in lines if line.startswith("==>")]
    assert order[-1] == "c", lines


def test_every_ring_has_its_place_in_the_order() -> None:
    placed = [ring for stage in STAGES for lane in stage for ring in lane]
    assert sorted(placed) == sorted({step.ring for step in STEPS})
    assert len(placed) == len(set(placed))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_step_and_cleans_up(tmp_path: Path, number: int) -> None:
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    code = f"import os, pathlib, time; p = pathlib.Path({str(started)!r})"
    code += "; p.with_suffix('.new').write_text(str(os.getpid()))"
    code += "; p.with_suffix('.new').rename(p); time.sleep(60)"
    steps = f"""
    runner.STEPS = [python('long', {code!r}), python('never', 'pass')]
    runner.CLEANUP = [python('c', "import pathlib; pathlib.Path({str(cleaned)!r}).touch()")]
    """
    with subprocess.Popen(script(tmp_path, steps), stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert cleaned.exists()
    assert output.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
