# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives written out below a folder of their own, and that folder put in its place. Private to the collection."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import stat
from typing import Any, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import _parallel
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._package_views import BLOCK, View
from ansible_collections.ascend.fleet.plugins.module_utils._package_zip import (
    Member,
    check_links,
    content,
    link_target,
)

Beat = _parallel.Beat

_PIECES_A_CORE = 8
_LEAST_PIECE = 4 << 20
_COST_OF_A_FILE = 64 << 10
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Tree(NamedTuple):
    """The members of one archive that go below ``folder``, and the targets of its links."""

    view: View
    folder: str
    members: list[Member]
    targets: dict[str, str]


def tree(view: View, folder: str, members: list[Member]) -> Tree:
    targets = {one.name: link_target(view, one) for one in members if stat.S_ISLNK(one.kind)}
    check_links(view, members, targets)
    return Tree(view, folder, members, targets)


def listed(trees: Sequence[Tree]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for tree in trees:
        for member in tree.members:
            if stat.S_ISREG(member.kind):
                found[f"{tree.folder}/{member.name}"] = [member.size, member.mtime, member.crc]
        for name, target in tree.targets.items():
            found[f"{tree.folder}/{name}"] = [target]
    return found


def need(members: Sequence[Member], block: int = 4096) -> tuple[int, int]:
    """Bytes and inodes that members take on a disk."""
    size = sum(-(-one.size // block) * block for one in members)
    folders = {os.path.dirname(one.name) for one in members}
    return size + block * len(folders), len(members) + len(folders)


def check_space(folder: str, size: int, inodes: int) -> None:
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if size > free:
        raise no_space(folder, f"{size} bytes are needed and {free} are free")
    if disk.f_files and inodes > disk.f_favail:
        raise no_space(folder, f"{inodes} files are to be made and there are {disk.f_favail} inodes left")


def write(trees: Sequence[Tree], stage: str, hashes: Sequence[View], workers: int, beat: Beat) -> list[str]:
    """Write the trees below ``stage``; the digests of ``hashes`` are taken beside."""
    for one in trees:
        _make_folders(os.path.join(stage, one.folder), one.members)
    tasks = [_hashing(view) for view in hashes]
    for one in trees:
        files = [member for member in one.members if stat.S_ISREG(member.kind)]
        for piece in pieces(files, workers):
            tasks.append(_writing(one.view, os.path.join(stage, one.folder), piece))
    digests: list[str] = _parallel.run(tasks, workers, beat)[: len(hashes)]
    for one in trees:
        for name, target in one.targets.items():
            os.symlink(target, os.path.join(stage, one.folder, name))
    return digests


def digests(views: Sequence[View], workers: int, beat: Beat) -> list[str]:
    return _parallel.run([_hashing(view) for view in views], workers, beat)


def pieces(members: Sequence[Member], workers: int) -> list[list[Member]]:
    """Members in the order of the archive, in pieces of about the same work."""
    ordered = sorted(members, key=lambda member: member.offset)
    total = sum(_cost(member) for member in ordered)
    share = max(_LEAST_PIECE, total // (_PIECES_A_CORE * max(1, workers)))
    found: list[list[Member]] = []
    room = 0
    for member in ordered:
        if room <= 0:
            found.append([])
            room = share
        found[-1].append(member)
        room -= _cost(member)
    return found


def publish(stage: str, dest: str) -> None:
    """Put a finished folder in its place in one step, whatever stands there."""
    try:
        os.rename(stage, dest)
        return
    except OSError:
        if not os.path.isdir(dest):
            raise
    if _exchange(stage, dest):
        shutil.rmtree(stage)
        return
    # Without an exchange there is a moment with nothing at dest; a run that dies in it leaves a missing
    # folder, which the next one makes.
    old = stage + ".old"
    os.rename(dest, old)
    os.rename(stage, dest)
    shutil.rmtree(old)


def clear(prefix: str, keep: Sequence[str] = ()) -> None:
    """Remove what killed runs left: siblings of the folder whose names begin like ``prefix``."""
    folder, start = os.path.split(prefix)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(start) and path not in keep and os.path.isdir(path):
            shutil.rmtree(path)


def _hashing(view: View) -> _parallel.Task:
    def work(beat: Beat) -> str:
        found = hashlib.sha256()
        at = 0
        while at < view.size:
            block = view.pread(at, BLOCK)
            if not block:
                break
            found.update(block)
            at += len(block)
            beat()
        return found.hexdigest()

    return work


def _writing(view: View, root: str, members: Sequence[Member]) -> _parallel.Task:
    def work(beat: Beat) -> Any:
        for member in members:
            _write(view, root, member, beat)

    return work


def _write(view: View, root: str, member: Member, beat: Beat) -> None:
    path = os.path.join(root, member.name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with contextlib.closing(_Out(os.open(path, flags, 0o600))) as out:
            for block in content(view, member):
                out.write(block)
                beat()
            os.fchmod(out.fd, member.mode)
            os.utime(out.fd, (member.mtime, member.mtime))
    except OSError as error:
        error.filename = path
        raise


class _Out:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def write(self, block: bytes) -> None:
        left = memoryview(block)
        while left:
            left = left[os.write(self.fd, left) :]

    def close(self) -> None:
        os.close(self.fd)


def _make_folders(root: str, members: Sequence[Member]) -> None:
    names = {one.name if stat.S_ISDIR(one.kind) else os.path.dirname(one.name) for one in members}
    os.makedirs(root, 0o755, exist_ok=True)
    for name in sorted(names):
        os.makedirs(os.path.join(root, name), 0o755, exist_ok=True)


def _cost(member: Member) -> int:
    return member.size + member.packed + _COST_OF_A_FILE


def _exchange(one: str, other: str) -> bool:
    """Swap two folders in one step; not every kernel and file system can."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    names = (os.fsencode(one), os.fsencode(other))
    return bool(function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


def no_space(folder: str, why: str) -> FleetError:
    return FleetError("package-space", f"{folder} has too little room: {why}.", key="dest", value=folder)
