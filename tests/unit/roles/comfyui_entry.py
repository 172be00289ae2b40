# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiler makes of one entry of kind comfyui."""

from __future__ import annotations

from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data
from ansible_collections.ascend.fleet.plugins.plugin_utils._entries import expand
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base, comfyui, table
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import check


def compiled(keys: dict[str, Any]) -> _base.Parts:
    schema = _data.entry_schema()
    kind = table(schema)["comfyui"]
    given = {"name": "draw", "kind": "comfyui", "image": "x", "npus": 0, "port": 8183, **keys}
    typed, flaws = check({**schema["common"], **kind.options}, given)
    assert flaws == []
    (values,) = expand(typed)
    parts = comfyui.compile_entry(values, _base.Settings())
    assert parts.flaws == []
    return parts
