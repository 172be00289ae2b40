#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ascendcloud_package
short_description: Unpack parts of an AscendCloud package, once
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Unpacks parts of the vendor's package C(AscendCloud-<version>-<stamp>.zip), which holds a package for each part
    (C(AscendCloud-AIGC-*.zip), C(AscendCloud-LLM-*.zip), C(AscendCloud-OPP-*.zip)), or of such packages lying there
    by themselves.
  - A package inside another one is read in place and never written out, also where it lies there compressed.
    Files are written by all cores of the node.
  - The result appears at O(dest) in one step, complete, with a manifest. A later call compares with the manifest and
    unpacks nothing.
  - Refused before anything is written are names that lead out of the folder, links that do, device files, names that
    occur twice, entries that share their bytes, encrypted entries, bombs, and files that are cut short; and wheels,
    extension modules and C(.run) installers made for another Python, architecture or chip.
  - On storage that nodes share, one node unpacks and the others wait for it. A node that died is recognised.
options:
  src:
    description:
      - Where the package lies on the node. Each is a file, a glob, or a folder, which means C(AscendCloud-*.zip) in it.
      - Files of other versions than O(version) do not count. Of the rest there has to be exactly one for each part.
        A package of the part itself goes before the outer one.
    type: list
    elements: path
    required: true
  dest:
    description:
      - Folder that will hold a folder for each part, such as F(AIGC).
      - A folder that this module did not make is not replaced.
    type: path
    required: true
  parts:
    description: The parts that are wanted.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the part as in its package, such as V(AIGC), V(LLM) or V(OPP).
        type: str
        required: true
      match:
        description: Glob for the file name of the part's package, where there are several, as of V(OPP).
        type: str
        default: "*"
      include:
        description:
          - Files and folders that are wanted, as paths in the part's package; C(*) stands for any characters but C(/).
          - All of the part by default.
        type: list
        elements: str
        default: []
      sha256:
        description: SHA-256 of the part's package, also where it lies inside the outer one.
        type: str
  version:
    description: Version that the package has to have, such as V(6.5.902).
    type: str
  sha256:
    description: SHA-256 of the package file, where one file is used.
    type: str
  python:
    description:
      - Python that is to run the contents, such as V(3.10). Not compared without it.
    type: str
  architecture:
    description:
      - Architecture that is to run the contents, such as V(aarch64) or V(x86_64); V(any) compares nothing.
        That of the node by default.
    type: str
  soc:
    description:
      - Chip that is to run the contents, such as V(910B), V(ascend910b) or V(Ascend910B4). Not compared without it.
    type: str
  verify:
    description:
      - How a later call compares files with the manifest.
      - V(fast) by their size and time.
      - V(full) reads them all and compares their check sums.
    type: str
    choices: [fast, full]
    default: fast
  lock_timeout:
    description: Seconds to wait for another run or node that unpacks to the same folder.
    type: float
    default: 1800
  workers:
    description: Number of processes that write. As many as the node has cores, but no more than 8, by default.
    type: int
  max_size:
    description: Bytes that a part may have unpacked; more is taken for a bomb.
    type: str
    default: 100G
  max_ratio:
    description: How many times its size a part may have unpacked; more is taken for a bomb.
    type: int
    default: 200
attributes:
  check_mode:
    support: full
    description: The package is opened and examined, its digest included; nothing is written.
  diff_mode:
    support: full
    description: The parts and the changed files, before and after.
  idempotent:
    support: full
    description: A second run changes nothing.
  platform:
    support: full
    platforms: linux
    description: Linux. No program and no library beside Python is needed.
seealso:
  - module: ansible.builtin.unarchive
"""

EXAMPLES = r"""
---
- name: Unpack Wan2.1 from wherever the package of this release lies
  ascend.fleet.ascendcloud_package:
    src: /mnt/sfs_turbo/packages/AscendCloud-*.zip
    version: 6.5.902
    dest: /mnt/sfs_turbo/ascendcloud-6.5.902
    parts:
      - name: AIGC
        include: [multimodal_algorithm/Wan2_1]
    python: "3.10"
    soc: 910B

