# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that must not be unpacked, and archives that lie in others."""

from __future__ import annotations

import io
import os
import random
import struct
import zipfile
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _package_views as views
from ansible_collections.ascend.fleet.plugins.module_utils import _package_write, _package_zip
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from tests.doubles import packages
from tests.doubles.packages import entry

LINK, CHARACTER, BLOCK, PIPE, SOCKET = 0o120777, 0o20644, 0o60644, 0o10644, 0o140644


def archive(*held: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in held:
            made.writestr(entry(name) if isinstance(name, str) else name, content)
    return memory.getvalue()


def renamed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return content.replace(old, new)


def flagged(content: bytes, bits: int) -> bytes:
    """The same archive with flags set in the local header and in the directory."""
    data = bytearray(content)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature) + at
        data[place : place + 2] = struct.pack("<H", struct.unpack("<H", data[place : place + 2])[0] | bits)
    return bytes(data)


def overlapping() -> bytes:
    """Two entries of the directory whose bytes are the same."""
    data = bytearray(archive(("one", b"x" * 2000), ("two", b"y" * 2000)))
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def opened(folder: Path, content: bytes, limits: _package_zip.Limits | None = None) -> _package_write.Tree:
    path = folder / "AscendCloud-AIGC-6.5.902-1.zip"
    path.write_bytes(content)
    view = views.View(str(path))
    return _package_write.tree(view, "AIGC", _package_zip.directory(view, limits or _package_zip.Limits()))


WHOLE = archive(("a.txt", b"hello " * 1000), ("b.txt", os.urandom(5000)))
BAD = {
    "a name that climbs": (archive(("../a", b"")), "leads out"),
    "a name that climbs later": (archive(("a/../../b", b"")), "leads out"),
    "an absolute name": (archive(("/etc/passwd", b"")), "leads out"),
    "a name with a drive": (archive(("C:/a", b"")), "leads out"),
    "a name with backslashes": (archive((r"..\a", b"")), "leads out"),
    "a name with a hidden end": (renamed(archive(("aXb", b"")), b"aXb", b"a\0b"), "no plain name"),
    "an empty part of a name": (archive(("a//b", b"")), "no plain name"),
    "a line end in a name": (archive(("a\nb", b"")), "no plain name"),
    "a link to an absolute path": (archive((entry("a", LINK), b"/etc")), "the link a, which leads to /etc"),
    "a link out": (archive((entry("d/a", LINK), b"../../x")), "which leads to ../../x"),
    "a link that climbs later": (archive((entry("d/a", LINK), b"e/../../../x")), "which leads to"),
    "a link through a link": (
        archive((entry("s/up", LINK), b".."), (entry("out", LINK), b"s/up/../etc")),
        "which leads to s/up/../etc",
    ),
    "a file below a link": (archive((entry("d", LINK), b"e"), ("d/f", b"x")), "d/f below the link d"),
    "a link without a target": (archive((entry("a", LINK), b"")), "the link a"),
    "a link with an endless target": (archive((entry("a", LINK), b"x" * 5000)), "5000 bytes"),
    "a character device": (archive((entry("a", CHARACTER), b"")), "a character device"),
    "a block device": (archive((entry("a", BLOCK), b"")), "a block device"),
    "a pipe": (archive((entry("a", PIPE), b"")), "a named pipe"),
    "a socket": (archive((entry("a", SOCKET), b"")), "a socket"),
    "a file as a folder": (archive(("a", b"x"), ("a/b", b"y")), "a as a file and as the folder of a/b"),
    "an encrypted entry": (flagged(archive(("a", b"secret")), 0x1), "the encrypted entry a"),
    "entries that share bytes": (overlapping(), "belong to another entry"),
    "a bomb": (archive(("a", bytes(80 << 20))), "times its size"),
    "no archive": (b"nothing of the kind" * 100, "no directory at its end"),
    "half an archive": (WHOLE[: len(WHOLE) // 2], "damaged or incomplete"),
    "an archive without its last bytes": (WHOLE[:-30], "damaged or incomplete"),
    "an empty file": (b"", "0 bytes"),
    "an HTML page": (b"\n<!DOCTYPE html><html>Please log in</html>", "is an HTML page"),
    "an LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a git-lfs pointer"),
    "an unknown compression": (
        archive((entry("a", method=zipfile.ZIP_LZMA), b"x")), "compressed by lzma, which is not understood"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused_before_anything_is_written(what, tmp_path):
    content, says = BAD[what]
    with pytest.raises(FleetError) as caught:
        opened(tmp_path, content)
    assert caught.value.finding["check"] == "package-invalid"
    assert says in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("one", "two"), [("a/b", "a/b"), ("a", "a/")])
def test_a_name_that_occurs_twice_is_refused(one, two, tmp_path):
    with pytest.raises(FleetError, match=f"holds {one} twice"):
        opened(tmp_path, archive((one, b"1"), (two, b"")))


def test_limits_can_be_raised(tmp_path):
    limits = _package_zip.Limits(ratio=2000)
    assert opened(tmp_path, BAD["a bomb"][0], limits).members[0].size == 80 << 20
    with pytest.raises(FleetError, match="more than 1000"):
        opened(tmp_path, archive(("a", bytes(2000))), _package_zip.Limits(size=1000))
    with pytest.raises(FleetError, match="3 entries"):
        opened(tmp_path, archive(("a", b""), ("b", b""), ("c", b"")), _package_zip.Limits(entries=2))


def lying(content: bytes, size: int) -> bytes:
    """An archive whose directory gives its first entry another size."""
    data = bytearray(content)
    first = data.index(b"PK\x01\x02")
    data[first + 24 : first + 28] = struct.pack("<I", size)
    return bytes(data)


SPOILT = bytearray(archive((entry("a", method=zipfile.ZIP_STORED), b"x" * 100)))
SPOILT[50] ^= 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lying(archive(("a", b"x" * 3000)), 10), "larger than it says"),
        (lying(archive(("a", b"x" * 3000)), 5000), "does not match its check sum"),
        (bytes(SPOILT), "does not match its check sum"),
    ],
)
def test_an_entry_is_held_against_what_the_directory_says_of_it(content, says, tmp_path):
    tree = opened(tmp_path, content)
    with pytest.raises(FleetError, match=says):
        _package_write.write([tree], str(tmp_path / "stage"), [], 1, lambda: None)
    assert sum(path.stat().st_size for path in (tmp_path / "stage/AIGC").iterdir()) <= 1 << 20


