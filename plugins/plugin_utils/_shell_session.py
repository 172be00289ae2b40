# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One shell that stays open, for the many small commands of a task. Private to the collection.

Entering a container takes an engine a tenth of a second each time, and a task that copies a file enters it seven times.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import shlex
import subprocess
from collections.abc import Sequence

Outcome = tuple[int, bytes, bytes]


class SessionLost(Exception):  # noqa: N818 - a state of the session
    """The shell ended before the command did."""

    def __init__(self, started: bool, outcome: Outcome) -> None:
        super().__init__(outcome[2].decode("utf-8", "replace").strip())
        self.started = started
        """Whether the command had begun; where it had not, it may be run by other means."""
        self.outcome = outcome


class Session:
    """A shell that reads commands from its standard input; ``argv`` starts it, here or far away.

    What is on the way to the shell reads the line ``first``.
    """

    def __init__(self, argv: Sequence[bytes], first: bytes = b"") -> None:
        self._first = first
        self._process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )

    def run(self, command: str, text: str | None = None) -> Outcome:
        """Run the command in a shell of its own, with lines of ``text`` or nothing as its input."""
        mark = secrets.token_hex(16)
        begin, end = f"{mark}(".encode(), f"){mark}".encode()
        source = "</dev/null" if text is None else f"<<'{mark}'\n{text}\n{mark}"
        script = (
            f"printf '%s' '{begin.decode()}'\n"
            f"/bin/sh -c {shlex.quote(command)} {source}\n"
            f"printf '%s%s\\n' '{end.decode()}' \"$?\"; printf '%s\\n' '{end.decode()}' >&2\n"
        )
        out, err = self._talk(self._first + script.encode("utf-8", "surrogateescape"), end)
        self._first = b""
        _before, begun, rest = out.partition(begin)
        said, ended, status = rest.rpartition(end)
        wrong, silent, _newline = err.rpartition(end)
        if not (ended and silent):
            self._process.wait()
            raise SessionLost(bool(begun), (self._process.returncode, rest, err))
        return int(status), said, wrong

    def close(self) -> None:
        """End the shell; how it ends is of no interest."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        self._process.wait()

    def _talk(self, script: bytes, end: bytes) -> tuple[bytes, bytes]:
        """Send the script and read both streams up to their ends."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise TypeError("the shell was started without pipes")
        whole = re.compile(re.escape(end) + rb"\d*\n\Z")
        found = {stdout.fileno(): bytearray(), stderr.fileno(): bytearray()}
        left = memoryview(script)
        os.set_blocking(stdin.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            for number in found:
                selector.register(number, selectors.EVENT_READ)
            reading = set(found)
            while reading:
                for key, _events in selector.select():
                    if key.fd not in found:
                        left = self._send(key.fd, left)
                        if not left:
                            selector.unregister(stdin)
                        continue
                    text = os.read(key.fd, 1 << 16)
                    found[key.fd] += text
                    if not text or whole.search(found[key.fd][-len(end) - 8 :]):
                        selector.unregister(key.fd)
                        reading.discard(key.fd)
        return bytes(found[stdout.fileno()]), bytes(found[stderr.fileno()])

    @staticmethod
    def _send(number: int, left: memoryview) -> memoryview:
        try:
            return left[os.write(number, left) :]
        except BrokenPipeError:
            # What the other side said before it went tells why.
            return left[:0]
