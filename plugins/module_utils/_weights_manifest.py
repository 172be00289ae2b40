# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of delivered weights, and what a directory lacks of it. Private to the collection."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import MANIFEST_NAME, Done, Wish

Json = Dict[str, Any]
SCHEMA = 1
SHOWN = 3


def make(wish: Wish, revision: str | None, files: Sequence[Done]) -> Json:
    return {
        "schema": SCHEMA,
        **asked(wish),
        "resolved": revision,
        "files": [one._asdict() for one in sorted(files)],
    }


def asked(wish: Wish) -> Json:
    """The part of a manifest that says what was wanted."""
    return {
        "source": wish.source,
        "revision": wish.revision,
        "include": list(wish.include),
        "exclude": list(wish.exclude),
    }


def write(folder: str, manifest: Json) -> None:
    with open(os.path.join(folder, MANIFEST_NAME), "w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())


def read(system: System, folder: str) -> Json | None:
    text = system.read(os.path.join(folder, MANIFEST_NAME))
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def files_of(manifest: Json) -> list[Done]:
    return [Done(*(one.get(field) for field in Done._fields)) for one in manifest.get("files", [])]


def lacks(system: System, folder: str, wish: Wish) -> str | None:
    """Why a directory is not what is wanted, or None. Looks at sizes and times, not at contents."""
    if not system.isdir(folder):
        return "the model is not on the node"
    manifest = read(system, folder)
    if manifest is None:
        return "it has no manifest; its files are compared with the source"
    for key, value in asked(wish).items():
        if manifest.get(key) != value:
            return f"its {key} is {manifest.get(key)!r} instead of {value!r}"
    return changed(system, folder, files_of(manifest))


def changed(system: System, folder: str, files: Sequence[Done]) -> str | None:
    missing, others = [], []
    for one in files:
        stat = system.stat(os.path.join(folder, one.path))
        if stat is None:
            missing.append(one.path)
        elif (stat.st_size, stat.st_mtime_ns) != (one.size, one.mtime_ns):
            others.append(one.path)
    told = [f"{_some(paths)} {what}" for paths, what in ((missing, "missing"), (others, "changed")) if paths]
    return " and ".join(told) or None


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - SHOWN
    verb = "are" if len(paths) > 1 else "is"
    return ", ".join(paths[:SHOWN]) + (f" and {more} more" if more > 0 else "") + f" {verb}"
