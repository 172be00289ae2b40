# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Independent tasks in forked workers, as many as there are cores. Private to the collection.

Processes rather than threads: thousands of small files are bound by the interpreter. A worker takes the next task from
a pipe, so none idles while another has a long one; it stops by itself when its parent was killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import traceback
from typing import Any, Callable, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

Beat = Callable[[], None]
Task = Callable[[Beat], Any]

_INDEX = struct.Struct("<I")
_MOST_TASKS = 4096
_PULSE = 0.5


def cores() -> int:
    return len(os.sched_getaffinity(0))


def run(tasks: Sequence[Task], workers: int, beat: Beat) -> list[Any]:
    """The results in the order of the tasks. ``beat`` is called all the while; what it raises ends the work."""
    if len(tasks) > _MOST_TASKS:
        raise AssertionError("more tasks than the pipe holds")
    if workers < 2 or len(tasks) < 2:
        return [task(beat) for task in tasks]
    queue, feed = os.pipe()
    answers: dict[int, int] = {}
    try:
        for index in range(len(tasks)):
            os.write(feed, _INDEX.pack(index))
        os.close(feed)
        for _number in range(min(workers, len(tasks))):
            reader, pid = _start(tasks, queue, list(answers))
            answers[reader] = pid
        return _collect(answers, len(tasks), beat)
    finally:
        os.close(queue)
        for reader, pid in answers.items():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reader)


def _start(tasks: Sequence[Task], queue: int, others: list[int]) -> tuple[int, int]:
    parent = os.getpid()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return reader, pid
    try:
        os.close(reader)
        for other in others:
            os.close(other)
        _work(tasks, queue, writer, parent)
    finally:
        os._exit(0)


def _work(tasks: Sequence[Task], queue: int, writer: int, parent: int) -> None:
    def orphaned() -> None:
        if os.getppid() != parent:
            os._exit(1)

    while True:
        taken = os.read(queue, _INDEX.size)
        if not taken:
            return
        index = _INDEX.unpack(taken)[0]
        answer: dict[str, Any] = {"task": index}
        try:
            orphaned()
            answer["result"] = tasks[index](orphaned)
        except FleetError as error:
            answer["finding"] = error.finding
        except OSError as error:
            answer["system"] = [error.errno, error.strerror, error.filename]
        except Exception:
            answer["trace"] = traceback.format_exc()
        os.write(writer, json.dumps(answer).encode() + b"\n")
        if "result" not in answer:
            return


def _collect(answers: dict[int, int], count: int, beat: Beat) -> list[Any]:
    results: dict[int, Any] = {}
    pending = dict.fromkeys(answers, b"")
    while pending:
        beat()
        ready, _write, _error = select.select(list(pending), [], [], _PULSE)
        for reader in ready:
            data = os.read(reader, 1 << 16)
            *lines, rest = (pending[reader] + data).split(b"\n")
            pending[reader] = rest
            for line in lines:
                answer = json.loads(line)
                _raise(answer)
                results[answer["task"]] = answer["result"]
            if not data:
                del pending[reader]
    if len(results) < count:
        raise FleetError("step-failed", "A worker process was killed, perhaps for want of memory.")
    return [results[index] for index in range(count)]


def _raise(answer: dict[str, Any]) -> None:
    if "finding" in answer:
        found = answer["finding"]
        where = {key: found[key] for key in ("service", "key", "value", "severity")}
        raise FleetError(found["check"], found["message"], found["remedy"], **where)
    if "system" in answer:
        raise OSError(*answer["system"])
    if "trace" in answer:
        raise RuntimeError(answer["trace"])
