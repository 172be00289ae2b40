# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heavy things are made once and kept outside the repository under a hash of their inputs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_VERSION = re.compile(r"[0-9a-f]{16}(\.tar)?")


def _default() -> Path:
    return Path.home() / ".cache" / "ascend-fleet"


def root() -> Path:
    """The cache folder; ASCEND_FLEET_CACHE moves it."""
    return Path(os.environ.get("ASCEND_FLEET_CACHE") or _default())


def is_default() -> bool:
    """Whether nobody moved it."""
    return root().resolve() == _default().resolve()


def digest(*parts: str | bytes) -> str:
    """A short hash that changes when any part changes or moves to its neighbour."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(str(len(raw)).encode() + b":" + raw)
    return total.hexdigest()[:16]


def tree_digest(folder: Path) -> str:
    """The hash of every file below a folder: names, modes' x bit and contents."""
    parts: list[str | bytes] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            parts += [str(path.relative_to(folder)), str(os.access(path, os.X_OK))]
            parts.append(path.read_bytes())
    return digest(*parts)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One maker at a time across processes; the kernel frees the lock of a killed one."""
    folder = root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def kept(path: Path, make: Callable[[Path], None]) -> Path:
    """The file or folder at `path`, made by `make(partial path)` when it is not there yet."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.name):
        if path.exists():
            return path
        partial = path.with_name(path.name + ".partial")
        remove(partial)
        try:
            make(partial)
            partial.rename(path)
        finally:
            remove(partial)
    return path


def keep_newest(folder: Path, name: str, count: int = 2) -> None:
    """Of the versions `name-<digest>` of a thing, remove all but the newest ones."""
    versions = [path for path in folder.glob(f"{name}-*") if _VERSION.fullmatch(path.name.removeprefix(f"{name}-"))]
    for path in sorted(versions, key=lambda found: found.stat().st_mtime, reverse=True)[count:]:
        remove(path)


def remove(path: Path) -> None:
    """A file or a folder, there or not."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
