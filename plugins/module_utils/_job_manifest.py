# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a job's outputs: where they are, and whether they are what the job left. Private to the collection.

Beside ``<job>``, the published outputs with their manifest, which are always a whole set, are for a while
``.<job>.next``, what a running job writes, and ``.<job>.previous``, the set that is being replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from typing import Any, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

MANIFEST = ".manifest.json"
SCHEMA = 1
_BLOCK = 1 << 20


class Folders(NamedTuple):
    """Where one job's outputs are."""

    published: str
    next: str
    previous: str


def folders(path: str) -> Folders:
    parent, name = os.path.split(path)
    return Folders(path, f"{parent}/.{name}.next", f"{parent}/.{name}.previous")


def read_manifest(system: System, folder: str) -> Json | None:
    try:
        manifest = json.loads(system.read(f"{folder}/{MANIFEST}") or "null")
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("schema") == SCHEMA else None


def difference(system: System, folder: str, manifest: Json) -> str | None:
    """How the files differ from their manifest; None when they are what the job left.

    A digest is taken only of a file whose size is right and whose time is not, so that looking costs next to nothing.
    """
    for wanted in manifest["files"]:
        path = f"{folder}/{wanted['path']}"
        found = system.stat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            return f"{wanted['path']} is missing"
        if found.st_size != wanted["size"]:
            return f"{wanted['path']} has another size"
        if found.st_mtime_ns != wanted["mtime_ns"] and digest(system.path(path)) != wanted["sha256"]:
            return f"{wanted['path']} has another content"
    return None


def sealed(system: System, job: Json) -> bool:
    """Whether a finished run of this very job was cut off before its outputs were published."""
    folder = folders(job["outputs"]["path"]).next
    manifest = read_manifest(system, folder)
    return manifest is not None and manifest["spec"] == job["spec"] and difference(system, folder, manifest) is None


def digest(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            found.update(block)
    return found.hexdigest()
