# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is wrong with an inventory, said once however many hosts see it. Private to the collection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

SHOWN_HOSTS = 3
SHOWN_VALUE = 80
HIDDEN = "(hidden)"
# Values of such keys, and texts that hold such words, are never shown.
_SECRET = re.compile(
    r"api[_-]?key|token|passw|secret|credential|private[_-]?key|authorization|(^|//)[^/@\s]+:[^/@\s]+@(?!sha256:)", re.I
)
_SECRET_FILE = re.compile(r"(file|_dir|path|target|name|id)$")


class Place(NamedTuple):
    """Where a value stands: a variable, and the entry in it."""

    variable: str
    position: int | None = None
    entry: str | None = None

    def __str__(self) -> str:
        where = self.variable if self.position is None else f"{self.variable}[{self.position}]"
        return f"{where} {shown('name', self.entry)}" if self.entry else where


class Problem(NamedTuple):
    host: str | None
    place: Place
    flaw: Flaw


def collect(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """One error for the same flaw on any number of hosts, in the order of discovery."""
    merged: dict[tuple[str, ...], dict[str, Any]] = {}
    for host, place, flaw in problems:
        value = shown(flaw.key, flaw.value)
        error = merged.setdefault(
            (str(place), flaw.key, value, flaw.message),
            {
                "hosts": [],
                "variable": place.variable,
                "entry": place.entry,
                "key": flaw.key,
                "value": value,
                "message": flaw.message,
                "remedy": flaw.remedy,
                "where": str(place),
            },
        )
        if host is not None and host not in error["hosts"]:
            error["hosts"].append(host)
    return list(merged.values())


def sentence(error: dict[str, Any]) -> str:
    """Entry, key, value, and what is wrong."""
    where = error["where"] if error["key"] in ("", error["where"]) else f"{error['where']}: {error['key']}"
    value = f" = {error['value']}" if error["value"] else ""
    return f"{where}{value}: {error['message']}."


def line(error: dict[str, Any]) -> str:
    """One line: the sentence, the remedy and the hosts."""
    return f"{sentence(error)} {error['remedy']}{_seen_by(error)}"


def _seen_by(error: dict[str, Any]) -> str:
    hosts = error["hosts"][:SHOWN_HOSTS]
    more = len(error["hosts"]) - len(hosts)
    names = ", ".join(hosts) + (f" and {more} more" if more else "")
    return f" ({names})" if names else ""


def message(errors: list[dict[str, Any]]) -> str:
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return "\n".join([f"The inventory has {count}; nothing was contacted.", *(line(error) for error in errors)])


def findings(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The errors as findings for the verdict, with their hosts."""
    return [
        {
            "host": error["hosts"][0] if len(error["hosts"]) == 1 else None,
            **finding(
                "inventory-invalid",
                sentence(error) + (_seen_by(error) if len(error["hosts"]) > 1 else ""),
                remedy=error["remedy"],
                service=error["entry"],
                key=error["key"],
                value=error["value"],
            ),
        }
        for error in errors
    ]


def shown(key: str, value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    last = key.rpartition(".")[2]
    if (_SECRET.search(last) and not _SECRET_FILE.search(last)) or _is_telling(text):
        return HIDDEN
    if isinstance(value, str) and value != value.strip():
        # What is wrong with it could not be seen without quotes.
        text = json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_VALUE else text[: SHOWN_VALUE - 3] + "..."


def _is_telling(text: str) -> bool:
    # A bare option name such as --api-key tells nothing; with a value beside it, it does.
    return bool(_SECRET.search(text)) and not re.match(r"^[\w./~-]+$", text)
