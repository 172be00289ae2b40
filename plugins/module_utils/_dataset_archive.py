# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data out of a zip or tar, nothing outside of its folder and no more than it should be. Private to the collection."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Tuple

from ansible_collections.ascend.fleet.plugins.module_utils import _package_zip, _transfer
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._package_views import View

BLOCK = 1 << 20
# What a tar that is cut off or overwritten makes of its readers.
BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)
Content = Iterator[bytes]
Entry = Tuple[str, int, Content]
Tick = Callable[[int], None]


class Limits(NamedTuple):
    """Above these an archive is taken for a bomb. A ratio is harmless below ``ratio_from`` bytes."""

    size: int
    entries: int = 1_000_000
    ratio: int = 200
    ratio_from: int = 64 << 20


def unpack(archive: str, label: str, target: str, folder: str | None, limits: Limits, tick: Tick) -> list[str]:
    """The regular files of an archive below ``target``; of those in ``folder`` alone where it is named."""
    prefix = f"{folder.strip('/')}/" if folder else ""
    packed = os.path.getsize(archive)
    written: list[str] = []
    total = 0
    for name, size, content in _entries(archive, label, limits):
        if not name.startswith(prefix):
            continue
        path = name[len(prefix) :]
        total += size
        _bounds(label, len(written) + 1, total, packed, limits)
        _transfer.check_space(target, size)
        _write(os.path.join(target, path), content, size, label, tick)
        written.append(path)
    if not written:
        where = f" below {folder}" if folder else ""
        raise FleetError("dataset-archive", f"{label} holds no file{where}.", key="archive", value=label)
    return written


def _entries(archive: str, label: str, limits: Limits) -> Iterable[Entry]:
    # A zip is known by its end, which the last file in a tar may have as well.
    if tarfile.is_tarfile(archive):
        return _tar(archive, label)
    if zipfile.is_zipfile(archive):
        return _zip(archive, label, limits)
    message = f"{label} is neither a zip nor a tar."
    raise FleetError("dataset-archive", message, key="archive", value=label)


def _zip(archive: str, label: str, limits: Limits) -> Iterator[Entry]:
    view = View(archive, label=label)
    bounds = _package_zip.Limits(limits.size, limits.entries, limits.ratio, limits.ratio_from)
    for member in _package_zip.directory(view, bounds):
        if member.kind == stat.S_IFLNK:
            raise _unsafe(label, f"the link {member.name}")
        if member.kind == stat.S_IFREG:
            yield member.name, member.size, _package_zip.content(view, member)


def _tar(archive: str, label: str) -> Iterator[Entry]:
    seen: set[str] = set()
    try:
        with tarfile.open(archive, "r:*") as opened:
            for member in opened:
                name = member.name[2:] if member.name.startswith("./") else member.name
                if member.isdir() and name.strip("/") in ("", "."):
                    continue
                words = name.rstrip("/").split("/")
                if name.startswith("/") or {"..", ".", ""} & set(words) or "\0" in name or "\\" in name:
                    raise _unsafe(label, f"an entry named {member.name!r}, which is no plain name below its folder")
                if member.isdir():
                    continue
                if not member.isreg():
                    raise _unsafe(label, f"{name}, which is neither a file nor a folder")
                if name in seen:
                    raise _unsafe(label, f"{name} twice")
                seen.add(name)
                yield name, member.size, _read(opened.extractfile(member), label)
    except BROKEN as error:
        raise _damaged(label, error) from error


def _read(stream: Any, label: str) -> Content:
    while True:
        try:
            block = stream.read(BLOCK)
        except BROKEN as error:
            raise _damaged(label, error) from error
        if not block:
            return
        yield block


def _damaged(label: str, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return FleetError("dataset-archive", f"{label} is damaged: {error}.", key="archive", value=label)


def _write(path: str, content: Content, size: int, label: str, tick: Tick) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as out:
            for block in content:
                out.write(block)
                tick(len(block))
            out.flush()
            os.fsync(out.fileno())
            length = out.tell()
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _unsafe(label, f"{os.path.basename(path)} as a file and as a folder") from None
    if length != size:
        raise FleetError("dataset-archive", f"{label} is damaged: {os.path.basename(path)} ends early.", key="archive")


def _bounds(label: str, count: int, size: int, packed: int, limits: Limits) -> None:
    if count > limits.entries:
        raise _unsafe(label, f"more than {limits.entries} files")
    if size > limits.size:
        raise _unsafe(label, f"more than {_transfer.human(limits.size)}", "Raise max_size if that is right.")
    if size > limits.ratio_from and size > limits.ratio * max(1, packed):
        raise _unsafe(label, f"more than {limits.ratio} times its own size")


def _unsafe(label: str, what: str, remedy: str | None = None) -> FleetError:
    return FleetError("dataset-archive", f"{label} holds {what}.", remedy, key="archive", value=label)
