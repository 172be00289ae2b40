# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One image on one node: what module container_image does. Private to the collection."""

from __future__ import annotations

import platform
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _image_detect, _node_images
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, FleetError, action, answered
from ansible_collections.ascend.fleet.plugins.module_utils._image_bring import Bringer
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import ImageEngine
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]


def handle(params: Json, check_mode: bool, system: System | None = None) -> Json:
    return answered(lambda: _handle(params, check_mode, system or System()))


def _handle(params: Json, check_mode: bool, system: System) -> Json:
    engine = _image_detect.engine(system, EngineReader(params["docker_socket"]), params)
    sources = _sources(system, params, engine)
    return (_absent if params["state"] == "absent" else _present)(system, engine, sources, params, check_mode)


def _sources(system: System, params: Json, engine: ImageEngine) -> Sources:
    address = parse(params["reference"]).host
    row = {"address": address, "insecure": params["insecure"], "mirror": params["mirror"]}
    login = {"username": params["username"], "password": params["password"]} if params["username"] else None
    authority = system.read(params["ca_path"]) if params["ca_path"] else None
    if params["ca_path"] and authority is None:
        message = f"The certificates {params['ca_path']} cannot be read on the node."
        raise FleetError("registry-unreachable", message, "Correct ca_path.", key="ca_path", value=params["ca_path"])
    return Sources(
        {address: row}, {address: login} if login else {}, (authority,) if authority else (), network=engine.network
    )


def _image(params: Json) -> Json:
    archive = {"path": params["archive"], "on": "node"} if params["archive"] else None
    return {
        "reference": params["reference"],
        "digest": params["digest"],
        "archive": archive,
        "check": params["check"],
        "services": [],
    }


def _present(system: System, engine: ImageEngine, sources: Sources, params: Json, check_mode: bool) -> Json:
    wanted = [_image(params)]
    seen = _node_images.observe(wanted, engine, sources, platform.machine())
    actions = _node_images.plan(wanted, seen)
    machine = _node_images.Machine(platform.machine(), None, None, _node_images.free_bytes(system, engine))
    findings = _node_images.findings(wanted, seen, machine)
    errors = [item for item in findings if item["severity"] == ERROR]
    if errors:
        told = " ".join(f"{item['message']} {item['remedy']}" for item in errors)
        return {"failed": True, "changed": False, "msg": told, "findings": findings}
    seconds: dict[str, float] = {}
    if actions and not check_mode:
        lock = Lock(system)
        if not lock.try_acquire():
            raise lock.refusal()
        lock.sign({"id": "container_image", "owner": platform.node()})
        bringer = Bringer(system, engine, sources, params["retries"])
        for act in actions:
            bringer.carry_out(act, {}, [], lambda text: None)
        lock.drop_copy()
        seconds = bringer.seconds
        seen = _node_images.observe([dict(wanted[0], check=None)], engine, sources, platform.machine())
    [line] = _node_images.lines(wanted, seen, engine, seconds)
    return _result(actions, findings, line)


def _absent(system: System, engine: ImageEngine, sources: Sources, params: Json, check_mode: bool) -> Json:
    reference = parse(params["reference"])
    found = engine.find(reference)
    actions = []
    if found:
        actions = [action("images", "remove", reference.full, "it shall be absent", before={"id": found.id})]
        if not check_mode:
            engine.remove(reference.full)
    [line] = _node_images.lines([_image(params)], {}, engine, {})
    return _result(actions, [], line)


def _result(actions: list[Json], findings: list[Json], line: Json) -> Json:
    before = [str((act["before"] or {}).get("id") or "") for act in actions]
    return {
        "changed": bool(actions),
        "actions": actions,
        "findings": findings,
        "image": line,
        "diff": {
            "before": "\n".join(before),
            "after": "\n".join(f"{act['action']} {act['target']} ({act['reason']})" for act in actions),
        },
    }
