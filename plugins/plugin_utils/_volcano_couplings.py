# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must agree between ConfigMap, Job and pods of a training. Pure; private to the collection.

Rendering keeps all of it; an override may break it, and Volcano would accept the broken job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_names as names
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_data import Dialect

Manifest = Mapping[str, Any]


def check(job: Manifest, config_map: Manifest | None, dialect: Dialect, gang: bool) -> Iterator[Problem]:
    yield from _rank_table(job, config_map, dialect)
    yield from _labels(job, dialect.labels, "metadata.labels")
    spec = job["spec"]
    for name in dialect.plugins:
        if name not in spec.get("plugins", {}):
            yield Problem("coupling-plugin", "spec.plugins", f"{name} of {dialect.title} is missing.", name)
    pods = sum(task["replicas"] for task in spec["tasks"])
    if gang and spec.get("minAvailable") != pods:
        message = f"{spec.get('minAvailable')} would start the training before all of its {pods} nodes are there."
        yield Problem("coupling-gang", "spec.minAvailable", message, spec.get("minAvailable"))
    for index, task in enumerate(spec["tasks"]):
        where = f"spec.tasks[{index}]"
        yield from _task_name(task, dialect, where)
        yield from _labels(task["template"], dialect.labels, f"{where}.template.metadata.labels")
        yield from _pod(task["template"]["spec"], job["metadata"]["name"], dialect, f"{where}.template.spec")


def _rank_table(job: Manifest, config_map: Manifest | None, dialect: Dialect) -> Iterator[Problem]:
    table = dialect.rank_table
    if table is None:
        return
    expected = table.prefix + job["metadata"]["name"]
    if config_map is None:
        yield Problem("rank-table-name", "metadata.name", f"there is no ConfigMap {expected}.", expected)
        return
    metadata = config_map["metadata"]
    if metadata["name"] != expected:
        message = f"the ConfigMap is {metadata['name']}, where the platform looks for {expected}."
        yield Problem("rank-table-name", "metadata.name", message, metadata["name"])
    if metadata["namespace"] != job["metadata"]["namespace"]:
        message = f"the ConfigMap is in {metadata['namespace']}, the job in {job['metadata']['namespace']}."
        yield Problem("rank-table-name", "metadata.namespace", message, metadata["namespace"])
    yield from _labels(config_map, dialect.labels, "configmap.metadata.labels")
    try:
        begins = json.loads(config_map["data"].get(table.key, "")) == {"status": "initializing"}
    except ValueError:
        begins = False
    if not begins:
        message = f"does not say that the rank table is initializing under {table.key}."
        yield Problem("rank-table-content", "configmap.data", message)


def _labels(item: Manifest, wanted: Mapping[str, str], where: str) -> Iterator[Problem]:
    labels = item.get("metadata", {}).get("labels", {})
    for key, value in wanted.items():
        if labels.get(key) != value:
            yield Problem("coupling-label", where, f"{key}={value} is missing.", labels.get(key))


def _task_name(task: Manifest, dialect: Dialect, where: str) -> Iterator[Problem]:
    known = (dialect.main_task, dialect.work_task)
    if "hcclrank" in dialect.plugins and task["name"] not in known:
        message = f"{task['name']!r} gets no rank; the plugin looks for {' and '.join(known)}."
        yield Problem("coupling-task-name", f"{where}.name", message, task["name"])


def _pod(pod: Manifest, job: str, dialect: Dialect, where: str) -> Iterator[Problem]:
    if not pod.get("hostNetwork"):
        message = "is off; the NPUs of two nodes would not reach each other."
        yield Problem("coupling-network", f"{where}.hostNetwork", message, pod.get("hostNetwork"))
    if not any(_keeps_apart(term, job) for term in _anti_affinity(pod)):
        message = f"does not keep two pods of {job} off one node."
        yield Problem("coupling-affinity", f"{where}.affinity.podAntiAffinity", message)
    for key, value in dialect.node_selector.items():
        if pod.get("nodeSelector", {}).get(key) != value:
            yield Problem("coupling-selector", f"{where}.nodeSelector", f"{key}={value} is missing.")
    for container in pod["containers"]:
        yield from _npus(container, dialect.npu_resource, f"{where}.containers[{container['name']}].resources")


def _anti_affinity(pod: Manifest) -> list[Manifest]:
    rules = pod.get("affinity", {}).get("podAntiAffinity", {})
    return list(rules.get("requiredDuringSchedulingIgnoredDuringExecution", ()))


def _keeps_apart(term: Manifest, job: str) -> bool:
    wanted = {"key": "volcano.sh/job-name", "operator": "In", "values": [job]}
    expressions = term.get("labelSelector", {}).get("matchExpressions", ())
    return term.get("topologyKey") == "kubernetes.io/hostname" and any(dict(e) == wanted for e in expressions)


def _npus(container: Manifest, resource: str, where: str) -> Iterator[Problem]:
    resources = container.get("resources", {})
    asked, limit = (resources.get(key, {}).get(resource) for key in ("requests", "limits"))
    if asked is None or limit is None:
        yield Problem("coupling-npu", where, f"has no {resource} in both requests and limits.")
        return
    numbers = names.quantity(asked), names.quantity(limit)
    if numbers[0] != numbers[1]:
        yield Problem("coupling-npu", where, f"asks for {asked} {resource} with a limit of {limit}.", asked)
    elif numbers[0] is None or numbers[0] < 1 or numbers[0] % 1:
        yield Problem("coupling-npu", where, f"{asked} is no whole number of NPUs.", asked)
