# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the settings of the Docker Engine, and starts it. Private to the collection."""

from __future__ import annotations

import json
from typing import Any, Callable

from ansible_collections.ascend.fleet.plugins.module_utils import _daemon_json, _host_engine, _units
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

RESTART_SECONDS = 300


def note_restart(system: System, reasons: list[str]) -> None:
    """Remember that a restart is due until somebody has restarted the engine."""
    unit = (_units.show(system) or {}).get(_units.DOCKER, {})
    if unit.get("ActiveState") != "active" or not reasons:
        return
    reasons = sorted({*_host_engine.restart_due(system, unit), *reasons})
    note = {"invocation": unit.get("InvocationID"), "reasons": reasons}
    system.write(_host_engine.RESTART_NOTE, json.dumps(note, sort_keys=True) + "\n", 0o600)


def enable(system: System) -> None:
    _start(system, ["systemctl", "enable", "--now", _units.DOCKER])


def write_proxy(system: System, proxy: dict[str, Any]) -> None:
    system.write(_units.PROXY_ENVIRONMENT, _units.proxy_environment(proxy), 0o600)
    system.write(_units.PROXY_DROPIN, _units.proxy_dropin())
    _units.reload(system)
    note_restart(system, ["proxy"])


def remove_proxy(system: System) -> None:
    _units.remove(system, _units.PROXY_DROPIN)
    _units.remove(system, _units.PROXY_ENVIRONMENT)
    _units.reload(system)
    note_restart(system, ["proxy"])


def merge_config(system: System, want: dict[str, Any]) -> None:
    unit = (_units.show(system) or {}).get(_units.DOCKER, {})
    command = _units.command_line(system, unit)
    flags = _daemon_json.flags_of(command)
    path = _daemon_json.config_path(flags)
    current, merged = _host_engine.merged_config(system, want, flags)
    text = _daemon_json.render(merged)
    _validate(system, command, path, text)
    restart = _daemon_json.restart_keys(_daemon_json.changed_keys(current, merged))
    if restart and not _host_engine.restart_due(system, unit):
        # Of two merges before one restart, the first one's start is what is known to work.
        system.write(_host_engine.FORMER_CONFIG, json.dumps({"path": path, "text": system.read(path)}), 0o600)
    _write_config(system, path, text)
    note_restart(system, restart)


def _write_config(system: System, path: str, text: str) -> None:
    """A file that somebody closed to others, for a password in it, stays closed."""
    stat = system.stat(path)
    system.write(path, text, 0o644 if stat is None else stat.st_mode & 0o777)


def _validate(system: System, command: list[str], path: str, text: str) -> None:
    """Let dockerd itself judge the file, where its release can."""
    if not command:
        return
    trial = f"{path}.ascend-fleet"
    flags = [word for word in command[1:] if not word.startswith("--config-file")]
    system.write(trial, text, 0o600)
    try:
        argv = [command[0], *flags, "--validate", f"--config-file={system.path(trial)}"]
        result = system.run(argv, timeout=30)
    finally:
        system.remove(trial)
    told = result.err.strip() or result.out.strip()
    if result.rc == 0 or result.rc in (126, 127) or "unknown flag" in told:
        return
    reason = _daemon_json.masked(told.splitlines()[-1] if told else f"exit status {result.rc}")
    raise FleetError(
        "engine-config-invalid",
        f"dockerd refuses the merged {path}: {reason}",
        "Correct fleet_docker_daemon; the file is as it was.",
        key=path,
    )


def reload(system: System) -> None:
    _start(system, ["systemctl", "reload", _units.DOCKER])


def restart(system: System) -> None:
    unit = (_units.show(system) or {}).get(_units.DOCKER, {})
    former = system.read_record(_host_engine.FORMER_CONFIG) if _host_engine.restart_due(system, unit) else {}
    _forgive_starts(system)
    try:
        _start(system, ["systemctl", "restart", _units.DOCKER])
    except FleetError as error:
        if not {"path", "text"} <= set(former):
            raise
        _put_back(system, former)
        _forgive_starts(system)
        again = system.run(["systemctl", "start", _units.DOCKER], timeout=RESTART_SECONDS)
        ending = "runs with it" if again.rc == 0 else "does not start with it either"
        raise FleetError(
            "engine-start-failed",
            f"{str(error).rstrip('.')}. The former configuration is back, and the engine {ending}.",
            key=_units.DOCKER,
        ) from error
    finally:
        system.remove(_host_engine.FORMER_CONFIG)
    system.remove(_host_engine.RESTART_NOTE)


def _forgive_starts(system: System) -> None:
    """systemd refuses the fourth start within a minute, however well the engine ran in between."""
    system.run(["systemctl", "reset-failed", _units.DOCKER], timeout=30)


def _put_back(system: System, former: dict[str, Any]) -> None:
    if former["text"] is None:
        system.remove(former["path"])
    else:
        _write_config(system, former["path"], former["text"])


def _start(system: System, argv: list[str]) -> None:
    result = system.run(argv, timeout=RESTART_SECONDS)
    if result.rc == 0:
        return
    journal = system.run(["journalctl", "-u", _units.DOCKER, "-n", "20", "--no-pager", "-o", "cat"], timeout=20)
    lines = [line for line in journal.out.splitlines() if "level=error" in line or "failed" in line.lower()]
    detail = _daemon_json.masked(lines[-1] if lines else " ".join(result.err.split()))
    raise FleetError("engine-start-failed", f"{' '.join(argv)} failed: {detail}", key=_units.DOCKER)


APPLY: dict[str, Callable[[System, dict[str, Any]], None]] = {
    "enable_service": lambda system, want: enable(system),
    "write_proxy": lambda system, want: write_proxy(system, want["engine"]["proxy"]),
    "remove_proxy": lambda system, want: remove_proxy(system),
    "merge_config": lambda system, want: merge_config(system, want["engine"]),
    "reload_engine": lambda system, want: reload(system),
    "restart_engine": lambda system, want: restart(system),
}
