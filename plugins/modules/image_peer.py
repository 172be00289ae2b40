#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: image_peer
short_description: A registry on one node that gives images to the others
version_added: 0.1.0
description:
  - Copies images from outside into a registry container on this node, with their digests, and shows it to other nodes
    read-only. While it is filled only this node can reach it.
  - What it has already is not fetched again, so that a run that was cut off goes on.
  - Used by the step C(stage) of the playbooks where C(fleet_image_peer) is set.
author:
  - ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ascend.fleet.registry_logins
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: linux
options:
  state:
    description: With V(absent) the registry goes, with its content.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: Image of the registry, which is on the node. Required for V(present).
    type: str
  docker_socket:
    description: Socket of Docker.
    type: path
    default: /var/run/docker.sock
  address:
    description: Address of the node that the registry is shown at. Required for V(present).
    type: str
  port:
    description: Port of the registry.
    type: int
    default: 5005
  references:
    description: The images.
    type: list
    elements: str
    default: []
  registries:
    description: Registries as the node document has them.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
---
- name: Give the image of this node to the others
  ascend.fleet.image_peer:
    image: registry:2
    address: 192.0.2.11
    references: ["quay.io/ascend/vllm-ascend:v0.23.0"]

- name: Take the registry away
  ascend.fleet.image_peer:
    state: absent
"""

RETURN = r"""
---
served:
  description: Whether the registry serves all images.
  returned: success
  type: bool
actions:
  description: What was or would be done.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils import _image_peer
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources

LOGIN_OPTIONS = {
    "address": {"type": "str", "required": True},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "image": {"type": "str"},
            "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
            "address": {"type": "str"},
            "port": {"type": "int", "default": 5005},
            "references": {"type": "list", "elements": "str", "default": []},
            "registries": {"type": "list", "elements": "dict", "default": []},
            "logins": {"type": "list", "elements": "dict", "default": [], "options": LOGIN_OPTIONS},
        },
        required_if=[("state", "present", ["image", "address"])],
        supports_check_mode=True,
    )
    asked = module.params
    reader = EngineReader(asked["docker_socket"])
    sources = Sources(
        {row["address"]: row for row in asked["registries"]}, {row["address"]: row for row in asked["logins"]}
    )
    try:
        if asked["state"] == "absent":
            actions = _image_peer.absent(reader, module.check_mode)
        else:
            actions = _image_peer.present(
                reader, asked["image"], asked["address"], asked["port"], asked["references"], sources, module.check_mode
            )
    except FleetError as error:
        module.fail_json(msg=error.told(), findings=[error.finding])
    module.exit_json(changed=bool(actions), actions=actions, served=asked["state"] == "present")


if __name__ == "__main__":
    main()
