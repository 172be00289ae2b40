# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container from options to result: what the module ascend_container does. Private to the collection."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List

from ansible_collections.ascend.fleet.plugins.module_utils._container_apply import Hooks, apply_container, recover
from ansible_collections.ascend.fleet.plugins.module_utils._container_cards import wait_released, with_cards
from ansible_collections.ascend.fleet.plugins.module_utils._container_describe import describe
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import (
    leftover,
    neighbour,
    observe,
    read_containers,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_plan import plan_container
from ansible_collections.ascend.fleet.plugins.module_utils._container_ready import Waiter
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import (
    OPTIONS,
    Spec,
    normalise,
    settle,
    spec_digest,
)
from ansible_collections.ascend.fleet.plugins.module_utils._document import SECRETS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._engine_sdk import EngineClient, client
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import (
    NO_SOCKET,
    EngineReader,
    EngineUnavailable,
    socket_of,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, FleetError, action
from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
Findings = List[Dict[str, Any]]
Progress = Callable[[str], None]

CARD_OPTIONS = ("soc", "image_profile", "npu_smi", "dev", "sysfs", "ascend_root")


class Refused(Exception):  # noqa: N818 - an outcome with its result, not a defect
    """The container cannot be what it shall be; ``result`` says why and what was done."""

    def __init__(self, result: Json) -> None:
        errors = [found for found in result["findings"] if found["severity"] == ERROR]
        super().__init__(" ".join(f"{found['message']} {found['remedy']}" for found in errors))
        self.result = result


def run(params: Json, check_mode: bool, system: System, progress: Progress, run_id: str) -> Json:
    """Observe, plan and, unless in check mode, apply. Raises ``Refused`` or ``FleetError``."""
    reader = EngineReader(socket_of(params["docker_host"]))
    name, state = params["name"], params["state"]
    spec, problems = _wanted(params)
    if problems:
        raise Refused(_result([], problems))
    if check_mode:
        try:
            reader.ping()
        except EngineUnavailable as error:
            if error.reason != NO_SOCKET:
                raise
            coming = action("services", "create", name, "there is no engine yet", predicted_because=str(error))
            return _result([] if state == "absent" else [coming], [])
        actions, findings, _spec = _plan(params, spec, reader, system, read_containers(reader))
        _stop_on_errors(actions, findings)
        return dict(_result(actions, findings), container=describe(reader, name))
    lock = Lock(system)
    if not lock.try_acquire():
        raise lock.refusal()
    lock.sign({"id": run_id, "owner": f"process {os.getpid()} of the node"})
    try:
        return _change(params, spec, reader, system, progress, run_id)
    finally:
        lock.drop_copy()


def _change(params: Json, spec: Spec, reader: EngineReader, system: System, progress: Progress, run_id: str) -> Json:
    name, state = params["name"], params["state"]
    connection: list[EngineClient] = []

    def connect() -> EngineClient:
        if not connection:
            connection.append(client(reader.socket_path, params["sdk_folder"]))
        return connection[0]

    inspected = read_containers(reader)
    recovered: list[Json] = []
    if leftover(inspected, name) and state != "absent":
        resolved, _problems = _with_cards(params, spec, inspected, system)
        wanted = {name: spec_digest(settle(resolved, system.exists))}
        recovered = recover(connect(), reader, [name], wanted, progress)
        inspected = read_containers(reader)
    actions, findings, spec = _plan(params, spec, reader, system, inspected)
    _stop_on_errors(recovered + actions, findings, changed=bool(recovered))
    hooks = Hooks(released=_released(params, system), read_secret=_secret_reader(system))
    reply = None
    if actions:
        reply = apply_container(
            connect(), reader, spec, actions, params["probe"], progress, run_id, state, system, hooks
        )
    elif state == "present" and _asks(params["probe"]):
        reply = Waiter(reader, spec, params["probe"], hooks.read_secret, progress).wait()
    result = dict(_result(recovered + actions, findings), container=describe(reader, name))
    if reply is not None:
        result["ready_seconds"] = reply.seconds
        result["replies"] = reply.replies
    return result


def _wanted(params: Json) -> tuple[Spec, Findings]:
    if params["state"] == "absent":
        return {"name": params["name"]}, []
    options = {key: params.get(key) for key in OPTIONS}
    return normalise(dict(options, service=params["name"], kind="container"))


def _with_cards(params: Json, spec: Spec, inspected: dict[str, Json], system: System) -> tuple[Spec, Findings]:
    neighbours = [neighbour(container) for container in inspected.values()]
    return with_cards(spec, params["npus"], _where(params), neighbours, params["release"] or [], system)


def _plan(
    params: Json, spec: Spec, reader: EngineReader, system: System, inspected: dict[str, Json]
) -> tuple[list[Json], Findings, Spec]:
    state = params["state"]
    if state == "absent":
        facts = observe(reader, system, [], inspected)
        return (*plan_container(spec, inspected.get(spec["name"]), None, facts, state), spec)
    spec, problems = _with_cards(params, spec, inspected, system)
    facts = observe(reader, system, [spec], inspected)
    actions, findings = plan_container(
        spec,
        inspected.get(spec["name"]),
        facts.images[spec["image"]],
        facts,
        state,
        params["on_change"],
        params["release"] or [],
    )
    return actions, problems + findings, spec


def _where(params: Json) -> Json:
    return {key: params[key] for key in CARD_OPTIONS}


def _released(params: Json, system: System) -> Callable[[list[int]], None]:
    return lambda cards: wait_released(system, _where(params), cards)


def _secret_reader(system: System) -> Callable[[str], str]:
    def read(identity: str) -> str:
        text = system.read(f"{SECRETS_DIR}/{identity}")
        if text is None:
            raise FleetError("path-missing", f"The secret {identity} is not on the node.", key="probe", value=identity)
        return text

    return read


def _asks(probe: Json | None) -> bool:
    return bool(probe) and probe is not None and probe["type"] != "none"


def _stop_on_errors(actions: list[Json], findings: Findings, changed: bool = False) -> None:
    if any(found["severity"] == ERROR for found in findings):
        raise Refused(dict(_result(actions, findings), changed=changed))


def _result(actions: list[Json], findings: Findings) -> Json:
    return {"changed": bool(actions), "actions": actions, "findings": findings, "diff": _diff(actions)}


def _diff(actions: list[Json]) -> Json:
    return {
        side: {f"{act['action']} {act['target']}": act[side] for act in actions if act[side] is not None}
        for side in ("before", "after")
    }
