# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training and evaluation data in a directory that is complete or absent. Private to the collection."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from typing import Any, Callable, Dict, Iterable, NamedTuple
from urllib.parse import quote, urlsplit

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _dataset_archive,
    _dataset_formats,
    _hashing,
    _transfer,
    _weights_manifest,
    _weights_sources,
)
from ansible_collections.ascend.fleet.plugins.module_utils._document import digest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item, Limits, Staging, Transfer, human
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access, Client, shown
from ansible_collections.ascend.fleet.plugins.module_utils._weights_bring import staging_of
from ansible_collections.ascend.fleet.plugins.module_utils._weights_lease import Lease, Owner
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import MANIFEST_NAMES, Done

Json = Dict[str, Any]
Progress = Callable[[str], None]

SCHEMA = 1
MANIFEST = MANIFEST_NAMES[1]
# An archive and what is unpacked from it lie side by side.
ARCHIVE_FOLDER = "archive"
TOLD_EVERY = 1.0


class Want(NamedTuple):
    path: str
    format: str
    files: tuple[Item, ...] = ()
    archive: Item | None = None
    folder: str | None = None
    """Of an archive, the only folder that is wanted; its content lies in the directory itself."""
    directory: str | None = None
    access: Access = Access()
    limits: Limits = Limits()
    full: bool = False
    max_size: int = 1 << 40
    state: str | None = None
    """Of the node's own files that are asked for, as ``looked`` found them."""


def looked(want: Want) -> Want:
    """What is wanted, with the state of the node's own files: their sizes and times, where no digest names them."""
    named = (*want.files, *([want.archive] if want.archive else []))
    own = [one for one in _own(named) if not one.sha256]
    own += _weights_sources.files_below(want.directory) if want.directory else []
    try:
        stats = [os.stat(_transfer.local(one)) for one in own]
    except OSError:
        # A source that is gone says nothing about what came from it.
        return want
    rows = [[one.path, stat.st_size, stat.st_mtime_ns] for one, stat in zip(own, stats)]
    return want._replace(state=digest(rows) if rows else None)


def _own(items: Iterable[Item]) -> list[Item]:
    return [one for one in items if one.url.startswith("file:")]


def asked(want: Want) -> Json:
    """What is wanted, as the manifest keeps it; addresses without a login."""

    def told(item: Item) -> Json:
        return {"path": item.path, "url": shown(item.url), "sha256": item.sha256}

    return {
        "format": want.format,
        "files": [told(item) for item in want.files],
        "archive": told(want.archive) if want.archive else None,
        "folder": want.folder,
        "directory": want.directory,
        "state": want.state,
    }


