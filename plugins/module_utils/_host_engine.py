# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine of a node: installed, enabled, configured, restarted only when it must be.

Private to the collection.
"""

from __future__ import annotations

import json
import platform
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils import _daemon_json, _host_packages, _units
from ansible_collections.ascend.fleet.plugins.module_utils._document import LABEL_SCHEMA, STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

# Written when a restart is due, with the identity of the engine's run that it is due for: whoever
# restarts the engine, the note is void afterwards.
RESTART_NOTE = STATE_DIR + "/engine-restart.json"
FORMER_CONFIG = STATE_DIR + "/daemon-json-before.json"
PREDICTED = "the engine is installed before"
ENABLED = ("enabled", "enabled-runtime", "static", "indirect", "alias", "generated")

# Keys whose value the running engine tells, and the field of its /info that holds it.
TOLD = {"live-restore": "LiveRestoreEnabled", "log-driver": "LoggingDriver"}


# --- observe


def observe(system: System, host: dict[str, Any], reader: EngineReader, units: Any) -> dict[str, Any]:
    want = host["engine"]
    unit = (units or {}).get(_units.DOCKER, {})
    installed = unit.get("LoadState") not in (None, "not-found") or (units is None and has_program(system))
    info, containers = _ask(reader)
    command = _units.command_line(system, unit)
    flags = _daemon_json.flags_of(command)
    observed = {
        "systemd": units is not None,
        "installed": installed,
        "enabled": unit.get("UnitFileState") in ENABLED,
        "masked": unit.get("LoadState") == "masked" or str(unit.get("UnitFileState")).startswith("masked"),
        "active": unit.get("ActiveState") == "active",
        "invocation": unit.get("InvocationID") or None,
        "answers": info is not None,
        "info": info,
        "version": (info or {}).get("ServerVersion"),
        "cgroup_driver": (info or {}).get("CgroupDriver"),
        "live_restore": bool((info or {}).get("LiveRestoreEnabled")),
        "containers": [_container(entry) for entry in containers if entry.get("State") == "running"],
        "packages": None,
        "restart_due": restart_due(system, unit),
        "proxy": _observe_proxy(system, want.get("proxy")),
        "config": _observe_config(system, want, flags, info),
    }
    if not installed:
        observed["packages"] = _host_packages.wanted(
            system, platform.machine(), want.get("package_dir"), want.get("packages")
        )
        observed["os"] = _host_packages.os_release(system).get("PRETTY_NAME", "unknown")
    observed.update(_firewall(observed["config"], flags, info))
    return observed


def has_program(system: System) -> bool:
    """Whether an engine is installed at all, running or not."""
    return any(system.exists(f"{folder}/dockerd") for folder in ("/usr/bin", "/usr/sbin", "/usr/local/bin"))


def _ask(reader: EngineReader) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    try:
        return reader.info(), reader.containers()
    except FleetError:
        return None, []


def _container(entry: dict[str, Any]) -> dict[str, Any]:
    labels = entry.get("Labels") or {}
    return {
        "name": (entry.get("Names") or [entry.get("Id", "")])[0].lstrip("/"),
        "fleet": LABEL_SCHEMA in labels,
        "host_network": (entry.get("HostConfig") or {}).get("NetworkMode") == "host",
    }


def restart_due(system: System, unit: dict[str, str]) -> list[str]:
    note = system.read_record(RESTART_NOTE)
    running = unit.get("ActiveState") == "active" and unit.get("InvocationID")
    reasons = note.get("reasons") if running and note.get("invocation") == running else None
    return [str(reason) for reason in reasons] if isinstance(reasons, list) else []


def _observe_proxy(system: System, proxy: dict[str, Any] | None) -> dict[str, Any]:
    """Whether the files are as wanted; their text holds passwords and stays out."""
    dropin, environment = system.read(_units.PROXY_DROPIN), system.read(_units.PROXY_ENVIRONMENT)
    if not proxy:
        return {"wanted": False, "right": dropin is None and environment is None}
    right = dropin == _units.proxy_dropin() and environment == _units.proxy_environment(proxy)
    return {"wanted": True, "right": right}


def _observe_config(
    system: System, want: dict[str, Any], flags: dict[str, list[str]], info: dict[str, Any] | None
) -> dict[str, Any]:
    """What the merge would change, never whole values of the file: a proxy in it may hold a password."""
    path = _daemon_json.config_path(flags)
    try:
        current, merged = merged_config(system, want, flags)
    except FleetError as error:
        return {"path": path, "error": error.finding, "changed": [], "stale": [], "kept": {}}
    changed = _daemon_json.changed_keys(current, merged)
    stale = [
        key
        for key, field in TOLD.items()
        if info is not None and key in (want.get("daemon") or {}) and key in merged and info.get(field) != merged[key]
    ]
    return {
        "path": path,
        "error": None,
        "changed": changed,
        "stale": [key for key in stale if key not in changed],
        "before": _masked({key: current[key] for key in changed if key in current}),
        "after": _masked({key: merged[key] for key in changed if key in merged}),
        "kept": {key: merged[key] for key in ("firewall-backend", "iptables") if key in merged},
    }


def merged_config(
    system: System, want: dict[str, Any], flags: dict[str, list[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    path = _daemon_json.config_path(flags)
    if system.isdir(path):
        raise FleetError("engine-config-invalid", f"{path} is a directory.", "Put a file in its place.", key=path)
    current = _daemon_json.parse(system.read(path), path)
    wanted = (want.get("daemon") or {}) if want.get("manage", True) else {}
    if not wanted:
        return current, current
    return current, _daemon_json.merge(current, _daemon_json.without_flags(wanted, current, flags, path))


def _masked(content: dict[str, Any]) -> Any:
    return json.loads(_daemon_json.masked(json.dumps(content)))


def _firewall(config: dict[str, Any], flags: dict[str, list[str]], info: dict[str, Any] | None) -> dict[str, Any]:
    """The backend after the next start of the engine, which is what must hold at boot."""
    running = ((info or {}).get("FirewallBackend") or {}).get("Driver", "")
    told = config["kept"].get("firewall-backend") or flags.get("firewall-backend", [""])[-1] or running
    off = config["kept"].get("iptables") is False or flags.get("iptables", ["true"])[-1] == "false"
    return {"backend": "nftables" if told.startswith("nftables") else "iptables", "iptables_off": off}


# --- plan


def _brought(want: dict[str, Any]) -> bool:
    """Whether an engine that is not there is installed and started; not for taking services down."""
    return bool(want.get("manage", True) and want.get("needed", True))


def plan_install(host: dict[str, Any], observed: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What comes before anything else of the host."""
    want = host["engine"]
    if not _brought(want) or observed["installed"]:
        return [], []
    packages = observed["packages"]
    if packages is None:
        message = f"The packages of the Docker Engine are not known for {observed['os']}, and none is installed."
        return [], [finding("engine-unknown-os", message, key="fleet_docker_package_dir")]
    if not packages["packages"]:
        message = f"No package lies in {want['package_dir']}, and no Docker Engine is installed."
        remedy = "Put the packages of the Docker Engine and their dependencies there."
        where = {"key": "fleet_docker_package_dir", "value": want["package_dir"]}
        return [], [finding("engine-missing", message, remedy, **where)]
    return [action("host", "install_packages", _units.DOCKER, "No Docker Engine is installed.", after=packages)], []


