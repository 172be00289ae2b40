# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights into one directory: who writes, from where, and when it gets its name. Private to the collection."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _hashing,
    _transfer,
    _weights_manifest,
    _weights_peers,
    _weights_sources,
    _weights_terms,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item, Limits, Staging, Transfer, human
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access, Client
from ansible_collections.ascend.fleet.plugins.module_utils._weights_lease import Lease, Owner, Timing
from ansible_collections.ascend.fleet.plugins.module_utils._weights_peers import Row, Upstream
from ansible_collections.ascend.fleet.plugins.module_utils._weights_share import FAILED, READY, WAITING, WORKING, Board
from ansible_collections.ascend.fleet.plugins.module_utils._weights_sources import Listing
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Done, Wish

Json = Dict[str, Any]
Progress = Callable[[str], None]

# How long the controller may send nothing before its files are given up.
UPLOAD_PATIENCE = 120.0
# What the controller is asked for, and its list of files.
UPLOAD_FILE, LIST_FILE = "upload.json", "list.json"
# It reads all files for their digests before it can list them.
LIST_PATIENCE = 3600.0
TOLD_EVERY = 1.0


class Order(NamedTuple):
    """One model for one directory of this node."""

    path: str
    wish: Wish
    token: str | None = None
    endpoints: Mapping[str, str | None] = {}
    access: Access = Access()
    limits: Limits = Limits()
    full: bool = False
    """Whether contents are read again instead of believed by size and time."""
    row: Row | None = None
    sent: bool = False
    """Whether the controller sends the files instead of the source."""
    upload: Listing | None = None
    """What the controller would send, in check mode."""
    resolved: str | None = None
    """What the source is now, where that is known without asking it."""
    upload_patience: float = UPLOAD_PATIENCE
    timing: Timing = Timing()


class Outcome(NamedTuple):
    changed: bool
    reason: str | None
    files: int
    bytes: int
    source_bytes: int
    peer_bytes: int
    revision: str | None


def staging_of(path: str) -> str:
    """Beside the directory, so that a rename suffices; of a link, beside what it leads to."""
    path = os.path.realpath(path)
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.ascend-fleet")


def differs(system: System, order: Order) -> str | None:
    """Why the directory is not what is wanted, as far as sizes and times tell."""
    reason = _weights_manifest.lacks(system, order.path, order.wish)
    if reason:
        return reason
    manifest = _weights_manifest.read(system, order.path) or {"resolved": None}
    return "its source has changed" if order.resolved and manifest["resolved"] != order.resolved else None


