# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detached work: it survives its starter, keeps the lock, and says how it ended."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _work
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

RUN = {"id": "r1", "owner": "ann@ctl:1"}


@pytest.fixture
def system(tmp_path):
    return System(root=str(tmp_path))


def busy(system):
    return Lock(system).is_held()


def run(system, job, seconds=10):
    lock = Lock(system)
    assert lock.try_acquire()
    _work.start(system, lock, "d1", RUN, job)
    return _work.wait(system, "d1", seconds, lambda: busy(system))


def test_the_result_arrives_and_the_lock_is_free_again(system):
    status = run(system, lambda progress: {"changed": True})
    assert status["result"] == {"changed": True}
    _wait_until(lambda: not busy(system))


@pytest.mark.parametrize(
    ("error", "check", "text"),
    [
        (FleetError("lock-held", "Somebody is at it."), "lock-held", "Somebody is at it."),
        (ZeroDivisionError("oops"), "step-failed", "Unexpected ZeroDivisionError: oops"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "node-files", "/a/b cannot be written: No space"),
        (OSError(errno.EROFS, "Read-only", "/a/.ascend-fleet-x1"), "node-files", "/a cannot be written: Read-only."),
        (OSError(errno.ECONNRESET, "Connection reset"), "step-failed", "Unexpected ConnectionResetError"),
    ],
)
def test_a_failing_job_reports_its_finding(system, error, check, text):
    def job(progress):
        raise error

    result = run(system, job)["result"]
    assert result["failed"]
    assert text in result["msg"]
    assert [item["check"] for item in result["findings"]] == [check]


def test_the_work_outlives_a_killed_starter(system, tmp_path):
    script = textwrap.dedent(
        f"""
        import os, time
        from ansible_collections.ascend.fleet.plugins.module_utils import _work
        from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
        from ansible_collections.ascend.fleet.plugins.module_utils._system import System
        system = System(root={str(tmp_path)!r})
        def job(progress):
            progress("waiting for the gate")
            while not os.path.exists({str(tmp_path / "gate")!r}):
                time.sleep(0.02)
            return {{"changed": True}}
        lock = Lock(system)
        lock.try_acquire()
        _work.start(system, lock, "d1", {RUN!r}, job)
        print("started", flush=True)
        time.sleep(60)
        """
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert starter.stdout.readline() == b"started\n"
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    _wait_until(lambda: (_work.read_status(system) or {}).get("phase") == "waiting for the gate")
    assert busy(system)
    (tmp_path / "gate").touch()
    status = _work.wait(system, "d1", 10, lambda: busy(system))
    assert status["result"] == {"changed": True}


def test_a_killed_worker_is_noticed_instead_of_waited_for(system):
    def job(progress):
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    before = time.monotonic()
    assert run(system, job, seconds=30) is None
    assert time.monotonic() - before < 10


def test_other_work_is_not_mistaken_for_ours(system):
    run(system, lambda progress: {"changed": False})
    assert _work.wait(system, "other", 1, lambda: False) is None


def _wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


FOLDER = "/state/weights"
OLD = 2 * _work.KEPT_SECONDS


@pytest.mark.parametrize(
    ("run", "done", "age", "held", "stays"),
    [
        ("r1", True, 0, False, False),
        ("r1", False, 0, False, True),
        ("r2", True, 0, False, True),
        ("r2", True, OLD, False, False),
        ("r2", False, OLD, False, False),
        ("r1", True, OLD, True, True),
    ],
    ids=["told", "killed a moment ago", "of another run", "old", "killed long ago", "somebody works again"],
)
def test_what_nobody_will_ask_for_is_forgotten(system, run, done, age, held, stays):
    file = f"{FOLDER}/a.json"
    system.write(file, json.dumps({"run": {"id": run}, "done": done, "updated": time.time() - age}))
    lock = Lock(system, file + _work.LOCK_SUFFIX)
    assert lock.try_acquire()
    if not held:
        lock.drop_copy()
    _work.sweep(system, FOLDER, "r1")
    assert system.listdir(FOLDER) == (["a.json", "a.json.lock"] if stays else [])
