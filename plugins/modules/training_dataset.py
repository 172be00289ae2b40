#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: training_dataset
short_description: Bring training or evaluation data to a directory of a node
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.transfer]
description:
  - Brings files, the content of an archive, or another directory of the node to a directory that is complete or absent.
    It gets its name only when every file was verified and the whole has the format that it should have.
  - What has arrived survives a killed run; the next call continues there. A directory that is as its manifest says
    costs one look at sizes and times. It is made again when files of the node that it came from have changed in size
    or time.
  - The work goes on in the background on the node. A task that is repeated until RV(pending) is gone follows it,
    as the role P(ascend.fleet.training_dataset#role) does.
  - On a directory that several nodes share exactly one of them downloads; the others wait for it.
options:
  path:
    description:
      - Directory of the data. It is not touched where it holds files of somebody else.
    type: path
    required: true
  format:
    description:
      - What the data have to be before they are published.
      - V(alpaca) means whole parquet files, and JSON lists of records with C(instruction) and C(output).
      - V(mme) means the fourteen sub-tasks of MME in either of its layouts, with their number of questions, and an
        image to every question file.
      - V(any) means at least one file.
    type: str
    choices: [alpaca, mme, any]
    default: any
  files:
    description:
      - Files to bring.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path below O(path).
        type: str
        required: true
      url:
        description: Where it comes from, as https://, http:// or an absolute path on the node.
        type: str
        required: true
      sha256:
        description: Its digest. Without it a file is only as good as the connection, and begins anew when that breaks.
        type: str
      size:
        description: Its size in bytes.
        type: int
  archive:
    description:
      - A zip or tar to unpack.
    type: dict
    suboptions:
      url:
        description: Where it comes from, as https://, http:// or an absolute path on the node.
        type: str
        required: true
      sha256:
        description: Its digest.
        type: str
      folder:
        description: The only folder of it that is wanted; what lies in it comes to O(path) itself.
        type: str
  directory:
    description:
      - Directory on the node to take the files from. On the same file system they are linked, not copied.
      - A symbolic link in it stands for the file that it leads to. The link of a user to a file that this user may not
        read is refused, also where the directory itself or a folder above it is that link.
    type: path
  max_size:
    description:
      - Bytes that an archive may unpack to.
    type: int
    default: 1099511627776
  wait:
    description:
      - Seconds to wait on the node before the work is left running in the background.
    type: float
    default: 20
attributes:
  check_mode:
    support: full
    description:
      - Says whether the directory is what is wanted, and why not. Of sources only files of the node itself are looked
        at, by their sizes and times.
  diff_mode:
    support: none
    description: The manifest in the directory says what is in it.
notes:
  - Needs nothing but Python 3.8 on the node.
"""

EXAMPLES = r"""
---
- name: Bring the Alpaca data
  ascend.fleet.training_dataset:
    path: /mnt/sfs_turbo/training_data
    format: alpaca
    files:
      - path: alpaca_gpt4_data.json
        url: https://files.example.com/alpaca_gpt4_data.json
        sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  register: data
  until: data.pending is not defined
  retries: 10000
  delay: 1

- name: Bring MME out of its archive
  ascend.fleet.training_dataset:
    path: /mnt/sfs_turbo/MME
    format: mme
    archive:
      url: /mnt/sfs_turbo/incoming/MME_Benchmark_release_version.zip
      folder: MME_Benchmark_release_version/MME_Benchmark
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
holds:
  description: What is in it, in words.
  returned: success
  type: str
  sample: 14 sub-tasks, 2374 questions
files:
  description: Number of files.
  returned: success
  type: int
bytes:
  description: Their size together.
  returned: success
  type: int
findings:
  description: What is wrong, with check id, message and remedy.
  returned: always
  type: list
  elements: dict
pending:
  description: Phase of work that goes on in the background.
  returned: when the work outlasts O(wait)
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._dataset_call import handle


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "format": {"type": "str", "choices": ["alpaca", "mme", "any"], "default": "any"},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "sha256": {"type": "str"},
                    "size": {"type": "int"},
                },
            },
            "archive": {
                "type": "dict",
                "options": {
                    "url": {"type": "str", "required": True},
                    "sha256": {"type": "str"},
                    "folder": {"type": "str"},
                },
            },
            "directory": {"type": "path"},
            "verify": {"type": "str", "choices": ["size", "full"], "default": "size"},
            "max_size": {"type": "int", "default": 1 << 40},
            "parallel": {"type": "int", "default": 4},
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
            "wait": {"type": "float", "default": 20},
        },
        mutually_exclusive=[("archive", "directory")],
        supports_check_mode=True,
    )
    result = handle(module.params, module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
