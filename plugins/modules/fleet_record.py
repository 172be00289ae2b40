#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_record
short_description: Record the failure of a step on a node
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.controller, ascend.fleet.controller.records]
description:
  - Writes the record of a failed step below the report directory of the run. M(ascend.fleet.fleet_verdict) judges it.
  - Meant for a C(rescue). A failure that M(ascend.fleet.fleet_node) has recorded itself is kept as it is.
options:
  step:
    description: Name of the step that failed.
    type: str
    required: true
  result:
    description: Result of the failed task, usually C(ansible_failed_result).
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Prepare the node
  block:
    - name: Bring the node to its document
      ascend.fleet.fleet_node:
        document: "{{ fleet.documents[inventory_hostname] }}"
        action: apply
        run: "{{ fleet.run }}"
        step: prepare
  rescue:
    - name: Record the failure
      ascend.fleet.fleet_record:
        run: "{{ fleet.run }}"
        step: prepare
        result: "{{ ansible_failed_result }}"
"""

RETURN = r"""
---
record:
  description: The record that now stands for the step and the node.
  returned: success
  type: dict
  sample:
    schema: 1
    host: n1
    step: prepare
    time: "2026-01-31T12:00:00Z"
    unreachable: false
    failed: true
    changed: false
    message: No package docker-engine available.
    findings:
      - check: step-failed
        severity: error
        service: null
        key: null
        value: null
        message: No package docker-engine available.
        remedy: Read the message, mend its cause and run again.
    services: []
    plan: []
    node: {}
"""
