# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out what is planned for the settings of a host. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _host_engine_apply,
    _host_files,
    _host_mounts,
    _metadata_block,
    _sdk_install,
    _sysctl,
    _units,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


def apply(want: dict[str, Any], actions: list[dict[str, Any]], system: System, progress: Callable[[str], None]) -> None:
    for step in actions:
        progress(f"{step['action']} {step['target']}")
        _APPLY[step["action"]](system, want, step)


def _packages(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    raise FleetError("engine-missing", "The Docker Engine is not installed, and installing it is left to the role.")


def _client(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    message = f"Nothing on the node mounts {step['target']}, and installing packages is left to the role."
    raise FleetError("mount-failed", message, "Run the step prepare.", key="fleet_mounts", value=step["target"])


def _write(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    system.write(step["target"], step["after"], 0o755 if step["target"].startswith(_units.LIBRARY) else 0o644)


def _write_ca(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    _host_files.write_ca(system, want["ca_bundle"], want.get("files") or {})
    _host_engine_apply.note_restart(system, ["CA bundle"])


def _remove_ca(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    _host_files.remove_ca(system)
    _host_engine_apply.note_restart(system, ["CA bundle"])


def _block(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    units = _units.show(system) or {}
    _metadata_block.block(system, units.get(_units.BLOCK, {}).get("ActiveState") == "active")


def _unblock(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    _metadata_block.unblock(system)
    _reload_units(system, want, step)


def _reload_units(system: System, want: dict[str, Any], step: dict[str, Any]) -> None:
    _units.reload(system)


Step = Callable[[System, "dict[str, Any]", "dict[str, Any]"], None]


def _with_step(function: Callable[[System, dict[str, Any]], None]) -> Step:
    return lambda system, want, step: function(system, step)


def _with_want(function: Callable[[System, dict[str, Any]], None]) -> Step:
    return lambda system, want, step: function(system, want)


_APPLY: dict[str, Step] = {
    **{name: _with_step(function) for name, function in _sysctl.APPLY.items()},
    **{name: _with_want(function) for name, function in _host_engine_apply.APPLY.items()},
    "install_packages": _packages,
    "install_mount_client": _client,
    "write_mount": _with_step(_host_mounts.write),
    "remove_mount": _with_step(_host_mounts.remove),
    "mount": _host_mounts.mount,
    "create_directory": _with_step(_host_files.apply_directory),
    "set_directory": _with_step(_host_files.apply_directory),
    "write_ca": _write_ca,
    "remove_ca": _remove_ca,
    "write": _write,
    "remove": _with_step(lambda system, step: _units.remove(system, step["target"])),
    "daemon_reload": _reload_units,
    "block_metadata": _block,
    "unblock_metadata": _unblock,
    "use_system_sdk": lambda system, want, step: _sdk_install.use_system(system, want["sdk"]["folder"]),
    "install_sdk": lambda system, want, step: _sdk_install.install(system, want["sdk"]["folder"]),
}
