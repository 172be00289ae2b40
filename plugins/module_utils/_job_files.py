# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file that a job leaves must be: one function per type of file. Private to the collection."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from typing import BinaryIO, Callable, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import _mp4
from ansible_collections.ascend.fleet.plugins.module_utils._system import run_process

Validator = Callable[[str], "str | None"]

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_CHUNK_LIMIT = 1 << 31
_PROBE_SECONDS = 60


def problem(kind: str, path: str, frame: Sequence[int] | None = None) -> str | None:
    """Why the file is none of its type, or None. ``frame`` is the height and width that a video has to have."""
    try:
        return _other_frame(path, frame) if frame else VALIDATORS[kind](path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _any(path: str) -> str | None:
    return None if os.path.getsize(path) else "is empty"


def _json(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as stream:
            json.load(stream)
    except ValueError as error:
        return f"is no JSON ({error})"
    return None


def _png(path: str) -> str | None:
    with open(path, "rb") as stream:
        if stream.read(len(PNG_HEAD)) != PNG_HEAD:
            return "is no PNG picture"
        return _chunks(stream)


def _chunks(stream: BinaryIO) -> str | None:
    """A picture is whole when every chunk has its checksum, the first tells a size and the last is the end."""
    first, pixels = True, False
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return "is cut off"
        length, name = struct.unpack(">I4s", head)
        if length > _CHUNK_LIMIT:
            return "is no PNG picture"
        body, checksum = stream.read(length), stream.read(4)
        if len(body) < length or len(checksum) < 4:
            return "is cut off"
        if zlib.crc32(name + body) != struct.unpack(">I", checksum)[0]:
            return f"is damaged (chunk {name.decode('latin-1')})"
        if first and (name != b"IHDR" or not all(struct.unpack(">II", body[:8]))):
            return "has no size"
        first, pixels = False, pixels or name == b"IDAT"
        if name == b"IEND":
            return None if pixels else "holds no picture"


def _video(path: str) -> str | None:
    try:
        _mp4.read(path)
    except _mp4.Mp4Error as error:
        return str(error)
    program = shutil.which("ffprobe")
    if program is None:
        return None
    looked = run_process([program, "-v", "error", "-i", path], timeout=_PROBE_SECONDS)
    return f"is refused by ffprobe ({looked.err.strip()[-200:]})" if looked.rc or looked.err.strip() else None


def _other_frame(path: str, frame: Sequence[int]) -> str | None:
    flaw = _video(path)
    if flaw:
        return flaw
    found = _mp4.read(path)
    # Which of the two comes first is told differently by those who make videos and those who play them.
    if sorted(frame) == sorted((found.height, found.width)):
        return None
    return f"shows pictures of {found.height}*{found.width}, not of {frame[0]}*{frame[1]}"


VALIDATORS: dict[str, Validator] = {"any": _any, "json": _json, "mp4": _video, "png": _png}
