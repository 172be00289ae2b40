#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_verdict
short_description: Judge a run by the records of its nodes
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.controller, ascend.fleet.controller.records]
description:
  - Reads the records of a run and writes the verdict to C(<report_dir>/<run id>/<step>.json) and
    C(<report_dir>/verdict.json).
  - A host of O(hosts) without a record of a step of O(required) is a failure, and so is an unreachable one.
  - A final verdict is published as the custom statistic C(fleet_verdict) and printed as a short summary.
  - The module itself succeeds whatever the verdict says, since statistics of a failed task are lost. The task after it
    makes the exit status follow RV(ok).
options:
  step:
    description: Name of the step or playbook that is judged.
    type: str
    required: true
  hosts:
    description: The hosts the run is about, from the compiled documents.
    type: list
    elements: str
    required: true
  required:
    description: Steps that every host must have a record of.
    type: list
    elements: str
    default: []
  final:
    description:
      - V(false) judges a run that is still under way. Nothing is missing yet and nothing is proven yet, so RV(ok) is
        V(false) or V(null).
    type: bool
    default: true
  proves:
    description:
      - Whether the run went through what proves success.
      - By default V(true) in a real run and V(false) in check mode. With V(false), RV(ok) is never V(true).
    type: bool
  on_node_failure:
    description: Whether one failed node stops the run for all of them, see RV(proceed).
    type: str
    choices: [stop, continue]
    default: stop
  findings:
    description:
      - Findings of M(ascend.fleet.fleet_compile), each with the C(host) it concerns, or none when it concerns the run.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
---
- name: Judge the run
  ascend.fleet.fleet_verdict:
    run: "{{ fleet.run }}"
    step: preflight
    hosts: "{{ fleet.documents.keys() | list }}"
    required: [preflight]
  run_once: true
  delegate_to: localhost
  register: judged

- name: Let the exit status follow the verdict
  ansible.builtin.fail:
    msg: "{{ judged.message }}"
  when: judged.ok is false
  run_once: true
"""

RETURN = r"""
---
ok:
  description: V(true) when success is proven, V(false) on any failure, V(null) when nothing failed or was proven.
  returned: success
  type: bool
message:
  description: The verdict in one sentence.
  returned: success
  type: str
  sample: preflight failed on 1 of 3 nodes (n2).
proceed:
  description: The hosts that a run may go on with.
  returned: success
  type: list
  elements: str
  sample: [n1, n2]
pending:
  description: The hosts on which preflight found something to do.
  returned: success
  type: list
  elements: str
  sample: [n1]
path:
  description: File of the verdict.
  returned: success
  type: str
verdict:
  description: The whole verdict, schema 1.
  returned: when O(final=true)
  type: dict
"""
