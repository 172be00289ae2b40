# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive holds, and whether it may be unpacked. Private to the collection."""

from __future__ import annotations

import calendar
import os
import posixpath
import stat
import struct
import zipfile
import zlib
from typing import Iterator, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._package_views import (
    BLOCK,
    PIECE,
    Beat,
    InflatedView,
    View,
    ViewFile,
    damaged,
)

_LOCAL = struct.Struct("<4s22xHH")
_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UNIX = 3
_LINK_LIMIT = 4096
_KINDS = {0: None, stat.S_IFREG: None, stat.S_IFDIR: None, stat.S_IFLNK: None}
_SPECIAL = {
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_HEADS = (
    (b"version https://git-lfs.github.com/spec/", "is a git-lfs pointer, not the package"),
    (b"<!doctype html", "is an HTML page, not the package"),
    (b"<html", "is an HTML page, not the package"),
)


class Limits(NamedTuple):
    """Above these an archive is taken for a bomb. A ratio is harmless below ``ratio_from`` bytes."""

    size: int = 100 << 30
    entries: int = 500_000
    ratio: int = 200
    ratio_from: int = 64 << 20


class Member(NamedTuple):
    """An entry as the archive's directory has it."""

    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    kind: int
    """S_IFREG, S_IFDIR or S_IFLNK."""
    executable: bool
    mtime: int

    @property
    def mode(self) -> int:
        return 0o755 if self.executable else 0o644


def directory(view: View, limits: Limits) -> list[Member]:
    """All entries, each of them safe to unpack below one folder."""
    try:
        with zipfile.ZipFile(ViewFile(view)) as archive:
            entries = archive.infolist()
            end = archive.start_dir
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, struct.error, OSError, NotImplementedError) as error:
        raise _no_archive(view, error) from error
    if len(entries) > limits.entries:
        raise _unsafe(view, f"holds {len(entries)} entries, more than {limits.entries}")
    members = [_member(view, entry) for entry in entries]
    _refuse_clashes(view, members)
    _refuse_overlaps(view, entries, end)
    _refuse_bombs(view, members, limits)
    return members


def data_offset(view: View, member: Member) -> int:
    """Where the bytes of an entry begin; the local header has to be the one that the directory means."""
    head = view.pread(member.offset, _LOCAL.size)
    if len(head) < _LOCAL.size:
        raise damaged(view.label, f"the header of {member.name} is missing")
    signature, name, extra = _LOCAL.unpack(head)
    if signature != _SIGNATURE:
        raise damaged(view.label, f"there is no header of {member.name} where the directory says")
    return member.offset + int(_LOCAL.size) + int(name) + int(extra)


def content(view: View, member: Member) -> Iterator[bytes]:
    """The bytes of an entry, never more than it says, with its check sum compared at the end."""
    at = data_offset(view, member)
    end = at + member.packed
    crc = size = 0
    inflater = zlib.decompressobj(-15) if member.method == zipfile.ZIP_DEFLATED else None
    while not (inflater.eof if inflater else at >= end):
        piece = view.pread(at, min(PIECE if inflater else BLOCK, end - at))
        block = _inflate(view, member, inflater, piece) if inflater else piece
        at += len(piece) - (len(inflater.unconsumed_tail) if inflater else 0)
        if not block:
            if piece:
                continue
            break
        size += len(block)
        if size > member.size:
            raise _unsafe(view, f"holds {member.name}, which is larger than it says")
        crc = zlib.crc32(block, crc)
        yield block
    if size != member.size or crc != member.crc:
        raise damaged(view.label, f"{member.name} does not match its check sum")


def link_target(view: View, member: Member) -> str:
    if member.size > _LINK_LIMIT:
        raise _unsafe(view, f"holds the link {member.name} with a target of {member.size} bytes")
    return b"".join(content(view, member)).decode("utf-8", "surrogateescape")


def check_links(view: View, members: list[Member], targets: dict[str, str]) -> None:
    """Each link stays inside: it climbs only at its beginning, and leads through no other link."""
    links = set(targets)
    for member in members:
        parents = _parents(member.name)
        through = next((parent for parent in parents if parent in links), None)
        if through:
            raise _unsafe(view, f"holds {member.name} below the link {through}")
    for name, target in targets.items():
        words = target.split("/")
        climbs = [word for word in words if word == ".."]
        reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        through = next((parent for parent in _parents(reached) if parent in links), None)
        if (
            target.startswith("/")
            or "\0" in target
            or not target
            or words[: len(climbs)] != climbs
            or reached.split("/")[0] == ".."
            or through
        ):
            raise _unsafe(view, f"holds the link {name}, which leads to {target}")


