#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: training_dataset_items
short_description: Take training and evaluation data out of a bundle
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Items of the role P(ascend.fleet.training_dataset#role) with the copies of a bundle in the place of what nodes would
    fetch. What lies on nodes already, or on the controller, stays as it is.
  - The signature of the bundle is verified, and the data are compared with their digests.
  - Runs on the controller; no node is contacted. The role uses it where C(fleet_bundle) is given.
options:
  items:
    description:
      - The items, as in C(training_dataset_items).
    type: list
    elements: dict
    required: true
  bundle:
    description:
      - Directory of the bundle on the controller.
    type: path
    required: true
  signed:
    description:
      - Whether the bundle must have a valid signature.
    type: bool
    default: true
  key:
    description:
      - File on the controller with the public key of whoever signed it. By default the keys that gpg knows.
    type: path
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
  platform:
    support: full
    platforms: posix
    description: The controller.
seealso:
  - module: ascend.fleet.fleet_bundle
  - module: ascend.fleet.training_dataset
"""

EXAMPLES = r"""
---
- name: Take the data out of the bundle
  ascend.fleet.training_dataset_items:
    bundle: /data/bundle
    items:
      - path: /mnt/sfs_turbo/training_data
        format: alpaca
        files:
          - path: alpaca_gpt4_data.json
            url: https://files.example.com/alpaca_gpt4_data.json
            sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  register: data
"""

RETURN = r"""
---
data:
  description: The items with sources that need no way out.
  returned: success
  type: list
  elements: dict
"""
