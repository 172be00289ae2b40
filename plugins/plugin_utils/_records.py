# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records: what one step did on one node, as files on the controller. Private to the collection.

A verdict is made from these files and from nothing else, so a result counts only once it is here.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from ansible.errors import AnsibleError

from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, finding

Record = dict[str, Any]

SCHEMA = 1
_SUFFIX = ".json"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(value: Any) -> Any:
    """The value as JSON would give it back: Ansible's tagged strings and dictionaries become ordinary ones."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def make(host: str, step: str, result: Mapping[str, Any], time: str | None = None) -> Record:
    """The record of a module's result, failed and unreachable ones included."""
    unreachable = bool(result.get("unreachable"))
    failed = bool(result.get("failed")) or unreachable
    message = _told(result)
    findings = [dict(item) for item in result.get("findings") or []]
    if failed and not any(item.get("severity") == ERROR for item in findings):
        check = "host-unreachable" if unreachable else _cause(message)
        findings.append(finding(check, message or f"The step {step} failed and gave no reason."))
    return {
        "schema": SCHEMA,
        "host": host,
        "step": step,
        "time": time or now(),
        "unreachable": unreachable,
        "failed": failed,
        "changed": bool(result.get("changed")),
        "message": message,
        "findings": plain(findings),
        "services": plain(result.get("services") or []),
        "images": plain(result.get("images") or []),
        "plan": plain(result.get("plan") or []),
        "done": plain(result.get("done")),
        "node": plain(result.get("node") or {}),
    }


# What Ansible puts before the cause, and what it says for itself, before any module of ours has run.
_PREFIX = "Task failed: "
_CAUSES = {
    "become-refused": re.compile(r"(missing|incorrect) \w+ password|a password is required|not in the sudoers", re.I),
}


def _told(result: Mapping[str, Any]) -> str:
    """The message, or what stopped Ansible before the module began, which it keeps beside its message."""
    beside = f"{result.get('module_stdout') or ''}\n{result.get('module_stderr') or ''}".splitlines()
    refusal = next((line.strip() for line in beside if _cause(line) != "step-failed"), None)
    return refusal or str(result.get("msg") or "").removeprefix(_PREFIX)


def _cause(message: str) -> str:
    return next((check for check, words in _CAUSES.items() if words.search(message)), "step-failed")


def run_dir(report_dir: str, run_id: str) -> str:
    return os.path.join(report_dir, run_id)


def record_path(report_dir: str, run_id: str, step: str, host: str) -> str:
    # A host name is whatever the inventory says, an IPv6 address or a path included.
    return os.path.join(run_dir(report_dir, run_id), "records", _quoted(step), _quoted(host) + _SUFFIX)


def outputs_dir(report_dir: str, run_id: str, host: str) -> str:
    return os.path.join(run_dir(report_dir, run_id), "jobs", _quoted(host))


def write_record(report_dir: str, run_id: str, step: str, host: str, result: Mapping[str, Any]) -> Record:
    record = make(host, step, result)
    write_json(record_path(report_dir, run_id, step, host), record)
    return record


def read_record(report_dir: str, run_id: str, step: str, host: str) -> Record | None:
    return _load(record_path(report_dir, run_id, step, host))


def read_all(report_dir: str, run_id: str) -> dict[str, dict[str, Record]]:
    """All records of a run: step -> host -> record."""
    found: dict[str, dict[str, Record]] = {}
    base = os.path.join(run_dir(report_dir, run_id), "records")
    for step in _names(base):
        folder = os.path.join(base, step)
        hosts = (name for name in _names(folder) if name.endswith(_SUFFIX))
        loaded = {unquote(name[: -len(_SUFFIX)]): _load(os.path.join(folder, name)) for name in hosts}
        found[unquote(step)] = {host: record for host, record in loaded.items() if record is not None}
    return found


def write_json(path: str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: str, text: str) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    try:
        _replace(path, text)
    except OSError as error:
        raise AnsibleError(
            f"{path} cannot be written on the controller ({error.strerror}): "
            "name a folder that can in fleet_report_dir, or make room there."
        ) from error


def _replace(path: str, text: str) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _quoted(name: str) -> str:
    # quote() leaves dots alone, and a name of dots only would be a folder.
    return quote(name, safe="").replace(".", "%2E") if set(name) == {"."} else quote(name, safe="")


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _load(path: str) -> Record | None:
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("schema") == SCHEMA else None
