# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a simulated server: a proxy that tells the login it is given (3128), and a site that our own CA signed (8443)."""

from __future__ import annotations

import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    text = ""

    def do_GET(self) -> None:
        login = self.headers.get("Proxy-Authorization", "no login")
        body = f"{self.text} {login}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(port: int, text: str, certificate: str | None = None) -> None:
    server = ThreadingHTTPServer(("0.0.0.0", port), type("One", (Handler,), {"text": text}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()


serve(3128, "by proxy")
serve(8443, "trusted", sys.argv[1])
