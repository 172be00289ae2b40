# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of entries under one name in several groups of a host, of which Ansible keeps one. Private to the collection.

That is meant where one group stands below the other, or is ranked by ``ansible_group_priority``. Between groups that
stand beside each other the alphabet decides, and services would vanish without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.plugins.loader import vars_loader

from ansible_collections.ascend.fleet.plugins.plugin_utils._merge import VARIABLE
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

Lists = Mapping[str, Any]


class GroupLists:
    def __init__(self, inventory: Any, loader: Any, folders: Callable[[str], Iterable[str]]) -> None:
        self._inventory = inventory
        self._loader = loader
        self._folders = folders
        self._known: dict[tuple[str, tuple[str, ...]], Lists] = {}

    def flaws(self, host: str) -> list[Flaw]:
        found = self._inventory.get_host(host)
        if found is None:
            return []
        folders = tuple(dict.fromkeys(folder for folder in self._folders(host) if folder))
        own = self._lists(found, folders)
        ranked: dict[str, dict[tuple[int, int], list[tuple[str, Any]]]] = {}
        for group in found.groups:
            for name, value in self._lists(group, folders).items():
                rank = (group.depth, int(group.priority))
                ranked.setdefault(name, {}).setdefault(rank, []).append((group.name, value))
        return [
            flaw
            for name in sorted(ranked)
            if name not in own
            for flaw in _rivals(name, ranked[name][max(ranked[name])])
        ]

    def _lists(self, entity: Any, folders: tuple[str, ...]) -> Lists:
        key = (f"{type(entity).__name__} {entity.name}", folders)
        if key not in self._known:
            files = vars_loader.get("ansible.builtin.host_group_vars")
            values = dict(entity.vars)
            for folder in folders:
                values.update(files.get_vars(self._loader, folder, [entity]))
            self._known[key] = {name: value for name, value in values.items() if VARIABLE.match(name)}
        return self._known[key]


def _rivals(name: str, groups: list[tuple[str, Any]]) -> list[Flaw]:
    names = sorted(group for group, _value in groups)
    if all(value == groups[0][1] for _group, value in groups):
        return []
    return [
        Flaw(
            name,
            None,
            f"stands in the groups {', '.join(names)} beside each other, of which Ansible takes {names[-1]} alone",
            f"Give each list a name of its own, such as {name}_{names[0]}, and all of them count.",
        )
    ]
