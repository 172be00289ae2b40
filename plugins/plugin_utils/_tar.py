# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks a tar on the controller so that nothing leaves the folder. Private to the collection."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path

_MODES = 0o755


def extract(archive: tarfile.TarFile, folder: Path) -> None:
    """By Python's own filter, which came with 3.11.4; before it, as on Debian 12, links are left out."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
    else:
        archive.extractall(folder, _harmless(archive))


def _harmless(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        if posixpath.isabs(member.name) or posixpath.normpath(member.name).split("/")[0] == "..":
            raise tarfile.ExtractError(f"{member.name} would lie outside of the folder")
        if member.isfile() or member.isdir():
            member.mode &= _MODES
            member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
            yield member
