# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of model hubs for tests, with faults on demand. It is neither Hugging Face nor ModelScope.

It answers the requests of both public APIs that a download needs, and serves plain files under /plain/. What
it sent is counted, so that a test sees how often a byte left the source. As a program it serves a folder:
``python -m tests.doubles.hub_server FOLDER --host ADDRESS --port PORT``; /stats says what was sent.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 1 << 18
PAGE = b"<!DOCTYPE html><html><body>Please log in.</body></html>"
LARGE = 1 << 10
"""From this size on a file counts as one of Git LFS, whose sha256 the hub knows."""
LISTED_AT_ONCE = 50

HF_INFO = re.compile(r"^/api/models/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>.+)$")
HF_TREE = re.compile(r"^/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)$")
HF_FILE = re.compile(r"^/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")
MS_LIST = re.compile(r"^/api/v1/models/(?P<repo>[^/]+/[^/]+)/repo/files$")
MS_FILE = re.compile(r"^/api/v1/models/(?P<repo>[^/]+/[^/]+)/repo$")
PLAIN = re.compile(r"^/plain/(?P<repo>[^/]+/[^/]+)/(?P<path>.+)$")


@dataclass
class Faults:
    """What goes wrong. Paths are those of the files inside of their repository."""

    cut_at: dict[str, int] = field(default_factory=dict)
    """The connection ends at this byte of the file, once."""
    wrong: set[str] = field(default_factory=set)
    """Served with another content of the same length."""
    page: set[str] = field(default_factory=set)
    """Served as an HTML page."""
    pointer: set[str] = field(default_factory=set)
    """Served as the pointer of Git LFS."""
    busy: int = 0
    """So many requests for files are answered 429."""
    retry_after: str = "1"
    broken: int = 0
    """So many requests for files are answered 503."""
    token: str | None = None
    """Asked for by everything."""
    gated: bool = False
    """The licence was not accepted."""
    bytes_per_second: int | None = None
    no_ranges: bool = False


Content = bytes | Path


