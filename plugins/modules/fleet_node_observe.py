#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_node_observe
short_description: Compare a node with its document
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.node_document, ascend.fleet.registry_logins]
description:
  - What M(ascend.fleet.fleet_node) runs on the node for its O(ascend.fleet.fleet_node#module:action=observe).
    It holds nothing of what changes a node, so that it is sent and loaded in a fraction of the time.
  - Use M(ascend.fleet.fleet_node) in playbooks. It reads secret files and logins on the controller and writes the
    record of the run.
options:
  document:
    description:
      - The node document, schema 1, as M(ascend.fleet.fleet_compile) makes it.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any mode.
  diff_mode:
    support: full
    description: One entry per action of the plan.
  idempotent:
    support: full
    description: It never changes anything.
  platform:
    support: full
    platforms: linux
    description: Linux, root, Python 3.8 or newer.
seealso:
  - module: ascend.fleet.fleet_node
"""

EXAMPLES = r"""
---
- name: Compile the inventory
  ascend.fleet.fleet_compile:
  register: fleet
  run_once: true

- name: Compare the containers of the node with its document
  ascend.fleet.fleet_node_observe:
    document: "{{ fleet.documents[inventory_hostname] }}"
    scope: [services]
  register: node
"""

RETURN = r"""
---
plan:
  description: What differs from the document, as RV(ascend.fleet.fleet_node#module:plan).
  returned: success
  type: list
  elements: dict
findings:
  description: What is wrong or worth knowing, as RV(ascend.fleet.fleet_node#module:findings).
  returned: always
  type: list
  elements: dict
services:
  description: One entry per service, as RV(ascend.fleet.fleet_node#module:services).
  returned: success
  type: list
  elements: dict
images:
  description: One entry per image, as RV(ascend.fleet.fleet_node#module:images).
  returned: success
  type: list
  elements: dict
node:
  description: Short facts about the NPUs and the engine.
  returned: success
  type: dict
"""

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils import _node_npus
from ansible_collections.ascend.fleet.plugins.module_utils._node_options import OPTIONS
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


def main() -> None:
    module = AnsibleModule(
        argument_spec={**OPTIONS, "document": {"type": "dict", "required": True}}, supports_check_mode=True
    )
    with ThreadPoolExecutor(max_workers=1) as pool:
        npus = pool.submit(_node_npus.read, System(), module.params["document"], set(module.params["scope"]))
        # npu-smi takes its time elsewhere while the rest is loaded.
        from ansible_collections.ascend.fleet.plugins.module_utils._node_observe import handle

        result = handle(module.params, npus)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
