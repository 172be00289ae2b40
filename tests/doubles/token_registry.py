# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of a cloud's registry: logins that expire, Bearer tokens that expire, and trouble on demand.

It is SWR-shaped, and not SWR: a token server beside a registry, as the distribution specification has them. The images
are those of a real registry behind it, or a few that it keeps in memory.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_CHUNK = 1 << 15


class Asked(NamedTuple):
    client: str
    method: str
    path: str
    scheme: str
    """Of the Authorization header; empty without one."""


@dataclass
class Trouble:
    """What goes wrong, and how often."""

    bytes_per_second: float | None = None
    cut_after: int | None = None
    """Close the connection after so many bytes of a blob."""
    cuts: int = 0
    """How many more blobs are cut."""
    hold_after: int | None = None
    """Send so many bytes of each blob, and the rest when `go` is set."""
    go: threading.Event = field(default_factory=threading.Event)
    passed: int = 0
    """Bytes of blobs that were sent."""
    expire_at_blob: int = 0
    """When the so many-th blob is asked for, all tokens given so far have expired."""
    wrong_content: int | None = None
    """Change a bit of every blob that is longer than this."""
    elsewhere: str | None = None
    """Send readers of blobs to this address."""
    silent: bool = False
    """Answer nothing to questions about manifests."""
    failures: int = 0
    """How many more requests get status 503."""


