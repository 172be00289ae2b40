# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was unpacked, kept beside it, so that a later run verifies instead. Private to the collection.

The manifest says what there is and is the same on every node. Where it came from, which differs in times at least, is
in a file of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from typing import Any, Dict, NamedTuple, Sequence

Json = Dict[str, Any]

FILE = ".ascend-package.json"
ORIGIN_FILE = ".ascend-package-origin.json"
SCHEMA = 1


class Source(NamedTuple):
    """A package file that was used; ``contents`` is the digest of its directory."""

    name: str
    size: int
    mtime: int
    contents: str
    sha256: str | None


class Part(NamedTuple):
    kind: str
    file: str
    match: str
    include: tuple[str, ...]


class Manifest(NamedTuple):
    version: str
    parts: list[Part]
    files: dict[str, list[Any]]
    """By path, size, mtime and CRC of a file; the target of a link alone."""
    sources: list[Source]
    verified: dict[str, str]
    """By part, the digest its package was compared with."""

    def names(self) -> list[str]:
        return list(self.files)

    def size(self) -> int:
        return sum(facts[0] for facts in self.files.values() if len(facts) > 1)


def read(folder: str) -> Manifest | None:
    found, origin = _load(folder, FILE), _load(folder, ORIGIN_FILE) or {}
    try:
        if found is None or found["schema"] != SCHEMA:
            return None
        return Manifest(
            str(found["version"]),
            [Part(**dict(part, include=tuple(part["include"]))) for part in found["parts"]],
            dict(found["files"]),
            [Source(**source) for source in origin.get("sources", [])],
            dict(origin.get("verified", {})),
        )
    except (ValueError, KeyError, TypeError):
        return None


def write(folder: str, manifest: Manifest) -> None:
    parts = [part._asdict() for part in manifest.parts]
    _save(folder, FILE, {"schema": SCHEMA, "version": manifest.version, "parts": parts, "files": manifest.files})
    write_origin(folder, manifest)


def write_origin(folder: str, manifest: Manifest) -> None:
    sources = [source._asdict() for source in manifest.sources]
    _save(folder, ORIGIN_FILE, {"sources": sources, "verified": manifest.verified})


def differing(folder: str, manifest: Manifest) -> list[str]:
    """Files that are missing or were changed since, by size and time."""
    return [name for name, facts in manifest.files.items() if not _same(os.path.join(folder, name), facts)]


def contents(entries: Sequence[Any]) -> str:
    """A digest of what an archive's directory says of its entries."""
    listed = [[entry.name, entry.size, entry.crc] for entry in entries]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _load(folder: str, name: str) -> Json | None:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as handle:
            found = json.load(handle)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _save(folder: str, name: str, content: Json) -> None:
    path = os.path.join(folder, name)
    beside = path + ".new"
    with open(beside, "w", encoding="utf-8") as handle:
        json.dump(content, handle, indent=1, sort_keys=True)
        handle.flush()
        os.fsync(handle.fileno())
    os.rename(beside, path)


def _same(path: str, facts: list[Any]) -> bool:
    try:
        if len(facts) == 1:
            return os.readlink(path) == str(facts[0])
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and [found.st_size, int(found.st_mtime)] == facts[:2]
