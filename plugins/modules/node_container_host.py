#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: node_container_host
short_description: Make a container on a node a host for later tasks
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Adds a host to the inventory in memory whose tasks run inside a running container of the current node,
    by the connection P(ascend.fleet.node_container#connection).
  - The node is reached in the same way as now, with all variables of its connection. Where the task becomes root by
    C(sudo) with a password, the way into the container uses the same one.
  - Later tasks go there with C(delegate_to), or in a play of their own.
options:
  container:
    description: Name or id of the container.
    type: str
    required: true
  name:
    description: Name of the new host; that of the node, a dot and that of the container by default.
    type: str
  user:
    description: User inside the container; root by default.
    type: str
  python:
    description: Path of Python in the container; searched by Ansible by default.
    type: str
  socket:
    description: Socket of the container engine on the node.
    type: str
  environment_file:
    description: File inside the container that the shell reads before every command, where it exists.
    type: str
  on_loss:
    description: What it means that the node or the container cannot be reached, as for the connection.
    type: str
  folder:
    description: Folder inside the container in which Ansible keeps its files; in the home of the user by default.
    type: str
attributes:
  action:
    support: full
    description: Runs on the controller as an action plugin.
  check_mode:
    support: full
    description: The host is added in check mode too; nothing else is changed.
  diff_mode:
    support: none
    description: Changes nothing that could be shown.
notes:
  - Nothing on the node changes. As with M(ansible.builtin.add_host), Ansible itself reports C(changed) when the host is
    new to the inventory in memory; C(changed_when) keeps that out of the recap.
seealso:
  - module: ansible.builtin.add_host
  - plugin: ascend.fleet.node_container
    plugin_type: connection
"""

EXAMPLES = r"""
---
- name: Make the container a host
  ascend.fleet.node_container_host:
    container: chat
  register: inside
  changed_when: false

- name: Read the version inside
  ansible.builtin.command: python3 -c 'import torch; print(torch.__version__)'
  delegate_to: "{{ inside.host }}"
  changed_when: false
"""

RETURN = r"""
---
host:
  description: Name of the new host.
  returned: success
  type: str
  sample: node1.chat
"""
