#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_node_probe
short_description: Ask the services of a node for their answers
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - What M(ascend.fleet.fleet_node) runs on the node for its O(ascend.fleet.fleet_node#module:action=probe).
    It holds nothing but what asks the engine and the services.
  - A service that has just started gets the rest of the time of its probe; one that is long up must answer now.
  - Use M(ascend.fleet.fleet_node) in playbooks. It reads secret files on the controller and writes the record of
    the run.
options:
  document:
    description:
      - The node document, schema 1, as M(ascend.fleet.fleet_compile) makes it.
    type: dict
    required: true
  secrets:
    description:
      - Contents of the secret files that services mount, by id; those that lie on the node are used otherwise.
    type: dict
  rollback:
    description:
      - Ask each service for what it answered before its last change, see
        O(ascend.fleet.fleet_node#module:rollback).
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any mode.
  diff_mode:
    support: none
    description: Nothing is changed.
  idempotent:
    support: full
    description: It never changes anything.
  platform:
    support: full
    platforms: linux
    description: Linux with Docker Engine, root, Python 3.8 or newer.
seealso:
  - module: ascend.fleet.fleet_node
"""

EXAMPLES = r"""
---
- name: Compile the inventory
  ascend.fleet.fleet_compile:
  register: fleet
  run_once: true

- name: Ask the services of the node for their answers
  ascend.fleet.fleet_node_probe:
    document: "{{ fleet.documents[inventory_hostname] }}"
  register: node
"""

RETURN = r"""
---
findings:
  description: One for each service that is not as its entry says, as RV(ascend.fleet.fleet_node#module:findings).
  returned: always
  type: list
  elements: dict
services:
  description: One entry per service with its state and answer.
  returned: always
  type: list
  elements: dict
  sample:
    - name: chat
      kind: vllm
      state: running
      ready: true
      answer: Paris
      seconds: 0.4
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._node_probe import handle


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "document": {"type": "dict", "required": True},
            "secrets": {"type": "dict", "no_log": True},
            "rollback": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    result = handle(module.params)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
