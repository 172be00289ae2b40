# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack a source archive, whatever its folder is called: ARCHIVE INSTALL_DIR.

A download of a tag holds one folder with the version in its name, and what follows needs one fixed place.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
import zipfile

NEEDED = ("main.py", "requirements.txt")


def names(archive: str) -> list[str]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            return packed.namelist()
    with tarfile.open(archive) as packed:
        for member in packed:
            if not (member.isfile() or member.isdir()):
                sys.exit(f"The archive holds {member.name}, which is neither a file nor a folder.")
        return packed.getnames()


def unpack(archive: str, target: str) -> None:
    if not (zipfile.is_zipfile(archive) or tarfile.is_tarfile(archive)):
        sys.exit("The source is neither a zip nor a tar archive; an HTML page in its place is often the cause.")
    for name in names(archive):
        if name.startswith("/") or ".." in name.split("/"):
            sys.exit(f"The archive holds {name}, which would leave its folder.")
    shutil.unpack_archive(archive, target, "zip" if zipfile.is_zipfile(archive) else _tar_format(archive))


def _tar_format(archive: str) -> str:
    with open(archive, "rb") as handle:
        head = handle.read(6)
    kinds = {b"\x1f\x8b": "gztar", b"BZ": "bztar", b"\xfd7": "xztar"}
    return kinds.get(head[:2], "tar")


def root(folder: str) -> str:
    """The one folder that holds what ComfyUI begins with."""
    found = [base for base, _folders, files in os.walk(folder) if all(name in files for name in NEEDED)]
    if not found:
        sys.exit(f"The archive holds no folder with {' and '.join(NEEDED)}.")
    return min(found, key=lambda path: (path.count(os.sep), path))


def main() -> None:
    archive, target = sys.argv[1:]
    parent = os.path.dirname(target)
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as scratch:
        unpack(archive, scratch)
        os.rename(root(scratch), target)
    os.chmod(target, 0o755)


if __name__ == "__main__":
    main()
