# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a cluster before a job is sent: what is there, and what the job would miss. Private to the collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_api as api
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_admission import ROOT_QUEUE
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_values import PREFIX, Values

BATCH = "batch.volcano.sh/v1alpha1"
SCHEDULING = "/apis/scheduling.volcano.sh/v1beta1"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/jobs.batch.volcano.sh"
NOWHERE_TO_GO = ("cluster-volcano", "namespace-absent")

Object = dict[str, Any]


@dataclass
class Observed:
    """A cluster as one job sees it."""

    crd: Object | None = None
    job: Object | None = None
    config_map: Object | None = None
    nodes: list[Object] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def job_path(namespace: str, name: str) -> str:
    return api.namespaced(namespace, "jobs", name, BATCH)


def observe(reader: api.Reader, values: Values, config_map: str | None) -> Observed:
    """Everything that the plan needs; what may not be read is said and left out, except the job itself."""
    seen = Observed()

    def allowed(what: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except api.ForbiddenError as error:
            seen.problems.append(Problem("unchecked", what, f"could not be looked at: {error}."))
            return ()

    seen.job = reader.get(job_path(values.namespace, values.name))
    crd = allowed("customresourcedefinitions", lambda: reader.get(CRD))
    if crd is None:
        message = "there is no jobs.batch.volcano.sh in this cluster."
        seen.problems.append(Problem("cluster-volcano", "cluster", message))
        return seen
    seen.crd = crd or None
    if allowed("namespaces", lambda: reader.get(f"/api/v1/namespaces/{values.namespace}")) is None:
        message = f"there is no namespace {values.namespace}."
        seen.problems.append(Problem("namespace-absent", f"{PREFIX}namespace", message, values.namespace))
        return seen
    if config_map:
        seen.config_map = reader.get(api.namespaced(values.namespace, "configmaps", config_map))
    seen.problems += allowed("queues", lambda: _queue(reader, values.queue))
    if values.pvc and not values.storage:
        seen.problems += allowed("persistentvolumeclaims", lambda: _claim(reader, values.namespace, str(values.pvc)))
    selector = {**values.dialect.node_selector, **values.node_selector}
    query = {"labelSelector": ",".join(f"{key}={value}" for key, value in selector.items())} if selector else {}
    seen.nodes = list(allowed("nodes", lambda: api.items(reader, "/api/v1/nodes", query)))
    return seen


def unchecked(problems: list[Problem], what: str) -> bool:
    return any(problem.check == "unchecked" and problem.key == what for problem in problems)


def _queue(reader: api.Reader, name: str) -> list[Problem]:
    key = f"{PREFIX}queue"
    queues = {queue["metadata"]["name"]: queue for queue in api.items(reader, f"{SCHEDULING}/queues")}
    queue = queues.get(name)
    if queue is None:
        known = ", ".join(sorted(queues)[:5]) or "none"
        return [Problem("queue-absent", key, f"there is no queue {name}; there are: {known}.", name)]
    state = (queue.get("status") or {}).get("state") or "Open"
    if state != "Open":
        return [Problem("queue-closed", key, f"the queue {name} is {state}.", name)]
    children = [child for child, item in queues.items() if (item.get("spec") or {}).get("parent") == name]
    if children and name != ROOT_QUEUE:
        message = f"the queue {name} only holds other queues ({', '.join(sorted(children)[:5])})."
        return [Problem("queue-parent", key, message, name)]
    return []


def _claim(reader: api.Reader, namespace: str, name: str) -> list[Problem]:
    key = f"{PREFIX}pvc"
    claim: Mapping[str, Any] | None = reader.get(api.namespaced(namespace, "persistentvolumeclaims", name))
    if claim is None:
        return [Problem("pvc-absent", key, f"there is no claim {name} in the namespace {namespace}.", name)]
    phase = (claim.get("status") or {}).get("phase")
    if phase == "Lost":
        return [Problem("pvc-lost", key, f"the claim {name} has lost its volume.", name)]
    if phase != "Bound":
        return [Problem("pvc-unbound", key, f"the claim {name} is {phase}, so that pods may wait for it.", name)]
    return []
