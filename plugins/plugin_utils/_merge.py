# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries from every ``fleet_services*`` and ``fleet_jobs*`` variable of a host. Private to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.plugin_utils import _options
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw
from ansible_collections.ascend.fleet.plugins.plugin_utils._problems import Place

VARIABLE = re.compile(r"^fleet_(services|jobs)(_.+)?$")
# Stands for an entry that could not be templated, which is told already.
UNREADABLE: Any = object()
FAMILIES = {"services": "service", "jobs": "job"}


class RawEntry(NamedTuple):
    place: Place
    family: str
    values: Mapping[str, Any]


def entries(variables: Mapping[str, Any]) -> Iterator[RawEntry | tuple[Place, Flaw]]:
    """Raw entries in the order of the variables' names; what is no entry comes as a flaw with its place."""
    for variable in sorted(variables):
        match = VARIABLE.match(variable)
        if match and variables[variable] is not None:
            yield from listed(variable, variables[variable], FAMILIES[match.group(1)])


def listed(variable: str, value: Any, family: str) -> Iterator[RawEntry | tuple[Place, Flaw]]:
    if not isinstance(value, list | tuple):
        remedy = _options.written(value, "Write a list, one entry a dash.")
        yield Place(variable), Flaw("", value, "is not a list of entries", remedy)
        return
    for index, values in enumerate(value):
        if values is UNREADABLE:
            continue
        if isinstance(values, Mapping):
            name = values.get("name")
            yield RawEntry(Place(variable, index, name if isinstance(name, str) else None), family, values)
        else:
            yield Place(variable, index), Flaw("", values, "is not an entry", "Write name: and kind: below the dash.")
