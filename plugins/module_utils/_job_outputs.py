# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outputs of a job: made in a folder beside, checked, published in one step. Private to the collection."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import stat
from typing import Any, Dict, Iterator

from ansible_collections.ascend.fleet.plugins.module_utils import _job_files
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._job_manifest import (
    MANIFEST,
    SCHEMA,
    digest,
    folders,
    read_manifest,
)
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]


def begin(system: System, path: str) -> str:
    """An empty folder for the outputs of a run that begins."""
    where = folders(path)
    _remove(system, where.next)
    system.makedirs(where.next)
    return where.next


def drop(system: System, path: str) -> None:
    """Forget what an unfinished run wrote."""
    _remove(system, folders(path).next)


def seal(system: System, job: Json, facts: Json) -> Json:
    """Check what the job wrote and write its manifest; from then on it only needs to be published."""
    folder = folders(job["outputs"]["path"]).next
    files = list(_files(system, folder, job["name"]))
    _expected(system, job, folder, files)
    manifest = {"schema": SCHEMA, "job": job["name"], "spec": job["spec"], **facts, "files": files}
    _write_manifest(system, folder, manifest)
    return manifest


def publish(system: System, path: str) -> None:
    where = folders(path)
    _remove(system, where.previous)
    if system.exists(where.published):
        os.rename(system.path(where.published), system.path(where.previous))
    os.rename(system.path(where.next), system.path(where.published))
    _remove(system, where.previous)


def mark_fetched(system: System, path: str, sent: str, run_id: str) -> None:
    """Note who has the outputs whose manifest had the digest ``sent``; others may be there by now."""
    manifest = read_manifest(system, path)
    if manifest is not None and digest(system.path(f"{path}/{MANIFEST}")) == sent:
        _write_manifest(system, path, {**manifest, "fetched": run_id})


def _write_manifest(system: System, folder: str, manifest: Json) -> None:
    system.write(f"{folder}/{MANIFEST}", json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def _files(system: System, folder: str, name: str) -> Iterator[Json]:
    """Every file, by path; anything but files and folders is refused: it would lead out of the outputs."""
    root = system.path(folder)
    for base, inner, names in os.walk(root):
        inner.sort()
        for entry in sorted(names + [item for item in inner if os.path.islink(os.path.join(base, item))]):
            path = os.path.join(base, entry)
            found = os.lstat(path)
            relative = os.path.relpath(path, root)
            if relative == MANIFEST:
                continue
            if not stat.S_ISREG(found.st_mode):
                raise _wrong(name, relative, f"{relative} is no plain file", "Let the job write plain files.")
            yield {
                "path": relative,
                "size": found.st_size,
                "mtime_ns": found.st_mtime_ns,
                "sha256": digest(path),
            }


def _expected(system: System, job: Json, folder: str, files: list[Json]) -> None:
    for wanted in job["outputs"]["expect"]:
        matching = [item["path"] for item in files if fnmatch.fnmatchcase(item["path"], wanted["path"])]
        if len(matching) < wanted["least"]:
            told = f"{len(matching)} files match {wanted['path']} and there should be {wanted['least']}"
            raise _wrong(job["name"], wanted["path"], told)
        for path in matching:
            flaw = _job_files.problem(wanted["type"], system.path(f"{folder}/{path}"), wanted.get("frame"))
            if flaw:
                raise _wrong(job["name"], path, f"{path} {flaw}")


def _wrong(name: str, value: str, told: str, remedy: str | None = None) -> FleetError:
    message = f"Job {name} ended, but its outputs are not what they should be: {told}."
    return FleetError("job-outputs", message, remedy, service=name, key="outputs", value=value)


def _remove(system: System, path: str) -> None:
    if system.exists(path):
        shutil.rmtree(system.path(path))
