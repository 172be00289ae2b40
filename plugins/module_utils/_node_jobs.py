# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of a document on a node: done, to run, and what stands against them. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _job_manifest,
    _job_queue,
    _node_checks,
    _node_npus,
    _node_storage,
    _soc,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_cards import give_cards
from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    cards_of,
    is_job,
    is_running,
    labels_of,
    service_of,
    started_at,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import NodeFacts
from ansible_collections.ascend.fleet.plugins.module_utils._container_plan import plan_container
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import Spec, normalise
from ansible_collections.ascend.fleet.plugins.module_utils._document import JOBS_DIR, LABEL_JOB
from ansible_collections.ascend.fleet.plugins.module_utils._findings import action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._job_queue import Ground
from ansible_collections.ascend.fleet.plugins.module_utils._placement import Holder, Rules
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
Findings = List[Json]

RUN, PUBLISH, REMOVE = "run", "publish", "remove"
DONE, TO_RUN, RUNNING, FAILED = "done", "to run", "running", "failed"


class Seen(NamedTuple):
    """One job as the node shows it."""

    job: Json
    state: str
    todo: str | None
    """What is to be done about it: RUN, PUBLISH, REMOVE or nothing."""
    reason: str
    container: Json | None
    manifest: Json | None
    attached: bool = False
    """Whether its container is gone on with."""


class JobPlan(NamedTuple):
    seen: list[Seen]
    npu: Json | None
    ground: Ground
    actions: list[Json]
    findings: Findings

    def lines(self) -> list[Json]:
        return [status(one) for one in self.seen]


def input_folder(name: str) -> str:
    return f"{JOBS_DIR}/{name}/input"


def failure_file(name: str) -> str:
    return f"{JOBS_DIR}/{name}/failure.json"


def look(system: System, jobs: Iterable[Json], containers: dict[str, Json]) -> list[Seen]:
    return [_look(system, job, containers.get(job["name"])) for job in jobs]


def _look(system: System, job: Json, container: Json | None) -> Seen:
    mine = container if container is not None and is_job(container) else None
    if job["state"] == "absent":
        reason = "it is not wanted any more"
        return Seen(job, "absent" if mine is None else RUNNING, REMOVE if mine else None, reason, mine, None)
    if mine is not None and _goes_on(mine, job):
        running = is_running(mine)
        reason = "it runs already and is waited for" if running else "it ended and its outputs were not taken over yet"
        return Seen(job, RUNNING if running else TO_RUN, RUN, reason, mine, None, attached=True)
    path = job["outputs"]["path"]
    manifest = _job_manifest.read_manifest(system, path)
    if _job_manifest.sealed(system, job):
        return Seen(job, TO_RUN, PUBLISH, "its outputs are whole and were not published yet", mine, manifest)
    why = _why(system, job, path, manifest)
    if why is None:
        return Seen(job, DONE, None, "", mine, manifest)
    return Seen(job, FAILED if _failure(system, job) else TO_RUN, RUN, why, mine, manifest)


def _goes_on(container: Json, job: Json) -> bool:
    """Whether a container that a killed worker left is this very job, and running or well ended."""
    if labels_of(container)[LABEL_JOB] != job["spec"]:
        return False
    return is_running(container) or (started_at(container) > 0 and not container["State"].get("ExitCode"))


def _why(system: System, job: Json, path: str, manifest: Json | None) -> str | None:
    """Why a job is to run; None when it is done."""
    failure = _failure(system, job)
    if failure:
        return f"it failed before ({failure})"
    if manifest is None:
        return "it has not run yet"
    if manifest["spec"] != job["spec"]:
        return "it ran as another job than it is now"
    changed = _job_manifest.difference(system, path, manifest)
    if changed:
        return f"of its outputs, {changed}"
    return "rerun says so" if job["rerun"] else None


def _failure(system: System, job: Json) -> str | None:
    told = system.read_record(failure_file(job["name"]))
    return str(told.get("reason")) if told.get("spec") == job["spec"] else None


