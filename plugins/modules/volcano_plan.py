#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: volcano_plan
short_description: Plan what to do about a Volcano job
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.controller, ascend.fleet.controller.cluster]
description:
  - Renders the ConfigMap, the Job and the storage of a training, and validates them strictly before anything is sent.
  - Unknown fields are refused by the schema of the cluster's CRD, or by the collection's own where no CRD is at hand.
  - The rules of Volcano's admission webhook and of Kubernetes, and what must agree between the objects, are checks with
    names of their own.
  - Looks at the cluster for namespace, queue, claim, nodes and a job of the same name, and says what has to happen.
  - Changes nothing. The role P(ascend.fleet.volcano_job#role) carries the plan out with C(kubernetes.core).
options:
  job:
    description: The variables of the role P(ascend.fleet.volcano_job#role) about the job, without their prefix.
    type: dict
    required: true
  state:
    description: What shall become of the job. Only V(present) needs more than its name.
    type: str
    choices: [present, absent, suspended, resumed]
    default: present
  validate_only:
    description: Judge the definition alone, without a cluster.
    type: bool
    default: false
  crd_file:
    description: A file with the CustomResourceDefinition of the cluster's Volcano, for strict validation by it.
    type: path
  recreate:
    description: Plan to delete the job and make it again where a change needs it.
    type: bool
    default: false
  rerun:
    description: Plan to delete a job that has ended and submit it again.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Reads only.
"""

EXAMPLES = r"""
---
- name: Validate a definition without a cluster
  ascend.fleet.volcano_plan:
    validate_only: true
    job:
      name: llama
      image: registry.example.com/train:1
      command: bash /mnt/sfs_turbo/train.sh
      nodes: 2
      pvc: sfs-turbo
      requests: {cpu: 24, memory: 300Gi}
      limits: {cpu: 192, memory: 1500Gi}
  register: plan

- name: Show what would be sent
  ansible.builtin.debug:
    var: plan.job
"""

RETURN = r"""
---
action:
  description: What has to be done. One of V(none), V(create), V(update), V(replace), V(delete) and V(command).
  returned: success
  type: str
reason:
  description: Why, in a few words.
  returned: success
  type: str
phase:
  description: Phase of the job of this name in the cluster, empty when there is none.
  returned: always
  type: str
job:
  description: The Job, with the digest of its definition as an annotation.
  returned: when the definition can be rendered
  type: dict
config_map:
  description: The ConfigMap of the rank table, for dialects that have one.
  returned: when the definition can be rendered
  type: dict
storage:
  description: The volume and the claim that are made for the job.
  returned: when storage is given
  type: list
  elements: dict
changes:
  description: Fields that differ from the job in the cluster, each with V(path), V(before), V(after) and V(mutable).
  returned: always
  type: list
  elements: dict
patch:
  description: The JSON patch for V(update).
  returned: success
  type: list
  elements: dict
command:
  description: The Command object that suspends or resumes the job.
  returned: when RV(action=command)
  type: dict
follow:
  description: What M(ascend.fleet.volcano_follow) needs to know of the job.
  returned: success
  type: dict
problems:
  description: Errors and warnings, each with V(check), V(severity), V(key), V(value), V(message) and V(remedy).
  returned: always
  type: list
  elements: dict
"""
