# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer of a directory that several nodes may share. Private to the collection.

A lease is a file made exclusively, which file systems over a network can do as well. Its owner writes a beat into
it; one whose beat stands still is dead, whatever the clocks of the nodes say. Taking over makes a file with the next
number, so two who see the same dead owner cannot both succeed, and a late owner sees that it was succeeded.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import threading
import time
from typing import Any, Callable, Dict, NamedTuple

Json = Dict[str, Any]

NAME = re.compile(r"^lease-(\d{6})$")
BEAT_SECONDS = 3.0
STALE_SECONDS = 45.0


class Timing(NamedTuple):
    beat: float = BEAT_SECONDS
    stale: float = STALE_SECONDS


class Owner(NamedTuple):
    """Who holds it, as others read it."""

    number: int
    host: str
    pid: int
    boot: str
    beat: int
    note: str


class Lease:
    def __init__(self, folder: str, timing: Timing | None = None) -> None:
        self.folder = folder
        self.timing = timing or Timing()
        self.lost = threading.Event()
        self.note = ""
        self._number: int | None = None
        self._beat = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, waiting: Callable[[Owner], bool]) -> bool:
        """Become the owner; ``waiting`` is told of another one and says whether to go on waiting."""
        watch = _Watch(self.timing.stale)
        while True:
            os.makedirs(self.folder, exist_ok=True)
            seen = _numbers(self.folder)
            owner = read(self.folder, max(seen)) if seen else None
            if owner is not None and not watch.is_dead(owner):
                if not waiting(owner):
                    return False
                time.sleep(min(1.0, self.timing.beat))
                continue
            if self._make(max(seen, default=0) + 1, seen):
                return True

    def _make(self, number: int, seen: set[int]) -> bool:
        try:
            handle = os.open(_path(self.folder, number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except (FileExistsError, FileNotFoundError):
            return False
        with os.fdopen(handle, "w") as stream:
            stream.write(self._text())
        if _numbers(self.folder) - seen - {number}:
            # Somebody else saw another past than this one; both draw back.
            self._unlink(number)
            time.sleep(random.random() * self.timing.beat)
            return False
        for old in seen:
            self._unlink(old)
        self._number = number
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()
        return True

    def holds(self) -> bool:
        """Whether nobody has taken over in the meantime."""
        if self._number is None or self.lost.is_set():
            return False
        if max(_numbers(self.folder), default=0) != self._number:
            self.lost.set()
        return not self.lost.is_set()

    def release(self) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()
        if self._number is not None:
            self._unlink(self._number)
        self._number = None

    def _keep(self) -> None:
        while not self._ended.wait(self.timing.beat):
            if not self.holds():
                return
            self._beat += 1
            with contextlib.suppress(OSError):
                _rewrite(_path(self.folder, self._number or 0), self._text())

    def _text(self) -> str:
        return json.dumps(
            {"host": socket.gethostname(), "pid": os.getpid(), "boot": boot_id(), "beat": self._beat, "note": self.note}
        )

    def _unlink(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path(self.folder, number))


class _Watch:
    """Tells by this process's own clock how long a beat has stood still."""

    def __init__(self, stale: float) -> None:
        self._stale = stale
        self._seen: Owner | None = None
        self._since = 0.0

    def is_dead(self, owner: Owner) -> bool:
        if owner.boot == boot_id() and owner.pid and not os.path.exists(f"/proc/{owner.pid}"):
            return True
        now = time.monotonic()
        if owner != self._seen:
            self._seen, self._since = owner, now
        return now - self._since > self._stale


def read(folder: str, number: int) -> Owner | None:
    try:
        with open(_path(folder, number), encoding="utf-8") as stream:
            text = stream.read()
    except OSError:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        # Made a moment ago and not yet written.
        found = {}
    return Owner(
        number,
        found.get("host", "a node"),
        found.get("pid", 0),
        found.get("boot", ""),
        found.get("beat", 0),
        found.get("note", ""),
    )


def boot_id() -> str:
    """Names the running system: process numbers mean something only inside of it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            boot = stream.read().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _numbers(folder: str) -> set[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return set()
    return {int(found[1]) for found in map(NAME.match, names) if found}


def _path(folder: str, number: int) -> str:
    return os.path.join(folder, f"lease-{number:06d}")


def _rewrite(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)
        os.fsync(handle)
    finally:
        os.close(handle)
