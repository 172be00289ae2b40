# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the services of a document to one spec per container, cards included. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _node_secrets, _placement, _soc
from ansible_collections.ascend.fleet.plugins.module_utils._container_cards import give_cards
from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    cards_of,
    is_fleet,
    is_running,
    service_of,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import Neighbour, NodeFacts
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import Spec, normalise
from ansible_collections.ascend.fleet.plugins.module_utils._findings import action, finding

Json = Dict[str, Any]
Findings = List[Json]
_BRINGS_UP = ("create", "replace", "start", "restart")


class Placed(NamedTuple):
    """One service with the cards it has on this node; ``spec`` is None where it cannot be had."""

    service: Json
    spec: Spec | None
    cards: list[int]


class Work(NamedTuple):
    """What one container's plan needs to be carried out."""

    spec: Spec
    state: str
    probe: Json | None
    actions: list[Json]


def place(
    document: Json,
    npu: Json | None,
    neighbours: list[Neighbour],
    exists: Callable[[str], bool],
    host_network_parent: str | None,
) -> tuple[list[Placed], Findings]:
    """Cards and specs of all services; ``host_network_parent`` is the slice that the metadata block covers."""
    services = document["services"]
    gone = leaving(document, neighbours)
    requests = _placement.requests_of(services)
    soc = (npu or {}).get("soc")
    rules = _placement.Rules(_soc.profile(soc).pairs, tuple(document["release"]))
    held = [
        _placement.Holder(other.name, tuple(other.cards), other.service, other.running, other.name in gone)
        for other in neighbours
        if other.cards
    ]
    placement = _placement.place(_placement.chips_from_facts(npu or {}), held, requests, rules)
    # What cannot be observed cannot be placed; that has a finding of its own.
    findings = [] if (npu or {}).get("error") else _placement.findings_of(placement.problems)
    placed = []
    for service in sorted(services, key=lambda service: service["state"] != "absent"):
        cards = placement.assignments.get(service["name"], [])
        spec, missing = _spec(document["host"]["npus"], _in_slice(service, host_network_parent), cards, soc, exists)
        findings += missing
        wants_cards = service["npus"]["count"] if service["state"] != "absent" else 0
        placed.append(Placed(service, spec if len(cards) == wants_cards else None, cards))
    return placed, findings


def _in_slice(service: Json, parent: str | None) -> Json:
    container = service["container"]
    if container["network"] != "host" or container["cgroup_parent"] or not parent:
        return service
    return dict(service, container=dict(container, cgroup_parent=parent))


def leaving(document: Json, neighbours: Iterable[Neighbour]) -> set[str]:
    """Containers of the fleet that this run removes, so that what they hold is free for the others."""
    absent = {service["name"] for service in document["services"] if service["state"] == "absent"}
    known = {one["name"] for one in _entries(document)}
    return {
        other.name
        for other in neighbours
        if other.service is not None
        and (other.service in absent or (document["prune"] == "remove" and other.service not in known))
    }


def _entries(document: Json) -> list[Json]:
    return [*document["services"], *document["jobs"]]


def _spec(
    want: Json, service: Json, cards: list[int], soc: str | None, exists: Callable[[str], bool]
) -> tuple[Spec | None, Findings]:
    options = dict(service["container"], service=service["name"], kind=service["kind"])
    if options["image"] is None:
        # Only a service that shall be absent has no image.
        options["image"] = "none"
    spec, problems = normalise(options)
    if problems or not cards:
        return (None if problems else spec), problems
    profile = _soc.profile(soc, service["npus"]["profile"])
    spec, missing = give_cards(spec, cards, profile, want, exists)
    return (None if missing else spec), missing


def orphans(document: Json, containers: dict[str, Json]) -> tuple[list[Work], Findings]:
    """Containers of the fleet that no entry describes any more; they go on holding their cards."""
    owners = {name: service_of(container) for name, container in containers.items() if is_fleet(container)}
    if document["prune"] == "ignore":
        reason, going = "it is taken down", set(document.get("gone") or [])
        names = sorted(name for name, owner in owners.items() if owner in going)
    else:
        reason, known = "no entry describes it any more", {one["name"] for one in _entries(document)}
        names = sorted(name for name, owner in owners.items() if owner not in known)
    if document["prune"] != "report":
        return [
            Work(
                {"name": name}, "absent", None, [action("services", "remove", name, reason, "present", "absent", True)]
            )
            for name in names
        ], []
    return [], [
        finding("orphan", f"Container {name} of the fleet is in no entry any more{kept}.", service=name)
        for name, kept in ((name, " and keeps its cards" if cards_of(containers[name]) else "") for name in names)
    ]


def predicted(one: Placed, because: str, unseen: str | None = None) -> list[Json]:
    if one.service["state"] == "absent":
        return []
    name, image = one.service["name"], one.service["container"]["image"]
    reason = unseen or "there is no such container"
    return [action("services", "create", name, reason, after={"image": image}, predicted_because=because)]


def with_restart(service: Json, container: Json | None, secrets: list[Json], actions: list[Json]) -> list[Json]:
    """A running container still sees the secret it was started with; a new content needs a restart."""
    running = container is not None and is_running(container) and service["state"] == "present"
    another = any(act["reason"] != _node_secrets.READ_BY_OTHERS for act in secrets)
    if not another or not running or any(act["action"] in _BRINGS_UP for act in actions):
        return actions
    restart = action(
        "services", "restart", service["name"], "its secret changes", "running", "running", interrupts=True
    )
    return [*actions, restart]


def with_neighbour(facts: NodeFacts, one: Placed, actions: list[Json]) -> NodeFacts:
    """The facts as the next service will find them: with the room this one takes."""
    spec = one.spec
    if spec is None or not any(act["action"] in _BRINGS_UP and act["target"] == spec["name"] for act in actions):
        return facts
    taken = Neighbour(
        name=spec["name"],
        service=spec["service"],
        running=one.service["state"] == "present",
        cards=spec["npus"],
        ports=spec["ports"],
        shm_size=0 if spec["ipc"] else spec["shm_size"],
        memory=spec["memory"] or 0,
    )
    others = [other for other in facts.neighbours if other.name != taken.name]
    return facts._replace(neighbours=[*others, taken])


def removed(document: Json) -> Json:
    """The same node with every service gone; of the whole node also those that no entry describes any more.

    ``gone`` are its jobs, of which only a container may be there.
    """
    services = [dict(service, state="absent") for service in document["services"]]
    prune = "ignore" if document["prune"] == "ignore" else "remove"
    gone = [job["name"] for job in document["jobs"]]
    return dict(document, services=services, jobs=[], gone=gone, prune=prune, release=[], reach=[])