def plan(
    system: System,
    document: Json,
    npu: Json | None,
    containers: dict[str, Json],
    services: Iterable[tuple[str, list[int]]],
    facts_of: Callable[[list[Spec]], NodeFacts] | None,
    staged: set[str],
    leaving: set[str],
    filling: list[str],
    coming: str | None = None,
) -> JobPlan:
    """Actions and obstacles of all jobs; without ``facts_of`` there is no engine yet that could be asked.

    ``filling`` are paths whose content an earlier step brings, so that it cannot be looked at yet.
    """
    names = {job["name"] for job in document["jobs"]}
    seen = look(system, document["jobs"], containers)
    ground = _ground(document, npu, containers, names, leaving, services)
    findings: Findings = [_foreign(one) for one in seen if _is_foreign(one, containers)]
    specs: list[Spec] = []
    chips = _node_npus.by_card(npu)
    for one in seen:
        if one.todo != RUN or one.attached:
            continue
        spec, cards, against = resolve(system, document, one.job, npu, ground)
        findings += against
        findings += _node_checks.run(system, _node_storage.without_unmounted(one.job, filling), cards, chips, False)
        if spec is not None:
            specs.append(spec)
    if facts_of is not None and specs:
        facts = facts_of(specs)
        for spec in specs:
            _actions, against = plan_container(
                spec,
                None,
                facts.images.get(spec["image"]),
                facts,
                release=document["release"],
                leaving=names | leaving,
                image_coming=spec["image"] in staged,
            )
            findings += against
    actions = [act for one in seen for act in _actions_of(one, staged, coming)]
    return JobPlan(seen, npu, ground, actions, _node_checks.told_once(findings))


def _ground(
    document: Json,
    npu: Json | None,
    containers: dict[str, Json],
    names: set[str],
    leaving: set[str],
    services: Iterable[tuple[str, list[int]]],
) -> Ground:
    held: list[Holder] = []
    jobs: list[Holder] = []
    for name, container in containers.items():
        cards = tuple(cards_of(container))
        if not cards or name in leaving:
            continue
        holder = Holder(name, cards, service_of(container), is_running(container))
        (jobs if name in names and is_job(container) else held).append(holder)
    rules = Rules(_soc.profile((npu or {}).get("soc")).pairs, tuple(document["release"]))
    return _job_queue.ground(npu, held, jobs, services, rules, document["cpu_jobs"])


def resolve(
    system: System, document: Json, job: Json, npu: Json | None, ground: Ground, cards: list[int] | None = None
) -> tuple[Spec | None, list[int], Findings]:
    """The container of a job with its cards: these, or the ones it would have if it were the only job."""
    name = job["name"]
    if cards is None:
        cards, problems = _job_queue.alone(ground, job)
        if problems and not (npu or {}).get("error"):
            return (
                None,
                [],
                [finding("placement", p.message, p.remedy, service=name, key="npus", value=p.value) for p in problems],
            )
        if len(cards) != job["npus"]["count"]:
            return None, [], []
    spec, flaws = normalise(dict(job["container"], service=name, kind=job["kind"], job=job["spec"]))
    if flaws or not cards:
        return (None if flaws else spec), cards, flaws
    profile = _soc.profile((npu or {}).get("soc"), job["npus"]["profile"])
    spec, missing = give_cards(spec, cards, profile, document["host"]["npus"], system.exists)
    return (None if missing else spec), cards, missing


def _actions_of(one: Seen, staged: set[str], coming: str | None) -> list[Json]:
    if one.todo is None:
        return []
    image = one.job["container"]["image"]
    because = coming or (f"image {image} is staged before" if image in staged else None)
    after = {"image": image, "cards": one.job["npus"]["count"], "outputs": one.job["outputs"]["path"]}
    before = None if one.manifest is None else {"state": DONE if one.job["rerun"] else "other outputs"}
    return [
        action(
            "jobs",
            one.todo,
            one.job["name"],
            one.reason,
            before=before,
            after=None if one.todo == REMOVE else after,
            interrupts=False,
            predicted_because=because if one.todo == RUN else None,
        )
    ]


def _is_foreign(one: Seen, containers: dict[str, Json]) -> bool:
    there = containers.get(one.job["name"])
    return one.job["state"] != "absent" and there is not None and not is_job(there)


def _foreign(one: Seen) -> Json:
    name = one.job["name"]
    return finding(
        "container-foreign",
        f"The name {name} of a job is taken by a container that is none of its runs; it is left alone.",
        service=name,
        key="name",
        value=name,
    )


def status(one: Seen) -> Json:
    """One line of the report on a job, as it is before anything is done about it."""
    job, manifest = one.job, one.manifest if one.state == DONE else None
    return {
        "name": job["name"],
        "entry": job["entry"],
        "kind": job["kind"],
        "wanted": DONE if job["state"] == "present" else job["state"],
        "state": one.state,
        "ready": one.state == DONE or None,
        "cards": list((manifest or {}).get("cards") or (cards_of(one.container) if one.container else [])),
        "image": job["container"]["image"],
        "image_id": (manifest or {}).get("image_id"),
        "ports": [],
        "answer": told(manifest) if manifest else None,
        "seconds": (manifest or {}).get("seconds"),
        "outputs": job["outputs"]["path"] if manifest else None,
        "fresh": manifest is not None and "fetched" not in manifest,
    }


def told(manifest: Json) -> str:
    files = manifest["files"]
    size = sum(item["size"] for item in files)
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    shown = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
    return f"{count}, {shown} in {manifest['seconds']:.0f} s"
