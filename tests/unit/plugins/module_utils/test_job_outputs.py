# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outputs are whole or not there: manifest, publication, and what a killed run leaves."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _job_archive, _job_files, _job_manifest, _job_outputs
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.plugin_utils import _outputs

PATH = "/srv/jobs/cats"
FACTS = {"seconds": 1.0, "cards": [0]}


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width=2, height=2):
    rows = b"".join(b"\0" + b"\x7f" * width for _row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return _job_files.PNG_HEAD + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def job(*expect, spec="a" * 64):
    wanted = [{"path": path, "type": kind, "least": least} for path, kind, least in expect or [("*", "any", 1)]]
    return {"name": "cats", "spec": spec, "outputs": {"path": PATH, "target": "/outputs", "expect": wanted}}


@pytest.fixture
def system(tmp_path):
    return System(str(tmp_path))


def write(system, files):
    folder = _job_outputs.begin(system, PATH)
    for name, content in files.items():
        path = system.path(f"{folder}/{name}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
    return folder


def made(system, files, one=None):
    write(system, files)
    manifest = _job_outputs.seal(system, one or job(), FACTS)
    _job_outputs.publish(system, PATH)
    return manifest


def test_published_outputs_are_a_whole_set_that_replaces_the_one_before(system):
    made(system, {"a": b"1", "sub/b": b"2"})
    made(system, {"c": b"3"})
    assert system.listdir("/srv/jobs") == ["cats"]
    assert system.listdir(PATH) == [".manifest.json", "c"]
    manifest = _job_manifest.read_manifest(system, PATH)
    assert [item["path"] for item in manifest["files"]] == ["c"]
    assert _job_manifest.difference(system, PATH, manifest) is None


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (os.unlink, "is missing"),
        (lambda path: os.truncate(path, 2), "has another size"),
        (lambda path: Path(path).write_text("xyz"), "has another content"),
        (lambda path: os.utime(path, (0, 0)), None),
    ],
    ids=["missing", "cut", "changed", "only touched"],
)
def test_outputs_are_held_against_their_manifest(system, spoil, told):
    manifest = made(system, {"a": b"abc"})
    os.utime(system.path(f"{PATH}/a"), (1, 1))
    spoil(system.path(f"{PATH}/a"))
    found = _job_manifest.difference(system, PATH, manifest)
    assert found == (f"a {told}" if told else None)


def test_what_a_killed_run_had_sealed_is_only_published(system):
    write(system, {"a": b"1"})
    assert not _job_manifest.sealed(system, job())
    _job_outputs.seal(system, job(), FACTS)
    assert _job_manifest.sealed(system, job())
    assert not _job_manifest.sealed(system, job(spec="b" * 64))
    # Killed between the two renames of a publication.
    os.makedirs(system.path("/srv/jobs/.cats.previous"))
    _job_outputs.publish(system, PATH)
    assert system.listdir("/srv/jobs") == ["cats"]


WHOLE = png()


@pytest.mark.parametrize(
    ("files", "expect", "told"),
    [
        ({}, ("*", "any", 1), "0 files match"),
        ({"a.png": WHOLE}, ("*.png", "png", 2), "1 files match"),
        ({"a.png": WHOLE[:-20]}, ("*.png", "png", 1), "a.png is cut off"),
        ({"a.png": WHOLE[:40] + b"\0" + WHOLE[41:]}, ("*.png", "png", 1), "a.png is damaged"),
        ({"a.png": b"<html>"}, ("*.png", "png", 1), "a.png is no PNG picture"),
        ({"a.png": png(0, 1)}, ("*.png", "png", 1), "a.png has no size"),
        ({"a.json": b"{"}, ("*.json", "json", 1), "a.json is no JSON"),
        ({"a": b""}, ("*", "any", 1), "a is empty"),
    ],
)
def test_outputs_that_are_not_as_expected_are_refused(system, files, expect, told):
    write(system, files)
    with pytest.raises(FleetError, match="outputs are not what they should be") as refused:
        _job_outputs.seal(system, job(expect), FACTS)
    assert told in str(refused.value)
    assert refused.value.finding["service"] == "cats"


def test_good_files_are_taken(system):
    made(system, {"a.png": WHOLE, "a.json": b"{}"}, job(("*.png", "png", 1), ("*.json", "json", 1), ("x", "any", 0)))


@pytest.mark.parametrize("make", [lambda p: os.symlink("/etc/shadow", p), lambda p: os.symlink("/etc", p), os.mkfifo])
def test_nothing_but_plain_files_leaves_a_job(system, make):
    folder = write(system, {"a": b"1"})
    make(system.path(f"{folder}/way-out"))
    with pytest.raises(FleetError, match="way-out is no plain file"):
        _job_outputs.seal(system, job(), FACTS)


def test_the_archive_brings_what_the_manifest_names_and_nothing_damaged_arrives(system, tmp_path):
    made(system, {"a": b"abc", "sub/b": b"2"})
    archive = system.path(_job_archive.pack(system, "run", [{"name": "cats", "path": PATH}], os.getuid()))
    assert os.stat(archive).st_mode & 0o777 == 0o600
    arrived = tmp_path / "here"
    arrived.mkdir()
    placed = _outputs.unpack(tmp_path / archive, arrived, ["cats"])
    assert placed == {"cats": str(arrived / "cats")}
    assert (arrived / "cats/sub/b").read_bytes() == b"2"
    with open(system.path(f"{PATH}/a"), "wb") as stream:
        stream.write(b"xyz")
    _job_archive.pack(system, "run", [{"name": "cats", "path": PATH}], os.getuid())
    with pytest.raises(_outputs.DamagedError, match="a of job cats"):
        _outputs.unpack(tmp_path / archive, arrived, ["cats"])
    assert (arrived / "cats/a").read_bytes() == b"abc"
    _job_archive.drop(system, "run")
    assert not os.path.exists(archive)
