# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies an image from one registry to another, byte for byte, so that its digests stay. Private to the collection.

What the target has already is not sent again, so that a copy that was cut off goes on.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.parse
from typing import Any, Callable, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference
from ansible_collections.ascend.fleet.plugins.module_utils._image_registry import Registry

Json = Dict[str, Any]

CHUNK = 1 << 20
SECONDS = 120


class Target:
    """A registry of our own: it speaks HTTP, wants no login, and takes uploads."""

    def __init__(self, host: str) -> None:
        self._host = host

    def has(self, path: str) -> bool:
        status, _headers = self._ask("HEAD", path)
        return status == http.client.OK

    def put(self, path: str, body: bytes, media_type: str) -> None:
        status, _headers = self._ask("PUT", path, body, {"Content-Type": media_type})
        if status >= http.client.BAD_REQUEST:
            raise self._refused(path, status)

    def upload(self, repository: str, digest: str, size: int, content: Any) -> None:
        """A blob, checked by the registry against its digest before anybody can see it."""
        status, headers = self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"")
        if status != http.client.ACCEPTED:
            raise self._refused(repository, status)
        place = urllib.parse.urlsplit(headers["Location"])
        query = f"{place.query}&" if place.query else ""
        address = f"{place.path}?{query}digest={urllib.parse.quote(digest)}"
        sent = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        status, _headers = self._ask("PUT", address, content, sent)
        if status != http.client.CREATED:
            raise self._refused(f"{repository}@{digest}", status)

    def _ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(self._host, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers
        except (OSError, http.client.HTTPException) as error:
            message = f"The peer registry at {self._host} does not take {path}: {error}."
            raise FleetError("registry-unreachable", message) from error
        finally:
            connection.close()

    def _refused(self, what: str, status: int) -> FleetError:
        message = f"The peer registry at {self._host} refuses {what} (status {status})."
        return FleetError("image-pull", message, "Look at its log and at the room on its file system.")


def copy(source: Registry, reference: Reference, target: Target, repository: str, told: Callable[[str], None]) -> int:
    """Give the target the image that ``reference`` names now; the bytes that had to travel."""
    sent = 0
    for name in source.tree(reference):
        manifest = source.manifest(reference, name)
        for row in manifest.blobs:
            path = f"/v2/{repository}/blobs/{row['digest']}"
            if target.has(path):
                continue
            told(f"{reference.full}: {row['digest'][7:19]} to the peer registry")
            with source.blob(reference, row["digest"]) as content:
                target.upload(repository, row["digest"], int(row["size"]), _pieces(content, row["digest"]))
            sent += int(row["size"])
        for tag in {manifest.digest, *([reference.tag] if name == reference.tag and reference.tag else [])}:
            target.put(f"/v2/{repository}/manifests/{tag}", manifest.body, manifest.media_type)
    return sent


def _pieces(content: Any, digest: str) -> Any:
    seen = hashlib.sha256()
    while True:
        part = content.read(CHUNK)
        if not part:
            break
        seen.update(part)
        yield part
    if f"sha256:{seen.hexdigest()}" != digest:
        raise FleetError("image-pull", f"The registry gives content for {digest} that is not what this digest says.")
