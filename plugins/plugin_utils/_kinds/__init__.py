# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds: what an entry may be. Private to the collection.

A kind is a row here, its keys in ``entry-1.yml``, a pure compiler beside this file, and a role.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import (
    comfyui,
    container,
    diffusers,
    job,
    vllm,
    wan_video,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds._base import Compiler, Kind

ROWS: dict[str, tuple[Compiler, str]] = {
    "comfyui": (comfyui.compile_entry, "comfyui"),
    "container": (container.compile_entry, "container_service"),
    "diffusers": (diffusers.compile_entry, "diffusers"),
    "job": (job.compile_entry, "container_job"),
    "vllm": (vllm.compile_entry, "vllm"),
    "wan_video": (wan_video.compile_entry, "wan_video"),
}


def table(schema: dict[str, Any]) -> dict[str, Kind]:
    """The kinds with their keys from the entry schema."""
    families = schema["families"]
    return {
        name: from_schema(name, compiler, role, schema["kinds"][name], families)
        for name, (compiler, role) in ROWS.items()
    }


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
