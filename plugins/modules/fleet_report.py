#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_report
short_description: Show and write what would run or what runs where
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.controller, ascend.fleet.controller.records]
description:
  - Shows a table of services and writes it as Markdown and JSON.
  - What runs where is read from the records of the run, what would run from the table of M(ascend.fleet.fleet_compile).
options:
  hosts:
    description: The hosts to report on.
    type: list
    elements: str
    required: true
  view:
    description:
      - V(services) reports what runs, V(plan) what would run.
    type: str
    choices: [plan, services]
    default: services
  table:
    description: The rows of O(view=plan), as returned by M(ascend.fleet.fleet_compile).
    type: list
    elements: dict
    default: []
  formats:
    description: Files to write.
    type: list
    elements: str
    choices: [markdown, json]
    default: [markdown, json]
  path:
    description:
      - Path of the files on the controller, without their suffix.
      - V(report) or V(plan) in the report directory of the run by default.
    type: path
"""

EXAMPLES = r"""
---
- name: Report what runs where
  ascend.fleet.fleet_report:
    run: "{{ fleet.run }}"
    hosts: "{{ fleet.documents.keys() | list }}"
    formats: [markdown]
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
---
rows:
  description: The rows of the table.
  returned: success
  type: list
  elements: dict
  sample:
    - {service: chat, node: n1, kind: vllm, state: running, ready: true, cards: [0, 1], url: "http://10.0.0.5:8000"}
changes:
  description: What a run would do on the nodes that were observed.
  returned: when O(view=plan) and the nodes were observed
  type: list
  elements: dict
  sample:
    - {node: n1, scope: services, action: create, target: chat, reason: the container does not exist, interrupts: false}
files:
  description: The files written.
  returned: success
  type: list
  elements: path
  sample: [/home/ops/fleet-report/report.md, /home/ops/fleet-report/report.json]
"""