def read(system: System, folder: str) -> Json | None:
    try:
        found = json.loads(system.read(os.path.join(folder, MANIFEST)) or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def differs(system: System, want: Want) -> str | None:
    """Why the directory is not what is wanted; looks at sizes and times unless contents are asked for."""
    if not system.isdir(want.path):
        return "the data are not on the node"
    manifest = read(system, want.path)
    if manifest is None:
        return "it has no manifest"
    if not _is_of(manifest, want):
        return "it was made from something else"
    states = manifest.get("states") or {}
    if want.state and want.state not in (manifest["asked"].get("state"), states.get(socket.gethostname())):
        return "its source has changed"
    files = _weights_manifest.files_of(manifest)
    changed = _weights_manifest.changed(system, want.path, files)
    if changed or not want.full:
        return changed
    spoilt = _hashing.spoilt(want.path, files)
    return f"the content of {spoilt[0].path} is not what was delivered" if spoilt else None


def _is_of(manifest: Json, want: Want) -> bool:
    return {**manifest["asked"], "state": None} == {**asked(want), "state": None}


def _states(manifest: Json | None, want: Want) -> Json:
    """By node. On storage that nodes share, the source of each may have a time of its own, and brings the same."""
    node, known = socket.gethostname(), (manifest or {}).get("states") or {}
    if not manifest or not _is_of(manifest, want) or known.get(node) not in (None, want.state):
        known = {}
    return {**known, node: want.state}


def bring(system: System, want: Want, progress: Progress) -> Json:
    """Stage, judge, publish; what others put there before is never overwritten."""
    reason = differs(system, want)
    if reason is None:
        return result(system, want, None)
    _refuse_foreign(system, want)
    _transfer.check_target(want.path)
    os.makedirs(os.path.dirname(os.path.realpath(want.path)), exist_ok=True)
    folder = staging_of(want.path)
    lease = Lease(folder)

    def waiting(owner: Owner) -> bool:
        progress(f"waiting for {owner.host}" + (f", {owner.note}" if owner.note else ""))
        return True

    lease.acquire(waiting)
    try:
        _transfer.put_back(folder, want.path)
        # Another node on the same storage may have brought it while this one waited.
        if differs(system, want) is not None:
            _stage(want, folder, lease, progress, _states(read(system, want.path), want))
        else:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        lease.release()
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
    return result(system, want, reason)


def _refuse_foreign(system: System, want: Want) -> None:
    if system.isdir(want.path) and read(system, want.path) is None and system.listdir(want.path):
        raise FleetError(
            "dataset-foreign",
            f"{want.path} holds files that somebody else put there.",
            key="path",
            value=want.path,
        )


def _stage(want: Want, folder: str, lease: Lease, progress: Progress, states: Json) -> None:
    staging = Staging(folder)
    tell = _Teller(lease, progress)
    brought = (_from_archive if want.archive else _from_files)(want, staging, lease, tell)
    paths = [path for path in brought if os.path.basename(path) not in MANIFEST_NAMES]
    progress("checking the format")
    try:
        judged = _dataset_formats.FORMATS[want.format](staging.tree, sorted(paths))
    except (ValueError, RecursionError) as error:
        judged = _dataset_formats.Judged("", f"they cannot be read: {error}")
    if judged.problem:
        # Kept, the same wrong files would be judged again without another look at their source.
        staging.remove()
        message = f"The data for {want.path} are not of the format {want.format}: {judged.problem}."
        raise FleetError("dataset-format", message, key="format", value=want.format)
    files = [staging.done.get(path) or _digested(staging, path) for path in sorted(paths)]
    staging.prune(paths)
    manifest = {
        "schema": SCHEMA,
        "asked": asked(want),
        "states": states,
        "holds": judged.told,
        "files": [one._asdict() for one in files],
    }
    with open(os.path.join(staging.tree, MANIFEST), "w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    for current, _folders, _names in os.walk(staging.tree):
        os.chmod(current, 0o755)
    if not lease.holds():
        raise FleetError("model-busy", f"Another node took over {want.path}, because this one had not been heard of.")
    _transfer.publish(staging, want.path)


def _from_files(want: Want, staging: Staging, lease: Lease, tell: _Teller) -> list[str]:
    items = list(want.files)
    _check_links(items)
    if want.directory:
        if not os.path.isdir(want.directory):
            message = f"The directory {want.directory} is not on the node."
            raise FleetError("dataset-source", message, key="directory", value=want.directory)
        named = {item.path for item in items}
        below = [item for item in _weights_sources.files_below(want.directory) if item.path not in named]
        _check_links(below)
        items += below
        _linked(staging, below, want.directory)
    transfer = Transfer(staging, Client(want.access), want.limits, tell.count, cancelled=lease.lost)
    tell.total = staging.missing_bytes(items)
    transfer.run(items)
    return [item.path for item in items]


def _check_links(items: Iterable[Item]) -> None:
    _transfer.check_links(_transfer.local(one) for one in _own(items) if os.path.exists(_transfer.local(one)))


def _linked(staging: Staging, items: list[Item], folder: str) -> None:
    """Files on the same file system are taken over without a copy; each is read once for its digest."""
    for item in items:
        if staging.lacks(item):
            source = os.path.join(folder, item.path)
            if os.stat(source).st_dev != os.stat(staging.folder).st_dev:
                return
            stat = os.stat(source)
            staging.keep(Done(item.path, stat.st_size, _hashing.sha256_of(source), stat.st_mtime_ns, item.key), folder)


def _from_archive(want: Want, staging: Staging, lease: Lease, tell: _Teller) -> list[str]:
    archive = want.archive
    if archive is None:
        return []
    _check_links([archive])
    inner = Staging(os.path.join(staging.folder, ARCHIVE_FOLDER))
    transfer = Transfer(inner, Client(want.access), want.limits, tell.count, cancelled=lease.lost)
    tell.total = inner.missing_bytes([archive])
    transfer.run([archive])
    shutil.rmtree(staging.tree, ignore_errors=True)
    os.makedirs(staging.tree)
    tell.restart("unpacking")
    limits = _dataset_archive.Limits(want.max_size)
    name = os.path.basename(urlsplit(archive.url).path) or archive.path
    paths = _dataset_archive.unpack(inner.path(archive.path), name, staging.tree, want.folder, limits, tell.count)
    inner.remove()
    return paths


def _digested(staging: Staging, path: str) -> Done:
    full = staging.path(path)
    stat = os.stat(full)
    return Done(path, stat.st_size, _hashing.sha256_of(full), stat.st_mtime_ns)


class _Teller:
    def __init__(self, lease: Lease, progress: Progress) -> None:
        self.total = 0
        self._lease = lease
        self._progress = progress
        self.restart("")

    def restart(self, what: str) -> None:
        self._what = what
        self._done, self._told = 0, 0.0

    def count(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._told < TOLD_EVERY:
            return
        self._told = time.monotonic()
        total = f" of {human(self.total)}" if self.total and not self._what else ""
        self._lease.note = f"{self._what} {human(self._done)}{total}".strip()
        self._progress(self._lease.note)


def result(system: System, want: Want, reason: str | None) -> Json:
    manifest = read(system, want.path) or {"files": [], "holds": ""}
    return {
        "changed": reason is not None,
        "path": want.path,
        "reason": reason,
        "holds": manifest["holds"],
        "files": len(manifest["files"]),
        "bytes": sum(one["size"] for one in manifest["files"]),
        "findings": [],
    }


def item(path: str, url: str, sha256: str | None, size: int | None = None) -> Item:
    """An absolute path is a file of the node itself."""
    if url.startswith("/"):
        return Item(path, f"file://{quote(url)}", size, sha256, state=_transfer.time_of(url))
    return Item(path, url, size, sha256)
