# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of an archive at any place, also of one that lies inside another. Private to the collection.

An archive that lies in another one uncompressed is a part of the outer file. One that lies there compressed is inflated
once from end to end, and the inflater's state is kept every few megabytes: from there any place is reached again, so it
never has to be written out. Reading is by ``pread``, so forked workers share a view without minding each other.
"""

from __future__ import annotations

import io
import os
import zlib
from typing import Any, Callable

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

BLOCK = 1 << 20
PIECE = 1 << 18
SPACING = 16 << 20

Beat = Callable[[], None]


class View:
    """A file, or ``size`` bytes of it from ``start`` on."""

    def __init__(self, path: str, start: int = 0, size: int | None = None, label: str | None = None) -> None:
        self.label = label or path
        self._path = path
        self._start = start
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        there = max(0, os.fstat(self._fd).st_size - start)
        self.size = there if size is None else min(size, there)

    def pread(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, max(0, min(length, self.size - offset)), self._start + offset)

    def part(self, start: int, size: int, label: str) -> View:
        return View(self._path, self._start + start, min(size, self.size - start), label)


class InflatedView(View):
    """What a deflated entry holds; ``packed`` gives its compressed bytes."""

    def __init__(self, packed: View, size: int, crc: int, label: str, beat: Beat) -> None:
        self.label = label
        self.size = size
        self._packed = packed
        self._points: list[tuple[int, int, Any]] = []
        self._inflater: Any = zlib.decompressobj(-15)
        self._in = self._out = 0
        self._block = b""
        self._index(crc, beat)

    def pread(self, offset: int, length: int) -> bytes:
        wanted = max(0, min(length, self.size - offset))
        pieces: list[bytes] = []
        while wanted:
            start = self._out - len(self._block)
            if offset < start or offset > self._out + SPACING:
                self._go_back(offset)
            elif offset >= self._out:
                if not self._advance():
                    break
            else:
                pieces.append(self._block[offset - start : offset - start + wanted])
                offset += len(pieces[-1])
                wanted -= len(pieces[-1])
        return b"".join(pieces)

    def part(self, start: int, size: int, label: str) -> View:
        raise AssertionError("an archive inside an archive inside an archive")

    def _index(self, crc: int, beat: Beat) -> None:
        found = 0
        while True:
            if not self._points or self._out - self._points[-1][0] >= SPACING:
                self._points.append((self._out, self._in, self._inflater.copy()))
            # One byte too many shows an entry that is larger than it says.
            if self._out > self.size or not self._advance():
                break
            found = zlib.crc32(self._block, found)
            beat()
        if self._out != self.size or found != crc:
            raise damaged(self.label, "its content is not what the outer package says")

    def _advance(self) -> bool:
        """Inflate the next block; False at the end."""
        while not self._inflater.eof:
            piece = self._packed.pread(self._in, PIECE)
            try:
                block: bytes = self._inflater.decompress(piece, BLOCK)
            except zlib.error as error:
                raise damaged(self.label, str(error)) from error
            self._in += len(piece) - len(self._inflater.unconsumed_tail)
            if block:
                self._block = block
                self._out += len(block)
                return True
            if not piece:
                break
        return False

    def _go_back(self, offset: int) -> None:
        self._out, self._in, kept = [point for point in self._points if point[0] <= offset][-1]
        self._inflater, self._block = kept.copy(), b""


class ViewFile(io.RawIOBase):
    """A view as the file that zipfile reads a directory from."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._view.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._view.pread(self._at, self._view.size - self._at if size < 0 else size)
        self._at += len(data)
        return data


def damaged(label: str, why: str) -> FleetError:
    return FleetError(
        "package-invalid", f"{label} is damaged or incomplete: {why}.", "Get the package again.", key="src", value=label
    )
