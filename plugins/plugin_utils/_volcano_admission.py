# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Volcano's admission webhook refuses in a Job, said before it is sent. Pure; private to the collection.

Every function takes a Job that already has the right form (see `_volcano_schema`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_names as names
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_data import Dialect

Manifest = Mapping[str, Any]
ANY_EVENT = "*"
ROOT_QUEUE = "root"


def check(job: Manifest, dialect: Dialect) -> Iterator[Problem]:
    spec = job["spec"]
    yield from _names(job, dialect)
    yield from _counts(spec)
    yield from _policies(spec.get("policies", ()), "spec.policies")
    yield from _plugins(spec, dialect)
    yield from _job_volumes(spec.get("volumes", ()))
    yield from _depends_on(spec["tasks"])
    yield from _topology(spec.get("networkTopology"), "spec.networkTopology")
    if spec.get("queue") == ROOT_QUEUE:
        yield Problem("queue-root", "spec.queue", "is the root queue, which takes no jobs.", ROOT_QUEUE)
    for index, task in enumerate(spec["tasks"]):
        where = f"spec.tasks[{index}]"
        yield from _policies(task.get("policies", ()), f"{where}.policies")
        yield from _partition(task, where)


def _names(job: Manifest, dialect: Dialect) -> Iterator[Problem]:
    name = job["metadata"]["name"]
    served = "svc" in {**dialect.plugins, **job["spec"].get("plugins", {})}
    if not (names.is_service_name(name) if served else names.is_dns_label(name)):
        yield Problem("job-name", "metadata.name", f"{name!r} cannot name a job.", name)
    for task_name in repeated(task["name"] for task in job["spec"]["tasks"]):
        yield Problem("task-duplicate", "spec.tasks", f"name {task_name!r} twice.", task_name)
    for index, task in enumerate(job["spec"]["tasks"]):
        longest = f"{name}-{task['name']}-{max(task['replicas'] - 1, 0)}"
        if len(longest) > names.LABEL_LENGTH:
            message = f"gives pods names of {len(longest)} characters ({longest})."
            yield Problem("pod-name-length", f"spec.tasks[{index}].name", message, task["name"])


def _counts(spec: Manifest) -> Iterator[Problem]:
    pods = sum(task["replicas"] for task in spec["tasks"])
    for key, name in (("minAvailable", "min-available"), ("minSuccess", "min-success")):
        if spec.get(key, 0) > pods:
            yield Problem(name, f"spec.{key}", f"{spec[key]} is more than the {pods} pods of all tasks.", spec[key])
    for index, task in enumerate(spec["tasks"]):
        least = task.get("minAvailable", 0)
        if least > task["replicas"]:
            message = f"{least} is more than the {task['replicas']} replicas."
            yield Problem("task-min-available", f"spec.tasks[{index}].minAvailable", message, least)


def _policies(policies: Sequence[Manifest], where: str) -> Iterator[Problem]:
    events: list[str] = []
    codes: list[int] = []
    for index, policy in enumerate(policies):
        key = f"{where}[{index}]"
        listed = [*([policy["event"]] if policy.get("event") else []), *policy.get("events", ())]
        code = policy.get("exitCode")
        if bool(listed) == (code is not None):
            yield Problem("policy-trigger", key, "has both events and exitCode." if listed else "has no trigger.")
        if not policy.get("action"):
            yield Problem("policy-action", key, "has no action.")
        if code == 0:
            yield Problem("policy-exit-code", f"{key}.exitCode", "0 is no failure that could be acted on.", 0)
        events += dict.fromkeys(listed)
        codes += [code] if code is not None else []
    for event in repeated(events):
        yield Problem("policy-duplicate", where, f"has two policies for {event}.", event)
    for code in repeated(codes):
        yield Problem("policy-duplicate", where, f"has two policies for exit code {code}.", code)
    if ANY_EVENT in events and len(set(events)) > 1:
        yield Problem("policy-any", where, f"'{ANY_EVENT}' covers every event, yet others are listed.", ANY_EVENT)


def _plugins(spec: Manifest, dialect: Dialect) -> Iterator[Problem]:
    plugins = spec.get("plugins", {})
    for name in plugins:
        if name not in dialect.known_plugins:
            known = ", ".join(dialect.known_plugins)
            message = f"is no plugin of {dialect.title}, which has {known}."
            yield Problem("plugin-unknown", f"spec.plugins.{name}", message, name)
    if "mpi" in plugins:
        master = option(plugins["mpi"], "master") or "master"
        if master not in {task["name"] for task in spec["tasks"]}:
            yield Problem("plugin-master", "spec.plugins.mpi", f"has no task {master!r} as its master.", master)


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of --name=value or --name value."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    for word, value in itertools.pairwise(words):
        if word.lstrip("-") == name and word.startswith("-"):
            return value
    return None


def _job_volumes(volumes: Sequence[Manifest]) -> Iterator[Problem]:
    for index, volume in enumerate(volumes):
        if ("volumeClaim" in volume) == bool(volume.get("volumeClaimName")):
            message = "must have one of volumeClaim and volumeClaimName."
            yield Problem("job-volume", f"spec.volumes[{index}]", message)
    for path in repeated(volume["mountPath"] for volume in volumes):
        yield Problem("job-volume", "spec.volumes", f"mounts {path} twice.", path)


def _depends_on(tasks: Sequence[Manifest]) -> Iterator[Problem]:
    waits = {task["name"]: list(task.get("dependsOn", {}).get("name", ())) for task in tasks}
    for task, others in waits.items():
        for other in others:
            if other not in waits:
                yield Problem("depends-on", "spec.tasks", f"task {task} depends on {other!r}, which is no task.", other)
    left = {task: {other for other in others if other in waits} for task, others in waits.items()}
    while ready := {task for task, needed in left.items() if not needed}:
        left = {task: needed - ready for task, needed in left.items() if task not in ready}
    if left:
        yield Problem("depends-on", "spec.tasks", f"tasks {', '.join(left)} wait for each other.", sorted(left))


def _partition(task: Manifest, where: str) -> Iterator[Problem]:
    policy = task.get("partitionPolicy")
    if not policy:
        return
    product = policy["totalPartitions"] * policy["partitionSize"]
    if product != task["replicas"]:
        message = f"makes {product} pods of {task['replicas']} replicas."
        yield Problem("partition", f"{where}.partitionPolicy", message, product)
    yield from _topology(policy.get("networkTopology"), f"{where}.partitionPolicy.networkTopology")


def _topology(topology: Manifest | None, where: str) -> Iterator[Problem]:
    if topology and "highestTierAllowed" in topology and topology.get("highestTierName"):
        yield Problem("topology-tier", where, "names its highest tier by number and by name.")


def repeated(items: Any) -> list[Any]:
    return [item for item, count in Counter(items).items() if count > 1]
