#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_node
short_description: Observe or apply the whole document of a node
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.node_document, ascend.fleet.registry_logins]
description:
  - Observes a node against its document, plans the difference and, on request, applies it, in one call
    for all host settings, images and services of the node.
  - The document comes from M(ascend.fleet.fleet_compile); people write entries in the inventory, not documents.
  - Check mode and O(action=observe) end with the plan that the real run would carry out.
  - Work that takes longer than O(wait) goes on in the background on the node. The action plugin of this module
    waits for it and shows its progress; a later call with the same document attaches to it.
  - Every result is written as a record below the report directory, from which M(ascend.fleet.fleet_verdict)
    makes the verdict.
options:
  document:
    description:
      - The node document, schema 1.
      - Required for O(action=observe), O(action=probe), O(action=apply) and O(action=remove).
    type: dict
  action:
    description:
      - V(observe) reads and plans.
      - V(probe) asks every service of the document for its answer, whatever O(scope) says; it changes nothing.
      - V(apply) carries the plan out.
      - V(remove) removes every service of the document and every other container of the fleet on the node;
        with V(host) in O(scope) also the host settings that this collection made.
      - V(poll) waits for the end of work that an earlier V(apply) left running.
      - V(release) gives the run's lease of the node back.
    type: str
    choices: [observe, probe, apply, remove, poll, release]
    default: observe
  earlier:
    description:
      - In check mode, the scopes that an earlier step of the same run has predicted already. Their actions are planned
        with, but not reported again.
    type: list
    elements: str
    choices: [host, images, packages, bakes, models, services]
    default: []
  step:
    description:
      - Name of the step the result is recorded under.
    type: str
  bake:
    description:
      - With V(bakes) alone in O(scope), what this node does for an image that is baked on it. Used by the role
        P(ascend.fleet.image_bake#role).
    type: dict
    suboptions:
      id:
        description: Id of the bake in the document.
        type: str
        required: true
      phase:
        description:
          - V(start) makes the container in which tasks install.
          - V(keep) makes the image of it, V(commit) also shares it as V(share) does.
          - V(share) pushes the image to the registry, or saves it into an archive where there is none.
          - V(discard) removes the container and what there is of the image.
        type: str
        choices: [start, keep, commit, share, discard]
        required: true
      owner:
        description: Number of the user on the node who may read the archive.
        type: int
  wait:
    description:
      - Seconds to wait on the node for the work to end before it is left running in the background.
    type: float
    default: 5
  work:
    description:
      - Digest of the work that O(action=poll) asks for, from RV(pending).
    type: str
  background:
    description:
      - Return once the work is under way, with RV(pending), instead of waiting for its end. A task with O(action=poll)
        waits for it later. So many nodes work at a time, however few forks Ansible has.
    type: bool
    default: false
  take_over:
    description:
      - Id of a run whose lease may be taken over because its process has ended. Set by the action plugin.
    type: str
attributes:
  check_mode:
    support: full
    description: The plan is returned, nothing is changed.
  diff_mode:
    support: full
    description: One entry per action of the plan.
  idempotent:
    support: full
    description: A second call with the same document changes nothing.
  platform:
    support: full
    platforms: linux
    description: Linux with Docker Engine, root.
notes:
  - Reading needs nothing but Python 3.8 on the node. Changing containers uses the Docker SDK for Python of the
    node or the private copy that the role P(ascend.fleet.host_prep#role) installs.
"""

EXAMPLES = r"""
---
- name: Compile the inventory
  ascend.fleet.fleet_compile:
  register: fleet
  run_once: true

- name: Observe the node against its document
  ascend.fleet.fleet_node:
    document: "{{ fleet.documents[inventory_hostname] }}"
    run: "{{ fleet.run }}"
    step: preflight
  register: node

- name: Bring images and services to the state of the document
  ascend.fleet.fleet_node:
    document: "{{ fleet.documents[inventory_hostname] }}"
    action: apply
    scope: [images, services]
    run: "{{ fleet.run }}"
    step: deploy
"""

RETURN = r"""
---
plan:
  description: What differs from the document, and what is or would be done about it.
  returned: success
  type: list
  elements: dict
  sample:
    - scope: services
      action: create
      target: chat
      reason: there is no such container
      before: null
      after: {image: "registry:5000/vllm:1"}
      interrupts: false
      predicted_because: null
findings:
  description: What is wrong or worth knowing, each with check id, severity, message and remedy.
  returned: always
  type: list
  elements: dict
services:
  description: One entry per service of the document with its observed state.
  returned: success
  type: list
  elements: dict
  sample:
    - name: chat
      kind: vllm
      state: running
      ready: true
      cards: [0, 1]
      image: "registry:5000/vllm:1"
      ports: ["127.0.0.1:8000"]
images:
  description: One entry per image of the document, as the engine has it.
  returned: success
  type: list
  elements: dict
  sample:
    - reference: registry:5000/vllm:1
      state: present
      id: sha256:8d4f...
      digest: sha256:3c46...
      size: 9120834212
      seconds: 84.2
      services: [chat]
      engine: docker
      tool: socket
node:
  description: Short facts about the NPUs and the engine, each null where the scope did not ask for it.
  returned: success
  type: dict
pending:
  description: Digest, phase and run of work that goes on in the background.
  returned: when the work outlasts O(wait)
  type: dict
released:
  description: Whether the run held the lease of the node and has given it back.
  returned: when O(action=release)
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._node_call import handle
from ansible_collections.ascend.fleet.plugins.module_utils._node_options import OPTIONS


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "document": {"type": "dict"},
            "action": {
                "type": "str",
                "choices": ["observe", "probe", "apply", "remove", "poll", "release"],
                "default": "observe",
            },
            "earlier": {
                "type": "list",
                "elements": "str",
                "choices": ["host", "images", "packages", "bakes", "models", "services"],
                "default": [],
            },
            "step": {"type": "str"},
            "bake": {
                "type": "dict",
                "options": {
                    "id": {"type": "str", "required": True},
                    "phase": {
                        "type": "str",
                        "required": True,
                        "choices": ["start", "keep", "commit", "share", "discard"],
                    },
                    "owner": {"type": "int"},
                },
            },
            "wait": {"type": "float", "default": 5},
            "work": {"type": "str"},
            "background": {"type": "bool", "default": False},
            "take_over": {"type": "str"},
        },
        required_if=[
            ("action", "observe", ["document"]),
            ("action", "probe", ["document"]),
            ("action", "apply", ["document", "run"]),
            ("action", "remove", ["document", "run"]),
            ("action", "poll", ["work"]),
            ("action", "release", ["run"]),
        ],
        supports_check_mode=True,
    )
    result = handle(module.params, module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
