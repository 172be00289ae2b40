# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor's package in the documents of nodes: one row for each folder. Private to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

SAME = ("src", "version", "sha256")


def documents(wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Rows from pairs of service and package; what services want of one folder is put together."""
    rows: dict[str, dict[str, Any]] = {}
    for service, package in wanted:
        row = rows.setdefault(package["path"], {**package, "parts": [], "services": []})
        row["services"] = [*row["services"], service]
        row["parts"] = list(_together([*row["parts"], *package["parts"]]))
    return list(rows.values())


def conflicts(wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, Flaw]]:
    """Services that want one folder to be two packages."""
    first: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for service, package in wanted:
        other, known = first.setdefault(package["path"], (service, package))
        for key in SAME:
            if package[key] != known[key]:
                told = f"is not what {other} says of the same folder"
                remedy = f"Write the same in both entries, or name another path than {package['path']}."
                yield service, Flaw(f"ascendcloud.{key}", package[key], told, remedy)


def _together(parts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        key = (part["name"], part["match"])
        known = found.setdefault(key, {**part, "include": list(part["include"])})
        if not part["include"] or not known["include"]:
            # One of them wants all of it.
            known["include"] = []
        else:
            known["include"] = sorted({*known["include"], *part["include"]})
    yield from found.values()
