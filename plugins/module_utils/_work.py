# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work on a node that a lost connection cannot kill. Private to the collection.

A worker leaves the module's process tree, keeps the node's lock and writes a small status file.
Whoever asks with the same digest attaches to it, the first run after a lost connection included.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from typing import Any, Callable

from ansible_collections.ascend.fleet.plugins.module_utils._document import STATUS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, unwritable
from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

STATUS_FILE = STATUS_DIR + "/work.json"
TRACE_FILE = STATUS_DIR + "/trace.log"
# Beside the status of work that has a lock of its own.
LOCK_SUFFIX = ".lock"
KEPT_SECONDS = 3600.0

Progress = Callable[[str], None]
Job = Callable[[Progress], "dict[str, Any]"]


def read_status(system: System, file: str = STATUS_FILE) -> dict[str, Any] | None:
    text = system.read(file)
    try:
        status = json.loads(text) if text else None
    except ValueError:
        return None
    return status if isinstance(status, dict) else None


def start(
    system: System,
    lock: Lock,
    digest: str,
    run: dict[str, str],
    job: Job,
    file: str = STATUS_FILE,
    afterwards: Callable[[], None] | None = None,
) -> None:
    """Run ``job`` in a process of its own that inherits the lock; returns once it is on its way.

    ``afterwards`` goes on when the result is written and the lock is given back.
    """
    system.makedirs(os.path.dirname(file), 0o700)
    status: dict[str, Any] = {
        "digest": digest,
        "run": run,
        "pid": None,
        "started": time.time(),
        "phase": "starting",
        "done": False,
        "result": None,
    }
    _write(system, file, status)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        lock.drop_copy()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    _detach()
    status["pid"] = os.getpid()
    _work(system, file, status, job)
    if afterwards:
        lock.drop_copy()
        afterwards()
    os._exit(0)


def wait(
    system: System, digest: str, seconds: float, busy: Callable[[], bool], file: str = STATUS_FILE
) -> dict[str, Any] | None:
    """The status once the work of ``digest`` is done or ``seconds`` have passed; None when it is gone."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while True:
        running = busy()
        status = read_status(system, file)
        if status is None or status.get("digest") != digest:
            return None
        if status.get("done"):
            return status
        if not running:
            # The worker may have finished between the two reads above.
            last = read_status(system, file)
            return last if last and last.get("digest") == digest and last.get("done") else None
        if time.monotonic() >= deadline:
            return status
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def sweep(system: System, folder: str, run_id: str | None = None) -> None:
    """Forget what nobody will ask for any more: the work of a run that ends, and all that is old."""
    for name in system.listdir(folder):
        if not name.endswith(LOCK_SUFFIX):
            continue
        path = f"{folder}/{name}"
        file = path[: -len(LOCK_SUFFIX)]
        lock = Lock(system, path)
        status = read_status(system, file) or {}
        ended = status.get("done") and status["run"]["id"] == run_id
        old = time.time() - status.get("updated", 0.0) > KEPT_SECONDS
        if (ended or old) and not lock.is_held() and lock.try_acquire():
            system.remove(file)
            lock.remove()


def _work(system: System, file: str, status: dict[str, Any], job: Job) -> None:
    def progress(text: str) -> None:
        status["phase"] = text
        _write(system, file, status)

    try:
        result = job(progress)
    except FleetError as error:
        result = _failure(error)
    except Exception as error:
        result = _failure(unwritable(error) or _unexpected(system, error))
    status.update(done=True, result=result, phase="done")
    _write(system, file, status)


def _failure(error: FleetError) -> dict[str, Any]:
    return {"failed": True, "msg": error.told(), "findings": [error.finding]}


def _unexpected(system: System, error: Exception) -> FleetError:
    system.write(TRACE_FILE, traceback.format_exc(), mode=0o600)
    return FleetError(
        "step-failed", f"Unexpected {type(error).__name__}: {error} (details in {TRACE_FILE} on the node)."
    )


def _write(system: System, file: str, status: dict[str, Any]) -> None:
    status["updated"] = time.time()
    system.write(file, json.dumps(status), mode=0o600)


def _detach() -> None:
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
