# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict and the services in a few lines for a person. Pure; private to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._address import endpoint, is_loopback
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import gigabytes

WORDS = {True: "ok", False: "FAILED", None: "not proven"}
NOT_REACHED = "no-result"
_ANSWER_WIDTH = 60
_NAMED_HOSTS = 5
_NAMED_DEEDS = 10
IMAGE_STEPS = ("stage", "images")
_IMAGE_COLUMNS = ("IMAGE", "NODE", "STATE", "SIZE", "SECONDS", "ENGINE")
_SERVICE_COLUMNS = ("SERVICE", "NODE", "CARDS", "STATE", "URL", "ANSWER")


def text(verdict: Mapping[str, Any], path: str) -> str:
    hosts = verdict["hosts"]
    mode = ", check mode" if verdict["check_mode"] else ""
    lines = [f"{verdict['step']}: {WORDS[verdict['ok']]} ({_count(len(hosts), 'node')}, run {verdict['run_id']}{mode})"]
    rows = service_rows(hosts)
    if rows:
        lines += ["", *table(_SERVICE_COLUMNS, rows)]
    if verdict["step"] in IMAGE_STEPS:
        found = image_rows(hosts)
        lines += ["", *table(_IMAGE_COLUMNS, found)] if found else []
    warnings = [item for state in hosts.values() for item in state["warnings"]]
    for title, items in (("Failures", verdict["failures"]), ("Warnings", warnings)):
        if items:
            lines += ["", f"{title}:", *(line for item in items for line in _problem(item))]
    done = [f"  - {host}: {_deeds(state['done'])}" for host, state in hosts.items() if state.get("done")]
    if done:
        lines += ["", "Done before the failure, and left so:", *done]
    return "\n".join([*lines, "", f"Verdict: {path}"])


def sentence(verdict: Mapping[str, Any]) -> str:
    hosts = verdict["hosts"]
    broken = {item["host"] for item in verdict["failures"] if item["check"] != NOT_REACHED}
    failed = [host for host in hosts if host in broken]
    step = verdict["step"]
    if failed:
        named = ", ".join(failed[:_NAMED_HOSTS]) + (", ..." if len(failed) > _NAMED_HOSTS else "")
        return f"{step} failed on {len(failed)} of {_count(len(hosts), 'node')} ({named})."
    if verdict["ok"] is False:
        return f"{step} failed: {'; '.join(item['message'] for item in verdict['failures'][:_NAMED_HOSTS])}"
    return f"{step}: {WORDS[verdict['ok']]} on {_count(len(hosts), 'node')}."


def service_rows(hosts: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            service["name"],
            host,
            cards(service.get("cards")),
            _state(service),
            url(service, host) if service.get("state") == "running" else "",
            _short(service.get("answer")),
        ]
        for host, state in hosts.items()
        for service in state["services"]
    ]


def image_rows(hosts: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            image["reference"],
            host,
            image["state"],
            gigabytes(image["size"]) if image["size"] else "",
            "" if image["seconds"] is None else str(image["seconds"]),
            " by ".join(str(image[key]) for key in ("engine", "tool") if image[key]),
        ]
        for host, state in hosts.items()
        for image in state.get("images") or []
    ]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Aligned columns; one that is empty in every row is left out."""
    every = [list(row) for row in rows]
    kept = [index for index in range(len(columns)) if any(row[index] for row in every)]
    cells = [[row[index] for index in kept] for row in [list(columns), *every]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(kept))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def cards(numbers: Sequence[int] | None) -> str:
    return ",".join(str(number) for number in numbers or [])


def url(service: Mapping[str, Any], host: str) -> str:
    """Where the service answers; a port on the node's loopback is said to be one."""
    if service.get("url"):
        return str(service["url"])
    ports = service.get("ports") or []
    if not ports:
        return ""
    first = ports[0]
    if isinstance(first, str):
        address = first.split("->")[0].split("/")[0]
    else:
        address = endpoint(first.get("host_ip", "127.0.0.1"), first["host_port"])
    where = f" (on {host})" if is_loopback(address) else ""
    return f"http://{address}{where}"


def _state(service: Mapping[str, Any]) -> str:
    state = str(service.get("state") or "unknown")
    ready = service.get("ready")
    return f"{state}, ready" if ready else (f"{state}, not ready" if ready is False and state == "running" else state)


def _short(answer: Any) -> str:
    words = " ".join(str(answer if answer is not None else "").split())
    return words if len(words) <= _ANSWER_WIDTH else words[: _ANSWER_WIDTH - 3] + "..."


def _problem(item: Mapping[str, Any]) -> list[str]:
    where = " ".join(str(part) for part in (item["host"], item["service"]) if part)
    head = f"{where}: " if where else ""
    return [f"  - {head}{item['message']} [{item['check']}]", f"      {item['remedy']}"]


def _deeds(done: Sequence[Mapping[str, Any]]) -> str:
    named = [f"{item['action']} {item['target']}" for item in done[:_NAMED_DEEDS]]
    return ", ".join(named) + (f", and {len(done) - len(named)} more" if len(done) > len(named) else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
