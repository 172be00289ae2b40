# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine of the test's own, in namespaces of its own, so that it can be killed without harming the machine's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 60


class OwnEngine:
    """A dockerd that shares neither network nor processes nor folders with the machine's engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "engine.sock")
        self._holder: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Make the namespaces; they end with their first process, and everything in them ends too."""
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._holder = subprocess.Popen([*unshare, "docker-init", "sleep", "infinity"], stderr=subprocess.DEVNULL)
        self._until(lambda: self._first() is not None, "the namespaces")
        self._inside("ip", "link", "set", "lo", "up")
        self.start()

    def start(self) -> None:
        (self.folder / "engine.pid").unlink(missing_ok=True)
        with (self.folder / "engine.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [
                    *self._enter(),
                    "dockerd",
                    f"--host=unix://{self.socket}",
                    f"--data-root={self.folder}/data",
                    f"--exec-root={self.folder}/run",
                    f"--pidfile={self.folder}/engine.pid",
                    "--log-level=warn",
                ],
                stdout=log,
                stderr=log,
            )
        self._until(self._answers, "the engine")

    def kill(self) -> None:
        """As when the kernel kills it: no clean-up. Its containerd goes with it, the containers live on at first."""
        assert self._daemon is not None
        family = _descendants(self._daemon.pid)
        for pid in family:
            # The engine takes its containerd with it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._daemon.wait(SECONDS)
        self._until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "the end of the engine")
        Path(self.socket).unlink(missing_ok=True)

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        first = self._first()
        if first is not None:
            os.kill(first, signal.SIGKILL)
        for process in (self._daemon, self._holder):
            if process is not None:
                process.wait(SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _first(self) -> int | None:
        """The first process of the new process namespace, seen from outside."""
        return next(iter(_children(self._holder.pid)), None) if self._holder else None

    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self._first()), "--mount", "--net", "--pid", "--"]

    def _inside(self, *command: str) -> None:
        subprocess.run([*self._enter(), *command], check=True)

    def _answers(self) -> bool:
        told = subprocess.run(
            ["docker", "-H", f"unix://{self.socket}", "version"], capture_output=True, check=False, timeout=SECONDS
        )
        return told.returncode == 0

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come: {self._log()}"
            time.sleep(0.05)

    def _log(self) -> str:
        log = self.folder / "engine.log"
        return log.read_text()[-2000:] if log.exists() else ""


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for child in _children(pid):
        found += _descendants(child)
    return found


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
