# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out the plan of a node: host, images, services. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _container_facts,
    _engine_sdk,
    _host_apply,
    _image_work,
    _job_run,
    _node_packages,
    _node_probe,
    _node_rollback,
    _node_secrets,
    _node_services,
    _package,
    _sdk_folder,
)
from ansible_collections.ascend.fleet.plugins.module_utils._bake_work import BakeWork
from ansible_collections.ascend.fleet.plugins.module_utils._container_apply import Hooks, apply_container, recover
from ansible_collections.ascend.fleet.plugins.module_utils._container_cards import wait_released
from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import is_fleet, name_of
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import settle, spec_digest
from ansible_collections.ascend.fleet.plugins.module_utils._engine_sdk import EngineClient
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineUnavailable
from ansible_collections.ascend.fleet.plugins.module_utils._node import Node, NodePlan
from ansible_collections.ascend.fleet.plugins.module_utils._node_status import status
from ansible_collections.ascend.fleet.plugins.module_utils._probe import ProbeResult

Json = Dict[str, Any]
Progress = Callable[[str], None]


def apply(node: Node, plan: NodePlan, run_id: str, progress: Progress) -> list[Json]:
    """The status of every service afterwards; the first failure is raised as it is."""
    results: dict[str, ProbeResult] = {}
    # What protects the containers comes before them and goes after them.
    forward = (_host_settings, _images, _packages, _bakes, _services)
    for part in (_services, _host_settings) if node.removing else forward:
        results.update(part(node, plan, run_id, progress))
    if not plan.placed:
        return []
    containers = _container_facts.read_containers(node.reader)
    return [_line(one, containers, results) for one in plan.placed]


def run_jobs(node: Node, plan: NodePlan, run_id: str, progress: Progress) -> tuple[list[Json], list[Json]]:
    """The line of every job afterwards, and a finding for each that failed."""
    if plan.jobs is None or not plan.jobs.actions:
        return [], []

    def released(cards: list[int]) -> None:
        wait_released(node.system, node.host["npus"], cards)

    tools = _job_run.Tools(
        node.system, _client(node), node.reader, node.document, plan.jobs.npu, node.secrets, released, run_id
    )
    return _job_run.run(tools, plan.jobs, progress)


def was_cut_off(node: Node) -> bool:
    """Whether a killed run left a replacement half done."""
    if "services" not in node.scope:
        return False
    try:
        entries = node.reader.containers()
    except EngineUnavailable:
        return False
    return any(_container_facts.is_leftover(name_of(entry)) for entry in entries if is_fleet(entry))


def put_back(node: Node, plan: NodePlan) -> list[Json]:
    """Give the old containers their place back where their replacement cannot go on; the actions that took."""
    specs = [one.spec for one in plan.placed if one.spec is not None]
    wanted = {spec["name"]: spec_digest(settle(spec, node.system.exists)) for spec in specs}
    names = [service["name"] for service in node.document["services"] if service["state"] != "absent"]
    return recover(_client(node), node.reader, names, wanted)


def _client(node: Node) -> EngineClient:
    return _engine_sdk.client(node.reader.socket_path, _sdk_folder.active(node.system, node.host["sdk"]["folder"]))


def _host_settings(node: Node, plan: NodePlan, _run_id: str, progress: Progress) -> dict[str, ProbeResult]:
    actions = [act for act in plan.actions if act["scope"] == "host"]
    if actions:
        _host_apply.apply(node.host, actions, node.system, progress)
    return {}


def _services(node: Node, plan: NodePlan, run_id: str, progress: Progress) -> dict[str, ProbeResult]:
    if all(act["scope"] in ("host", "images", "packages", "bakes", "jobs") for act in plan.actions):
        return {}
    return _bring_services(node, plan, _client(node), run_id, progress)


def _images(node: Node, plan: NodePlan, _run_id: str, progress: Progress) -> dict[str, ProbeResult]:
    _image_work.apply(node.images, [act for act in plan.actions if act["scope"] == "images"], progress)
    return {}


def _packages(node: Node, plan: NodePlan, _run_id: str, progress: Progress) -> dict[str, ProbeResult]:
    wanted = {act["target"] for act in plan.actions if act["scope"] == "packages"}
    for want in map(_node_packages.want_of, node.document["artefacts"]["packages"]):
        if want.dest in wanted:
            progress(f"{want.dest}: unpacking {want.asked}")
            _package.converge(want, check_mode=False)
    return {}


def _bakes(node: Node, plan: NodePlan, _run_id: str, progress: Progress) -> dict[str, ProbeResult]:
    store = node.document["artefacts"].get("image_store") or {}
    BakeWork(node.bakes).apply([act for act in plan.actions if act["scope"] == "bakes"], store, progress)
    return {}


def _bring_services(
    node: Node, plan: NodePlan, client: EngineClient, run_id: str, progress: Progress
) -> dict[str, ProbeResult]:
    def released(cards: list[int]) -> None:
        wait_released(node.system, node.host["npus"], cards)

    results = {}
    hooks = Hooks(released, node.read_secret)
    for one in plan.work:
        others = [act for act in one.actions if not _secret(node, act)]
        result = apply_container(
            client, node.reader, one.spec, others, one.probe, progress, run_id, one.state, node.system, hooks
        )
        _remember(node, one)
        if result is not None:
            results[one.spec["name"]] = result
    return results


def _remember(node: Node, one: _node_services.Work) -> None:
    """What the service runs from now, for a later rollback."""
    name = one.spec["name"]
    if one.state == "absent":
        _node_rollback.forget(node.system, name)
    elif node.rolling_back:
        _node_rollback.went_back(node.system, name)
    else:
        service = next(service for service in node.document["services"] if service["name"] == name)
        image = node.reader.image((node.reader.inspect(name) or {}).get("Image") or service["container"]["image"])
        _node_rollback.note(node.system, service, node.asked[name], image, one.actions)


def _secret(node: Node, act: Json) -> bool:
    """Carry the action out if it is about a secret file."""
    if act["action"] == "write_secret":
        _node_secrets.write(node.system, act, node.secrets)
        return True
    if act["action"] == "remove_secrets":
        _node_secrets.remove(node.system, act)
        return True
    return False


def _line(one: _node_services.Placed, containers: dict[str, Json], results: dict[str, ProbeResult]) -> Json:
    line = status(one.service, containers.get(one.service["name"]), one.cards)
    result = results.get(line["name"])
    return line if result is None else _node_probe.proven(line, one.service, result)
