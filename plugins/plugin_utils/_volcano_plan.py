# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to happen to bring a cluster's Job to the one that was rendered. Pure; private to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_names as names
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_render import DIGEST
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_schema import join
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_values import Compute

CREATE, UPDATE, REPLACE, NOTHING = "create", "update", "replace", "none"
COMPLETED = "Completed"
SUSPENDED = ("Aborting", "Aborted")
FAILED = ("Failed", "Terminated")
ENDED = (COMPLETED, *FAILED, "Completing", "Terminating")
# What Volcano and its CRD fill in by themselves, so that its presence is no change.
FILLED_IN = (
    "spec.maxRetry", "spec.minAvailable", "spec.queue", "spec.schedulerName",
    "maxRetry", "minAvailable", "name", "replicas",
)  # fmt: skip
NAMED_CHANGES = 3


@dataclass(frozen=True)
class Change:
    """One field that differs, with the JSON patch that mends it, if Volcano allows to change it."""

    path: str
    before: Any
    after: Any
    patch: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {"path": self.path, "before": self.before, "after": self.after, "mutable": bool(self.patch)}


@dataclass(frozen=True)
class Plan:
    action: str
    reason: str
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def patch(self) -> list[dict[str, Any]]:
        return [step for change in self.changes for step in change.patch]


def phase(job: Mapping[str, Any] | None) -> str:
    """The phase that Volcano gave a job; Pending until it gave one."""
    if job is None:
        return ""
    return ((job.get("status") or {}).get("state") or {}).get("phase") or "Pending"


def plan(wanted: Mapping[str, Any], live: Mapping[str, Any] | None, recreate: bool, rerun: bool) -> Plan:
    if live is None:
        return Plan(CREATE, "the job is not there yet")
    now = phase(live)
    changes = list(compare(wanted, live))
    if now in ENDED and rerun:
        return Plan(REPLACE, f"the job is {now} and shall run again", changes)
    fixed = [change for change in changes if not change.patch or now in ENDED]
    if fixed and recreate:
        return Plan(REPLACE, f"{_named(fixed)} of the job changed", changes)
    if fixed:
        message = f"{_named(fixed)} changed, which a job that is there cannot take over."
        return Plan(NOTHING, "", changes, [Problem("immutable", fixed[0].path, message, fixed[0].after)])
    if now in FAILED:
        said = (live["status"]["state"].get("message") or "").strip().rstrip(".")
        message = f"the job is {now} since it was submitted before{f' ({said})' if said else ''}."
        return Plan(NOTHING, "", [], [Problem("job-ended", "volcano_job_name", message, now)])
    if changes:
        return Plan(UPDATE, f"{_named(changes)} of the job changed", [*changes, *_digest(wanted, live)])
    return Plan(NOTHING, f"the job is there and {now}")


def _named(changes: list[Change]) -> str:
    paths = [change.path for change in changes]
    return ", ".join(paths[:NAMED_CHANGES]) + (f" and {len(paths) - NAMED_CHANGES} more" * (len(paths) > NAMED_CHANGES))


def compare(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[Change]:
    """Fields of the rendered Job that the live one has otherwise, and fields that were taken away since."""
    labels = dict(live["metadata"].get("labels") or {})
    for key, value in (wanted["metadata"].get("labels") or {}).items():
        before = labels.get(key)
        if before != value:
            yield Change(f"metadata.labels.{key}", before, value, (_label_step(bool(labels), key, value),))
            labels[key] = value
    known = (live["metadata"].get("annotations") or {}).get(DIGEST)
    strict = known is not None and known != _wanted_digest(wanted)
    for path, before, after in _differences(wanted["spec"], live["spec"], "spec", strict):
        yield Change(path, before, after, _patch(path, after, live["spec"]))


def _wanted_digest(wanted: Mapping[str, Any]) -> Any:
    return (wanted["metadata"].get("annotations") or {}).get(DIGEST)


def _differences(wanted: Any, live: Any, path: str, strict: bool) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            if key in live:
                yield from _differences(value, live[key], join(path, key), strict)
            elif value not in ({}, [], None):
                yield join(path, key), None, value
        for key in live if strict else ():
            if key not in wanted and not _filled_in(path, key):
                yield join(path, key), live[key], None
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, (new, old) in enumerate(zip(wanted, live, strict=True)):
            yield from _differences(new, old, f"{path}[{index}]", strict)
    elif not _same(wanted, live):
        yield path, live, wanted


def _filled_in(path: str, key: str) -> bool:
    inside_task = path.startswith("spec.tasks[") and path.endswith("]") and path.count(".") == 1
    return join(path, key) in FILLED_IN or (inside_task and key in FILLED_IN)


def _same(one: Any, other: Any) -> bool:
    if one == other and isinstance(one, bool) == isinstance(other, bool):
        return True
    amounts = names.quantity(one), names.quantity(other)
    return amounts[0] is not None and amounts[0] == amounts[1]


def _patch(path: str, after: Any, live: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Volcano's webhook lets three fields change; for all others there is no patch."""
    if path in ("spec.minAvailable", "spec.priorityClassName") and after is not None:
        return ({"op": "add", "path": "/" + path.replace(".", "/"), "value": after},)
    if path.startswith("spec.tasks[") and path.endswith("].replicas"):
        index = int(path.removeprefix("spec.tasks[").removesuffix("].replicas"))
        where, task = f"/spec/tasks/{index}", live["tasks"][index]
        steps = [{"op": "replace", "path": f"{where}/replicas", "value": after}]
        if task.get("minAvailable") == task.get("replicas") and "minAvailable" in task:
            steps.insert(0, {"op": "replace", "path": f"{where}/minAvailable", "value": after})
        return tuple(steps)
    return ()


def _label_step(others: bool, key: str, value: str) -> dict[str, Any]:
    """The first label comes with the dictionary that holds the ones after it."""
    if not others:
        return {"op": "add", "path": "/metadata/labels", "value": {key: value}}
    return {"op": "add", "path": f"/metadata/labels/{_pointer(key)}", "value": value}


def _digest(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[Change]:
    """The new digest, written along with what it stands for."""
    annotations = live["metadata"].get("annotations")
    value = _wanted_digest(wanted)
    if value is None or (annotations or {}).get(DIGEST) == value:
        return
    path = f"/metadata/annotations/{_pointer(DIGEST)}" if annotations else "/metadata/annotations"
    step = {"op": "add", "path": path, "value": value if annotations else {DIGEST: value}}
    yield Change(f"metadata.annotations.{DIGEST}", (annotations or {}).get(DIGEST), value, (step,))


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def compute_of(live: Mapping[str, Any]) -> tuple[Compute, Compute]:
    """cpu and memory of a job that is there: what was proposed once stays, although nodes come and go."""
    resources = live["spec"]["tasks"][0]["template"]["spec"]["containers"][0].get("resources") or {}
    requests, limits = (resources.get(key) or {} for key in ("requests", "limits"))
    return (
        Compute(cpu=requests.get("cpu"), memory=requests.get("memory")),
        Compute(cpu=limits.get("cpu"), memory=limits.get("memory")),
    )