class Delivery:
    def __init__(self, system: System, order: Order, board: Board, progress: Progress) -> None:
        self.system = system
        self.order = order
        self.board = board
        self.folder = staging_of(order.path)
        self.lease = Lease(self.folder, order.timing)
        self._progress = progress
        self._told = 0.0
        self._counter = _Counter()
        self.spoilt: set[Done] | None = None
        board.locate = self.locate

    def locate(self, path: str) -> str:
        staged = os.path.join(self.folder, _transfer.TREE, path)
        return staged if os.path.exists(staged) else os.path.join(self.order.path, path)

    def run(self) -> Outcome:
        try:
            outcome = self._run()
        except FleetError as error:
            self.board.finding = error.finding
            self.board.phase = FAILED
            raise
        except BaseException:
            self.board.phase = FAILED
            raise
        self.board.phase = READY
        return outcome

    def _run(self) -> Outcome:
        if self.reason() is None:
            return self.present()
        real = os.path.realpath(self.order.path)
        os.makedirs(os.path.dirname(real), exist_ok=True)
        if os.path.ismount(real):
            raise FleetError(
                "model-source",
                f"{self.order.path} is a mount point, which cannot be replaced in one step.",
                "Name a directory below it.",
                key="model.path",
                value=self.order.path,
            )
        self._tell("waiting for the directory")
        self.lease.acquire(self._waiting)
        try:
            return self._alone()
        finally:
            self.lease.release()
            _remove_empty(self.folder)

    def reason(self) -> str | None:
        """Why the directory is not what is wanted; reads every file when that is asked for."""
        reason = differs(self.system, self.order)
        if reason or not self.order.full:
            return reason
        spoilt = self._read_again(
            _weights_manifest.files_of(_weights_manifest.read(self.system, self.order.path) or {})
        )
        names = sorted(one.path for one in spoilt)
        return f"the content of {', '.join(names[:3])} is not what was delivered" if names else None

    def _read_again(self, files: Sequence[Done]) -> set[Done]:
        """Files that are not as their manifest says; all are read, once."""
        if self.spoilt is None:
            text = f"reading {human(sum(one.size for one in files))} again"
            self._tell(text)
            self.spoilt = set(_hashing.spoilt(self.order.path, files, tick=lambda _count: self._repeat(text)))
        return self.spoilt

    def _waiting(self, owner: Owner) -> bool:
        self.spoilt = None
        # Others shall not wait for a node that waits itself.
        self.board.phase = WAITING
        self._tell(f"waiting for {owner.host}" + (f", {owner.note}" if owner.note else ""))
        return True

    def _alone(self) -> Outcome:
        _transfer.put_back(self.folder, self.order.path)
        # Another node on the same storage may have brought it while this one waited.
        reason = self.reason()
        if reason is None:
            return self.present()
        self.board.phase = WORKING
        staging = Staging(self.folder)
        seeds = self._seeds()
        listing = self._bring(staging, seeds)
        return self._publish(staging, listing, reason)

    def present(self) -> Outcome:
        """What is there already, for others to read as well."""
        manifest = _weights_manifest.read(self.system, self.order.path) or {"files": [], "resolved": None}
        files = _weights_manifest.files_of(manifest)
        for one in files:
            self.board.add(one)
        self.board.listing = Listing(manifest["resolved"], [Item(one.path, "", one.size, one.sha256) for one in files])
        total = sum(one.size for one in files)
        return Outcome(False, None, len(files), total, 0, 0, manifest["resolved"])

    # What is there already ----------------------------------------------------------------------------------------

    def _seeds(self) -> dict[str, Done]:
        """Files of the directory so far that its manifest vouches for."""
        manifest = _weights_manifest.read(self.system, self.order.path)
        if manifest is None:
            return {}
        files = [
            one
            for one in _weights_manifest.files_of(manifest)
            if _weights_manifest.changed(self.system, self.order.path, [one]) is None
        ]
        if self.order.full:
            spoilt = self._read_again(files)
            files = [one for one in files if one not in spoilt]
        return {one.path: one for one in files}

    def _begin(self, staging: Staging, seeds: Mapping[str, Done], listing: Listing) -> list[Item]:
        """Take over what is there; what is left to bring."""
        _transfer.check_paths(item.path for item in listing.items)
        self.board.listing = listing
        for item in listing.items:
            if not staging.lacks(item):
                continue
            known = seeds.get(item.path) or self._unvouched(item)
            if known and _transfer.agrees(item, known, self.order.path):
                staging.keep(known._replace(key=item.key), self.order.path)
        lacking = [item for item in listing.items if staging.lacks(item)]
        for path in {item.path for item in listing.items} - {item.path for item in lacking}:
            self.board.add(staging.done[path])
        _transfer.check_space(self.folder, staging.missing_bytes(lacking))
        self._counter.total = staging.missing_bytes(lacking)
        return lacking

    def _unvouched(self, item: Item) -> Done | None:
        """A file that somebody else put there: it is read before it is believed."""
        path = os.path.join(self.order.path, item.path)
        stat = self.system.stat(path)
        if stat is None or item.size is None or stat.st_size != item.size or not (item.sha256 or item.git_sha1):
            return None
        text = f"reading {item.path}"
        self._tell(text)
        sha256 = _hashing.sha256_of(path, lambda _count: self._repeat(text))
        return Done(item.path, stat.st_size, sha256, stat.st_mtime_ns)

    # Bringing -----------------------------------------------------------------------------------------------------

    def _bring(self, staging: Staging, seeds: Mapping[str, Done]) -> Listing:
        if self.order.row and self.order.row.peers:
            upstream = Upstream(self.order.row, self.board.asked)
            transfer = self._transfer(staging, upstream.client, Limits(self.order.limits.parallel, attempts=2))
            complete = _weights_peers.bring(
                upstream,
                transfer,
                lambda listing: self._begin(staging, seeds, listing),
                self.board.add,
            )
            self._counter.peers = transfer.received
            if complete and self.board.listing:
                return self.board.listing
        return self._from_origin(staging, seeds)

    def _from_origin(self, staging: Staging, seeds: Mapping[str, Done]) -> Listing:
        order = self.order
        client = Client(order.access)
        if order.sent:
            listing = self._listed_by_controller()
            lacking = self._begin(staging, seeds, listing)
            self._await(staging, lacking)
            self._counter.source = self._counter.total
            return listing
        self._tell("asking for the list of files")
        wanted = _weights_sources.place(order.wish, self.folder, order.token, order.endpoints)
        listing = _weights_sources.listing(wanted, client, order.wish.include, order.wish.exclude)
        lacking = self._begin(staging, seeds, listing)
        transfer = self._transfer(staging, client, order.limits)
        transfer.explain = _weights_sources.explain(wanted)
        transfer.arrived = self.board.add
        transfer.run(lacking)
        self._counter.source = transfer.received
        return listing

    def _listed_by_controller(self) -> Listing:
        path = os.path.join(self.folder, LIST_FILE)
        self.system.remove(path)
        self._ask_controller(None)
        self._tell("asking for the list of files")
        deadline = time.monotonic() + LIST_PATIENCE
        while True:
            text = self.system.read(path)
            if text is not None:
                self.system.remove(path)
                given = json.loads(text)
                return Listing(given["resolved"], [Item(*row) for row in given["items"]])
            if time.monotonic() > deadline:
                raise self._silent()
            self._check()
            self._repeat("asking for the list of files")
            time.sleep(0.1)

    def _ask_controller(self, files: list[Json] | None) -> None:
        """Its next call of the module reads it."""
        ask = os.path.join(self.folder, UPLOAD_FILE)
        self.system.write(ask, json.dumps({"pid": os.getpid(), "files": files}), mode=0o600)

    def _await(self, staging: Staging, lacking: Sequence[Item]) -> None:
        """Until the controller has sent everything."""
        self._ask_controller(
            [
                {"path": item.path, "part": staging.part(item), "offset": _transfer.length_of(staging.part(item))}
                for item in lacking
            ]
        )
        try:
            self._until_sent(staging, lacking)
        finally:
            self.system.remove(os.path.join(self.folder, UPLOAD_FILE))

    def _silent(self) -> FleetError:
        message = f"The controller has stopped sending the files of {self.order.path}."
        return FleetError("transfer-failed", message, "Run again; what has arrived is kept.")

    def _until_sent(self, staging: Staging, lacking: Sequence[Item]) -> None:
        transfer = self._transfer(staging, Client(), self.order.limits)
        waiting = {item.path: item for item in lacking}
        last, since = -1, time.monotonic()
        while waiting:
            for item in list(waiting.values()):
                if _transfer.length_of(staging.part(item)) >= (item.size or 0):
                    self.board.add(transfer.take(waiting.pop(item.path)))
            arrived = sum(_transfer.length_of(staging.part(item)) for item in waiting.values())
            if arrived != last:
                last, since = arrived, time.monotonic()
            elif time.monotonic() - since > self.order.upload_patience:
                raise self._silent()
            self._check()
            self._counter.done = self._counter.total - staging.missing_bytes(waiting.values())
            self._count(0)
            time.sleep(0.1)

    def _transfer(self, staging: Staging, client: Client, limits: Limits) -> Transfer:
        return Transfer(staging, client, limits, progress=self._count, cancelled=self.lease.lost)

    def _check(self) -> None:
        if not self.lease.holds():
            raise FleetError(
                "model-busy",
                f"Another node took over {self.order.path}, because this one had not been heard of.",
                "Run again.",
            )

    # Publishing ---------------------------------------------------------------------------------------------------

    def _publish(self, staging: Staging, listing: Listing, reason: str) -> Outcome:
        files = [staging.done[item.path] for item in listing.items]
        staging.prune(one.path for one in files)
        self._keep_foreign(staging, {one.path for one in files})
        _weights_manifest.write(staging.tree, _weights_manifest.make(self.order.wish, listing.revision, files))
        for folder, _folders, _names in os.walk(staging.tree):
            os.chmod(folder, 0o755)
        self._check()
        _transfer.publish(staging, self.order.path)
        total = sum(one.size for one in files)
        counted = self._counter
        return Outcome(True, reason, len(files), total, counted.source, counted.peers, listing.revision)

    def _keep_foreign(self, staging: Staging, wanted: set[str]) -> None:
        """What people put into the directory is theirs; what an earlier delivery brought is not."""
        manifest = _weights_manifest.read(self.system, self.order.path)
        ours = {one.path for one in _weights_manifest.files_of(manifest)} if manifest else set()
        for folder, folders, names in os.walk(self.order.path):
            # os.walk does not enter a link to a directory, and names it among the directories.
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in names + links:
                source = os.path.join(folder, name)
                path = os.path.relpath(source, self.order.path)
                if path in ours | wanted or path == _weights_terms.MANIFEST_NAME:
                    continue
                target = staging.path(path)
                if os.path.isdir(target):
                    continue
                os.makedirs(os.path.dirname(target), exist_ok=True)
                try:
                    os.link(source, target, follow_symlinks=False)
                except OSError:
                    shutil.copy2(source, target, follow_symlinks=False)

    # Progress -----------------------------------------------------------------------------------------------------

    def _count(self, count: int) -> None:
        self._counter.add(count)
        done, total = self._counter.done, self._counter.total
        self._repeat(f"{human(done)} of {human(total)}" if total else human(done))

    def _repeat(self, text: str) -> None:
        """What is told renews the lease of the run as well."""
        if time.monotonic() - self._told >= TOLD_EVERY:
            self._tell(text)

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        self.lease.note = text
        self._progress(f"{os.path.basename(self.order.path)}: {text}")


class _Counter:
    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.source = 0
        self.peers = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count


def _remove_empty(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        return
