# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights from node to node: a small read-only server, and what it says of itself. Private to the collection.

Who asks proves by a keyed digest that it knows the secret of the run, and so does the answer that names digests;
the secret itself never travels. Files need no proof: they are held against those digests.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import secrets
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict
from urllib.parse import quote, unquote

from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import TRANSPORT_ERRORS, Client, RefusedError
from ansible_collections.ascend.fleet.plugins.module_utils._weights_sources import Listing
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Done

Json = Dict[str, Any]

AUTH = "X-Fleet-Auth"
STARTING, WAITING, WORKING, READY, FAILED = "starting", "waiting", "working", "ready", "failed"
# Phases of a holder that will have the files, sooner or later.
PROMISING = (STARTING, WORKING, READY)
STATE_PATH, FILE_PATH = "/state", "/file/"
PORT_PATIENCE = 5.0
STATE_TIMEOUT = 5.0


class Board:
    """What this node has of a model, for others to read while it changes."""

    def __init__(self, asked: Json) -> None:
        self.asked = asked
        self.phase = STARTING
        self.finding: Json | None = None
        self.listing: Listing | None = None
        self.locate: Callable[[str], str] = lambda path: ""
        self._have: dict[str, Done] = {}
        self._lock = threading.Lock()

    def add(self, done: Done) -> None:
        with self._lock:
            self._have[done.path] = done

    def holds(self, path: str) -> bool:
        with self._lock:
            return path in self._have

    def state(self) -> Json:
        with self._lock:
            have = {path: [done.size, done.sha256] for path, done in self._have.items()}
        listing = self.listing
        return {
            "asked": self.asked,
            "phase": self.phase,
            "finding": self.finding,
            "have": have,
            "revision": listing and listing.revision,
            "items": listing and [[one.path, one.size, one.sha256, one.git_sha1] for one in listing.items],
        }


def proof(secret: str, *words: str) -> str:
    return hmac.new(secret.encode(), "\0".join(words).encode(), hashlib.sha256).hexdigest()


class Share:
    """Serves a board and its files on one address of the node."""

    def __init__(self, address: str, port: int, secret: str, board: Board) -> None:
        handler = type("Handler", (_Handler,), {"share": self})
        self.secret = secret
        self.board = board
        self.sent = 0
        self.asked_last = time.monotonic()
        self._server = _listen(address, port, handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        self._thread.start()

    def linger(self, seconds: float, unwanted: Callable[[], bool]) -> None:
        """Go on until nobody has asked for so long."""
        while time.monotonic() - self.asked_last < seconds and not unwanted():
            time.sleep(min(0.5, seconds))
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _listen(address: str, port: int, handler: Any) -> ThreadingHTTPServer:
    """The server of an earlier run may still be on its way out."""
    deadline = time.monotonic() + PORT_PATIENCE
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = type("Server", (ThreadingHTTPServer,), {"address_family": family, "request_queue_size": 64})
    while True:
        try:
            listening: ThreadingHTTPServer = server((address, port), handler)
            return listening
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


class _Handler(BaseHTTPRequestHandler):
    share: Share
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """A detached process has nowhere to write to."""

    def do_GET(self) -> None:
        nonce, _colon, given = (self.headers.get(AUTH) or "").partition(":")
        if not hmac.compare_digest(given, proof(self.share.secret, "GET", self.path, nonce)):
            self.send_error(403)
            return
        self.share.asked_last = time.monotonic()
        if self.path == STATE_PATH:
            self._state(nonce)
        elif self.path.startswith(FILE_PATH):
            self._file(unquote(self.path[len(FILE_PATH) :]))
        else:
            self.send_error(404)

    def _state(self, nonce: str) -> None:
        body = json.dumps(self.share.board.state()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header(AUTH, proof(self.share.secret, "state", nonce, hashlib.sha256(body).hexdigest()))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: str) -> None:
        board = self.share.board
        if not board.holds(path):
            self.send_error(404)
            return
        try:
            stream = self._open(board, path)
        except OSError:
            self.send_error(404)
            return
        with stream:
            size = os.fstat(stream.fileno()).st_size
            start = self._start(size)
            if start is None:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            self.wfile.flush()
            with contextlib.suppress(ConnectionError, socket.timeout):
                self.connection.sendfile(stream, start)
        self.share.asked_last = time.monotonic()

    def _open(self, board: Board, path: str) -> Any:
        """The directory gets its name while others read: looked for twice, it is in one of both places."""
        try:
            return open(board.locate(path), "rb")
        except OSError:
            return open(board.locate(path), "rb")

    def _start(self, size: int) -> int | None:
        wanted = self.headers.get("Range") or ""
        if not wanted.startswith("bytes="):
            return 0
        first = wanted[len("bytes=") :].partition("-")[0]
        return int(first) if first.isdigit() and int(first) < size else None


def auth(secret: str, path: str) -> str:
    nonce = secrets.token_hex(8)
    return f"{nonce}:{proof(secret, 'GET', path, nonce)}"


def ask(client: Client, peer: str, secret: str) -> Json | None:
    """The state of a holder, or None when it does not answer as one."""
    given = auth(secret, STATE_PATH)
    try:
        with client.open(peer + STATE_PATH, {AUTH: given}, timeout=STATE_TIMEOUT) as answer:
            body = answer.read()
            said = answer.headers.get(AUTH) or ""
        wanted = proof(secret, "state", given.partition(":")[0], hashlib.sha256(body).hexdigest())
        if not hmac.compare_digest(said, wanted):
            return None
        state: Json = json.loads(body)
        return state
    except (RefusedError, ValueError, *TRANSPORT_ERRORS):
        return None


def item(peer: str, secret: str, path: str, size: int, sha256: str) -> Item:
    place = FILE_PATH + quote(path)
    return Item(path, peer + place, size, sha256, None, ((AUTH, auth(secret, place)),))
