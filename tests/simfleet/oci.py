# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images as folders of blobs, and the way from there into a registry.

An image kept so needs no engine to be pushed, and its layers are compressed once and for all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import docker
import requests

from .errors import SimError

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_CHUNK = 1 << 20
# The fastest level: on one machine the pipe is wider than the processor is fast.
_LEVEL = 1
_GZIP_WINDOW = 31


def architecture() -> str:
    """This machine's architecture as images call it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def write(folder: Path, layers: Iterable[IO[bytes]], config: dict[str, Any]) -> None:
    """An image of uncompressed layer tars: blobs named by digest, and manifest.json."""
    blobs = folder / "blobs"
    blobs.mkdir(parents=True)
    kept, diff_ids = [], []
    for number, layer in enumerate(layers):
        diff_id, described = _compress(layer, blobs, number)
        diff_ids.append(diff_id)
        kept.append(described)
    document = {
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "tests/simfleet"} for _layer in diff_ids],
    }
    _finish(folder, document, kept)


def _finish(folder: Path, document: dict[str, Any], kept: list[dict[str, Any]]) -> None:
    raw = json.dumps(document, sort_keys=True).encode()
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    (folder / "blobs" / digest).write_bytes(raw)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(raw), "digest": digest},
        "layers": kept,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")


def layers(folder: Path) -> list[Path]:
    """The compressed layers of an image, lowest first."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return [folder / "blobs" / layer["digest"] for layer in manifest["layers"]]


def extend(folder: Path, below: Path, layer: IO[bytes], config: dict[str, Any] | None = None) -> None:
    """The image `below` with one layer more, and perhaps another config; what they share is kept once."""
    blobs = folder / "blobs"
    blobs.mkdir(parents=True)
    manifest = json.loads((below / "manifest.json").read_text(encoding="utf-8"))
    for blob in manifest["layers"]:
        os.link(below / "blobs" / blob["digest"], blobs / blob["digest"])
    document = json.loads((below / "blobs" / manifest["config"]["digest"]).read_text(encoding="utf-8"))
    diff_id, described = _compress(layer, blobs, len(manifest["layers"]))
    document["rootfs"]["diff_ids"].append(diff_id)
    document["history"].append(document["history"][-1])
    document["config"] = config or document["config"]
    _finish(folder, document, [*manifest["layers"], described])


def _compress(layer: IO[bytes], blobs: Path, number: int) -> tuple[str, dict[str, Any]]:
    plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    partial = blobs / f"layer{number}"
    with partial.open("wb") as out:
        while True:
            chunk = layer.read(_CHUNK)
            plain.update(chunk)
            piece = gzip.compress(chunk) if chunk else gzip.flush()
            packed.update(piece)
            size += len(piece)
            out.write(piece)
            if not chunk:
                break
    digest = f"sha256:{packed.hexdigest()}"
    partial.rename(blobs / digest)
    return f"sha256:{plain.hexdigest()}", {"mediaType": _LAYER, "size": size, "digest": digest}


def saved_layers(client: docker.DockerClient, tag: str, scratch: Path) -> list[Path]:
    """The uncompressed layers of an image in the engine, lowest first, as files in `scratch`."""
    archive = scratch / "saved.tar"
    with archive.open("wb") as out:
        for chunk in client.images.get(tag).save():
            out.write(chunk)
    paths = []
    with tarfile.open(archive) as tar:
        manifest = json.load(_member(tar, "manifest.json"))[0]
        for number, name in enumerate(manifest["Layers"]):
            path = scratch / f"saved-layer{number}.tar"
            with path.open("wb") as out:
                shutil.copyfileobj(_member(tar, name), out, _CHUNK)
            paths.append(path)
    archive.unlink()
    return paths


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise SimError(f"The saved image has no {name}.")
    return found


def tar_of(entries: Iterable[tuple[str, int, bytes | str]]) -> io.BytesIO:
    """A layer of files (path, mode, bytes) and symbolic links (path, mode, target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, mode, content in entries:
            member = tarfile.TarInfo(path)
            member.mode = mode
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def push(folder: Path, registry: str, repository: str, version: str) -> str:
    """Upload what the registry lacks of the image in `folder`; returns its digest."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    base = f"http://{registry}/v2/{repository}"
    with requests.Session() as session:
        # the registry stands on this machine, whatever proxy leads out of it
        session.trust_env = False
        for blob in [*manifest["layers"], manifest["config"]]:
            _upload(session, base, folder / "blobs" / blob["digest"], blob["digest"])
        reply = session.put(
            f"{base}/manifests/{version}",
            data=json.dumps(manifest, sort_keys=True),
            headers={"Content-Type": _MANIFEST},
            timeout=60,
        )
    _checked(reply, f"manifest of {repository}:{version}")
    return str(reply.headers["Docker-Content-Digest"])


def _upload(session: requests.Session, base: str, path: Path, digest: str) -> None:
    if session.head(f"{base}/blobs/{digest}", timeout=60).status_code == requests.codes.ok:
        return
    begun = session.post(f"{base}/blobs/uploads/", timeout=60)
    _checked(begun, f"upload to {base}")
    target = begun.headers["Location"]
    joint = "&" if "?" in target else "?"
    done = session.put(
        f"{target}{joint}digest={digest}",
        data=_chunks(path),
        headers={"Content-Type": "application/octet-stream"},
        timeout=600,
    )
    _checked(done, f"blob {digest}")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        yield from iter(lambda: handle.read(_CHUNK), b"")


def _checked(reply: requests.Response, what: str) -> None:
    if not reply.ok:
        raise SimError(f"The fleet's registry refused the {what}: {reply.status_code} {reply.text}")