- name: Unpack what ComfyUI needs, and prove the package
  ascend.fleet.ascendcloud_package:
    src: /mnt/sfs_turbo/packages
    dest: /var/lib/ascend-fleet/packages/comfyui
    sha256: 3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8551
    parts:
      - name: AIGC
        include: [aigc_inference/torch_npu]
      - name: OPP
        match: "*torch*"
"""

RETURN = r"""
---
dest:
  description: The folder.
  returned: success
  type: str
  sample: /mnt/sfs_turbo/ascendcloud-6.5.902
paths:
  description: The folder of each part.
  returned: success
  type: dict
  sample: {AIGC: /mnt/sfs_turbo/ascendcloud-6.5.902/AIGC}
version:
  description: Version of the package.
  returned: success
  type: str
  sample: 6.5.902
sources:
  description: The package files that were used.
  returned: success
  type: list
  elements: str
  sample: [AscendCloud-6.5.902-20250523.zip]
wheels:
  description: The wheels that fit O(python) and O(architecture).
  returned: success
  type: list
  elements: str
  sample: []
installers:
  description: The C(.run) installers that fit O(architecture) and O(soc).
  returned: success
  type: list
  elements: str
  sample: []
files:
  description: Number of files and links.
  returned: success
  type: int
  sample: 7
size:
  description: Bytes of all files.
  returned: success
  type: int
  sample: 104857
reasons:
  description: Why the package was unpacked; empty when nothing had to be done.
  returned: success
  type: list
  elements: str
  sample: [there is no /mnt/sfs_turbo/ascendcloud-6.5.902 yet]
waited:
  description: Whether another run or node was waited for.
  returned: success
  type: bool
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.formatters import human_to_bytes

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _package,
    _package_look,
    _package_names,
    _package_zip,
    _parallel,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, unwritable

MOST_WORKERS = 8
PART = {
    "name": {"type": "str", "required": True},
    "match": {"type": "str", "default": "*"},
    "include": {"type": "list", "elements": "str", "default": []},
    "sha256": {"type": "str"},
}
ARGUMENTS = {
    "src": {"type": "list", "elements": "path", "required": True},
    "dest": {"type": "path", "required": True},
    "parts": {"type": "list", "elements": "dict", "required": True, "options": PART},
    "version": {"type": "str"},
    "sha256": {"type": "str"},
    "python": {"type": "str"},
    "architecture": {"type": "str"},
    "soc": {"type": "str"},
    "verify": {"type": "str", "choices": ["fast", "full"], "default": "fast"},
    "lock_timeout": {"type": "float", "default": 1800},
    "workers": {"type": "int"},
    "max_size": {"type": "str", "default": "100G"},
    "max_ratio": {"type": "int", "default": 200},
}


def wanted(params: dict[str, Any]) -> _package_look.Want:
    soc = _package_names.family(params["soc"]) if params["soc"] else None
    if params["soc"] and not soc:
        raise ValueError(f"soc {params['soc']} is no known chip; write it as npu-smi does, such as 910B4")
    names = [part["name"] for part in params["parts"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise ValueError(f"parts names {', '.join(twice) or 'nothing'}{' twice' if twice else ''}; name each part once")
    machine = _package_names.kernel_name(params["architecture"] or os.uname().machine)
    limits = _package_zip.Limits(size=human_to_bytes(params["max_size"]), ratio=params["max_ratio"])
    return _package_look.Want(
        src=tuple(params["src"]),
        dest=os.path.realpath(params["dest"]),
        parts=tuple(
            _package_names.Wanted(part["name"], part["match"], tuple(part["include"]), part["sha256"])
            for part in params["parts"]
        ),
        version=params["version"],
        sha256=params["sha256"],
        target=_package_names.Target(params["python"], None if machine == "any" else machine, soc),
        full=params["verify"] == "full",
        limits=limits,
        workers=params["workers"] or min(MOST_WORKERS, _parallel.cores()),
        patience=params["lock_timeout"],
    )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = _package.converge(wanted(module.params), module.check_mode)
    except ValueError as error:
        module.fail_json(msg=str(error))
    except FleetError as error:
        module.fail_json(msg=error.told(), **error.finding)
    except OSError as error:
        told = unwritable(error)
        if told is None:
            raise
        module.fail_json(msg=told.told(), **told.finding)
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
