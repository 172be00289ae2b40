#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ascend_container_info
short_description: Tells what containers are and which cards they hold
version_added: 0.1.0
description:
  - Reads containers of a Docker Engine on the host in the words of M(ascend.fleet.ascend_container), with the Ascend
    cards that each one has in its device list.
  - Needs no library on the host, and changes nothing.
author:
  - ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: linux
options:
  name:
    description:
      - Name of one container. Without it all are read, those of others as well.
    type: str
  docker_host:
    description:
      - Socket of the engine.
    type: str
    default: unix:///var/run/docker.sock
seealso:
  - module: ascend.fleet.ascend_container
"""

EXAMPLES = r"""
---
- name: Read all containers
  ascend.fleet.ascend_container_info:
  register: found

- name: Show which container holds which cards
  ansible.builtin.debug:
    msg: "{{ found.cards }}"
"""

RETURN = r"""
---
containers:
  description: The containers by name. An unknown O(name) gives an empty list.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    id:
      description: Id.
      type: str
    image:
      description: Reference of the image it was made from.
      type: str
    status:
      description: The engine's word for its state.
      type: str
    running:
      description: Whether its process runs and is not being started again and again.
      type: bool
    exit_code:
      description: Status with which its process ended. Null while it runs.
      type: int
    out_of_memory:
      description: Whether its process was killed for lack of memory.
      type: bool
    started_at:
      description: When it was last started.
      type: str
    restart_count:
      description: How often the engine started it again.
      type: int
    fleet:
      description: Whether the fleet made it.
      type: bool
    service:
      description: The service of the fleet it belongs to. Null for a foreign one.
      type: str
    kind:
      description: The kind of that service.
      type: str
    spec_digest:
      description: Digest of what it was made from.
      type: str
    run_id:
      description: The run that made it.
      type: str
    cards:
      description: Numbers N of the C(/dev/davinciN) it may use.
      type: list
      elements: int
    options:
      description:
        - What it is, in the words of M(ascend.fleet.ascend_container). Values that look like credentials are hidden.
      type: dict
cards:
  description:
    - The container that holds each card, by the number of the card. Foreign ones hold cards only while they run.
  returned: success
  type: dict
  sample:
    "0": chat
    "1": chat
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._container_describe import described
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import (
    held_cards,
    neighbour,
    read_containers,
)
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader, socket_of
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
        },
        supports_check_mode=True,
    )
    try:
        found = read_containers(EngineReader(socket_of(module.params["docker_host"])))
    except FleetError as error:
        module.fail_json(msg=error.told(), findings=[error.finding])
    held = held_cards([neighbour(container) for container in found.values()])
    wanted = module.params["name"]
    module.exit_json(
        changed=False,
        containers=[described(found[name]) for name in sorted(found) if wanted in (None, name)],
        cards={str(card): name for card, name in sorted(held.items())},
    )


if __name__ == "__main__":
    main()
