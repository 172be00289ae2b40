# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host settings of a node document: observe and plan. Private to the collection.

Reading costs two processes, systemctl and the firewall's listing; the rest are files and the engine's socket.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _host_engine,
    _host_files,
    _host_mounts,
    _metadata_block,
    _sdk_folder,
    _sysctl,
    _units,
)
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

# Actions after which an engine is there that was not before.
ENGINE_COMES = frozenset(["enable_service", "install_packages"])
# Actions after which the engine has made its firewall rules anew.
ENGINE_STARTS = ENGINE_COMES | {"restart_engine"}
# Actions on a container with which one is started.
STARTING = frozenset(["create", "replace", "finish", "recover", "start", "restart"])
FIREWALL_COMES = "the engine's packages bring the firewall program"


# --- observe


def observe(system: System, want: dict[str, Any], reader: EngineReader) -> dict[str, Any]:
    units = _units.show(system, _host_mounts.units(want))
    engine = _host_engine.observe(system, want, reader, units)
    block = want["metadata_block"]
    observed_block = _metadata_block.observe(
        system, block, engine["backend"], engine["iptables_off"], engine["answers"] and not engine["iptables_off"]
    )
    return {
        "engine": engine,
        "units": _observe_units(system, units or {}),
        "metadata_block": observed_block,
        "under_slice": _under_slice(system, reader, engine, observed_block),
        "forwarding": _sysctl.observe(system) if want["forwarding"].get("manage", True) else None,
        "sdk": _sdk_folder.observe(system, want["sdk"]) if want["sdk"].get("manage", True) else None,
        "directories": _host_files.observe_directories(system, _host_files.wanted_directories(want)),
        "ca_bundle": _host_files.observe_ca(system, want.get("ca_bundle")),
        "mounts": _host_files.observe_mounts(system, want.get("wait_mounts") or []),
        "storage": _host_mounts.observe(system, want, units or {}),
    }


def _observe_units(system: System, units: dict[str, dict[str, str]]) -> dict[str, Any]:
    files = (_units.ORDER_DROPIN, _units.DRIVER_SCRIPT, _units.DRIVER_UNIT)
    return {
        "files": {path: system.read(path) for path in files},
        "block_active": units.get(_units.BLOCK, {}).get("ActiveState") == "active",
        "stale": sorted(name for name, unit in units.items() if unit.get("NeedDaemonReload") == "yes"),
    }


def _under_slice(
    system: System, reader: EngineReader, engine: dict[str, Any], block: dict[str, Any]
) -> dict[str, bool]:
    """For each running fleet container on the host's network: does its cgroup stand under the slice?"""
    found = {}
    names = [entry["name"] for entry in engine["containers"] if entry["fleet"] and entry["host_network"]]
    for name in names if block["managed"] else []:
        container = reader.inspect(name) or {}
        pid = (container.get("State") or {}).get("Pid")
        found[name] = bool(pid) and _metadata_block.in_slice(
            system.read(f"/proc/{pid}/cgroup") or "", block["cgroup"]["method"]
        )
    return found


def observe_storage(system: System, want: dict[str, Any]) -> dict[str, Any]:
    """Of everything that ``observe`` reads, only what concerns shared storage."""
    return {
        "directories": _host_files.observe_directories(system, _host_mounts.directories(want)),
        "storage": _host_mounts.observe(system, want, _units.show(system, _host_mounts.units(want)) or {}),
    }


# --- plan


