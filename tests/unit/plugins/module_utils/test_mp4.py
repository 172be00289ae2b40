# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos as encoders write them, and what cut and damaged ones are told to be.

The files were made by PyAV (libx264 and mpeg4): plain, with the table first, and in fragments.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.module_utils import _job_files, _mp4

FOLDER = Path(__file__).parent / "mp4"
FACTS = {
    "h264.mp4": (32, 16, 9, 1.125),
    "faststart.mp4": (32, 16, 9, 1.125),
    "fragmented.mp4": (32, 16, 9, 1.125),
    "mpeg4.mp4": (48, 80, 5, 0.3125),
}
WHOLE = {name: (FOLDER / name).read_bytes() for name in FACTS}


@pytest.mark.parametrize("name", FACTS)
def test_size_frames_and_duration_of_a_video(name):
    assert _mp4.read(str(FOLDER / name)) == _mp4.Video(*FACTS[name])
    assert _job_files.problem("mp4", str(FOLDER / name)) is None


@pytest.mark.parametrize("name", FACTS)
def test_a_video_that_is_cut_anywhere_is_refused(name, tmp_path):
    """A file in fragments may end after any of them; all others have to be whole."""
    path = tmp_path / name
    whole = WHOLE[name]
    for length in {*range(0, len(whole), 9), *range(len(whole) - 40, len(whole))}:
        path.write_bytes(whole[:length])
        told = _job_files.problem("mp4", str(path))
        if told is None:
            assert name == "fragmented.mp4"
            assert whole[length + 4 : length + 8] == b"mfra"
        else:
            assert "  " not in told


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<!doctype html><html></html>", "is no MP4 file"),
        (WHOLE["h264.mp4"][:44], "is cut off"),
        (WHOLE["h264.mp4"].replace(b"vide", b"soun"), "holds no video"),
        (WHOLE["h264.mp4"].replace(b"stts", b"xxxx"), "lacks the table stts"),
        (WHOLE["h264.mp4"].replace(b"moov", b"xxxx"), "has no table of its content"),
        (WHOLE["faststart.mp4"].replace(b"mdat", b"free"), "holds no frame"),
    ],
)
def test_what_is_wrong_is_told(content, says, tmp_path):
    path = tmp_path / "output.mp4"
    path.write_bytes(content)
    assert says in str(_job_files.problem("mp4", str(path)))


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 1 << 20), st.integers(0, 255))
def test_no_damage_is_anything_but_told(name, at, value):
    data = bytearray(WHOLE[name])
    data[at % len(data)] = value
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(_mp4.Mp4Error):
            assert _mp4.read(file.name).frames > 0


def test_a_video_of_another_size_is_told():
    path = str(FOLDER / "mpeg4.mp4")
    assert _job_files.problem("mp4", path, [80, 48]) is None
    assert _job_files.problem("mp4", path, [48, 80]) is None
    assert _job_files.problem("mp4", path, [720, 1280]) == "shows pictures of 80*48, not of 720*1280"


def test_ffprobe_is_asked_where_there_is_one(tmp_path, monkeypatch):
    program = tmp_path / "ffprobe"
    program.write_text("#!/bin/sh\necho 'moov atom not found' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    told = _job_files.problem("mp4", str(FOLDER / "h264.mp4"))
    assert told == "is refused by ffprobe (moov atom not found)"
