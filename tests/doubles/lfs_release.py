# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real git-lfs of the operating system's package, and an archive laid out as a release of its project."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.simfleet import cache

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


@dataclass(frozen=True)
class Release:
    archive: Path
    version: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.archive.read_bytes()).hexdigest()

    @property
    def variables(self) -> dict[str, object]:
        """For the role, to install it."""
        named = {"git_lfs_from": "release", "git_lfs_version": self.version, "git_lfs_archive": str(self.archive)}
        return {**named, "git_lfs_sha256": {ARCHITECTURE: self.digest}}


def program() -> Path:
    """That of the machine, or the one in the operating system's package, which is not installed for it."""
    found = shutil.which("git-lfs")
    if found:
        return Path(found)
    kept = cache.root() / "git-lfs" / "usr" / "bin" / "git-lfs"
    with cache.locked("git-lfs"):
        if not kept.exists():
            folder = kept.parents[2]
            folder.mkdir(parents=True, exist_ok=True)
            got = subprocess.run(["apt-get", "download", "git-lfs"], cwd=folder, capture_output=True, check=False)
            if got.returncode:
                pytest.skip("neither git-lfs nor its package can be had here")
            subprocess.run(["dpkg-deb", "-x", next(folder.glob("git-lfs_*.deb")), folder], check=True)
    return kept


def release(folder: Path) -> Release:
    """The program packed as newer releases are: in a folder, beside a script."""
    real = program()
    said = subprocess.run([real, "version"], capture_output=True, text=True, check=True).stdout
    version = said.removeprefix("git-lfs/").split()[0]
    archive = folder / f"git-lfs-linux-{ARCHITECTURE}-v{version}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as made:
        made.add(real, f"git-lfs-{version}/git-lfs")
        (folder / "install.sh").write_text("#!/bin/sh\n")
        made.add(folder / "install.sh", f"git-lfs-{version}/install.sh")
    return Release(archive, version)
