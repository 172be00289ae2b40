#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: model_weights
short_description: Bring the files of a model to a directory of a node
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.transfer]
description:
  - Brings a model from Hugging Face, ModelScope, a git repository with large files, an HTTPS server with a manifest,
    the controller, another directory or other nodes, and gives it its name only when every file of it was verified.
  - What has arrived survives a lost connection, a killed run and a full disk; the next call continues there.
  - A directory that is as its manifest says costs one round trip and no look at its source.
  - The work goes on in the background on the node. The action plugin of this module waits for it and shows its
    progress; a later call with the same options joins it.
  - On a directory that several nodes share exactly one of them downloads; the others wait for it.
options:
  path:
    description:
      - Directory of the model. It is complete or absent; files that others put into it stay.
    type: path
  directory:
    description:
      - Directory in which the model gets the last part of its source as its name. Used without O(path).
    type: path
  source:
    description:
      - Where the model comes from, as C(huggingface:ORG/NAME), C(modelscope:ORG/NAME), C(git+https://HOST/REPOSITORY),
        C(https://HOST/FOLDER/MANIFEST), C(controller:/DIRECTORY-OR-TAR) or C(node:/DIRECTORY).
      - A manifest is the output of C(sha256sum), or JSON with a list C(files) of C(path), C(size) and C(sha256);
        the files lie beside it.
      - A symbolic link in a directory of the node stands for the file that it leads to. The link of a user to a file
        that this user may not read is refused, also where the directory itself or a folder above it is that link.
    type: str
    required: true
  revision:
    description:
      - Branch, tag or commit. A branch is looked up once, when the model is brought; name a commit to pin it for good.
    type: str
  include:
    description:
      - Shell patterns over the whole path of a file; without any, every file is wanted.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Shell patterns of files that are not wanted.
    type: list
    elements: str
    default: []
  token_file:
    description:
      - File on the controller, with mode 0600, that holds the token for the source.
    type: path
  token:
    description:
      - The token. Set by the action plugin from O(token_file).
    type: str
  endpoints:
    description:
      - Other addresses of the hubs, such as a mirror of Hugging Face.
    type: dict
    suboptions:
      huggingface:
        description: Address in place of V(https://huggingface.co).
        type: str
      modelscope:
        description: Address in place of V(https://www.modelscope.cn).
        type: str
  takeover_after:
    description:
      - Seconds without a sign of life after which another node's work on a shared directory is taken over.
    type: float
    default: 45
  share:
    description:
      - How the nodes of a run give the model to each other. Set by the role P(ascend.fleet.model_weights#role).
    type: dict
    suboptions:
      address:
        description: Address of this node on which it serves what it has. Without it, it serves nothing.
        type: str
      port:
        description: Port for that.
        type: int
        default: 18790
      secret:
        description: Known to the nodes of this run only.
        type: str
        required: true
      peers:
        description: URLs of the nodes to take from, best first. Without any, the source itself is asked.
        type: list
        elements: str
        default: []
      patience:
        description: Seconds in which one of them has to come up.
        type: float
        default: 15
      linger:
        description: Seconds without a request after which serving ends.
        type: float
        default: 120
  run:
    description:
      - Identity of a run of the fleet, which then holds the lease of the node.
    type: dict
    suboptions:
      id:
        description: Unique id of the run.
        type: str
        required: true
      owner:
        description: Who runs it, as user, host and process id.
        type: str
        required: true
      lease_seconds:
        description: Seconds for which the node stays leased to the run after each sign of life.
        type: int
        default: 600
  shared:
    description:
      - Whether the directory is on storage that the nodes share.
    type: bool
    default: false
  look:
    description:
      - Only say whether something is to be brought, without asking the source.
    type: bool
    default: false
  begin:
    description:
      - Only begin the work. A second task with the same options waits for it, so that all nodes work at once however
        many of them Ansible speaks to at a time.
    type: bool
    default: false
  wait:
    description:
      - Seconds to wait on the node before the work is left running in the background.
    type: float
    default: 5
  work:
    description:
      - Digest of work that is asked for, as returned in RV(pending).
    type: str
  upload:
    description:
      - The files that the controller is going to send. Set by the action plugin.
    type: dict
  sent:
    description:
      - Whether the controller sends the files instead of the source. Set by the action plugin.
    type: bool
    default: false
  mirror:
    description:
      - Directory on the controller that holds copies of sources, as C(huggingface/ORG/NAME) and C(modelscope/ORG/NAME)
        or, for the others, C(git/) and C(manifest/) with what follows C(://). A source that is there is not asked.
    type: path
  resolved:
    description:
      - State of the source on the controller. Set by the action plugin.
    type: str
  take_over:
    description:
      - Id of a run whose lease may be taken over because its process has ended. Set by the action plugin.
    type: str
attributes:
  check_mode:
    support: full
    description: Asks the source for its list of files and says which would be fetched.
  diff_mode:
    support: full
    description: The files with their sizes, before and after.
notes:
  - Needs nothing but Python 3.8 on the node, and git for sources of that kind.
  - Secrets and tokens never leave the host they are meant for, also when it answers with a redirect.
"""

EXAMPLES = r"""
---
- name: Bring a model from Hugging Face
  ascend.fleet.model_weights:
    path: /var/lib/ascend-fleet/models/Qwen2.5-7B-Instruct
    source: huggingface:Qwen/Qwen2.5-7B-Instruct
    revision: a09a35458c702b33eeacc393d103063234e8bc28
    include: ["*.safetensors", "*.json", "*.txt"]

- name: The same from a mirror, with a token
  ascend.fleet.model_weights:
    path: /var/lib/ascend-fleet/models/FLUX.1-dev
    source: huggingface:black-forest-labs/FLUX.1-dev
    token_file: ~/.secrets/huggingface
    endpoints:
      huggingface: https://hf-mirror.com

- name: Read every file again
  ascend.fleet.model_weights:
    path: /mnt/sfs_turbo/models/QwQ-32B
    source: modelscope:Qwen/QwQ-32B
    verify: full
"""

RETURN = r"""
---
path:
  description: The directory.
  returned: success
  type: str
reason:
  description: Why the directory was not what is wanted, or null.
  returned: success
  type: str
  sample: the model is not on the node
files:
  description: Number of files.
  returned: success
  type: int
bytes:
  description: Their size together.
  returned: success
  type: int
source_bytes:
  description: Bytes that came from the source itself.
  returned: success
  type: int
peer_bytes:
  description: Bytes that came from other nodes.
  returned: success
  type: int
seconds:
  description: How long the work took.
  returned: success
  type: float
revision:
  description: The commit that the revision stands for, where the source says.
  returned: success
  type: str
fetch:
  description: Files that would be fetched, with their sizes.
  returned: in check mode, when something would be fetched
  type: list
  elements: dict
findings:
  description: What is wrong, with check id, message and remedy.
  returned: always
  type: list
  elements: dict
wanted:
  description: Digest of what was asked for.
  returned: with O(look=true)
  type: str
shared:
  description: The value of O(shared).
  returned: with O(look=true)
  type: bool
pending:
  description: Digest, phase and run of work that goes on in the background.
  returned: with O(begin=true), when the work outlasts the call
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._weights_call import handle


def main() -> None:
    words = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "directory": {"type": "path"},
            "source": {"type": "str", "required": True},
            "revision": {"type": "str"},
            "include": words,
            "exclude": words,
            "token_file": {"type": "path", "no_log": False},
            "token": {"type": "str", "no_log": True},
            "endpoints": {"type": "dict", "options": {"huggingface": {"type": "str"}, "modelscope": {"type": "str"}}},
            "proxy": {
                "type": "dict",
                "no_log": True,
                "options": {
                    "http": {"type": "str"},
                    "https": {"type": "str"},
                    "no_proxy": {"type": "list", "elements": "str"},
                },
            },
            "ca_file": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
            "parallel": {"type": "int", "default": 4},
            "verify": {"type": "str", "choices": ["size", "full"], "default": "size"},
            "takeover_after": {"type": "float", "default": 45},
            "share": {
                "type": "dict",
                "options": {
                    "address": {"type": "str"},
                    "port": {"type": "int", "default": 18790},
                    "secret": {"type": "str", "required": True, "no_log": True},
                    "peers": words,
                    "patience": {"type": "float", "default": 15},
                    "linger": {"type": "float", "default": 120},
                },
            },
            "run": {
                "type": "dict",
                "options": {
                    "id": {"type": "str", "required": True},
                    "owner": {"type": "str", "required": True},
                    "lease_seconds": {"type": "int", "default": 600},
                },
            },
            "shared": {"type": "bool", "default": False},
            "look": {"type": "bool", "default": False},
            "begin": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 5},
            "work": {"type": "str"},
            "upload": {"type": "dict"},
            "sent": {"type": "bool", "default": False},
            "mirror": {"type": "path"},
            "resolved": {"type": "str"},
            "take_over": {"type": "str"},
        },
        required_one_of=[("path", "directory")],
        supports_check_mode=True,
    )
    result = handle(module.params, module.check_mode)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
