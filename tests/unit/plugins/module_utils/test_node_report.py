# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fleet_node returns of a plan."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_report
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