@dataclass
class State:
    upstream: str | None
    auth: str | None = None
    """bearer, basic, or None."""
    logins: dict[str, str] = field(default_factory=dict)
    token_seconds: float = 300
    prefix: str = ""
    """Path below which it mirrors the registry behind it."""
    trouble: Trouble = field(default_factory=Trouble)
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    expired: int = 0
    """How many requests came with a token that had been good."""
    asked: list[Asked] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    """Bytes of blobs by client."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, repository: str, tag: str, layers: list[bytes], architecture: str = "amd64") -> str:
        """Keep an image in memory; gives the digest of its manifest."""
        blobs = [(_digest(layer), layer) for layer in layers]
        config = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        config["rootfs"]["diff_ids"] = [digest for digest, _content in blobs]  # type: ignore[index]
        raw = json.dumps(config).encode()
        described = [{"mediaType": "x", "size": len(content), "digest": digest} for digest, content in blobs]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "x", "size": len(raw), "digest": _digest(raw)},
            "layers": described,
        }
        for digest, content in [*blobs, (_digest(raw), raw)]:
            self.documents[f"/v2/{repository}/blobs/{digest}"] = ("application/octet-stream", content)
        return self._manifest(repository, tag, MANIFEST, manifest)

    def keep_index(self, repository: str, tag: str, manifests: dict[str, str]) -> str:
        """Keep an index of manifests by architecture; gives its digest."""
        rows = [
            {"digest": digest, "mediaType": MANIFEST, "size": 1, "platform": {"os": "linux", "architecture": machine}}
            for machine, digest in manifests.items()
        ]
        return self._manifest(repository, tag, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows})

    def _manifest(self, repository: str, tag: str, kind: str, document: dict[str, Any]) -> str:
        raw = json.dumps(document).encode()
        for name in (tag, _digest(raw)):
            self.documents[f"/v2/{repository}/manifests/{name}"] = (kind, raw)
        return _digest(raw)


class Running(NamedTuple):
    state: State
    port: int

    def address(self, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.port}"


@contextlib.contextmanager
def running(
    upstream: str | None = None, host: str = "127.0.0.1", certificate: Path | None = None, **options: Any
) -> Iterator[Running]:
    """With ``certificate``, a file with certificate and key, it speaks TLS."""
    state = State(upstream, **options)
    server = ThreadingHTTPServer((host, 0), type("Handler", (_Handler,), {"state": state}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # A handshake is the business of the thread that answers; one that is refused stops nobody else.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Running(state, server.server_port)
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def handle(self) -> None:
        # Who gives up in the middle is no error of the registry.
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        state = self.state
        scheme = (self.headers.get("Authorization") or "").partition(" ")[0]
        with state.lock:
            state.asked.append(Asked(self.client_address[0], self.command, self.path, scheme))
            failing = state.trouble.failures > 0
            state.trouble.failures -= failing
            if "/blobs/" in self.path and state.trouble.expire_at_blob:
                state.trouble.expire_at_blob -= 1
                if not state.trouble.expire_at_blob:
                    state.tokens.update(dict.fromkeys(state.tokens, 0.0))
        path = urllib.parse.urlsplit(self.path).path
        if failing:
            self._answer(503, {}, b"{}")
        elif path == "/token":
            self._token()
        elif not self._welcome():
            self._challenge()
        elif path in ("/v2", "/v2/"):
            self._answer(200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")
        else:
            self._content(path)

    # logins

    def _login_is_right(self) -> bool:
        scheme, _space, told = (self.headers.get("Authorization") or "").partition(" ")
        if scheme != "Basic":
            return False
        user, _colon, password = base64.b64decode(told).decode().partition(":")
        return self.state.logins.get(user) == password

    def _welcome(self) -> bool:
        if self.state.auth is None:
            return True
        if self.state.auth == "basic":
            return self._login_is_right()
        scheme, _space, told = (self.headers.get("Authorization") or "").partition(" ")
        good = self.state.tokens.get(told, 0) > time.monotonic()
        with self.state.lock:
            self.state.expired += told in self.state.tokens and not good
        return scheme == "Bearer" and good

    def _token(self) -> None:
        if not self._login_is_right():
            self._answer(401, {}, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
            return
        with self.state.lock:
            token = f"token-{len(self.state.tokens)}-{id(self.state)}"
            self.state.tokens[token] = time.monotonic() + self.state.token_seconds
        body = json.dumps({"token": token, "expires_in": int(self.state.token_seconds)}).encode()
        self._answer(200, {"Content-Type": "application/json"}, body)

    def _challenge(self) -> None:
        host = self.headers.get("Host")
        wanted = f'Bearer realm="http://{host}/token",service="double"' if self.state.auth == "bearer" else "Basic"
        headers = {"WWW-Authenticate": wanted, "Docker-Distribution-Api-Version": "registry/2.0"}
        self._answer(401, headers, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')

    # content

    def _content(self, path: str) -> None:
        trouble = self.state.trouble
        if "/manifests/" in path and trouble.silent:
            time.sleep(30)
            self.close_connection = True
            return
        if "/blobs/" in path and trouble.elsewhere:
            self._answer(307, {"Location": f"http://{trouble.elsewhere}{path}"}, b"")
            return
        if self.state.prefix:
            path = path.replace(f"/v2/{self.state.prefix}/", "/v2/", 1)
        status, headers, body = self._upstream(path) if self.state.upstream else self._memory(path)
        if "/blobs/" in path and self.command == "GET" and status < 300:
            self._blob(status, headers, body)
        else:
            self._answer(status, headers, body)

    def _memory(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path not in self.state.documents:
            return 404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
        kind, body = self.state.documents[path]
        return 200, {"Content-Type": kind, "Docker-Content-Digest": _digest(body)}, body

    def _upstream(self, path: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(str(self.state.upstream), timeout=60)
        try:
            passed = {key: self.headers[key] for key in ("Accept", "Range") if self.headers.get(key)}
            connection.request(self.command, path, headers=passed)
            answer = connection.getresponse()
            body = answer.read()
            kept = ("Content-Type", "Docker-Content-Digest", "Content-Range", "Accept-Ranges", "Content-Length", "ETag")
            return answer.status, {key: answer.headers[key] for key in kept if answer.headers.get(key)}, body
        finally:
            connection.close()

    def _blob(self, status: int, headers: dict[str, str], body: bytes) -> None:
        trouble = self.state.trouble
        if trouble.wrong_content is not None and len(body) > trouble.wrong_content:
            body = bytes([body[0] ^ 1]) + body[1:]
        with self.state.lock:
            cut = trouble.cut_after if trouble.cuts > 0 and len(body) > (trouble.cut_after or len(body)) else None
            trouble.cuts -= cut is not None
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        sent = 0
        limit = len(body) if cut is None else cut
        try:
            while sent < limit:
                part = body[sent : min(limit, sent + _CHUNK)]
                self.wfile.write(part)
                sent += len(part)
                with self.state.lock:
                    client = self.client_address[0]
                    self.state.sent[client] = self.state.sent.get(client, 0) + len(part)
                    trouble.passed += len(part)
                if trouble.hold_after is not None and sent >= trouble.hold_after:
                    trouble.go.wait()
                if trouble.bytes_per_second:
                    time.sleep(len(part) / trouble.bytes_per_second)
        except OSError:
            self.close_connection = True
        if cut is not None:
            self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        for name, value in {**headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
