# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge to the operating system: files below a root, and programs. Private to the collection.

Logic takes a ``System``; tests give it one with a temporary root and a fake runner.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

ROOT_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class Result(NamedTuple):
    rc: int
    out: str
    err: str
    timed_out: bool = False


Runner = Callable[[Sequence[str], Optional[float], Optional[Dict[str, str]], Optional[str]], Result]


def run_process(
    argv: Sequence[str],
    timeout: float | None = None,
    env: dict[str, str] | None = None,
    data: str | None = None,
) -> Result:
    """Run a program in a process group of its own, so that a hung one is killed with its children."""
    environment = {**_environment(), **(env or {})}
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        return Result(127 if isinstance(error, FileNotFoundError) else 126, "", str(error))
    timed_out = False
    try:
        out, err = process.communicate(None if data is None else data.encode(), timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        out, err = _kill_group(process)
    return Result(
        process.returncode if process.returncode is not None else -signal.SIGKILL,
        out.decode("utf-8", "replace"),
        err.decode("utf-8", "replace"),
        timed_out,
    )


def follow_process(argv: Sequence[str], line: Callable[[str], float | None], silence: float) -> Result:
    """Give each line of a program's output to ``line``, those that are redrawn in place included.

    ``line`` answers how many seconds from now on may pass until the next progress, or None for a line that is none.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=_environment(),
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            return Result(127 if isinstance(error, FileNotFoundError) else 126, "", str(error))
        heard, timed_out = b"", False
        deadline = time.monotonic() + silence
        with process:
            pipe = process.stdout
            if pipe is None:
                raise AssertionError("asked for")
            while True:
                left = max(0.0, deadline - time.monotonic())
                if left == 0.0 or not select.select([pipe], [], [], left)[0]:
                    timed_out = True
                    os.killpg(process.pid, signal.SIGKILL)
                    break
                part = os.read(pipe.fileno(), 65536)
                if not part:
                    break
                heard = (heard + part)[-65536:]
                for text in re.split(r"[\r\n]+", part.decode("utf-8", "replace")):
                    patience = line(text)
                    deadline = deadline if patience is None else time.monotonic() + patience
        complaints.seek(0)
        told = complaints.read(65536).decode("utf-8", "replace")
    return Result(process.returncode, heard.decode("utf-8", "replace"), told, timed_out)


def _environment() -> dict[str, str]:
    """That of this process, in plain words, with the folders of root's programs, which su and some sudo leave out."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    missing = [folder for folder in ROOT_FOLDERS if folder not in folders]
    return {**os.environ, "LC_ALL": "C", "LANGUAGE": "C", "PATH": os.pathsep.join([*folders, *missing])}


def _kill_group(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        # A process in uninterruptible sleep (a hung driver) cannot be killed: leave it, do not wait.
        return b"", b""


class System:
    def __init__(self, root: str = "/", runner: Runner | None = None) -> None:
        self.root = root.rstrip("/") or "/"
        self._runner = runner or run_process

    def path(self, path: str) -> str:
        return path if self.root == "/" else self.root + path

    def run(
        self,
        argv: Sequence[str],
        timeout: float | None = None,
        env: dict[str, str] | None = None,
        data: str | None = None,
    ) -> Result:
        return self._runner(argv, timeout, env, data)

    def follow(self, argv: Sequence[str], line: Callable[[str], float | None], silence: float) -> Result:
        """Run a program that tells how far it is; one that gets no further is killed."""
        return follow_process(argv, line, silence)

    def read(self, path: str) -> str | None:
        """The text of a file, or None where there is none or it may not be read."""
        try:
            with open(self.path(path), encoding="utf-8", errors="replace") as handle:
                return handle.read()
        except OSError:
            return None

    def read_record(self, path: str) -> dict[str, Any]:
        """What a JSON file of ours says; nothing where there is none, or where its content was damaged."""
        try:
            found = json.loads(self.read(path) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def exists(self, path: str) -> bool:
        return os.path.exists(self.path(path))

    def isdir(self, path: str) -> bool:
        return os.path.isdir(self.path(path))

    def listdir(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self.path(path)))
        except OSError:
            return []

    def stat(self, path: str) -> os.stat_result | None:
        try:
            return os.stat(self.path(path))
        except OSError:
            return None

    def makedirs(self, path: str, mode: int = 0o755) -> None:
        os.makedirs(self.path(path), mode, exist_ok=True)

    def write(
        self,
        path: str,
        text: str,
        mode: int = 0o644,
        owner: int | None = None,
        group: int | None = None,
    ) -> None:
        """Replace a file in one step: a reader or a killed run sees the old one or the new one."""
        target = self.path(path)
        folder = os.path.dirname(target)
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".ascend-fleet-", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, mode)
            if owner is not None or group is not None:
                os.chown(temporary, -1 if owner is None else owner, -1 if group is None else group)
            os.rename(temporary, target)
        except BaseException as error:
            os.unlink(temporary)
            if isinstance(error, OSError):
                # A full file system names no file, and the temporary one means nothing to people.
                error.filename = target
            raise

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(path))
