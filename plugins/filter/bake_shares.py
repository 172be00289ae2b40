# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node bakes which image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils._bake_shares import shares

DOCUMENTATION = r"""
---
name: bake_shares
short_description: Which node bakes which image
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Gives each image that is on no node to one node to bake, and each image that only some nodes have to one of these
    to share.
  - Used by the playbooks of the collection.
positional: _input, hostvars
options:
  _input:
    description: The hosts of the play.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, among them what M(ascend.fleet.fleet_node) saw on them.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Show who builds what
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | ascend.fleet.bake_shares(hostvars) }}"
  run_once: true
"""

RETURN = r"""
---
_value:
  description:
    - Host names, each with a list of dicts with the keys V(reference), V(id), V(work) and V(others).
    - V(work) is V(build) or V(share); V(others) says whether another node waits for the image.
  type: dict
"""


def bake_shares(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return shares({host: _seen(hostvars[host]) for host in hosts})


def _seen(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    if "__fleet_broken" in variables:
        return {}
    seen: Mapping[str, Any] = variables.get("__fleet_seen", {})
    if not any(act["scope"] == "bakes" for act in seen.get("plan") or []):
        # What else was looked at belongs to an earlier role or playbook.
        return seen
    # The later look knows the base images that were staged since.
    later: Mapping[str, Any] = variables.get("__fleet_bakes_seen", {})
    return later if "bakes" in later else seen


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"bake_shares": bake_shares}
