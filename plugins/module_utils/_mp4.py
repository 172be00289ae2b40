# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an MP4 file says of its video: size, frames, duration. Private to the collection.

Only the container is read, by the layout of ISO/IEC 14496-12: plain files, and files in fragments.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, Iterator, NamedTuple

_TABLE_LIMIT = 64 << 20
_VIDEO = b"vide"
# Flags of a fragment's tables: which optional fields are there.
_TFHD_BASE, _TFHD_DESCRIPTION, _TFHD_DURATION = 0x1, 0x2, 0x8
_TRUN_OFFSET, _TRUN_FIRST_FLAGS, _TRUN_DURATION = 0x1, 0x4, 0x100
_TRUN_FIELDS = (0x100, 0x200, 0x400, 0x800)


class Video(NamedTuple):
    width: int
    height: int
    frames: int
    seconds: float


class Mp4Error(Exception):
    """The file is no whole MP4 video; the text continues "the file ..."."""


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


class _Track(NamedTuple):
    number: int
    width: int
    height: int
    timescale: int
    frames: int
    duration: int


def read(path: str) -> Video:
    with open(path, "rb") as stream:
        try:
            return _video(stream, os.fstat(stream.fileno()).st_size)
        except struct.error as error:
            raise Mp4Error("is damaged: one of its tables ends early") from error


def _video(stream: BinaryIO, size: int) -> Video:
    boxes = list(_top_level(stream, size))
    kinds = [box.kind for box in boxes]
    if b"moov" not in kinds:
        raise Mp4Error("is cut off: it has no table of its content" if b"mdat" in kinds else "holds no video")
    tables = _load(stream, boxes[kinds.index(b"moov")])
    tracks = [track for track in map(_track, _find(tables, b"trak")) if track]
    if not tracks:
        raise Mp4Error("holds no video")
    track = tracks[0]
    defaults = _fragment_defaults(tables)
    for box in boxes:
        if box.kind == b"moof":
            track = _with_fragment(track, _load(stream, box), defaults.get(track.number, 0))
    stored = sum(box.end - box.start for box in boxes if box.kind == b"mdat")
    if not track.frames or not stored:
        raise Mp4Error("holds no frame")
    if not track.width or not track.height:
        raise Mp4Error("says no size of its pictures")
    if not track.timescale or not track.duration:
        raise Mp4Error("has no duration")
    return Video(track.width, track.height, track.frames, track.duration / track.timescale)


def _top_level(stream: BinaryIO, size: int) -> Iterator[_Box]:
    at = 0
    while at < size:
        stream.seek(at)
        head = stream.read(16)
        if len(head) < 8:
            raise Mp4Error("is cut off")
        length, kind = struct.unpack(">I4s", head[:8])
        start = at + 8
        if length == 1:
            length, start = struct.unpack(">Q", head[8:16])[0], at + 16
        elif length == 0:
            length = size - at
        if at == 0 and kind != b"ftyp":
            raise Mp4Error("is no MP4 file")
        if length < start - at or at + length > size:
            raise Mp4Error("is cut off")
        yield _Box(kind, start, at + length)
        at += length
    if not size:
        raise Mp4Error("is empty")


def _load(stream: BinaryIO, box: _Box) -> bytes:
    if box.end - box.start > _TABLE_LIMIT:
        raise Mp4Error("is damaged: its table of content is larger than any video's")
    stream.seek(box.start)
    return stream.read(box.end - box.start)


def _children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if length < 8 or at + length > len(data):
            raise Mp4Error("is damaged: one of its tables ends early")
        yield kind, data[at + 8 : at + length]
        at += length


def _find(data: bytes, *path: bytes) -> Iterator[bytes]:
    for kind, content in _children(data):
        if kind == path[0]:
            if len(path) == 1:
                yield content
            else:
                yield from _find(content, *path[1:])


def _first(data: bytes, *path: bytes) -> bytes:
    found = next(_find(data, *path), None)
    if found is None:
        raise Mp4Error(f"is damaged: it lacks the table {path[-1].decode()}")
    return found


def _track(data: bytes) -> _Track | None:
    if _first(data, b"mdia", b"hdlr")[8:12] != _VIDEO:
        return None
    header = _first(data, b"tkhd")
    number = struct.unpack(">I", header[20:24] if header[0] else header[12:16])[0]
    width, height = struct.unpack(">II", header[-8:])
    media = _first(data, b"mdia", b"mdhd")
    timescale, duration = struct.unpack(">IQ", media[20:32]) if media[0] else struct.unpack(">II", media[12:20])
    times = _first(data, b"mdia", b"minf", b"stbl", b"stts")
    entries = struct.unpack(">I", times[4:8])[0]
    counted = [struct.unpack(">II", times[8 + 8 * index : 16 + 8 * index]) for index in range(entries)]
    frames = sum(count for count, _delta in counted)
    # Some writers leave the duration of the media at 0.
    duration = duration or sum(count * delta for count, delta in counted)
    return _Track(number, width >> 16, height >> 16, timescale, frames, duration)


def _fragment_defaults(tables: bytes) -> dict[int, int]:
    """By track, how long a frame of a fragment lasts that does not say so itself."""
    found = (struct.unpack(">III", content[4:8] + content[12:20]) for content in _find(tables, b"mvex", b"trex"))
    return {number: duration for number, duration, _size in found}


def _with_fragment(track: _Track, fragment: bytes, default: int) -> _Track:
    for traf in _find(fragment, b"traf"):
        header = _first(traf, b"tfhd")
        flags, number = struct.unpack(">II", header[:8])
        if number != track.number:
            continue
        at = 8 + (8 if flags & _TFHD_BASE else 0) + (4 if flags & _TFHD_DESCRIPTION else 0)
        length = struct.unpack(">I", header[at : at + 4])[0] if flags & _TFHD_DURATION else default
        for run in _find(traf, b"trun"):
            frames, duration = _run(run, length)
            track = track._replace(frames=track.frames + frames, duration=track.duration + duration)
    return track


def _run(run: bytes, length: int) -> tuple[int, int]:
    flags, count = struct.unpack(">II", run[:8])
    at = 8 + (4 if flags & _TRUN_OFFSET else 0) + (4 if flags & _TRUN_FIRST_FLAGS else 0)
    if not flags & _TRUN_DURATION:
        return count, count * length
    step = 4 * sum(1 for field in _TRUN_FIELDS if flags & field)
    return count, sum(struct.unpack(">I", run[at + step * index : at + step * index + 4])[0] for index in range(count))
