# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds: what an entry may be. Private to the collection.

A kind is a row here, its keys in ``entry-1.yml``, a pure compiler beside this file, and a role.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds._base import Compiler, Entry, Kind, Parts, Settings

# Each kind with its role; its compiler is the module of the same name.
ROLES = {
    "comfyui": "comfyui",
    "container": "container_service",
    "diffusers": "diffusers",
    "job": "container_job",
    "vllm": "vllm",
    "wan_video": "wan_video",
}


def table(schema: dict[str, Any]) -> dict[str, Kind]:
    """The kinds with their keys from the entry schema."""
    families = schema["families"]
    return {
        name: from_schema(name, _compiler(name), role, schema["kinds"][name], families) for name, role in ROLES.items()
    }


def _compiler(name: str) -> Compiler:
    """Loads the module with the first entry of its kind: Ansible keeps no bytecode, and few fleets have every kind."""

    def compile_entry(entry: Entry, settings: Settings) -> Parts:
        parts: Parts = import_module(f"{__name__}.{name}").compile_entry(entry, settings)
        return parts

    return compile_entry


def from_schema(name: str, compiler: Compiler, role: str, keys: dict[str, Any], families: dict[str, Any]) -> Kind:
    family = keys.get("family", "service")
    return Kind(
        name=name,
        compile=compiler,
        role=role,
        options={**families[family]["options"], **keys["options"]},
        defaults=keys.get("defaults", {}),
        requires=tuple(keys.get("requires", ())),
        family=family,
    )
