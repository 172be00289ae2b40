# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outputs of jobs on the controller: unpacked, held against their manifests. Private to the collection."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

from ansible_collections.ascend.fleet.plugins.module_utils._job_manifest import MANIFEST
from ansible_collections.ascend.fleet.plugins.plugin_utils import _tar

_BLOCK = 1 << 20


class DamagedError(Exception):
    """What came is not what the node sent."""


def unpack(archive: Path, folder: Path, jobs: list[str]) -> dict[str, str]:
    """The jobs' files below ``folder``, each job whole or not at all; gives each one's folder."""
    partial = folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            _tar.extract(tar, partial)
        placed = {}
        for job in jobs:
            _check(job, partial / job)
            target = folder / job
            shutil.rmtree(target, ignore_errors=True)
            (partial / job).rename(target)
            placed[job] = str(target)
    except (tarfile.TarError, EOFError) as error:
        raise DamagedError(f"the archive of the outputs cannot be read ({error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return placed


def manifest_digest(folder: Path) -> str | None:
    return _digest(folder / MANIFEST)


def _check(job: str, folder: Path) -> None:
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError) as error:
        raise DamagedError(f"the manifest of job {job} did not arrive") from error
    for wanted in files:
        if _digest(folder / wanted["path"]) != wanted["sha256"]:
            raise DamagedError(f"{wanted['path']} of job {job} is not what the job left")


def _digest(path: Path) -> str | None:
    found = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                found.update(block)
    except OSError:
        return None
    return found.hexdigest()