def nested(view: View, member: Member, beat: Beat) -> View:
    """The archive inside: a part of the file where it is stored, inflated on the way where it is not."""
    label = f"{member.name} in {view.label}"
    packed = view.part(data_offset(view, member), member.packed, label)
    if packed.size < member.packed:
        raise damaged(view.label, f"{member.name} ends early")
    if member.method == zipfile.ZIP_STORED:
        return packed
    return InflatedView(packed, member.size, member.crc, label, beat)


def _member(view: View, entry: zipfile.ZipInfo) -> Member:
    if entry.flag_bits & _ENCRYPTED:
        raise _unsafe(view, f"holds the encrypted entry {entry.filename}", "Get a package that is not encrypted.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = zipfile.compressor_names.get(entry.compress_type, entry.compress_type)  # type: ignore[attr-defined]  # no stub
        raise _unsafe(view, f"holds {entry.filename}, compressed by {how}, which is not understood")
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    kind = stat.S_IFMT(mode)
    if kind in _SPECIAL:
        raise _unsafe(view, f"holds {entry.filename}, which is {_SPECIAL[kind]}")
    if entry.filename.endswith("/"):
        kind = stat.S_IFDIR
    return Member(
        name=_safe_name(view, entry),
        offset=entry.header_offset,
        packed=entry.compress_size,
        size=entry.file_size,
        crc=entry.CRC,
        method=entry.compress_type,
        kind=kind if kind in _KINDS and kind else stat.S_IFREG,
        executable=bool(mode & 0o111),
        mtime=_seconds(entry),
    )


def _safe_name(view: View, entry: zipfile.ZipInfo) -> str:
    # zipfile cuts a name at NUL and turns the system's separator; what stood in the file counts.
    written = getattr(entry, "orig_filename", entry.filename)
    name = written[:-1] if written.endswith("/") else written
    words = name.split("/")
    drive = len(words[0]) == 2 and words[0][1] == ":"
    if not name or name.startswith("/") or drive or "\\" in name or ".." in words:
        raise _unsafe(view, f"holds an entry named {written!r}, which leads out of its folder")
    if "" in words or "." in words or any(ord(letter) < 32 for letter in name) or len(name.encode()) > 4095:
        raise _unsafe(view, f"holds an entry named {written!r}, which is no plain name")
    return str(name)


def _refuse_clashes(view: View, members: list[Member]) -> None:
    kinds: dict[str, int] = {}
    for member in members:
        if member.name in kinds:
            raise _unsafe(view, f"holds {member.name} twice")
        kinds[member.name] = member.kind
    for member in members:
        clash = next((up for up in _parents(member.name) if kinds.get(up) == stat.S_IFREG), None)
        if clash:
            raise _unsafe(view, f"holds {clash} as a file and as the folder of {member.name}")


def _refuse_overlaps(view: View, entries: list[zipfile.ZipInfo], end: int) -> None:
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    for index, entry in enumerate(ordered):
        limit = ordered[index + 1].header_offset if index + 1 < len(ordered) else end
        if entry.header_offset + _LOCAL.size + entry.compress_size > limit:
            raise _unsafe(view, f"holds {entry.filename}, whose bytes belong to another entry too")


def _refuse_bombs(view: View, members: list[Member], limits: Limits) -> None:
    size = sum(member.size for member in members)
    if size > limits.size:
        raise _unsafe(view, f"unpacks to {size} bytes, more than {limits.size}", "Raise max_size if that is right.")
    packed = sum(member.packed for member in members)
    if size > limits.ratio_from and size > limits.ratio * max(1, packed):
        raise _unsafe(view, f"unpacks to {size // max(1, packed)} times its size", "Raise max_ratio if that is right.")


def _inflate(view: View, member: Member, inflater: zlib._Decompress, piece: bytes) -> bytes:
    try:
        return inflater.decompress(piece, BLOCK)
    except zlib.error as error:
        raise damaged(view.label, f"{member.name}: {error}") from error


def _seconds(entry: zipfile.ZipInfo) -> int:
    try:
        return calendar.timegm((*entry.date_time, 0, 0, 0))
    except (ValueError, OverflowError):
        return 315532800


def _parents(name: str) -> Iterator[str]:
    """The folders above a name, outermost first."""
    words = name.split("/")
    return ("/".join(words[:depth]) for depth in range(1, len(words)))


def _no_archive(view: View, error: Exception) -> FleetError:
    head = view.pread(0, 64).lstrip().lower()
    for beginning, what in _HEADS:
        if head.startswith(beginning):
            return FleetError(
                "package-invalid", f"{view.label} {what}.", "Get the package again.", key="src", value=view.label
            )
    return damaged(view.label, f"{view.size} bytes, and no directory at its end ({error})")


def _unsafe(view: View, what: str, remedy: str | None = None) -> FleetError:
    file = os.path.basename(view.label)
    return FleetError("package-invalid", f"{view.label} {what}.", remedy, key="src", value=file)
