# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer at a time on storage that several nodes share. Private to the collection.

flock does not reach across nodes on every network file system, and clocks of nodes differ. So the lock is a file that
is made exclusively and rewritten every few seconds. Whoever waits judges by its own clock whether the content still
changes; on the holder's own node a dead process is recognised at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
LONGEST_PAUSE = 1.0
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_PID_SPACE = "/proc/self/ns/pid"
_SIZE = 512


class SharedLock:
    """A lock file; hold it in a ``with`` and call ``beat`` while working."""

    def __init__(self, path: str, patience: float, stale: float = STALE_SECONDS) -> None:
        self.path = path
        self.token = uuid.uuid4().hex[:12]
        self.waited = False
        self._patience = patience
        self._stale = stale
        self._fd: int | None = None
        self._beats = 0
        self._next = 0.0

    def __enter__(self) -> SharedLock:
        began = time.monotonic()
        seen, since, pause = b"", began, 0.05
        while not self._try():
            self.waited = True
            now = time.monotonic()
            found = _read(self.path)
            if found is None:
                continue
            if found != seen:
                seen, since = found, now
            if now - since > self._stale or _is_dead(found):
                self._take_away(found)
                continue
            if now - began > self._patience:
                raise self._refusal(found)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self.is_mine():
            os.unlink(self.path)

    def beat(self) -> None:
        """Say that the work goes on; cheap, so call it often."""
        now = time.monotonic()
        if self._fd is None or now < self._next:
            return
        self._next = now + BEAT_SECONDS
        self._beats += 1
        holder = {
            "token": self.token,
            "host": socket.gethostname(),
            "where": _where(),
            "pid": os.getpid(),
            "born": _born(os.getpid()),
            "beat": self._beats,
        }
        os.pwrite(self._fd, json.dumps(holder).encode().ljust(_SIZE), 0)
        os.fsync(self._fd)

    def is_mine(self) -> bool:
        return _holder(_read(self.path)).get("token") == self.token

    def _try(self) -> bool:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return False
        self.beat()
        return True

    def _take_away(self, dead: bytes) -> None:
        """Move a dead holder's file aside. When a living one's was caught instead, it is put back."""
        aside = f"{self.path}.{self.token}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if _holder(_read(aside)).get("token") != _holder(dead).get("token"):
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.path)
            os.unlink(aside)

    def _refusal(self, found: bytes) -> FleetError:
        holder = _holder(found)
        who = f"{holder.get('host', 'an unknown node')} (process {holder.get('pid', 'unknown')})"
        return FleetError(
            "package-locked",
            f"{who} still works on {self.path} after {self._patience:g} s.",
            key="dest",
            value=self.path,
        )


def _read(path: str) -> bytes | None:
    # Opened each time: a network file system shows the newest content to whoever opens.
    try:
        with open(path, "rb") as handle:
            return handle.read(_SIZE)
    except FileNotFoundError:
        return None


def _holder(content: bytes | None) -> dict[str, Any]:
    try:
        holder = json.loads(content or b"{}")
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_dead(content: bytes) -> bool:
    holder = _holder(content)
    return holder.get("where") == _where() and holder.get("born") != _born(holder.get("pid"))


def _where() -> str:
    """This node and its space of process numbers, which a container does not share with its host."""
    try:
        with open(_BOOT_ID, encoding="ascii") as handle:
            return f"{handle.read().strip()} {os.readlink(_PID_SPACE)}"
    except OSError:
        return f"unknown {uuid.uuid4().hex}"


def _born(pid: Any) -> str | None:
    """When a process started, so that another one of the same number is not taken for it; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            fields = handle.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
