# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of big files, as fast as the cores and the disk are. Private to the collection."""

from __future__ import annotations

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Done

BUFFER = 1 << 20


def feed(path: str, hashes: Iterable[Any], tick: Callable[[int], None] | None = None) -> int:
    """Pass a file through hashes; its length."""
    hashes = list(hashes)
    view = memoryview(bytearray(BUFFER))
    total = 0
    with open(path, "rb", buffering=0) as stream:
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while True:
            count = stream.readinto(view)
            if not count:
                return total
            for one in hashes:
                one.update(view[:count])
            total += count
            if tick:
                tick(count)


def sha256_of(path: str, tick: Callable[[int], None] | None = None) -> str:
    found = hashlib.sha256()
    feed(path, [found], tick)
    return found.hexdigest()


def sha256_of_all(
    paths: Iterable[str], workers: int | None = None, tick: Callable[[int], None] | None = None
) -> list[str]:
    """Digests in the order of the paths. hashlib lets go of the interpreter while it computes."""
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return list(pool.map(lambda path: sha256_of(path, tick), paths))


def spoilt(
    folder: str, files: Sequence[Done], workers: int | None = None, tick: Callable[[int], None] | None = None
) -> list[Done]:
    """Files whose content is not that of the manifest: all are read, on every core."""
    found = sha256_of_all([os.path.join(folder, one.path) for one in files], workers, tick)
    return [one for one, digest in zip(files, found) if digest != one.sha256]


def git_blob(size: int) -> Any:
    """The hash under which git knows a file of that size."""
    return hashlib.sha1(f"blob {size}\0".encode())