@dataclass
class HubServer:
    """Repositories by name, each a mapping of paths to contents; use it in a ``with``."""

    repositories: dict[str, dict[str, Content]]
    host: str = "127.0.0.1"
    port: int = 0
    certificate: tuple[Path, Path] | None = None
    elsewhere: str | None = None
    """Files are answered by a redirect to this server's /plain/."""
    faults: Faults = field(default_factory=Faults)
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of each file that left this server."""
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """Path and headers of every request."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)

    def __enter__(self) -> HubServer:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._http = ThreadingHTTPServer((self.host, self.port), handler)
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self.certificate))
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.port}"

    def plain(self, repo: str, path: str) -> str:
        return f"{self.url}/plain/{repo}/{path}"

    @property
    def bytes_sent(self) -> int:
        with self.lock:
            return sum(self.sent.values())

    def stats(self) -> dict[str, Any]:
        with self.lock:
            return {"sent": dict(self.sent), "bytes": sum(self.sent.values()), "requests": len(self.asked)}

    def size(self, repo: str, path: str) -> int:
        content = self.repositories[repo][path]
        return content.stat().st_size if isinstance(content, Path) else len(content)

    def sha256(self, repo: str, path: str) -> str:
        key = (repo, path)
        if key not in self.digests:
            found = hashlib.sha256()
            for part in self.blocks(repo, path):
                found.update(part)
            self.digests[key] = found.hexdigest()
        return self.digests[key]

    def git_sha1(self, repo: str, path: str) -> str:
        found = hashlib.sha1(b"blob %d\0" % self.size(repo, path))
        for part in self.blocks(repo, path):
            found.update(part)
        return found.hexdigest()

    def blocks(self, repo: str, path: str, start: int = 0) -> Iterator[bytes]:
        content = self.repositories[repo][path]
        with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as stream:
            stream.seek(start)
            while part := stream.read(BLOCK):
                yield part


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if path == "/stats":
            return self._json(self.hub.stats())
        with self.hub.lock:
            self.hub.asked.append((self.path, dict(self.headers.items())))
        faults = self.hub.faults
        if faults.token and self.headers.get("Authorization") != f"Bearer {faults.token}":
            return self._refuse(401, "Unauthorized", {"X-Error-Message": "Invalid credentials"})
        for pattern, answer in (
            (HF_INFO, self._hf_info),
            (HF_TREE, self._hf_tree),
            (HF_FILE, self._hub_file),
            (MS_LIST, self._ms_list),
            (MS_FILE, self._ms_file),
            (PLAIN, self._plain),
        ):
            found = pattern.match(path)
            if found:
                return answer(query=query, **found.groupdict())
        return self._refuse(404, "Not Found")

    def _known(self, repo: str) -> bool:
        if repo in self.hub.repositories:
            return True
        self._refuse(401, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        return False

    def _hf_info(self, repo: str, revision: str, query: Mapping[str, list[str]]) -> None:
        if not self._known(repo):
            return None
        if revision not in ("main", COMMIT):
            return self._refuse(404, "Revision", {"X-Error-Code": "RevisionNotFound"})
        return self._json({"id": repo, "sha": COMMIT, "gated": "auto" if self.hub.faults.gated else False})

    def _hf_tree(self, repo: str, revision: str, query: Mapping[str, list[str]]) -> None:
        if not self._known(repo):
            return
        first = int(query.get("cursor", ["0"])[0])
        names = sorted(self.hub.repositories[repo])
        rows = [self._hf_row(repo, path) for path in names[first : first + LISTED_AT_ONCE]]
        folders = sorted({path.rpartition("/")[0] for path in names} - {""}) if not first else []
        more = {}
        if first + LISTED_AT_ONCE < len(names):
            url = f"{self.hub.url}/api/models/{repo}/tree/{revision}?recursive=true&cursor={first + LISTED_AT_ONCE}"
            more["Link"] = f'<{url}>; rel="next"'
        self._json([{"type": "directory", "oid": "0" * 40, "size": 0, "path": f} for f in folders] + rows, more)

    def _hf_row(self, repo: str, path: str) -> dict[str, Any]:
        size = self.hub.size(repo, path)
        row: dict[str, Any] = {"type": "file", "path": path, "size": size, "oid": "f" * 40}
        if size >= LARGE:
            return {**row, "lfs": {"oid": self.hub.sha256(repo, path), "size": size, "pointerSize": 130}}
        return {**row, "oid": self.hub.git_sha1(repo, path)}

    def _hub_file(self, repo: str, revision: str, path: str, query: Mapping[str, list[str]]) -> None:
        if not self._known(repo):
            return None
        if self.hub.faults.gated:
            return self._refuse(403, "Gated", {"X-Error-Code": "GatedRepo"})
        if self.hub.elsewhere:
            return self._refuse(302, "", {"Location": f"{self.hub.elsewhere}/plain/{repo}/{path}"})
        return self._plain(repo, path, query)

    def _ms_list(self, repo: str, query: Mapping[str, list[str]]) -> None:
        if repo not in self.hub.repositories:
            return self._json({"Code": 10010205001, "Message": "Not found", "Success": False, "Data": None}, status=404)
        files = [
            {
                "Type": "blob",
                "Name": path.rpartition("/")[2],
                "Path": path,
                "Size": self.hub.size(repo, path),
                "Sha256": self.hub.sha256(repo, path),
                "Revision": COMMIT,
            }
            for path in sorted(self.hub.repositories[repo])
        ]
        folders = sorted({row["Path"].rpartition("/")[0] for row in files} - {""})
        rows = [{"Type": "tree", "Name": f, "Path": f, "Size": 0, "Sha256": ""} for f in folders] + files
        return self._json({"Code": 200, "Message": "success", "Success": True, "Data": {"Files": rows}})

    def _ms_file(self, repo: str, query: Mapping[str, list[str]]) -> None:
        self._plain(repo, query["FilePath"][0], query)

    def _plain(self, repo: str, path: str, query: Mapping[str, list[str]]) -> None:
        faults = self.hub.faults
        if path not in self.hub.repositories.get(repo, {}):
            return self._refuse(404, "Not Found", {"X-Error-Code": "EntryNotFound"})
        for name, status, headers in (("busy", 429, {"Retry-After": faults.retry_after}), ("broken", 503, {})):
            with self.hub.lock:
                left = getattr(faults, name)
                setattr(faults, name, max(0, left - 1))
            if left:
                return self._refuse(status, "Later", headers)
        if path in faults.page:
            return self._body(PAGE, "text/html; charset=utf-8")
        if path in faults.pointer:
            text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.hub.sha256(repo, path)}\nsize 1\n"
            return self._body(text.encode(), "text/plain")
        return self._send(repo, path)

    def _send(self, repo: str, path: str) -> None:
        hub, faults = self.hub, self.hub.faults
        size, start = hub.size(repo, path), 0
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and not faults.no_ranges:
            start = int(wanted[1])
            if start >= size:
                return self._refuse(416, "Range", {"Content-Range": f"bytes */{size}"})
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        with hub.lock:
            cut = faults.cut_at.pop(path, None)
        position = start
        began = time.monotonic()
        for part in hub.blocks(repo, path, start):
            if cut is not None and position + len(part) > cut:
                part = part[: max(0, cut - position)]
            if path in faults.wrong:
                part = bytes(byte ^ 0xFF for byte in part)
            with contextlib.suppress(ConnectionError):
                self.wfile.write(part)
            position += len(part)
            with hub.lock:
                hub.sent[f"{repo}/{path}"] += len(part)
            if cut is not None and position >= cut:
                self.close_connection = True
                return None
            if faults.bytes_per_second:
                time.sleep(max(0.0, (position - start) / faults.bytes_per_second - (time.monotonic() - began)))
        return None

    def _json(self, value: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        self._body(json.dumps(value).encode(), "application/json", headers, status)

    def _refuse(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        self._body(text.encode(), "text/plain", headers, status)

    def _body(self, body: bytes, kind: str, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def repository(folder: Path) -> dict[str, Content]:
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve FOLDER/<organisation>/<name>/ as repositories.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bytes-per-second", type=int)
    given = parser.parse_args()
    found = {f"{path.parent.name}/{path.name}": repository(path) for path in given.folder.glob("*/*") if path.is_dir()}
    faults = Faults(bytes_per_second=given.bytes_per_second)
    with HubServer(found, given.host, given.port, faults=faults) as hub:
        print(hub.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