def test_links_that_stay_inside_are_made_and_modes_kept_within_reason(tmp_path):
    held = [
        (entry("run.sh", 0o104777), b"#!/bin/sh\n"),
        (entry("lib/one.so.1", 0o100600), b"\x7fELF"),
        (entry("lib/one.so", LINK), b"one.so.1"),
        (entry("d/up", LINK), b"../lib/one.so.1"),
    ]
    tree = opened(tmp_path, archive(*held))
    stage = tmp_path / "stage"
    _package_write.write([tree], str(stage), [], 2, lambda: None)
    assert (stage / "AIGC/lib/one.so").read_bytes() == b"\x7fELF"
    assert (stage / "AIGC/d/up").resolve() == (stage / "AIGC/lib/one.so.1").resolve()
    assert (stage / "AIGC/run.sh").stat().st_mode & 0o7777 == 0o755
    assert (stage / "AIGC/lib/one.so.1").stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_in_another_is_read_at_any_place(method, tmp_path, monkeypatch):
    monkeypatch.setattr(views, "SPACING", 100_000)
    monkeypatch.setattr(views, "BLOCK", 10_000)
    inner = packages.zipped({"random": os.urandom(700_000), "text": b"all the same " * 40_000})
    path = packages.outer(tmp_path, {"AIGC": inner}, method)
    view = views.View(str(path))
    [held] = _package_zip.directory(view, _package_zip.Limits())
    nested = _package_zip.nested(view, held, lambda: None)
    chance = random.Random(1)
    for _try in range(200):
        offset, length = chance.randrange(len(inner) + 100), chance.randrange(30_000)
        assert nested.pread(offset, length) == inner[offset : offset + length]
    assert nested.pread(0, len(inner) + 9) == inner


def test_a_compressed_archive_that_is_not_what_the_outer_one_says_is_refused(tmp_path):
    path = packages.outer(tmp_path, {"AIGC": packages.zipped({"random": os.urandom(200_000)})}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[100_000] ^= 255
    path.write_bytes(data)
    view = views.View(str(path))
    [held] = _package_zip.directory(view, _package_zip.Limits())
    with pytest.raises(FleetError, match="damaged or incomplete"):
        _package_zip.nested(view, held, lambda: None)
