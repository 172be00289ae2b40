# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole document against a node whose engine does not answer."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node
from ansible_collections.ascend.fleet.plugins.module_utils._findings import action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.unit.plugins.module_utils.node_documents import document, service


def node(tmp_path, action, *scope, prune="report"):
    wanted = document(service("web"), prune=prune)
    wanted["host"]["npus"].update(needed=False, expected=None)
    wanted["host"]["engine"] = {"socket": str(tmp_path / "none.sock"), "manage": True, "daemon": {}, "proxy": None}
    wanted["host"].update(sdk={}, forwarding={}, metadata_block={})
    wanted["artefacts"] = {"images": []}
    params = {"document": wanted, "action": action, "scope": list(scope), "interrupting": True, "run": None}
    return _node.Node(System(str(tmp_path)), {**params, "secrets": None, "files": None, "earlier": [], "proxy": None})


@pytest.mark.parametrize(
    ("action", "program", "checks"),
    [
        ("remove", False, []),
        ("remove", True, ["engine-unavailable"]),
        ("apply", False, ["engine-unavailable"]),
    ],
    ids=["nothing was ever there", "a stopped engine hides what is there", "a service needs an engine"],
)
def test_only_a_node_that_never_had_an_engine_has_nothing_to_remove(tmp_path, action, program, checks):
    if program:
        (tmp_path / "usr/bin").mkdir(parents=True)
        (tmp_path / "usr/bin/dockerd").touch()
    plan = node(tmp_path, action, "services").plan()
    assert [item["check"] for item in plan.findings] == checks
    assert plan.actions == []


@pytest.mark.parametrize(
    ("prune", "action", "partial"),
    [("report", "apply", False), ("remove", "apply", False), ("ignore", "apply", True), ("ignore", "remove", True)],
)
def test_the_host_is_told_that_the_document_is_a_part(tmp_path, monkeypatch, prune, action, partial):
    told = []
    monkeypatch.setattr(_node._host, "observe", lambda *_arguments: {"metadata_block": {"managed": False}})
    monkeypatch.setattr(_node._host, "observe_storage", lambda *_arguments: {})
    for plan in ("plan", "plan_storage"):
        monkeypatch.setattr(_node._host, plan, lambda _want, _observed, partial: told.append(partial) or ([], []))
    monkeypatch.setattr(_node._host, "host_network_findings", lambda *_arguments: [])
    for scope in ("host", "mounts"):
        node(tmp_path, action, scope, prune=prune).plan()
    assert told == [partial, partial]


@pytest.mark.parametrize(("action", "severity"), [("observe", "error"), ("apply", "error"), ("remove", "warning")])
def test_cards_that_cannot_be_read_keep_nobody_from_removing(tmp_path, monkeypatch, action, severity):
    broken = finding("npu-driver-reboot", "The driver does not answer.")
    monkeypatch.setattr(_node._node_npus, "findings", lambda *_arguments: [broken])
    found = [item for item in node(tmp_path, action, "services").plan().findings if item["check"] == broken["check"]]
    assert [item["severity"] for item in found] == [severity]


@pytest.mark.parametrize(("installed", "state"), [(True, "unknown"), (False, "absent")])
def test_a_stopped_engine_hides_what_runs(tmp_path, monkeypatch, installed, state):
    start = action("host", "enable_service", "docker.service", "it must run", None, None)
    one = node(tmp_path, "observe", "host", "services")
    seen = {"engine": {"installed": installed}, "metadata_block": {"managed": False}}
    monkeypatch.setattr(one, "_plan_host", lambda: ([start], [], seen))
    assert [line["state"] for line in one.plan().services] == [state]
