# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of our own on a node that a disk or a hand has damaged: they count as not there, and nothing breaks."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _bake_records,
    _host_engine,
    _image_history,
    _lock,
    _node_jobs,
    _node_rollback,
    _work,
)
from ansible_collections.ascend.fleet.plugins.module_utils._document import LEASE_FILE, SERVICES_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

UNIT = {"ActiveState": "active", "InvocationID": "1"}
JOB = {"name": "pictures", "spec": "s"}
READERS = {
    _host_engine.RESTART_NOTE: lambda system: _host_engine.restart_due(system, UNIT),
    f"{SERVICES_DIR}/web.json": lambda system: _node_rollback.read(system, "web"),
    _node_jobs.failure_file("pictures"): lambda system: _node_jobs._failure(system, JOB),
    _image_history.HISTORY: _image_history.read,
    f"{_bake_records.RECORDS}/one.json": _bake_records.records,
    _work.STATUS_FILE: _work.read_status,
    LEASE_FILE: _lock.read_lease,
}
DAMAGE = ["", "{", "null", "[]", "[1, 2]", '["text"]', '"text"', "7", '[{"id": 1}]', "\x00\x00", '{"other": 1}']


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("path", READERS)
def test_a_damaged_record_is_none(tmp_path, path, damage):
    system = System(str(tmp_path))
    system.write(path, damage)
    found = READERS[path](system)
    assert not found or (path == _work.STATUS_FILE and found == {"other": 1})


VERSION = {"wanted": "w", "service": {"name": "web"}, "image": {"id": "sha256:1", "digest": None}}


@pytest.mark.parametrize(
    ("record", "whole"),
    [
        ({"running": VERSION, "previous": None}, True),
        ({"running": VERSION, "previous": VERSION}, True),
        ({"running": {"wanted": "w"}, "previous": None}, False),
        ({"running": VERSION, "previous": []}, False),
        ({"running": dict(VERSION, image="sha256:1"), "previous": VERSION}, False),
    ],
)
def test_a_way_back_is_whole_or_none(tmp_path, record, whole):
    system = System(str(tmp_path))
    system.write(f"{SERVICES_DIR}/web.json", json.dumps({"schema": 1, **record}))
    assert bool(_node_rollback.read(system, "web")) is whole
    assert _node_rollback.images(system, {}) == ({"sha256:1"} if whole and record["previous"] else set())
