# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters about models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.ascend.fleet.plugins.plugin_utils._weights_rows import rows

DOCUMENTATION = r"""
---
name: model_rows
short_description: Who takes a model from whom
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Puts the hosts of a play into rows, one for each model, in which those who have it give it to those who lack it.
  - Used by the role P(ascend.fleet.model_weights#role).
positional: hostvars, port
options:
  _input:
    description: The hosts of the play.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - The variables of the hosts. Read are C(__model_weights_seen), which is what M(ascend.fleet.model_weights) said
        of the host's models, and C(fleet_address) or C(ansible_host), at which the others reach it. Without them it is
        reached by its name.
    type: dict
    required: true
  port:
    description: First port; each model takes one.
    type: int
    required: true
"""

EXAMPLES = r"""
---
- name: Show the rows
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | ascend.fleet.model_rows(hostvars, 18790) }}"
"""

RETURN = r"""
---
_value:
  description: By host and path, how the host takes part; hosts that do not are not in it.
  type: dict
"""


def model_rows(hosts: Any, hostvars: Any, port: Any) -> dict[str, Any]:
    if isinstance(hosts, str) or not isinstance(hostvars, Mapping):
        raise AnsibleFilterError("model_rows wants a list of hosts and their variables")
    variables = {host: hostvars[host] for host in hosts}
    seen = {host: (values.get("__model_weights_seen") or {}).get("results") for host, values in variables.items()}
    addresses = {
        host: values.get("fleet_address") or values.get("ansible_host") or host for host, values in variables.items()
    }
    return rows(seen, addresses, int(port))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"model_rows": model_rows}
