# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image out of its registry into an archive that engines load, without any engine. Private to the collection."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _image_reference
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access, Content
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference
from ansible_collections.ascend.fleet.plugins.module_utils._image_registry import Registry
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item, Staging, Transfer
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access as HttpAccess
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Client

Tell = Callable[[int], None]


class Held(NamedTuple):
    """What the archive holds: the digest that the registry told, and the image's own id."""

    resolved: str
    id: str


def current(sources: Sources, text: str, digest: str | None) -> str:
    """What stands behind the name now; one small question."""
    reference = _image_reference.parse(text)
    return sources.ask(reference, lambda registry: registry.digest(reference, digest))


def fetch(sources: Sources, text: str, digest: str | None, arch: str, target: Path, work: Path, tell: Tell) -> Held:
    """The archive, complete or absent; layers that have arrived stay in ``work`` when this is killed."""
    reference = _image_reference.parse(text)
    return sources.ask(reference, lambda registry: _from(registry, reference, text, digest, arch, target, work, tell))


def _from(
    registry: Registry,
    reference: Reference,
    text: str,
    digest: str | None,
    arch: str,
    target: Path,
    work: Path,
    tell: Tell,
) -> Held:
    content = registry.content(reference, _image_reference.architecture(arch), digest)
    if content.config is None:
        message = f"{text} is not made for {arch}, but for {', '.join(content.platforms) or 'no machine'}."
        remedy = "Correct fleet_bundle_arch, or name an image for these machines."
        raise FleetError("image-unknown", message, remedy, key="image", value=text)
    staging = Staging(str(work))
    _bring(registry, reference, content, staging, _access(registry.access, work), tell)
    _write(staging, content, _tag(text), target)
    staging.remove()
    return Held(content.digest, content.config)


def _bring(
    registry: Registry, reference: Reference, content: Content, staging: Staging, access: HttpAccess, tell: Tell
) -> None:
    """All blobs. A token lasts minutes, and the layers of an image may take longer: then a new one is asked for."""
    while True:
        transfer = Transfer(staging, Client(access), progress=tell)
        before = len(staging.done)
        try:
            transfer.run(_items(registry, reference, content))
            return
        except FleetError as error:
            arrived = transfer.received or len(staging.done) - before
            if error.finding["check"] != "transfer-refused" or not arrived:
                raise


def _items(registry: Registry, reference: Reference, content: Content) -> list[Item]:
    authorization = registry.token(reference)
    headers = (("Authorization", authorization),) if authorization else ()
    base = f"{registry.base}/v2/{registry.access.repository(reference)}/blobs"
    blobs: dict[str, int | None] = {str(content.config): None, **dict(content.layers)}
    return [
        Item(_name(digest), f"{base}/{digest}", size, digest.partition(":")[2], None, headers)
        for digest, size in blobs.items()
    ]


def _access(access: Access, work: Path) -> HttpAccess:
    proxy = access.proxy or {}
    authorities = None
    if access.ca:
        authorities = f"{work}.ca.pem"
        Path(authorities).write_text("\n".join(access.ca), encoding="utf-8")
    return HttpAccess(
        proxy={scheme: proxy[scheme] for scheme in ("http", "https") if proxy.get(scheme)},
        no_proxy=tuple(proxy.get("no_proxy") or ()),
        ca_file=authorities,
        validate_certs=not access.insecure,
    )


def _write(staging: Staging, content: Content, tag: str | None, target: Path) -> None:
    config = f"{_name(str(content.config))}.json"
    layers = [f"{_name(digest)}.tar" for digest, _size in content.layers]
    index = [{"Config": config, "RepoTags": [tag] if tag else None, "Layers": layers}]
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}")
    with tarfile.open(beside, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "manifest.json", json.dumps(index).encode())
        for name in dict.fromkeys([config, *layers]):
            path = staging.path(name.rpartition(".")[0])
            with open(path, "rb") as stream:
                archive.addfile(_entry(name, os.path.getsize(path)), stream)
    with open(beside, "rb") as stream:
        os.fsync(stream.fileno())
    beside.rename(target)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_entry(name, len(data)), io.BytesIO(data))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """The same content gives the same archive."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def _name(digest: str) -> str:
    return digest.partition(":")[2]


def _tag(text: str) -> str | None:
    name = text.partition("@")[0]
    tagged = ":" in name.rpartition("/")[2]
    return name if tagged else (None if "@" in text else f"{name}:{_image_reference.DEFAULT_TAG}")


def sources_of(document: dict[str, Any], logins: list[dict[str, str]], authorities: tuple[str, ...]) -> Sources:
    """How this document's node would reach its registries."""
    artefacts, engine = document["artefacts"], document["host"]["engine"]
    own = {}
    for row in artefacts.get("registries") or []:
        if row["ca"]:
            own[row["ca"]["path"]] = Path(row["ca"]["source"]).read_text(encoding="utf-8")
    insecure = set(engine["daemon"].get("insecure-registries") or [])
    rows = {row["address"]: row for row in artefacts.get("registries") or []}
    for address in insecure - set(rows):
        rows[address] = {"address": address, "insecure": True, "mirror": None, "ca": None}
    return Sources(rows, {row["address"]: row for row in logins}, authorities, own, engine["proxy"])
