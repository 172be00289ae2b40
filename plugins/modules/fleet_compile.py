#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_compile
short_description: Compile the inventory into one document per node
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Checks every C(fleet_*) variable and every entry of C(fleet_services*) and C(fleet_jobs*) of all hosts of the play
    and makes one node document for each host, from which all later steps work.
  - Every error of every entry of every host is reported at once, one line each, with entry, key, value and remedy.
  - Runs on the controller and contacts nothing. The same inventory gives the same documents.
  - Relative files of the controller are looked up beside the inventory.
options:
  entries:
    description:
      - Entries to compile instead of those of the inventory, for a role that is used by itself.
      - The documents then leave containers of other services alone.
    type: list
    elements: raw
  images:
    description:
      - Images that the nodes need beside those of entries, each a reference or a dict with the keys of an entry's
        C(image) as the role P(ascend.fleet.container_image#role) takes them.
    type: list
    elements: raw
  image_engine:
    description:
      - The engine that O(images) are for. Docker by default.
    type: dict
    suboptions:
      engine:
        description: V(docker), V(containerd), or V(auto) for the one that the node has.
        type: str
      address:
        description: Path of containerd's socket.
        type: str
      namespace:
        description: Namespace of containerd.
        type: str
      hosts_dir:
        description: Where containerd looks for C(hosts.toml) of registries.
        type: str
  step:
    description:
      - Name of the step, for the identity of the run.
    type: str
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any mode.
  diff_mode:
    support: none
    description: Nothing is changed.
  idempotent:
    support: full
    description: The same inventory gives the same documents.
  action:
    support: full
    description: Runs entirely on the controller.
  bypass_host_loop:
    support: none
    description: Compiles for all hosts of the play each time, so it is used with C(run_once).
  platform:
    support: full
    platforms: all
    description: The nodes are not contacted.
seealso:
  - module: ascend.fleet.fleet_node
"""

EXAMPLES = r"""
---
- name: Compile the inventory
  ascend.fleet.fleet_compile:
    step: preflight
  register: compiled
  run_once: true

- name: Show what will run where
  ansible.builtin.debug:
    var: compiled.table
  run_once: true

- name: Compile a single service
  ascend.fleet.fleet_compile:
    entries:
      - name: echo
        kind: container
        image: registry:5000/echo:1
        port: 8080
        probe: {path: /health}
  register: compiled
  run_once: true
"""

RETURN = r"""
---
documents:
  description: The node document of each host of the play; none when there are errors.
  returned: always
  type: dict
  sample:
    n1: {schema: 1, node: n1, services: [], prune: report}
run:
  description: Identity of the run, the same for all compilations of one C(ansible-playbook).
  returned: always
  type: dict
  sample:
    id: 20260102T030405Z-a1b2c3
    owner: operator@controller:4711
    report_dir: /home/operator/fleet-report
    lease_seconds: 600
    step: preflight
table:
  description: One row for each service of each node.
  returned: always
  type: list
  elements: dict
  sample:
    - node: n1
      service: chat
      kind: vllm
      state: present
      npus: 2
      cards: [0, 1]
      image: registry:5000/vllm:1
      port: 8000
      bind: 127.0.0.1
      problem: null
findings:
  description:
    - What the controller can tell without looking at the nodes, such as services whose cards do not fit on a node.
    - On failure, the errors as findings for a verdict.
  returned: always
  type: list
  elements: dict
errors:
  description: What is wrong with the inventory, once for each flaw, with the hosts that see it.
  returned: always
  type: list
  elements: dict
  sample:
    - hosts: [n1]
      variable: fleet_services
      entry: chat
      key: port
      value: "70000"
      message: is out of range
      remedy: Use a number from 1 to 65535.
      where: fleet_services[0] chat
"""
