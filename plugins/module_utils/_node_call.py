# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of fleet_node: observe, apply, poll or release. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _lock, _node_apply, _node_done, _node_report, _work
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATUS_DIR, digest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, answered, unwritable
from ansible_collections.ascend.fleet.plugins.module_utils._node import Node, NodePlan
from ansible_collections.ascend.fleet.plugins.module_utils._node_observe import observe
from ansible_collections.ascend.fleet.plugins.module_utils._node_options import check_schema
from ansible_collections.ascend.fleet.plugins.module_utils._node_probe import answers
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

# An observation of a slow node takes its npu-smi's time and some more.
PLANNING_SECONDS = 60


def handle(params: Json, check_mode: bool) -> Json:
    def call() -> Json:
        check_schema(params["document"])
        return _ACTIONS[params["action"]](System(), params, check_mode)

    return answered(call)


def _apply(system: System, params: Json, check_mode: bool) -> Json:
    run = params["run"]
    node = Node(system, params)
    if node.removing and "host" in node.scope and node.document["prune"] == "ignore":
        raise FleetError(
            "teardown-partial",
            "The host settings serve every service of the node, and this run is about some of them only.",
            key="fleet_teardown_host",
        )
    if check_mode:
        return _node_report.planned(node.plan(), params["earlier"])
    # Models are planned here, and brought by the role model_weights.
    node.scope.discard("models")
    parts = [params["action"], params["document"], sorted(params["scope"]), params["interrupting"]]
    parts += [params.get("bake"), params.get("rollback")]
    work = digest(parts)
    lock = _lock.Lock(system)
    if not lock.try_acquire():
        return _attach(system, lock, params, work)
    lock.sign({"id": run["id"], "owner": run["owner"]})

    def renew() -> None:
        _lock.claim(system, run["id"], run["owner"], run["lease_seconds"], params["take_over"])

    plan = node.plan()
    recovered: list[Json] = []
    if _node_apply.was_cut_off(node):
        # Whatever stands against this run, the service that a killed one took down comes back first.
        renew()
        recovered = _node_apply.put_back(node, plan)
        plan = node.plan()
        plan = plan._replace(actions=recovered + plan.actions)
    errors = _node_report.plan_errors(plan)
    if errors:
        return _node_report.refused(plan, errors, changed=bool(recovered))
    if not plan.actions:
        return _node_report.observed(plan)
    renew()

    def job(progress: _work.Progress) -> Json:
        def renewing(text: str) -> None:
            renew()
            progress(text)

        lines = _node_apply.apply(node, plan, run["id"], renewing)
        applied = plan._replace(images=node.images.lines()) if "images" in node.scope else plan
        applied = applied._replace(bakes=node.bake_lines())
        jobs, failures = _node_apply.run_jobs(node, plan, run["id"], renewing)
        return _node_report.applied(applied, lines + jobs, failures)

    _work.start(system, lock, work, {"id": run["id"], "owner": run["owner"]}, _with_plan(node, plan, job))
    return _outcome(system, work, params["wait"])


def _with_plan(node: Node, plan: NodePlan, job: _work.Job) -> _work.Job:
    """The work, whose failure hides neither what was planned nor what was done."""

    def told(progress: _work.Progress) -> Json:
        try:
            return job(progress)
        except (FleetError, OSError) as error:
            failure = error if isinstance(error, FleetError) else unwritable(error)
            if failure is None:
                raise
            seen, done = _node_done.after(node, plan)
            return _node_report.stopped(seen, done, failure.finding)

    return told


def _attach(system: System, lock: _lock.Lock, params: Json, work: str) -> Json:
    """Another change is under way: ours from before a lost connection, or somebody else's."""
    deadline = time.monotonic() + PLANNING_SECONDS
    while True:
        status = _work.read_status(system) or {}
        holder = lock.holder().get("id")
        # A killed worker's status says that it goes on; who holds the lock now tells.
        under_way = not status.get("done", True) and status["run"]["id"] == holder
        if under_way and status["digest"] == work:
            return _outcome(system, work, params["wait"])
        if under_way or holder != params["run"]["id"] or time.monotonic() > deadline:
            raise lock.refusal(status["phase"] if under_way else "planning")
        # This run's own earlier call still plans; it starts the work, or ends and leaves it to this one.
        if lock.try_acquire():
            lock.drop_copy()
            return _apply(system, params, False)


def _poll(system: System, params: Json, check_mode: bool) -> Json:
    return _outcome(system, params["work"], params["wait"])


def _outcome(system: System, work: str, seconds: float) -> Json:
    status = _work.wait(system, work, seconds, _lock.Lock(system).is_held)
    if status is None:
        raise FleetError(
            "step-failed", "The work on the node ended without a result; it was killed or the node restarted."
        )
    if status["done"]:
        result: Json = status["result"]
        return result
    return {"changed": False, "pending": {"work": work, "phase": status["phase"], "run": status["run"]}}


def _release(system: System, params: Json, check_mode: bool) -> Json:
    if check_mode:
        return {"changed": False, "released": False, "findings": []}
    _work.sweep(system, f"{STATUS_DIR}/weights", params["run"]["id"])
    released = _lock.release(system, params["run"]["id"])
    return {"changed": False, "released": released, "findings": []}


_ACTIONS = {
    "observe": observe,
    "probe": answers,
    "apply": _apply,
    "remove": _apply,
    "poll": _poll,
    "release": _release,
}
