# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change that failed has done before, as the node itself shows it. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _node_report
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._node import Node, NodePlan

Json = Dict[str, Any]

# Whether these are done cannot be told without asking registries, one of which may be what failed.
_REMOTE = {"images", "bakes"}
_BRINGING = ("pull", "load")


def after(node: Node, plan: NodePlan) -> tuple[NodePlan, list[Json] | None]:
    """The plan with the services as they are now, and its actions that are done; None where that cannot be told."""
    try:
        present = _present(node) if any(act["scope"] == "images" for act in plan.actions) else {}
        node.scope -= _REMOTE
        now = node.plan()
    except FleetError:
        return plan, None
    if _node_report.plan_errors(now):
        # What stands against a plan hides actions of it.
        return plan, None
    return plan._replace(services=now.services or plan.services), carried_out(plan.actions, now.actions, present)


def carried_out(planned: list[Json], left: list[Json], present: dict[str, set[str]]) -> list[Json]:
    """``present`` holds the digests of each image that the engine has, by reference."""
    undone = {_key(act) for act in left}
    return [act for act in planned if (_has_come(act, present) if act["scope"] in _REMOTE else _key(act) not in undone)]


def _has_come(act: Json, present: dict[str, set[str]]) -> bool:
    if act["action"] not in _BRINGING or act["target"] not in present:
        return False
    wanted = (act["after"] or {}).get("digest")
    return wanted is None or wanted in present[act["target"]]


def _present(node: Node) -> dict[str, set[str]]:
    return {line["reference"]: {line["id"], line["digest"]} for line in node.images.lines() if line["id"]}


def _key(act: Json) -> tuple[str, str, str]:
    return act["scope"], act["action"], act["target"]
