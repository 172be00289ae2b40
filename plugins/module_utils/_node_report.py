# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fleet_node returns. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict, Iterable

from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, failed
from ansible_collections.ascend.fleet.plugins.module_utils._node import NodePlan

Json = Dict[str, Any]


def observed(plan: NodePlan) -> Json:
    return _result(plan, changed=False)


def planned(plan: NodePlan, earlier: Iterable[str] = ()) -> Json:
    """Check mode: what the real run would do, refusals included.

    What interrupts is left to the step that deploys services, so one before that cannot have predicted it.
    """
    done = set(earlier)
    kept = [act for act in plan.actions if act["scope"] not in done or (act["interrupts"] and "services" not in done)]
    plan = plan._replace(actions=kept)
    errors = plan_errors(plan)
    return refused(plan, errors) if errors else _result(plan, changed=bool(plan.actions))


def applied(plan: NodePlan, lines: list[Json], failures: Iterable[Json] = ()) -> Json:
    result = dict(_result(plan, changed=bool(plan.actions)), services=lines)
    against = list(failures)
    return failed(dict(result, findings=[*result["findings"], *against]), against) if against else result


def stopped(plan: NodePlan, done: list[Json] | None, failure: Json) -> Json:
    """What failed on the way, with the actions that were done before; None where nobody knows."""
    return dict(applied(plan, plan.services, [failure]), done=done)


def refused(plan: NodePlan, errors: list[Json], changed: bool = False) -> Json:
    return failed(_result(plan, changed), errors)


def plan_errors(plan: NodePlan) -> list[Json]:
    return [item for item in plan.findings if item["severity"] == ERROR]


def _result(plan: NodePlan, changed: bool) -> Json:
    return {
        "changed": changed,
        "plan": plan.actions,
        "findings": plan.findings,
        "services": plan.services,
        "images": list(plan.images),
        "bakes": list(plan.bakes),
        "node": plan.node,
        "diff": [_diff(act) for act in plan.actions],
    }


def _diff(act: Json) -> Json:
    header = f"{act['action']} {act['target']} ({act['reason']})"
    before, after = (_shown(act[side]) for side in ("before", "after"))
    if before == after:
        # Ansible shows nothing of a diff without a difference, not even its header.
        after = act["reason"]
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def _shown(value: Any) -> Any:
    return "" if value is None else value
