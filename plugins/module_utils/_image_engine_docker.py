# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of a Docker Engine, over its socket. Private to the collection."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader, EngineRefusedError
from ansible_collections.ascend.fleet.plugins.module_utils._engine_stream import StreamError, order, stream
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access, Content, inside
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import (
    SILENCE,
    Found,
    ImageEngine,
    Listed,
    Meter,
    Network,
    Origin,
    Progress,
    PullError,
)
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import DEFAULT_HOST, DEFAULT_TAG, Reference

_LOADED = re.compile(r"^Loaded image(?: ID)?: (\S+)", re.MULTILINE)
# An archive of a hundred gigabytes keeps the engine busy for a while after its last byte.
_LOAD_SILENCE = 1800.0


class DockerImages(ImageEngine):
    kind = "docker"
    tool = "socket"

    def __init__(self, reader: EngineReader) -> None:
        self._reader = reader

    def find(self, reference: Reference) -> Found | None:
        found = self._reader.image(reference.full)
        if found is None:
            return None
        digests = [entry.rpartition("@")[2] for entry in found.get("RepoDigests") or []]
        return Found(found.get("Id"), digests, found.get("Size"), found.get("Architecture"))

    def pull(self, reference: Reference, digest: str | None, origin: Origin, size: int | None, told: Progress) -> None:
        access = origin.access
        name = f"{access.host}/{access.repository(reference)}" if origin.mirrored else reference.name
        exact = digest or reference.digest or reference.tag or DEFAULT_TAG
        query = urlencode({"fromImage": name, "tag": exact})
        meter = Meter(reference.full, size, told)
        try:
            for line in stream(
                self._reader, f"pull {reference.full}", f"/images/create?{query}", _login(access), silence=SILENCE
            ):
                _progress(meter, line)
        except StreamError as error:
            raise PullError(reference, error.text) from error
        except EngineRefusedError as error:
            raise PullError(reference, str(error)) from error
        if reference.tag and (digest or origin.mirrored):
            self.tag(f"{name}@{exact}" if exact.startswith("sha256:") else f"{name}:{exact}", reference)

    def load(self, path: str, told: Progress) -> list[str]:
        with open(path, "rb") as archive:
            counted: Any = _Counted(archive, os.fstat(archive.fileno()).st_size, Meter(path, None, told))
            headers = {"Content-Type": "application/x-tar"}
            lines = list(stream(self._reader, "load it", "/images/load?quiet=1", headers, counted, _LOAD_SILENCE))
        said = "".join(str(line.get("stream") or "") for line in lines)
        return _LOADED.findall(said)

    def tag(self, source: str, reference: Reference) -> None:
        query = urlencode({"repo": reference.name, "tag": reference.tag or DEFAULT_TAG})
        order(self._reader, "POST", f"/images/{quote(source, safe='/:@')}/tag?{query}", f"name {reference.full}")

    def remove(self, image: str) -> None:
        order(self._reader, "DELETE", f"/images/{quote(image, safe='/:@')}", f"remove image {image}")

    def images(self) -> list[Listed]:
        users: dict[str, list[str]] = {}
        for entry in self._reader.containers():
            name = (entry.get("Names") or [entry.get("Id", "")])[0].lstrip("/")
            users.setdefault(str(entry.get("ImageID")), []).append(name)
        return [
            Listed(row["Id"], _names(row), int(row.get("Size") or 0), users.get(row["Id"], []))
            for row in self._reader.images()
        ]

    def network(self) -> Network:
        told = self._reader.info()
        config = told.get("RegistryConfig") or {}
        indexes, networks = config.get("IndexConfigs") or {}, config.get("InsecureRegistryCIDRs") or []

        def insecure(host: str) -> bool:
            return (indexes.get(host) or {}).get("Secure") is False or inside(host, networks)

        urls = {"http": told.get("HttpProxy"), "https": told.get("HttpsProxy")}
        # The engine hides the login of its proxy.
        hidden = any("xxxxx" in str(url) for url in urls.values())

        def own_way(host: str) -> bool:
            return hidden or (host == DEFAULT_HOST and bool(config.get("Mirrors")))

        past = [name.strip() for name in str(told.get("NoProxy") or "").split(",")]
        proxy = {**urls, "no_proxy": [name for name in past if name]}
        return Network(insecure, proxy if any(urls.values()) and not hidden else None, own_way)

    def folder(self) -> str:
        return str(self._reader.info().get("DockerRootDir") or "/var/lib/docker")

    def missing(self, content: Content) -> int:
        """Layers stand on each other: what an image here shares with the content from below is there already."""
        shared = 0
        for row in self._reader.images():
            found = self._reader.image(row["Id"]) or {}
            own = (found.get("RootFS") or {}).get("Layers") or []
            shared = max(shared, _common(own, content.diff_ids))
        sizes = [size for _digest, size in content.layers]
        return sum(sizes[shared:]) if len(sizes) == len(content.diff_ids) else content.size or 0


def _common(own: list[str], wanted: tuple[str, ...]) -> int:
    count = 0
    for mine, theirs in zip(own, wanted):
        if mine != theirs:
            break
        count += 1
    return count


def _names(row: dict[str, Any]) -> list[str]:
    return [name for name in row.get("RepoTags") or [] if name != "<none>:<none>"]


def _login(access: Access) -> dict[str, str]:
    if access.login is None:
        return {}
    user, password = access.login
    told = json.dumps({"username": user, "password": password, "serveraddress": access.host})
    return {"X-Registry-Auth": base64.urlsafe_b64encode(told.encode()).decode()}


def _progress(meter: Meter, line: dict[str, Any]) -> None:
    status, detail = line.get("status"), line.get("progressDetail") or {}
    if status == "Downloading" and detail.get("total"):
        meter.part(str(line.get("id")), int(detail["current"]), int(detail["total"]))
    elif status == "Extracting" and detail.get("total"):
        meter.say(f"unpacking {line.get('id')} {int(10 * detail['current'] / detail['total']) * 10} %")


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, inner: BinaryIO, size: int, meter: Meter) -> None:
        super().__init__()
        self._inner, self._size, self._meter, self._done = inner, size, meter, 0

    def read(self, size: int = -1) -> bytes:
        part = self._inner.read(size)
        self._done += len(part)
        self._meter.part("file", self._done, self._size)
        return part
