# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted on a node, and whether those who serve it answer. Private to the collection.

A look at a path on a dead network file system never comes back. The table of mounts and the links on the way to
a path are read here; the file system itself is asked by another process, which may hang in our stead.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._system import System

TABLE = "/proc/self/mountinfo"
REMOTE = frozenset(
    ["9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "virtiofs"]
)
LINKS_FOLLOWED = 40
PATIENCE = 10.0
"""Seconds a file server has to answer when nothing else was said."""


class Mounted(NamedTuple):
    source: str
    type: str


def table(system: System) -> dict[str, Mounted]:
    """Mount points and what is on top there now."""
    found = {}
    for line in (system.read(TABLE) or "").splitlines():
        head, _dash, tail = line.partition(" - ")
        fields, origin = head.split(), tail.split()
        if len(fields) > 4 and len(origin) > 1 and origin[0] != "autofs":
            found[_plain(fields[4])] = Mounted(_plain(origin[1]), origin[0])
    return found


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def is_remote(mounted: Mounted) -> bool:
    """Whether somebody else has to answer before the file system does; a FUSE program may be dead as well."""
    return mounted.type in REMOTE or mounted.type.startswith("fuse.")


def silent(system: System, points: Sequence[str], seconds: float) -> dict[str, str]:
    """Those of the mount points that do not answer, with what happened; all are asked at once."""
    if not points:
        return {}
    with ThreadPoolExecutor(max_workers=min(16, len(points))) as pool:
        answers = pool.map(lambda point: _ask(system, point, seconds), points)
    return {point: told for point, told in zip(points, answers) if told is not None}


def _ask(system: System, point: str, seconds: float) -> str | None:
    # The file system's own state is never answered from a cache, as that of a file may be.
    result = system.run(["stat", "--file-system", "--format=%T", system.path(point)], timeout=seconds)
    if result.timed_out:
        return f"does not answer within {seconds:g} seconds"
    if result.rc == 0:
        return None
    return f"answers with an error ({result.err.strip().rpartition(': ')[2] or f'exit status {result.rc}'})"


def below(system: System, path: str, points: Sequence[str]) -> str | None:
    """The first of the mount points on the way to a path; no look is taken at it or below it."""
    todo = path.split("/")
    here = ""
    links = 0
    while todo:
        part = todo.pop(0)
        if part in ("", "."):
            continue
        here = os.path.dirname(here) if part == ".." else f"{here.rstrip('/')}/{part}"
        if here in points:
            return here
        target = _link(system, here)
        if target is None:
            continue
        links += 1
        if links > LINKS_FOLLOWED:
            return None
        here = "" if target.startswith("/") else os.path.dirname(here)
        todo = target.split("/") + todo
    return None


def _link(system: System, path: str) -> str | None:
    try:
        return os.readlink(system.path(path))
    except OSError:
        return None