def plan_start(host: dict[str, Any], observed: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What comes after everything else of the engine: its first start then needs no second one."""
    comes = _comes_started(observed)
    if not _brought(host["engine"]) or comes or (observed["enabled"] and observed["active"]):
        return [], []
    if observed["masked"]:
        message = f"{_units.DOCKER} is masked on the node, so that nothing can enable or start it."
        remedy = f"Find out who masked it; then run systemctl unmask {_units.DOCKER} on the node."
        return [], [finding("engine-start-failed", message, remedy, key=_units.DOCKER)]
    before = {"enabled": observed["enabled"], "active": observed["active"]}
    reason = "The engine must run now and after a boot."
    step = action("host", "enable_service", _units.DOCKER, reason, before, {"enabled": True, "active": True})
    return [dict(step, predicted_because=None if observed["installed"] else PREDICTED)], []


def _comes_started(observed: dict[str, Any]) -> bool:
    """Debian's packages enable and start what they install."""
    return bool(observed["packages"]) and observed["packages"]["manager"] == "apt"


def plan_config(
    host: dict[str, Any], observed: dict[str, Any], more_reasons: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Actions on the engine's configuration; ``more_reasons`` are further reasons to restart it."""
    if not host["engine"].get("manage", True):
        return [], []
    config, proxy = observed["config"], observed["proxy"]
    if config["error"] is not None:
        return [], [config["error"]]
    predicted = None if observed["installed"] else PREDICTED
    actions = []
    due = list(observed["restart_due"])
    if not proxy["right"]:
        reason = "The engine reaches registries as the inventory says."
        name = "write_proxy" if proxy["wanted"] else "remove_proxy"
        actions.append(action("host", name, _units.PROXY_ENVIRONMENT, reason, predicted_because=predicted))
        due.append("proxy")
    keys = config["changed"] + config["stale"]
    due += _daemon_json.restart_keys(keys)
    if config["changed"]:
        reason = f"Keys to merge: {', '.join(config['changed'])}."
        step = action("host", "merge_config", config["path"], reason, before=config["before"], after=config["after"])
        actions.append(dict(step, predicted_because=predicted))
    reload_keys = [key for key in keys if key in _daemon_json.RELOADED]
    due += more_reasons
    running = observed["active"] or _comes_started(observed)
    # A restart that comes at once takes over everything.
    if reload_keys and running and (not due or _interrupted(observed)):
        reason = f"The running engine takes over {', '.join(reload_keys)}."
        actions.append(action("host", "reload_engine", _units.DOCKER, reason, predicted_because=predicted))
    if due and running:
        actions.append(_restart(observed, sorted(set(due)), predicted))
    return actions, []


def _restart(observed: dict[str, Any], due: list[str], predicted: str | None) -> dict[str, Any]:
    interrupted = _interrupted(observed)
    reason = f"The engine reads this only when it starts: {', '.join(due)}."
    if interrupted:
        reason += f" It stops {', '.join(interrupted)} for the time of the restart."
    step = action("host", "restart_engine", _units.DOCKER, reason, after={"read": due}, interrupts=bool(interrupted))
    return dict(step, predicted_because=predicted)


def _interrupted(observed: dict[str, Any]) -> list[str]:
    if observed["live_restore"]:
        return []
    return sorted(container["name"] for container in observed["containers"])