def plan_storage(
    want: dict[str, Any], observed: dict[str, Any], partial: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    mounts, against = _host_mounts.plan(want, observed["storage"], partial)
    folders, more = _host_files.plan_directories(_host_mounts.directories(want), observed["directories"])
    return mounts + folders, against + more


def plan(
    want: dict[str, Any], observed: dict[str, Any], partial: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Everything that differs, in the order it is carried out.

    ``partial``: the node has services that the document does not know. Their storage stays, and what they wait for
    at boot.
    """
    engine = observed["engine"]
    actions, findings = _host_engine.plan_install(want, engine)
    parts = [
        # Before the directories, which may lie on what is mounted.
        _host_mounts.plan(want, observed["storage"], partial),
        _host_files.plan_directories(_host_files.wanted_directories(want), observed["directories"]),
        _host_files.plan_ca(want.get("ca_bundle"), observed["ca_bundle"]),
        _sysctl.plan(want["forwarding"], observed["forwarding"]) if observed["forwarding"] else ([], []),
        _plan_units(want, observed, partial),
    ]
    for more, against in parts:
        actions += more
        findings += against
    reasons = ["CA bundle"] if any(step["action"] in ("write_ca", "remove_ca") for step in actions) else []
    for more, against in (_host_engine.plan_config(want, engine, reasons), _host_engine.plan_start(want, engine)):
        actions += more
        findings += against
    if observed["sdk"]:
        actions += _sdk_folder.plan(want["sdk"], observed["sdk"])
    coming = {step["target"] for step in actions if step["action"] == "mount"}
    findings += _host_files.mount_findings(
        {path: there or path in coming for path, there in observed["mounts"].items()}
    )
    return actions, findings


def _plan_units(
    want: dict[str, Any], observed: dict[str, Any], partial: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    engine, block = observed["engine"], observed["metadata_block"]
    manage, blocked = want["engine"].get("manage", True), want["metadata_block"]["state"] == "present"
    if not engine["systemd"]:
        if not manage and not blocked:
            return [], []
        message = "systemd does not run on the node: the engine and the metadata block cannot be ordered at boot."
        return [], [finding("systemd-missing", message)]
    predicted = None if engine["installed"] else FIREWALL_COMES
    steps = _metadata_block.plan(want["metadata_block"], block, observed["units"]["block_active"], predicted)
    files = [step for step in steps if step["action"] == "write"]
    rules = [step for step in steps if step["action"] != "write"]
    files += _plan_order(want, observed["units"]["files"], manage, blocked, partial)
    actions = list(files)
    stale = observed["units"]["stale"]
    if files or stale:
        reason = f"Changed on disk: {', '.join(stale)}." if stale else "Unit files are written."
        actions.append(action("host", "daemon_reload", "systemd", reason))
    return actions + rules, []


def _waits(want: dict[str, Any], found: dict[str, str | None], partial: bool) -> tuple[bool, list[str]]:
    """Whether the engine waits for the cards at boot, and for which mounts."""
    driver, mounts = bool(want["wait_npus"]), set(want.get("wait_mounts") or [])
    if partial:
        dropin = found[_units.ORDER_DROPIN] or ""
        driver = driver or found[_units.DRIVER_UNIT] is not None or _units.DRIVER in dropin
        mounts.update(_units.awaited_mounts(dropin))
    return driver, sorted(mounts)


def _plan_order(
    want: dict[str, Any], found: dict[str, str | None], manage: bool, blocked: bool, partial: bool
) -> list[dict[str, Any]]:
    npus = want["npus"]
    driver, mounts = _waits(want, found, partial) if manage else (False, [])
    wanted = {
        _units.DRIVER_SCRIPT: _units.driver_script(npus["dev"], npus["expected"]) if driver else None,
        _units.DRIVER_UNIT: _units.driver_unit() if driver else None,
        _units.ORDER_DROPIN: _units.order_dropin(mounts, driver, blocked),
    }
    actions = []
    for path, text in wanted.items():
        if found[path] == text:
            continue
        reason = "Containers wait at boot for what they need." if text else "Nothing is waited for at boot any more."
        actions.append(action("host", "write" if text else "remove", path, reason, before=found[path], after=text))
    return actions


def host_network_findings(observed: dict[str, Any], services: list[str]) -> list[dict[str, Any]]:
    """``services``: containers that want the host's network; findings where the block cannot hold for them."""
    return _metadata_block.host_network_findings(observed["metadata_block"], services, observed["under_slice"])


def firewall_findings(
    observed: dict[str, Any], actions: list[dict[str, Any]], bridged: set[str]
) -> list[dict[str, Any]]:
    """A finding where containers behind a bridge are to start and the engine's own chains have been flushed.

    The old container could not start again either, so nothing may be stopped before.
    """
    starting = [step["target"] for step in actions if step["scope"] == "services" and step["action"] in STARTING]
    again = any(step["scope"] == "host" and step["action"] in ENGINE_STARTS for step in actions)
    if again or not bridged.intersection(starting) or not observed:
        return []
    engine, block = observed["engine"], observed["metadata_block"]
    if not engine["answers"] or engine["iptables_off"] or not _metadata_block.chains_lost(block):
        return []
    message = (
        "The firewall rules of the engine are gone (there is no chain DOCKER): something has flushed them since the "
        f"engine was started, and it cannot start {', '.join(sorted(bridged.intersection(starting)))}."
    )
    remedy = (
        f"Run systemctl restart {_units.DOCKER} on the node, which interrupts its containers, and find out what "
        "flushes the rules."
    )
    return [finding("engine-refused", message, remedy, key="iptables")]


def cgroup_parent(observed: dict[str, Any]) -> str | None:
    """The cgroup_parent of a container on the host's network; None where the block is not ours."""
    block = observed["metadata_block"]
    if not block["managed"] or block["cgroup"]["method"] == _metadata_block.NONE:
        return None
    return _metadata_block.cgroup_parent(observed["engine"]["cgroup_driver"] or "systemd")


def removed(want: dict[str, Any]) -> dict[str, Any]:
    """The same host with everything gone that this collection made and that nothing else may need."""
    return dict(
        want,
        npus=dict(want["npus"], needed=False),
        wait_npus=False,
        engine=dict(want["engine"], needed=False, daemon={}, proxy=None),
        sdk=dict(want["sdk"], manage=False),
        forwarding=dict(want["forwarding"], state="absent"),
        metadata_block=dict(want["metadata_block"], state="absent"),
        directories=[],
        work_dir=None,
        ca_bundle=None,
        wait_mounts=[],
        mounts=[],
    )
