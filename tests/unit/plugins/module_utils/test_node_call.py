# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that meets a locked node joins its own work, waits for its own planning, or names the other run."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_call, _work
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.unit.plugins.module_utils.node_documents import document, service


@pytest.fixture
def system(tmp_path):
    return System(str(tmp_path))


def hold(system, run):
    lock = Lock(system)
    assert lock.try_acquire()
    lock.sign({"id": run, "owner": f"ann@{run}"})
    return lock


def status(system, run, digest="d1", done=False):
    text = {"digest": digest, "run": {"id": run}, "phase": "chat: start", "done": done, "result": None}
    system.write(_work.STATUS_FILE, json.dumps(text))


def attach(system, run, work="d1"):
    return _node_call._attach(system, Lock(system), {"run": {"id": run, "owner": "bob"}, "wait": 0}, work)


def test_work_under_way_is_joined_by_its_digest_whatever_the_run(system):
    hold(system, "r1")
    status(system, "r1")
    assert attach(system, "r2")["pending"]["phase"] == "chat: start"


@pytest.mark.parametrize(
    ("of", "digest", "done", "phase"),
    [("r1", "other", False, "chat: start"), ("r1", "d1", True, "planning"), ("killed", "d1", False, "planning")],
    ids=["other work", "work that is done", "work of a killed run"],
)
def test_the_other_run_is_named_where_there_is_nothing_to_join(system, of, digest, done, phase):
    hold(system, "r1")
    status(system, of, digest, done)
    with pytest.raises(FleetError, match=rf"run r1 of ann@r1.*{phase}"):
        attach(system, "r2")


@pytest.mark.parametrize("check_mode", [True, False])
def test_host_settings_stay_where_only_some_services_go(system, check_mode):
    part = document(service("web"), prune="ignore")
    part["host"].update(engine={"socket": "/none.sock"}, sdk={"folder": "/sdk"}, forwarding={}, metadata_block={})
    part["artefacts"] = {"images": []}
    params = {"document": part, "action": "remove", "scope": ["host", "services"], "interrupting": True}
    params.update(run={"id": "r1"}, secrets=None, files=None)
    with pytest.raises(FleetError, match="some of them only"):
        _node_call._apply(system, params, check_mode)


def test_a_runs_own_planning_is_waited_for(system, monkeypatch):
    lock = hold(system, "r1")
    monkeypatch.setattr(_node_call, "_apply", lambda *_arguments: {"changed": False, "again": True})
    monkeypatch.setattr(Lock, "holder", lambda _self: lock.drop_copy() or {"id": "r1", "owner": "ann@r1"})
    assert attach(system, "r1") == {"changed": False, "again": True}
