# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node takes the files that a plan is going to write. Private to the collection."""

from __future__ import annotations

import os
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

# Actions of the host whose target is a file.
WRITING = frozenset(["write", "remove", "merge_config", "write_ca", "remove_ca", "write_proxy", "remove_proxy"])
# Less than what a run notes down.
LEAST_BYTES = 256 * 1024


def findings(system: System, actions: list[Json]) -> list[Json]:
    """One finding for each folder that a plan needs and that takes no file; a plan without actions writes nothing."""
    if not actions:
        return []
    folders = {act["target"].rpartition("/")[0] for act in actions if _is_file(act)}
    refused = [(folder, _against(system, folder)) for folder in sorted({STATE_DIR, *folders})]
    return [finding("node-files", f"{told[0]}.", told[1], key="path", value=folder) for folder, told in refused if told]


def _is_file(act: Json) -> bool:
    return act["scope"] == "host" and act["action"] in WRITING and act["target"].startswith("/")


def _against(system: System, folder: str) -> tuple[str, str | None] | None:
    """What keeps files out of a folder that is there or can be made, and its remedy where that is not the usual one."""
    path = folder
    while not os.path.lexists(system.path(path)) and path.strip("/"):
        path = os.path.dirname(path)
    if not system.isdir(path):
        return f"{path} stands where a directory is needed and is none", "Move it away and run again."
    if os.geteuid() != 0:
        # Who only looks need not be the one who writes.
        return None
    disk = os.statvfs(system.path(path))
    if disk.f_flag & os.ST_RDONLY:
        return f"{path} cannot be written: its file system is mounted read-only", None
    if not os.access(system.path(path), os.W_OK):
        remedy = "See whether it is immutable (lsattr -d) or belongs to another server, and make it writable."
        return f"{path} cannot be written, not even by root", remedy
    if disk.f_bfree * disk.f_frsize < LEAST_BYTES:
        return f"{path} cannot be written: its file system is full", None
    if disk.f_files and not disk.f_ffree:
        return f"{path} cannot be written: its file system has no inode left", None
    return None
