# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One change of a node at a time: a lock for the moment, a lease for the run. Private to the collection.

The lock is a flock, so it dies with its holder. The lease covers the time between the calls of
one run; it expires, so a killed run blocks nobody for long.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._document import LEASE_FILE, LOCK_FILE
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

PATIENCE = 0.3
# What the correction of a clock that runs may come to.
CLOCK_SLACK = 60.0


class Lock:
    """The node's lock. Held by every process that shares the open file, a forked worker included."""

    def __init__(self, system: System, path: str = LOCK_FILE) -> None:
        self._name = path
        self._path = system.path(path)
        self._fd: int | None = None

    def try_acquire(self) -> bool:
        deadline = time.monotonic() + PATIENCE
        while True:
            fd = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.02)
                continue
            if self._is_mine(fd):
                self._fd = fd
                return True
            os.close(fd)

    def _open(self) -> int:
        try:
            os.makedirs(os.path.dirname(self._path), 0o755, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FleetError(
                "step-failed",
                f"The node's lock {self._name} cannot be opened ({error.strerror}).",
                "Run as root (become: true), with room on a file system that can be written to.",
                key="lock",
                value=self._name,
            ) from error

    def _is_mine(self, fd: int) -> bool:
        """Whether the file that was locked is still the lock; one that its last holder has removed is not."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self._path))
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Leave no file of a lock that is held and will not be needed again."""
        os.unlink(self._path)
        self.drop_copy()

    def sign(self, run: dict[str, str]) -> None:
        """Write down who holds the lock, for whoever meets it."""
        if self._fd is None:
            raise AssertionError("signed without being held")
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(run).encode(), 0)
        except OSError as error:
            error.filename = self._name
            raise

    def holder(self) -> dict[str, str]:
        """Who signed the lock last; meaningful while it is held."""
        try:
            with open(self._path, encoding="utf-8") as handle:
                signed = json.load(handle)
        except (OSError, ValueError):
            return {}
        return signed if isinstance(signed, dict) else {}

    def refusal(self, phase: str | None = None) -> FleetError:
        """The failure of whoever did not get the lock."""
        holder = self.holder()
        doing = f" ({phase})" if phase else ""
        message = f"The node is being changed by run {holder.get('id')} of {holder.get('owner')}{doing}."
        return FleetError("lock-held", message, key="lock", value=holder)

    def is_held(self) -> bool:
        """Whether somebody holds the lock now. Asking takes it for a moment, which PATIENCE absorbs."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def drop_copy(self) -> None:
        """Close this process's copy; the lock stays with whoever else has the file open."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_lease(system: System) -> dict[str, Any] | None:
    text = system.read(LEASE_FILE)
    if not text:
        return None
    try:
        lease = json.loads(text)
    except ValueError:
        return None
    return lease if isinstance(lease, dict) and "run_id" in lease else None


def holder_of(system: System, run_id: str, now: float | None = None) -> dict[str, Any] | None:
    """The valid lease of another run, or None when the node is free for ``run_id``."""
    lease = read_lease(system)
    if lease is None or lease["run_id"] == run_id:
        return None
    now = time.time() if now is None else now
    expires, seconds = lease.get("expires"), lease.get("seconds")
    if not isinstance(expires, (int, float)) or expires <= now:
        return None
    if isinstance(seconds, (int, float)) and expires > now + seconds + CLOCK_SLACK:
        # The clock was set back since. A run that is alive renews its lease by the clock of now.
        return None
    return lease


def claim(system: System, run_id: str, owner: str, seconds: float, take_over: str | None = None) -> None:
    """Take or renew the lease for a run; refuse while another run holds a valid one."""
    holder = holder_of(system, run_id)
    if holder is not None and holder["run_id"] != take_over:
        until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(holder["expires"]))
        raise FleetError(
            "lease-held",
            "The node is being changed by run {} of {}, until {} at the latest.".format(
                holder["run_id"], holder.get("owner", "an unknown owner"), until
            ),
            key="lease",
            value={"run_id": holder["run_id"], "owner": holder.get("owner")},
        )
    lease = {"run_id": run_id, "owner": owner, "seconds": seconds, "expires": time.time() + seconds}
    system.write(LEASE_FILE, json.dumps(lease, sort_keys=True), mode=0o600)


def release(system: System, run_id: str) -> bool:
    """Give the lease back; True when this run held it."""
    lease = read_lease(system)
    if lease is None or lease["run_id"] != run_id:
        return False
    system.remove(LEASE_FILE)
    return True
