# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory or tar archive of the controller, as files that are sent to a node. Private to the collection."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail

from ansible_collections.ascend.fleet.plugins.module_utils._document import digest
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import check_paths
from ansible_collections.ascend.fleet.plugins.module_utils._weights_sources import files_below, selected
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import MANIFEST_NAME

BLOCK = 1 << 20


class File(NamedTuple):
    path: str
    size: int
    mtime: float
    read: Callable[[int], Iterator[bytes]]
    """Its content from an offset on."""


def files(place: str, include: Sequence[str], exclude: Sequence[str]) -> list[File]:
    """What the patterns leave of a directory or an archive."""
    path = Path(os.path.expanduser(place))
    if path.is_dir():
        found = list(_of_directory(path))
    elif path.is_file() and tarfile.is_tarfile(path):
        found = list(_of_tar(path))
    else:
        raise AnsibleActionFail(
            f"The source {place} is neither a directory nor a tar archive on the controller; correct the path."
        )
    chosen = [file for file in found if selected(file.path, include, exclude)]
    check_paths(file.path for file in chosen)
    if not chosen:
        raise AnsibleActionFail(f"The patterns leave none of the {len(found)} files of {place}; correct them.")
    return chosen


def copy_in(mirror: str, kind: str, place: str) -> str | None:
    """Where a mirror holds a source, if it does."""
    below = place.partition("://")[2] or place
    if kind == "manifest":
        below = posixpath.dirname(below)
    folder = Path(os.path.expanduser(mirror)) / kind / below
    return str(folder) if folder.is_dir() else None


def revision_of(copy: str) -> str | None:
    """The revision that a copy stands for, where model_weights has made it."""
    try:
        manifest = json.loads((Path(copy) / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = manifest.get("resolved") if isinstance(manifest, dict) else None
    return str(found) if found else None


def fingerprint(chosen: Sequence[File]) -> str:
    """Tells one state of the source from another without reading it."""
    return digest([[file.path, file.size, file.mtime] for file in chosen])


def listing(chosen: Sequence[File], revision: str | None) -> dict[str, Any]:
    """What the node is told: every file with its digest."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        digests = list(pool.map(_sha256, chosen))
    rows = [[file.path, "controller:", file.size, sha256] for file, sha256 in zip(chosen, digests, strict=True)]
    return {"resolved": revision, "items": rows}


def sizes(chosen: Sequence[File]) -> dict[str, Any]:
    """The same without reading anything, for what would be sent."""
    return {"resolved": None, "items": [[file.path, "controller:", file.size] for file in chosen]}


def _sha256(file: File) -> str:
    found = hashlib.sha256()
    for block in file.read(0):
        found.update(block)
    return found.hexdigest()


def _of_directory(folder: Path) -> Iterator[File]:
    for item in files_below(str(folder)):
        path = folder / item.path
        stat = path.stat()
        yield File(item.path, stat.st_size, stat.st_mtime, _reader(path, 0, stat.st_size))


def _of_tar(archive: Path) -> Iterator[File]:
    """Members keep their names; one folder around all of them is left out."""
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
    packed = not _is_plain(archive)
    names = [os.path.normpath(member.name) for member in members]
    tops = {name.partition("/")[0] for name in names}
    around = len(tops) == 1 and all("/" in name for name in names)
    for member, name in zip(members, names, strict=True):
        path = name.partition("/")[2] if around else name
        read = _member(archive, member) if packed else _reader(archive, member.offset_data, member.size)
        yield File(path, member.size, float(member.mtime), read)


def _is_plain(archive: Path) -> bool:
    """Whether members lie in the archive as they are."""
    try:
        with tarfile.open(archive, "r:"):
            return True
    except tarfile.ReadError:
        return False


def _reader(path: Path, start: int, size: int) -> Callable[[int], Iterator[bytes]]:
    def read(offset: int) -> Iterator[bytes]:
        with path.open("rb") as stream:
            stream.seek(start + offset)
            left = size - offset
            while left > 0:
                block = stream.read(min(BLOCK, left))
                if not block:
                    raise AnsibleActionFail(f"{path} has become shorter while it was read.")
                left -= len(block)
                yield block

    return read


def _member(archive: Path, member: tarfile.TarInfo) -> Callable[[int], Iterator[bytes]]:
    def read(offset: int) -> Iterator[bytes]:
        with tarfile.open(archive) as tar:
            stream = tar.extractfile(member)
            if stream is None:
                raise AnsibleActionFail(f"{member.name} of {archive} cannot be read.")
            stream.seek(offset)
            while block := stream.read(BLOCK):
                yield block

    return read
