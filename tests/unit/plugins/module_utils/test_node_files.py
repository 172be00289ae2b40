# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that take no file, told before anything is written."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_files
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import action
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

CREATE = action("services", "create", "web", "there is none")
WRITE = action("host", "write", "/etc/sysctl.d/99-fleet.conf", "it is missing")
ROOM = {"f_flag": 0, "f_bfree": 1 << 20, "f_frsize": 4096, "f_files": 100, "f_ffree": 10}


@pytest.fixture
def system(tmp_path, monkeypatch):
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return System(str(tmp_path))


def told(system, *actions):
    return [(item["value"], item["message"], item["remedy"]) for item in _node_files.findings(system, list(actions))]


def test_a_node_with_room_is_told_nothing(system):
    assert told(system, CREATE, WRITE) == []


@pytest.mark.parametrize(
    ("disk", "why"),
    [
        ({"f_flag": os.ST_RDONLY}, "mounted read-only"),
        ({"f_bfree": 3}, "is full"),
        ({"f_ffree": 0}, "no inode left"),
    ],
)
def test_a_disk_that_takes_nothing_is_told_for_each_folder(system, monkeypatch, disk, why):
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(**{**ROOM, **disk}))
    folders = [(value, message) for value, message, _remedy in told(system, CREATE, WRITE)]
    assert [value for value, _message in folders] == ["/etc/sysctl.d", STATE_DIR]
    assert all(why in message for _value, message in folders)
    assert told(system) == [], "a plan without actions writes nothing"


def test_what_root_may_not_write_is_told_to_root_alone(system, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: not path.endswith("sysctl.d"))
    [(value, message, remedy)] = told(system, WRITE)
    assert (value, message) == ("/etc/sysctl.d", "/etc/sysctl.d cannot be written, not even by root.")
    assert "lsattr" in remedy
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert told(system, WRITE) == []


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_what_stands_in_the_place_of_our_folder_is_named(system, tmp_path, kind):
    (tmp_path / "var/lib").mkdir(parents=True)
    place = tmp_path / STATE_DIR.lstrip("/")
    place.touch() if kind == "file" else place.symlink_to("/nowhere/at/all")
    message = f"{STATE_DIR} stands where a directory is needed and is none."
    assert told(system, CREATE) == [(STATE_DIR, message, "Move it away and run again.")]
