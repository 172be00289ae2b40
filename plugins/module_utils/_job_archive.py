# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outputs of jobs in one archive on their way to the controller. Private to the collection."""

from __future__ import annotations

import os
import tarfile
from typing import Any, Dict, Iterable

from ansible_collections.ascend.fleet.plugins.module_utils import _job_manifest
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

FOLDER = STATE_DIR + "/outgoing"


def pack(system: System, run_id: str, jobs: Iterable[Json], reader: int) -> str:
    """An archive that only the user ``reader`` may read: each job's files and manifest below the job's name."""
    system.makedirs(FOLDER, 0o711)
    archive = f"{FOLDER}/{run_id}.tar"
    handle = os.open(system.path(archive), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for job in jobs:
            _add(system, tar, job["name"], job["path"])
    os.chown(system.path(archive), reader, -1)
    return archive


def drop(system: System, run_id: str) -> None:
    system.remove(f"{FOLDER}/{run_id}.tar")


def _add(system: System, tar: tarfile.TarFile, name: str, folder: str) -> None:
    manifest = _job_manifest.read_manifest(system, folder)
    if manifest is None:
        raise FleetError("job-outputs", f"The outputs of job {name} are not at {folder} any more.", service=name)
    for path in [item["path"] for item in manifest["files"]] + [_job_manifest.MANIFEST]:
        tar.add(system.path(f"{folder}/{path}"), f"{name}/{path}", recursive=False)
