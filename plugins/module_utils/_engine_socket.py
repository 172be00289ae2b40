# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a container engine over its unix socket with nothing but the standard library. Private to the collection.

Preflight, drift and the question who holds a card must work before any library is installed.
"""

from __future__ import annotations

import errno
import functools
import http.client
import io
import json
import re
import socket
import struct
import tarfile
import threading
import time
from typing import Any, Callable, Generic, NoReturn, TypeVar
from urllib.parse import quote, urlencode

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

Answer = TypeVar("Answer")

DEFAULT_SOCKET = "/var/run/docker.sock"
NO_SOCKET = "no socket"
REFUSED = "refused"
PERMISSION = "permission"
HANG = "hang"
PROTOCOL = "protocol"

_REMEDIES = {
    NO_SOCKET: "Install and start the container engine, or name its socket.",
    REFUSED: "Start the container engine; its log says why it is down.",
    PERMISSION: "Run as root (become: true), or as a member of the group that owns the socket.",
    HANG: "Look at the load and the log of the container engine, then restart it.",
    PROTOCOL: "Name the socket of a Docker Engine.",
}
_ERRNO_REASONS = {
    errno.ENOENT: NO_SOCKET,
    errno.ENOTDIR: NO_SOCKET,
    errno.ECONNREFUSED: REFUSED,
    errno.EACCES: PERMISSION,
    errno.EPERM: PERMISSION,
}
# A log is searched for what a process says while it starts, so its beginning will do.
LOG_LIMIT = 4 * 1024 * 1024
_FRAME_HEADER = 8
_LOG_STREAMS = (0, 1, 2)
# CSI, OSC and the other sequences of ECMA-48.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_WRITTEN_OVER = re.compile(r"^[^\n]*\r(?=[^\n])", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class EngineUnavailable(FleetError):  # noqa: N818 - a state of the engine, not of this code
    """The engine does not answer; ``reason`` is one of the words above."""

    def __init__(self, reason: str, socket_path: str, detail: str) -> None:
        super().__init__(
            "engine-unavailable",
            f"The container engine at {socket_path} cannot be read ({reason}): {detail.rstrip('.')}.",
            _REMEDIES[reason],
            key="docker_socket",
            value=socket_path,
        )
        self.reason = reason


class EngineRefusedError(FleetError):
    """The engine answered, with an error."""

    def __init__(self, status: int, message: str, what: str) -> None:
        super().__init__(
            "engine-refused",
            "The container engine refused to %s (status %d): %s." % (what, status, message.rstrip(".")),
        )
        self.status = status


def socket_of(docker_host: str) -> str:
    """The socket path in a ``docker_host`` value; only sockets of this machine are served."""
    path = docker_host[len("unix://") :] if docker_host.startswith("unix://") else docker_host
    if not path.startswith("/"):
        raise FleetError(
            "option-invalid",
            f"docker_host {docker_host} is not a unix socket.",
            "Give unix:///path/to/docker.sock: devices and mounts are checked on the machine of the engine.",
            key="docker_host",
            value=docker_host,
        )
    return path


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self.sock = connection


class EngineReader:
    def __init__(self, socket_path: str = DEFAULT_SOCKET, timeout: float = 20.0) -> None:
        self.socket_path = socket_path
        self.timeout = timeout

    def ping(self) -> bool:
        status, body = self._request("GET", "/_ping")
        if status != http.client.OK or body.strip() != b"OK":
            raise EngineUnavailable(PROTOCOL, self.socket_path, "it does not answer a ping as an engine does")
        return True

    def version(self) -> dict[str, Any]:
        return self._object("/version", "tell its version")

    def info(self) -> dict[str, Any]:
        return self._object("/info", "describe itself")

    def containers(self, all: bool = True) -> list[dict[str, Any]]:
        """What one list call gives: Id, Names, Labels, State, Image, ImageID, Ports, Mounts."""
        answer = self._json("GET", f"/containers/json?all={int(all)}", "list its containers")
        if not isinstance(answer, list):
            raise EngineUnavailable(PROTOCOL, self.socket_path, "its list of containers is no list")
        return answer

    def inspect(self, name: str) -> dict[str, Any] | None:
        return self._lookup(f"/containers/{quote(name, safe='')}/json", f"inspect container {name}")

    def image(self, reference: str) -> dict[str, Any] | None:
        return self._lookup(f"/images/{quote(reference, safe='/:@')}/json", f"inspect image {reference}")

    def images(self) -> list[dict[str, Any]]:
        """What one list call gives: Id, RepoTags, RepoDigests, Size."""
        answer = self._json("GET", "/images/json", "list its images")
        if not isinstance(answer, list):
            raise EngineUnavailable(PROTOCOL, self.socket_path, "its list of images is no list")
        return answer

    def network(self, name: str) -> dict[str, Any] | None:
        return self._lookup(f"/networks/{quote(name, safe='')}", f"inspect network {name}")

    def logs(self, name: str, lines: int = 20) -> str:
        """The last lines the container wrote; empty where its log driver cannot be read back."""
        query = urlencode({"stdout": 1, "stderr": 1, "tail": lines})
        status, body = self._request("GET", f"/containers/{quote(name, safe='')}/logs?{query}")
        if status != http.client.OK:
            return ""
        return said(body)

    def log_since(self, name: str, seconds: float, limit: int = LOG_LIMIT) -> str | None:
        """What the container wrote first after a moment; None where its log driver cannot be read back."""
        query = urlencode({"stdout": 1, "stderr": 1, "since": f"{seconds:.6f}"})
        status, body = self._request("GET", f"/containers/{quote(name, safe='')}/logs?{query}", limit=limit)
        if status != http.client.OK:
            return None
        return said(body)

    def file(self, name: str, path: str) -> str | None:
        """The text of a file inside a container, running or not, without starting anything in it."""
        address = f"/containers/{quote(name, safe='')}/archive?{urlencode({'path': path})}"
        status, body = self._request("GET", address)
        if status != http.client.OK:
            return None
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    return content.read().decode("utf-8", "replace")
        return None

    def execute(self, name: str, command: list[str], timeout: float) -> tuple[int, str]:
        """Run a command inside a running container: its status and what it wrote."""
        what = f"run a command in container {name}"
        body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        created = self._json("POST", f"/containers/{quote(name, safe='')}/exec", what, body)
        status, output = self._request(
            "POST", f"/exec/{created['Id']}/start", {"Detach": False, "Tty": False}, timeout=timeout
        )
        if status != http.client.OK:
            raise EngineRefusedError(status, message_of(output), what)
        ended = self._object(f"/exec/{created['Id']}/json", what)
        code = ended.get("ExitCode")
        return (-1 if code is None else int(code)), said(output)

    def _object(self, path: str, what: str) -> dict[str, Any]:
        answer = self._json("GET", path, what)
        if not isinstance(answer, dict):
            raise EngineUnavailable(PROTOCOL, self.socket_path, f"it cannot {what}")
        return answer

    def _lookup(self, path: str, what: str) -> dict[str, Any] | None:
        try:
            return self._object(path, what)
        except EngineRefusedError as refusal:
            if refusal.status == http.client.NOT_FOUND:
                return None
            raise

    def _json(self, method: str, path: str, what: str, body: Any = None) -> Any:
        status, content = self._request(method, path, body)
        if status >= http.client.BAD_REQUEST:
            raise EngineRefusedError(status, message_of(content), what)
        try:
            return json.loads(content.decode("utf-8", "replace"))
        except ValueError:
            self._unavailable(PROTOCOL, f"its answer to {path} is not JSON")

    def _request(
        self, method: str, path: str, body: Any = None, timeout: float | None = None, limit: int | None = None
    ) -> tuple[int, bytes]:
        seconds = timeout or self.timeout
        connection = UnixConnection(self.socket_path, seconds)
        headers = {"Accept": "application/json", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, self._read(response, time.monotonic() + seconds, limit)
        except socket.timeout:
            self._unavailable(HANG, f"no answer to {path.split('?')[0]} within {seconds:g} s")
        except http.client.HTTPException as error:
            self._unavailable(PROTOCOL, f"{type(error).__name__}: {error}")
        except OSError as error:
            reason = _ERRNO_REASONS.get(error.errno or 0, REFUSED)
            self._unavailable(reason, error.strerror or str(error))
        finally:
            connection.close()

    def _read(self, response: http.client.HTTPResponse, deadline: float, limit: int | None) -> bytes:
        # The socket's own timeout starts anew with every byte; the deadline bounds an engine that trickles.
        parts: list[bytes] = []
        size = 0
        while True:
            part = response.read1(65536)
            if not part or (limit is not None and size >= limit):
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if time.monotonic() > deadline:
                raise socket.timeout

    def _unavailable(self, reason: str, detail: str) -> NoReturn:
        raise EngineUnavailable(reason, self.socket_path, detail)


class OneLook(EngineReader):
    """For a look that changes nothing: whoever asks second gets the answer that the first one got."""

    def __init__(self, socket_path: str = DEFAULT_SOCKET, timeout: float = 20.0) -> None:
        super().__init__(socket_path, timeout)
        self._info = _Once(functools.partial(EngineReader.info, self))
        self._containers = {all: _Once(functools.partial(EngineReader.containers, self, all)) for all in (False, True)}

    def info(self) -> dict[str, Any]:
        return self._info.answer()

    def containers(self, all: bool = True) -> list[dict[str, Any]]:
        return self._containers[all].answer()


class _Once(Generic[Answer]):
    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._answers: list[Answer] = []

    def answer(self) -> Answer:
        with self._lock:
            if not self._answers:
                self._answers.append(self._ask())
            return self._answers[0]


def message_of(content: bytes) -> str:
    text = content.decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        return text
    return str(answer.get("message", text)) if isinstance(answer, dict) else text


def said(raw: bytes) -> str:
    """What a process wrote, as a terminal would leave it: no colours, no orders to the terminal of whoever reads it."""
    text = _ESCAPE.sub("", demultiplex(raw).decode("utf-8", "replace")).replace("\r\n", "\n")
    return _CONTROL.sub("", _WRITTEN_OVER.sub("", text))


def demultiplex(raw: bytes) -> bytes:
    """Take the frame headers out of a log stream; a stream of a terminal has none and is given back as it is."""
    parts: list[bytes] = []
    position = 0
    while position < len(raw):
        header = raw[position : position + _FRAME_HEADER]
        if len(header) < _FRAME_HEADER or header[0] not in _LOG_STREAMS or header[1:4] != b"\0\0\0":
            return raw if position == 0 else b"".join(parts)
        (size,) = struct.unpack(">I", header[4:])
        start = position + _FRAME_HEADER
        parts.append(raw[start : start + size])
        position = start + size
    return b"".join(parts)
