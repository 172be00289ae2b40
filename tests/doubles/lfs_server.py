# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Git server with large files for tests: git's own http-backend, and the batch API of Git LFS.

It can ask for a token, speak TLS, cut a transfer, and hand out a wrong content. Every request is kept, so that a test
sees what was really asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LFS_JSON = "application/vnd.git-lfs+json"
OBJECT = re.compile(r"^/(?P<repo>.+?)/lfs/objects/(?P<oid>[0-9a-f]{64})$")
BATCH = re.compile(r"^/(?P<repo>.+?)/info/lfs/objects/batch$")
BLOCK = 1 << 16
AUTHOR = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class LfsServer:
    """Serves the repositories of ``folder``; use it in a ``with``."""

    folder: Path
    host: str = "127.0.0.1"
    certificate: tuple[Path, Path] | None = None
    """Files of certificate and key; with them the server speaks TLS."""
    token: str | None = None
    """What each request has to bring as ``Authorization: Bearer``."""
    cut_after: int | None = None
    """Bytes after which the next transfer of a large file breaks off, once."""
    spoilt: set[str] = field(default_factory=set)
    """Ids of large files that are handed out with a wrong content."""
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> LfsServer:
        self.folder.mkdir(parents=True, exist_ok=True)
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer((self.host, 0), handler)
        self._http.daemon_threads = True
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self.certificate))
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def url(self, repository: str = "", host: str | None = None) -> str:
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://{host or self.host}:{self.port}/{repository}"

    def store(self, repository: str, content: bytes) -> str:
        """Keep a large file of a repository; returns its id."""
        oid = hashlib.sha256(content).hexdigest()
        path = self.object_path(repository, oid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return oid

    def object_path(self, repository: str, oid: str) -> Path:
        return self.folder / repository / "lfs-objects" / oid

    def create(
        self, repository: str, files: Mapping[str, bytes], large: Mapping[str, bytes], tag: str | None = None
    ) -> str:
        """A repository with one commit of ``files`` and of pointers to ``large``; returns the commit's id."""
        bare = self.folder / repository
        work = self.folder / f".work-{repository.replace('/', '-')}"
        _git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        _git("init", "--quiet", "--initial-branch=main", str(work))
        patterns = "".join(f"{name} filter=lfs diff=lfs merge=lfs -text\n" for name in large)
        pointers = {name: pointer(content).encode() for name, content in large.items()}
        for name, content in {**files, **pointers, ".gitattributes": patterns.encode()}.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content)
        for content in large.values():
            self.store(repository, content)
        inert = [f"filter.lfs.{name}=" for name in ("clean", "smudge", "process")] + ["filter.lfs.required=false"]
        plain = [word for setting in inert for word in ("-c", setting)]
        _git(*plain, "-C", str(work), "add", "--all")
        _git(*plain, *AUTHOR, "-C", str(work), "commit", "--quiet", "--message", "Add the files")
        if tag:
            _git(*AUTHOR, "-C", str(work), "tag", tag)
        _git("-C", str(work), "push", "--quiet", "--no-verify", "--tags", str(bare), "main")
        return _git("-C", str(work), "rev-parse", "HEAD").strip()

    def asked(self, method: str, part: str) -> list[Seen]:
        return [one for one in self.seen if one.method == method and part in one.path]


def pointer(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def _git(*words: str) -> str:
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True, env=quiet).stdout


class _Handler(BaseHTTPRequestHandler):
    owner: LfsServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        path, _mark, query = self.path.partition("?")
        self.owner.seen.append(Seen(self.command, path, {key.lower(): value for key, value in self.headers.items()}))
        if self.owner.token and self.headers.get("Authorization") != f"Bearer {self.owner.token}":
            self._body()
            self._send(401, b'{"message": "Bring a token."}', LFS_JSON)
        elif batch := BATCH.match(path):
            self._batch(batch["repo"], json.loads(self._body()))
        elif wanted := OBJECT.match(path):
            self._object(wanted["repo"], wanted["oid"])
        else:
            self._backend(path, query)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _batch(self, repository: str, asked: dict[str, Any]) -> None:
        # The address that the client used, which is another one behind a name or a proxy.
        scheme = "https" if self.owner.certificate else "http"
        here = f"{scheme}://{self.headers['Host']}/{repository}/lfs/objects"
        objects = []
        for one in asked["objects"]:
            there = self.owner.object_path(repository, one["oid"]).exists()
            answer: dict[str, Any] = {"oid": one["oid"], "size": one["size"]}
            if asked["operation"] == "upload":
                answer["actions"] = {} if there else {"upload": {"href": f"{here}/{one['oid']}"}}
            elif there:
                answer["actions"] = {"download": {"href": f"{here}/{one['oid']}"}}
            else:
                answer["error"] = {"code": 404, "message": "The object is not on the server."}
            objects.append(answer)
        self._send(200, json.dumps({"transfer": "basic", "objects": objects}).encode(), LFS_JSON)

    def _object(self, repository: str, oid: str) -> None:
        path = self.owner.object_path(repository, oid)
        if self.command == "PUT":
            self.owner.store(repository, self._body())
            self._send(200, b"", LFS_JSON)
        elif not path.exists():
            self._send(404, b'{"message": "There is no such object."}', LFS_JSON)
        else:
            self._content(path, oid)

    def _content(self, path: Path, oid: str) -> None:
        content = path.read_bytes()
        if oid in self.owner.spoilt:
            content = bytes(len(content))
        asked = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, content, "application/octet-stream")
            return
        first, last = int(asked[1]), int(asked[2] or len(content) - 1)
        if first >= len(content):
            self._send(416, b"", LFS_JSON, {"Content-Range": f"bytes */{len(content)}"})
            return
        span = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        self._send(206, content[first : last + 1], "application/octet-stream", span)

    def _backend(self, path: str, query: str) -> None:
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.owner.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self._body()
        ran = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, check=False)
        head, _blank, content = ran.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        kind = headers.pop("Content-Type", "text/plain")
        self._send(status, content, kind, headers)

    def _send(self, status: int, content: bytes, kind: str, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Accept-Ranges": "bytes", **(more or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.owner.cut_after
        if cut is not None and kind == "application/octet-stream" and len(content) > cut:
            self.owner.cut_after = None
            self.wfile.write(content[:cut])
            self.wfile.flush()
            self.close_connection = True
            return
        for start in range(0, len(content), BLOCK):
            self.wfile.write(content[start : start + BLOCK])
