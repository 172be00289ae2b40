# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of what would run and of what runs where, as text, Markdown and JSON. Pure; private to the collection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.plugin_utils import _summary

Row = Mapping[str, Any]

SCHEMA = 1
PLAN = "plan"
SERVICES = "services"


class View(NamedTuple):
    title: str
    columns: Mapping[str, str]
    """Key of a row -> heading."""


VIEWS = {
    PLAN: View(
        "What would run where",
        {
            "service": "Service",
            "node": "Node",
            "kind": "Kind",
            "state": "State",
            "cards": "Cards",
            "image": "Image",
            "port": "Port",
            "problem": "Does not fit",
        },
    ),
    SERVICES: View(
        "What runs where",
        {
            "service": "Service",
            "node": "Node",
            "kind": "Kind",
            "state": "State",
            "ready": "Ready",
            "cards": "Cards",
            "image": "Image",
            "url": "URL",
            "answer": "Answer",
        },
    ),
}


def service_rows(hosts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the services that the hosts of a verdict show; a host that shows none says why in ``state``."""
    rows: list[dict[str, Any]] = []
    for host, seen in hosts.items():
        for service in seen["services"]:
            known = {key: service.get(key) for key in ("kind", "state", "ready", "cards", "image", "answer")}
            url = _summary.url(service, host) if known["state"] == "running" else None
            rows.append({"service": service["name"], "node": host, **known, "url": url or None})
        if seen["unreachable"]:
            rows.append({"service": None, "node": host, "state": "unreachable"})
    return rows


def changes(records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a run would do on the nodes that were observed, in its order."""
    keys = ("scope", "action", "target", "reason", "interrupts", "predicted_because")
    return [
        {"node": host, **{key: action.get(key) for key in keys}}
        for host, record in records.items()
        for action in record["plan"]
    ]


def changes_text(found: Sequence[Row]) -> str:
    columns = {"node": "Node", "action": "Action", "target": "Target", "reason": "Because"}
    return "\n".join(_summary.table([heading.upper() for heading in columns.values()], _cells(columns, found)))


def as_text(view: str, rows: Sequence[Row]) -> str:
    columns = VIEWS[view].columns
    return "\n".join(_summary.table([heading.upper() for heading in columns.values()], _cells(columns, rows)))


def as_markdown(view: str, rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    title, columns = VIEWS[view]
    lines = [columns.values(), ["---"] * len(columns), *_cells(columns, rows)]
    table = "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)
    return f"# {title}\n\nRun {facts['run_id']}, {facts['time']}.\n\n{table}\n"


def as_json(view: str, rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    return json.dumps({"schema": SCHEMA, **facts, view: rows}, indent=2, sort_keys=True) + "\n"


FORMATS: dict[str, tuple[str, Callable[[str, Sequence[Row], Mapping[str, Any]], str]]] = {
    "markdown": (".md", as_markdown),
    "json": (".json", as_json),
}


def _cells(columns: Mapping[str, str], rows: Iterable[Row]) -> list[list[str]]:
    return [[_cards(row) if key == "cards" else _cell(row.get(key)) for key in columns] for row in rows]


def _cards(row: Row) -> str:
    """Their numbers, or how many the node will choose."""
    return f"any {row['npus']}" if row.get("cards") is None and row.get("npus") else _cell(row.get("cards"))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(_cell(item) for item in value)
    return " ".join(str(value).split())


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|")
