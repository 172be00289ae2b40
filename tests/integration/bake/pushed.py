# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that takes what is pushed with a login, as far as an engine asks when it pushes."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Pushed:
    def __init__(self, user: str, password: str) -> None:
        self.wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.blobs: set[str] = set()
        self.manifests: set[str] = set()
        self.address = ""


def _handler(state: Pushed) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _body(self) -> int:
            """Read what is sent; how long it was."""
            if self.headers.get("Transfer-Encoding") != "chunked":
                return len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            whole = 0
            while size := int(self.rfile.readline(), 16):
                whole += size
                self.rfile.read(size + 2)
            self.rfile.readline()
            return whole

        def _any(self) -> None:
            size = self._body()
            path, _question, query = self.path.partition("?")
            last = path.rpartition("/")[2]
            if self.headers.get("Authorization") != state.wanted:
                self._reply(401, WWW_Authenticate='Basic realm="test"')
            elif path == "/v2/":
                self._reply(200)
            elif self.command == "HEAD":
                known = last in state.blobs
                self._reply(200 if known else 404, Docker_Content_Digest=last)
            elif self.command in ("POST", "PATCH"):
                self._reply(202, Location=f"http://{state.address}/v2/x/blobs/uploads/1", Range=f"0-{max(size - 1, 0)}")
            elif "manifests" in path:
                state.manifests.add(last)
                self._reply(201, Docker_Content_Digest="sha256:" + "0" * 64)
            else:
                digest = query.rpartition("digest=")[2].replace("%3A", ":")
                state.blobs.add(digest)
                self._reply(201, Docker_Content_Digest=digest)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    for method in ("GET", "HEAD", "POST", "PATCH", "PUT"):
        setattr(Handler, f"do_{method}", Handler._any)
    return Handler


@contextlib.contextmanager
def running(user: str, password: str) -> Iterator[Pushed]:
    state = Pushed(user, password)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
