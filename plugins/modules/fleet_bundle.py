#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_bundle
short_description: Gather everything a fleet needs into one directory
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Works out from the inventory of the play what its nodes would fetch, and brings it to C(fleet_bundle_dir) on the
    controller, with a manifest of every file's digest, a signature, and an index for people.
  - Images come from their registries without a container engine, models as M(ascend.fleet.model_weights) brings them.
  - What is there already is not fetched again, and what has arrived survives a killed run.
  - Runs on the controller; no node is contacted. The playbook C(ascend.fleet.bundle) uses it.
options:
  endpoints:
    description:
      - Other addresses of the hubs, such as a mirror of Hugging Face, by V(huggingface) and V(modelscope).
    type: dict
    default: {}
  data:
    description:
      - Training and evaluation data to take along, as C(training_dataset_items) of the role
        P(ascend.fleet.training_dataset#role).
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    support: full
    description: Says what would be in the bundle; nothing is fetched.
  diff_mode:
    support: none
    description: The index in the bundle says what is in it.
  idempotent:
    support: full
    description: A second run asks whether tags and branches have moved, and fetches nothing.
  platform:
    support: full
    platforms: posix
    description: The controller.
notes:
  - Git trees need C(git) on the controller, a signature C(gpg).
seealso:
  - module: ascend.fleet.fleet_compile
"""

EXAMPLES = r"""
---
- name: Gather what the fleet needs
  hosts: fleet
  gather_facts: false
  tasks:
    - name: Bring everything into the bundle
      ascend.fleet.fleet_bundle:
      run_once: true
      delegate_to: localhost
"""

RETURN = r"""
---
path:
  description: Directory of the bundle.
  returned: success
  type: str
artefacts:
  description: Number of images, models, files and so on.
  returned: success, not in check mode
  type: int
bytes:
  description: Their size together.
  returned: success, not in check mode
  type: int
received:
  description: Bytes that were fetched by this run.
  returned: success, not in check mode
  type: int
signed:
  description: Whether the manifest has a signature.
  returned: success, not in check mode
  type: bool
wanted:
  description: What would be in the bundle.
  returned: in check mode
  type: list
  elements: str
findings:
  description: What is wrong, with check id, message and remedy.
  returned: always
  type: list
  elements: dict
"""
