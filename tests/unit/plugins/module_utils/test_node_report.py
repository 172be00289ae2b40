# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fleet_node returns of a plan."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_done, _node_report
from ansible_collections.ascend.fleet.plugins.module_utils._findings import action
from ansible_collections.ascend.fleet.plugins.module_utils._node import NodePlan


@pytest.mark.parametrize(
    ("before", "after"), [(None, None), ({}, {"image": "web:1"}), ("running", None), ("stopped", "stopped")]
)
def test_every_action_shows_in_a_diff(before, after):
    act = action("services", "finish", "chat", "an earlier run was cut off", before, after)
    (diff,) = _node_report.planned(NodePlan([act], [], [], [], [], {}))["diff"]
    # Ansible leaves out a diff whose two sides are the same.
    assert diff["before"] != diff["after"]
    assert "finish chat" in diff["after_header"]


def test_check_mode_leaves_out_what_an_earlier_step_has_predicted():
    actions = [
        action("host", "write", "/etc/a", "it differs"),
        action("host", "restart_engine", "docker.service", "it differs", interrupts=True),
        action("images", "load", "web:1", "it is missing"),
        action("services", "create", "chat", "it is missing"),
    ]
    plan = NodePlan(actions, [], [], [], [], {})
    assert [act["action"] for act in _node_report.planned(plan, ["host", "images"])["plan"]] == [
        "restart_engine",
        "create",
    ]
    assert _node_report.planned(plan)["plan"] == actions
    assert _node_report.planned(plan._replace(actions=actions[:1]), ["host"])["changed"] is False


PLANNED = [
    action("host", "write", "/etc/a", "it differs"),
    action("images", "pull", "web:1", "it is missing", after={"digest": "sha256:d"}),
    action("images", "load", "db:1", "it is missing", after={"digest": None}),
    action("bakes", "bake", "draw:1", "it is missing", after={}),
    action("services", "create", "db", "it is missing"),
    action("services", "replace", "web", "it differs"),
]


@pytest.mark.parametrize(
    ("left", "present", "done"),
    [
        ([0, 4, 5], {}, []),
        ([5], {}, ["/etc/a", "db"]),
        ([0, 4, 5], {"web:1": {"sha256:d"}}, ["web:1"]),
        ([0, 4, 5], {"web:1": {"sha256:old"}, "db:1": {"sha256:1"}}, ["db:1"]),
    ],
    ids=["nothing", "until the last service", "one image", "other content under the name"],
)
def test_what_was_done_before_a_failure_is_what_is_not_to_be_done_any_more(left, present, done):
    found = _node_done.carried_out(PLANNED, [PLANNED[index] for index in left], present)
    assert [act["target"] for act in found] == done
