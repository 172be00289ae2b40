# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what users want of a job to what the role has to do. Private to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _volcano_api,
    _volcano_job,
    _volcano_nodes,
    _volcano_observe,
    _volcano_plan,
    _volcano_render,
    _volcano_values,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem, errors
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_render import Rendered
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_values import Values

PRESENT, ABSENT, SUSPENDED, RESUMED = STATES = ("present", "absent", "suspended", "resumed")
DELETE, COMMAND = "delete", "command"
BUS = "bus.volcano.sh/v1alpha1"


@dataclass(frozen=True)
class Question:
    values: Mapping[str, Any]
    state: str
    crd: Mapping[str, Any] | None = None
    recreate: bool = False
    rerun: bool = False


@dataclass
class Answer:
    """What to do, and everything that doing it takes."""

    action: str = _volcano_plan.NOTHING
    reason: str = ""
    phase: str = ""
    job: dict[str, Any] | None = None
    config_map: dict[str, Any] | None = None
    storage: list[dict[str, Any]] = field(default_factory=list)
    command: dict[str, Any] | None = None
    patch: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    follow: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        shown = {key: value for key, value in vars(self).items() if key != "problems"}
        return {**shown, "problems": [problem.as_dict() for problem in self.problems]}


def answer(question: Question, reader: _volcano_api.Reader | None) -> Answer:
    """Without a reader nothing but the definition is judged."""
    if question.state != PRESENT:
        return _change_of_state(question, reader)
    outcome = _volcano_job.compile_job(question.values, question.crd)
    found = Answer(problems=outcome.problems)
    if outcome.values is None or outcome.rendered is None:
        return found
    _take(found, outcome.values, outcome.rendered)
    if reader is None or errors(found.problems):
        return found
    return _against_cluster(question, outcome.values, outcome.rendered, reader)


def _take(found: Answer, values: Values, rendered: Rendered) -> None:
    found.job = _volcano_render.signed(rendered.job)
    found.config_map = rendered.config_map
    found.storage = list(rendered.storage)
    found.follow = _follow(values)


def _follow(values: Values) -> dict[str, Any]:
    table = values.dialect.rank_table
    return {
        "name": values.name,
        "namespace": values.namespace,
        "task": values.dialect.main_task,
        "nodes": values.nodes,
        "npus": values.npus,
        "rank_table": table.prefix + values.name if table else None,
        "rank_table_key": table.key if table else "",
    }


def _against_cluster(question: Question, values: Values, rendered: Rendered, reader: _volcano_api.Reader) -> Answer:
    map_name = rendered.config_map["metadata"]["name"] if rendered.config_map else None
    seen = _volcano_observe.observe(reader, values, map_name)
    found = Answer(problems=list(seen.problems), phase=_volcano_plan.phase(seen.job))
    if any(problem.check in _volcano_observe.NOWHERE_TO_GO for problem in seen.problems):
        return found
    offers = _volcano_nodes.offers(seen.nodes, values)
    proposed = _volcano_plan.compute_of(seen.job) if seen.job else _volcano_nodes.propose(offers, values)
    values = _volcano_job.with_compute(values, *proposed)
    outcome = _volcano_job.checked(values, question.crd or seen.crd)
    found.problems += outcome.problems
    if outcome.rendered is None:
        return found
    _take(found, values, outcome.rendered)
    wanted = _volcano_render.signed(outcome.rendered.job)
    plan = _volcano_plan.plan(wanted, seen.job, question.recreate, question.rerun)
    starts = plan.action in (_volcano_plan.CREATE, _volcano_plan.REPLACE, _volcano_plan.UPDATE)
    if starts and not _volcano_observe.unchecked(seen.problems, "nodes"):
        found.problems += _volcano_nodes.check(offers, values)
    if not starts:
        found.problems = [p for p in found.problems if not p.check.startswith(("queue-", "pvc-"))]
    found.problems += plan.problems
    found.action, found.reason = plan.action, plan.reason
    found.changes = [change.as_dict() for change in plan.changes]
    found.patch = plan.patch()
    return found


def _change_of_state(question: Question, reader: _volcano_api.Reader | None) -> Answer:
    """Deleting, suspending and resuming need no more than the name of the job."""
    found = Answer()
    identity, found.problems = _volcano_values.identify(question.values)
    if identity is None or reader is None:
        return found
    live = reader.get(_volcano_observe.job_path(identity.namespace, identity.name))
    found.phase = _volcano_plan.phase(live)
    table = identity.dialect.rank_table
    found.follow = {"name": identity.name, "namespace": identity.namespace, "task": identity.dialect.main_task}
    metadata = {"name": identity.name, "namespace": identity.namespace}
    found.job = {"apiVersion": _volcano_render.API_VERSION, "kind": "Job", "metadata": metadata}
    if table:
        map_metadata = {**metadata, "name": table.prefix + identity.name}
        found.config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": map_metadata}
    if question.state == ABSENT:
        found.action = DELETE
        found.reason = f"the job is {found.phase}" if live else "what is left of the job goes"
        return found
    if live is None:
        message = f"there is no job {identity.name} in the namespace {identity.namespace}."
        found.problems.append(Problem("job-absent", "volcano_job_name", message, identity.name))
        return found
    return _commanded(question.state, live, found)


def _commanded(state: str, live: Mapping[str, Any], found: Answer) -> Answer:
    """Volcano takes orders as objects of their own, which it deletes when they are carried out."""
    suspended = found.phase in _volcano_plan.SUSPENDED
    if found.phase in _volcano_plan.ENDED:
        message = f"the job is {found.phase} and cannot be {state} any more."
        found.problems.append(Problem("job-ended", "volcano_job_state", message, state))
        return found
    if suspended == (state == SUSPENDED):
        found.reason = f"the job is {found.phase}"
        return found
    order = "AbortJob" if state == SUSPENDED else "ResumeJob"
    metadata = live["metadata"]
    target = {
        "apiVersion": _volcano_render.API_VERSION,
        "kind": "Job",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    found.action = COMMAND
    found.reason = f"the job is {found.phase} and shall be {state}"
    found.command = {
        "apiVersion": BUS,
        "kind": "Command",
        "metadata": {
            "generateName": f"{metadata['name']}-{order.lower()}-",
            "namespace": metadata["namespace"],
            "ownerReferences": [target],
        },
        "action": order,
        "target": target,
    }
    return found
