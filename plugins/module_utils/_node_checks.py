# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that a service's document names, run on the node. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ansible_collections.ascend.fleet.plugins.module_utils._address import endpoint
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import listeners
from ansible_collections.ascend.fleet.plugins.module_utils._container_plan import meets
from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Chips = Dict[int, Dict[str, Any]]
Findings = List[Dict[str, Any]]

# The port of a service on the host's network, which no container publishes.
PORT = "port"
_MISSING = ("model-missing", "path-missing")


def run(system: System, service: dict[str, Any], cards: list[int] | None, chips: Chips, running: bool) -> Findings:
    """Findings of one service; ``running`` says that its own container uses the cards and ports now."""
    findings: Findings = []
    for want in service["checks"]:
        if running and want["type"] == PORT:
            continue
        findings += CHECK_TYPES[want["type"]](system, want, service["name"])
        if not running and want.get("gpu_memory_utilization") and cards:
            findings += _free_hbm(want["gpu_memory_utilization"], [chips[card] for card in cards], service["name"])
    return findings


def without_ports(service: dict[str, Any]) -> dict[str, Any]:
    """Where a port may become free in this run, its present owner says nothing."""
    return dict(service, checks=[want for want in service["checks"] if want["type"] != PORT])


def _path(system: System, want: dict[str, Any], service: str) -> Findings:
    path = str(want["path"])
    present = system.isdir(path) if want.get("must") == "directory" else system.exists(path)
    if present:
        return []
    kind = want.get("must") or "path"
    message = f"The {kind} {path} is not on the node."
    return [finding("path-missing", message, service=service, key=want.get("key"), value=path)]


def _port(system: System, want: dict[str, Any], service: str) -> Findings:
    opened = {"host_ip": want["host_ip"], "host_port": want["port"], "protocol": "tcp"}
    if not meets(opened, listeners(system)):
        return []
    where = endpoint(want["host_ip"], want["port"])
    message = f"Service {service} uses the host's network, where port {where} is taken already."
    return [finding("port-taken", message, service=service, key="port", value=want["port"])]


def _free_hbm(share: float, chips: list[dict[str, Any]], service: str) -> Findings:
    """An engine takes its share of the whole memory at start and dies when that is not free."""
    findings = []
    for chip in chips:
        total, used = chip.get("hbm_total_mb"), chip.get("hbm_used_mb")
        if not total or used is None or total - used >= share * total:
            continue
        findings.append(
            finding(
                "hbm-free",
                f"Card {chip['davinci_id']} has {total - used} MB of {total} MB free, "
                f"less than the {share:.0%} that the service will ask for.",
                service=service,
                key="gpu_memory_utilization",
                value=share,
            )
        )
    return findings


# A node reads the source of everything anew at each call, so what reads models is loaded where there is one.


def _llm_model(system: System, want: dict[str, Any], service: str) -> Findings:
    from ansible_collections.ascend.fleet.plugins.module_utils import _model_dir

    return _model_dir.check(system, want, service)


def _pipeline(system: System, want: dict[str, Any], service: str) -> Findings:
    from ansible_collections.ascend.fleet.plugins.module_utils import _pipeline_dir

    return _pipeline_dir.check(system, want, service)


CHECK_TYPES: dict[str, Callable[[System, dict[str, Any], str], Findings]] = {
    "llm_model": _llm_model,
    "path": _path,
    "pipeline": _pipeline,
    PORT: _port,
}


def told_once(findings: Findings) -> Findings:
    """A missing path is told by the check that knows what it is for, not by the mount of it as well."""
    told = {(item["service"], item["value"]) for item in findings if item["check"] in _MISSING}
    return [
        item for item in findings if item["check"] != "mount-missing" or (item["service"], item["value"]) not in told
    ]
