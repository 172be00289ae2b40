# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet's log endpoint: what the API server asks when somebody reads the log of a pod. A double, named as such."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .server import certificate


class KubeletDouble:
    """Serves /containerLogs/<namespace>/<pod>/<container> from a dictionary."""

    def __init__(self, folder: Path) -> None:
        self.logs: dict[tuple[str, str], list[str]] = {}
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                double.answer(self)

            def log_message(self, *_args: Any) -> None:
                """Nothing on the screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate(folder, "kubelet")))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port: int = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> KubeletDouble:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def write(self, pod: str, *lines: str, run: str = "now") -> None:
        self.logs.setdefault((pod, run), []).extend(lines)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        query = parse_qs(address.query)
        words = address.path.strip("/").split("/")
        run = "previous" if query.get("previous") == ["true"] else "now"
        lines = self.logs.get((words[2], run)) if len(words) == 4 and words[0] == "containerLogs" else None
        if lines is not None and "tailLines" in query:
            lines = lines[-int(query["tailLines"][0]) :]
        body = "".join(f"{line}\n" for line in lines or []).encode()
        request.send_response(404 if lines is None else 200)
        request.send_header("Content-Type", "text/plain")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
