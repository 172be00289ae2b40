# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to happen to one container, decided from what is there. Pure. Private to the collection.

Check mode, drift and the real run all stop or go on from the plan made here, so they cannot disagree.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

from ansible_collections.ascend.fleet.plugins.module_utils._address import endpoint
from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    actual,
    differences,
    expected,
    is_fleet,
    is_running,
    name_of,
    shown,
    started_at,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import (
    DEVICE,
    FOLDER,
    MISSING,
    OLD,
    OLD_IDLE,
    NodeFacts,
    held_cards,
    leftover,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import Spec, settle, spec_digest
from ansible_collections.ascend.fleet.plugins.module_utils._document import LABEL_SPEC, SECRETS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import WARNING, action, finding

Json = Dict[str, Any]
Action = Dict[str, Any]
Finding = Dict[str, Any]
Plan = Tuple[List[Action], List[Finding]]

# What the engine changes in a living container, as long as the new value is a limit at all.
IN_PLACE = ("restart", "memory", "cpus")
NOTHING, FINISH, UNDO = "nothing", "finish", "undo"
_WILDCARDS = ("0.0.0.0", "::", "")
_CREATING = ("create", "replace")
_STARTING = (*_CREATING, "start", "restart")


def plan_container(
    spec: Spec,
    current: Json | None,
    image: Json | None,
    facts: NodeFacts,
    state: str = "present",
    on_change: str = "recreate",
    release: Iterable[str] = (),
    leaving: Iterable[str] = (),
    image_coming: bool = False,
) -> Plan:
    """Actions for one container and everything that stands against them.

    ``release`` names foreign containers that may be stopped for their cards; ``leaving`` names
    containers that the same run moves out of the way before. With ``image_coming`` an earlier step
    brings the image, which in check mode has only been predicted.
    """
    name = spec["name"]
    if state != "absent":
        spec = settle(spec, lambda path: facts.paths.get(path, MISSING) != MISSING)
    stage, current, interrupted = _as_recovered(spec, current, leftover(facts.inspected, name), state)
    if current is not None and not is_fleet(current):
        return [], [_foreign(spec, current)]
    if state == "absent":
        return (stage or _removal(name, current)), []
    obstacles = _obstacles(spec, facts, state, release, leaving)
    if image is None:
        if not image_coming:
            return [], [_no_image(spec), *obstacles.findings]
        if current and on_change != "recreate" and current["Config"].get("Image") != spec["image"]:
            return stage, [_kept(spec, ["image"], on_change)]
        wanted = "replace" if current else "create"
        because = f"image {spec['image']} is staged before"
        before = {"image": current["Config"].get("Image")} if current else {}
        after = {"image": f"{spec['image']} (new)"}
        interrupts = current is not None and is_running(current)
        new = action("services", wanted, name, "the image is new", before, after, interrupts, because)
        return [*stage, *obstacles.freeing, *_folders(spec, facts), new], obstacles.findings
    changes, findings = _changes(spec, current, image, facts, state, on_change)
    if interrupted or any(change["action"] in _STARTING for change in changes):
        stage, findings = [*stage, *obstacles.freeing], [*findings, *obstacles.findings]
    if any(change["action"] in _CREATING for change in changes):
        stage = [*stage, *_folders(spec, facts)]
    return [*stage, *changes], findings


def interruption(spec_label: str | None, current: Json | None, old: Json | None) -> str:
    """What to do about a replacement that was cut off, told from its two containers.

    It is finished when the new container is proven (its restart policy was set), and gone on with
    when it is the one still wanted; in every other case the old one gets its place back.
    """
    if old is None:
        return NOTHING
    if current is None:
        return UNDO
    labels = current["Config"].get("Labels") or {}
    wanted = spec_label is not None and labels.get(LABEL_SPEC) == spec_label
    return FINISH if proven(current) or wanted else UNDO


def _as_recovered(
    spec: Spec, current: Json | None, old: Json | None, state: str
) -> tuple[list[Action], Json | None, bool]:
    """The plan's start after a killed run: what is done about it, and the container there is then."""
    name = spec["name"]
    if old is None or (current is not None and not is_fleet(current)):
        return [], current, False
    if state == "absent":
        reason = "it is not wanted any more, nor what a cut off replacement left"
        return [action("services", "remove", name, reason, interrupts=True)], current or old, False
    verdict = interruption(spec_digest(spec), current, old)
    if verdict == UNDO:
        restored = copy.deepcopy(old)
        restored["Name"] = "/" + name
        if name_of(old) == name + OLD:
            restored["State"].update(Running=True, Restarting=False)
            restored["HostConfig"]["RestartPolicy"] = {"Name": "always"}
        return [recovery_action(name)], restored, False
    after = copy.deepcopy(current)
    if after is not None and not proven(after):
        after["HostConfig"]["RestartPolicy"] = {"Name": spec["restart"] if state == "present" else "no"}
        after["State"].update(Running=state == "present", Restarting=False, Status="exited")
    return [finish_action(name)], after, True


def proven(container: Json) -> bool:
    """A new container gets its restart policy only when it has become ready."""
    return ((container["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no") != "no"


def finish_action(name: str) -> Action:
    return action("services", "finish", name, "an earlier run was cut off while it replaced the container")


def recovery_action(name: str) -> Action:
    reason = "an earlier run was cut off while it replaced the container; the old one gets its place back"
    return action("services", "recover", name, reason, before=name + OLD, after=name)


def _removal(name: str, current: Json | None) -> list[Action]:
    if current is None:
        return []
    return [
        action("services", "remove", name, "it is not wanted any more", before="present", after="absent",
               interrupts=is_running(current))
    ]  # fmt: skip


def _changes(
    spec: Spec, current: Json | None, image: Json, facts: NodeFacts, state: str, on_change: str
) -> tuple[list[Action], list[Finding]]:
    name = spec["name"]
    wanted = dict(spec, restart="no") if state == "stopped" else spec
    want = expected(wanted, image, facts.defaults)
    if current is None:
        return [action("services", "create", name, "there is no such container", before={}, after=_all_shown(want))], []
    found = differences(want, actual(current, image, facts.defaults))
    lasting = [key for key in found if key not in IN_PLACE or want[key] is None]
    before = {key: shown(key, pair)[0] for key, pair in found.items()}
    after = {key: shown(key, pair)[1] for key, pair in found.items()}
    what = ", ".join(sorted(found))
    if lasting and on_change == "recreate":
        return [
            action("services", "replace", name, f"it differs in {what}", before, after, interrupts=is_running(current))
        ], []
    reports = []
    if lasting:
        reports.append(_kept(spec, sorted(lasting), on_change))
        if on_change == "fail":
            return [], reports
    actions = []
    in_place = [key for key in found if key not in lasting]
    if in_place:
        actions.append(
            action("services", "update", name, f"it differs in {', '.join(sorted(in_place))}",
                   {key: before[key] for key in in_place}, {key: after[key] for key in in_place})
        )  # fmt: skip
    return actions + _state_actions(spec, current, facts, state), reports


def _state_actions(spec: Spec, current: Json, facts: NodeFacts, state: str) -> list[Action]:
    name, status = spec["name"], _status(current)
    if state == "stopped":
        if status in ("exited", "created", "dead"):
            return []
        return [action("services", "stop", name, "it shall be stopped", status, "stopped", interrupts=True)]
    if status == "restarting":
        return [action("services", "restart", name, "its process ends again and again", status, "running")]
    if status != "running":
        return [action("services", "start", name, f"it is {status}", status, "running")]
    renewed = _renewed_secrets(spec, current, facts)
    if renewed:
        reason = f"{', '.join(renewed)} changed after it was started"
        return [action("services", "restart", name, reason, status, "running", interrupts=True)]
    return []


def _status(container: Json) -> str:
    state = container["State"]
    if state.get("Restarting"):
        return "restarting"
    if state.get("Paused"):
        return "paused"
    return "running" if state.get("Running") else str(state.get("Status") or "exited")


def _renewed_secrets(spec: Spec, current: Json, facts: NodeFacts) -> list[str]:
    """Secrets written anew since the start: a running container still sees the file that was there then."""
    started = started_at(current)
    sources = [m["source"] for m in spec["mounts"] if m["type"] == "bind" and m["source"].startswith(SECRETS_DIR + "/")]
    return [
        "secret " + source[len(SECRETS_DIR) + 1 :]
        for source in sources
        if started and facts.changed.get(source, 0.0) > started
    ]


def _all_shown(want: Json) -> Json:
    used = {key: value for key, value in want.items() if value not in (None, "", [], {}, False)}
    if "env" in used:
        used["env"] = shown("env", ({}, used["env"]))[1]
    return used


# What stands against it -----------------------------------------------------------------------


class _Obstacles(NamedTuple):
    freeing: list[Action]
    findings: list[Finding]


def _obstacles(spec: Spec, facts: NodeFacts, state: str, release: Iterable[str], leaving: Iterable[str]) -> _Obstacles:
    name = spec["name"]
    standing = [*_mounts(spec, facts), *_network(spec, facts)]
    if state == "stopped":
        return _Obstacles([], standing)
    own = {name, name + OLD, name + OLD_IDLE, *leaving}
    freeing, held = _cards(spec, facts, own, set(release))
    gone = own | {act["target"] for act in freeing}
    findings = [*_devices(spec, facts), *standing, *held, *_ports(spec, facts, gone), *_memory(spec, facts, gone)]
    if facts.cpus and (spec["cpus"] or 0) > facts.cpus:
        what = f"cpus {spec['cpus']:g} exceeds the {facts.cpus} processors of the node"
        findings.append(_against(spec, "cpus-exceeded", "cpus", spec["cpus"], what))
    return _Obstacles(freeing, findings)


def _devices(spec: Spec, facts: NodeFacts) -> list[Finding]:
    problems = []
    for device in spec["devices"]:
        kind = facts.paths.get(device["host"], MISSING)
        if kind not in (DEVICE, FOLDER):
            state = "is not there" if kind == MISSING else f"is a {kind}, no device"
            problems.append(
                _against(spec, "device-missing", "devices", device["host"], f"device {device['host']} {state}")
            )
    return problems


def _mounts(spec: Spec, facts: NodeFacts) -> list[Finding]:
    return [
        _against(spec, "mount-missing", "mounts", mount["source"],
                 f"the source {mount['source']} of the mount at {mount['target']} is not on the node")
        for mount in spec["mounts"]
        if mount["type"] == "bind" and not mount.get("create") and facts.paths.get(mount["source"], MISSING) == MISSING
    ]  # fmt: skip


def _network(spec: Spec, facts: NodeFacts) -> list[Finding]:
    if facts.networks.get(spec["network"], True):
        return []
    return [_against(spec, "network-missing", "network", spec["network"], f"there is no network {spec['network']}")]


def _cards(spec: Spec, facts: NodeFacts, own: set[str], release: set[str]) -> tuple[list[Action], list[Finding]]:
    holders: dict[str, list[int]] = {}
    for card, holder in sorted(held_cards(facts.neighbours, own).items()):
        if card in spec["npus"]:
            holders.setdefault(holder, []).append(card)
    freed, problems = [], []
    services = {other.name: other.service for other in facts.neighbours}
    foreign = {name for name, service in services.items() if service is None}
    for holder, cards in sorted(holders.items()):
        listed = ", ".join(f"/dev/davinci{card}" for card in cards)
        if holder in release and holder in foreign:
            reason = f"it holds {listed} for {spec['name']}"
            freed.append(action("services", "release", holder, reason, "running", "stopped", interrupts=True))
            continue
        held = f"Container {spec['name']}: {listed} {'is' if len(cards) == 1 else 'are'} held by"
        kind, remedy = _holder(holder, services[holder])
        found = finding("card-held", f"{held} {kind} {holder}.", remedy, service=spec["name"], key="npus", value=cards)
        problems.append(found)
    return freed, problems


def _holder(name: str, service: str | None) -> tuple[str, str | None]:
    """What a container is that holds cards, and what frees them."""
    if service is None:
        return "the foreign container", None
    if name in (service, service + OLD, service + OLD_IDLE):
        return "the service", "Ask for other cards, or remove that service (state: absent; fleet_prune: remove)."
    return (
        f"the container of service {service}, renamed to",
        f"Rename it back (docker rename {name} {service}), or remove it by hand.",
    )


def _ports(spec: Spec, facts: NodeFacts, gone: set[str]) -> list[Finding]:
    problems = []
    own = [p for other in facts.neighbours if other.name in gone and other.running for p in other.ports]
    for port in spec["ports"]:
        holder = next(
            (o.name for o in facts.neighbours if o.name not in gone and o.running and meets(port, o.ports)), None
        )
        if holder:
            who = f"container {holder}"
        elif meets(port, [listener for listener in facts.listeners if not _same_place(listener, own)]):
            who = "a process of the node"
        else:
            continue
        where = endpoint(port["host_ip"], port["host_port"])
        problems.append(_against(spec, "port-taken", "ports", port["host_port"], f"port {where} is taken by {who}"))
    return problems


def meets(port: Json, others: Iterable[Json]) -> bool:
    return any(
        port["host_port"] == other["host_port"]
        and port["protocol"] == other["protocol"]
        and (port["host_ip"] == other["host_ip"] or {port["host_ip"], other["host_ip"]} & set(_WILDCARDS))
        for other in others
    )


def _same_place(listener: Json, ports: Iterable[Json]) -> bool:
    """Whether the listener is the engine's own, for one of these ports; it opens :: beside 0.0.0.0."""
    return any(
        listener["host_port"] == port["host_port"]
        and listener["protocol"] == port["protocol"]
        and (listener["host_ip"] == port["host_ip"] or {listener["host_ip"], port["host_ip"]} <= set(_WILDCARDS))
        for port in ports
    )


def _memory(spec: Spec, facts: NodeFacts, gone: set[str]) -> list[Finding]:
    total = facts.memory_total
    if not total:
        return []
    others = [other for other in facts.neighbours if other.running and other.name not in gone]
    shared, limits = sum(other.shm_size for other in others), sum(other.memory for other in others)
    shm_size, memory = 0 if spec["ipc"] else spec["shm_size"], spec["memory"] or 0
    node = f"the {_size(total)} of the node"
    problems = []
    if shm_size + shared > total:
        what = f"shared memory of {_size(shm_size)}, with {_size(shared)} of the containers that run, exceeds {node}"
        problems.append(_against(spec, "memory-exceeded", "shm_size", shm_size, what))
    if memory > total:
        what = f"memory {_size(memory)} exceeds {node}"
        problems.append(_against(spec, "memory-exceeded", "memory", memory, what))
    elif memory and memory + limits > total:
        what = f"the memory limits of all containers together exceed {node}"
        problems.append(_against(spec, "memory-exceeded", "memory", memory, what, severity=WARNING))
    return problems


def _size(number: int) -> str:
    return f"{number / 1024**3:.1f} GiB"


def _folders(spec: Spec, facts: NodeFacts) -> list[Action]:
    return [
        action("services", "create_directory", mount["source"], f"{spec['name']} mounts it", None, mount["create"])
        for mount in spec["mounts"]
        if mount.get("create") and facts.paths.get(mount["source"], MISSING) == MISSING
    ]


def _against(spec: Spec, check: str, key: str, value: Any, what: str, severity: str | None = None) -> Finding:
    message = f"Container {spec['name']}: {what}."
    return finding(check, message, service=spec["name"], key=key, value=value, severity=severity)


def _foreign(spec: Spec, current: Json) -> Finding:
    status = "running" if is_running(current) else "stopped"
    return finding(
        "container-foreign",
        f"The name {spec['name']} is taken by a {status} container that the fleet did not make"
        f" (image {current['Config'].get('Image')}); it is left alone.",
        service=spec["name"],
        key="name",
        value=spec["name"],
    )


def _no_image(spec: Spec) -> Finding:
    return _against(spec, "image-missing", "image", spec["image"], f"image {spec['image']} is not on the node")


def _kept(spec: Spec, keys: list[str], on_change: str) -> Finding:
    return finding(
        "container-changed",
        f"Container {spec['name']} differs in {', '.join(keys)} and on_change is {on_change}, so it is left as it is.",
        service=spec["name"],
        key="on_change",
        value=keys,
        severity=None if on_change == "fail" else WARNING,
    )
