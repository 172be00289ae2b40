#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sysctl_forward
short_description: Turn packet forwarding on, now and after every boot
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Turns C(net.ipv4.ip_forward), and on request C(net.ipv6.conf.all.forwarding), on in the running kernel and makes
    sure that it comes back after a boot. Containers on a bridge reach nothing beyond their node without it.
  - M(ansible.posix.sysctl) sees one file. The value after a boot is what all files together say, so this module reads
    F(/etc/sysctl.conf) and all folders C(sysctl.d) of F(/etc), F(/run), F(/usr/local/lib), F(/usr/lib) and F(/lib)
    in the order of systemd-sysctl and of C(sysctl --system), with files that replace others by name, links, globs,
    exclusions and the second name of the variable, C(net.ipv4.conf.all.forwarding).
  - A setting that is right already is left where it stands.
    Otherwise F(/etc/sysctl.d/99-zz-ascend-fleet.conf) is written.
  - A file that would turn forwarding off again is reported in RV(overridden_by) with a warning and, with
    O(neutralise=true), made harmless by commenting its line out.
options:
  state:
    description:
      - V(present) turns forwarding on.
      - V(absent) removes the file of this module and leaves the running kernel and other files alone.
    type: str
    choices: [present, absent]
    default: present
  ipv4:
    description: Whether packets of IPv4 are to be forwarded. With V(false) nothing about it is changed.
    type: bool
    default: true
  ipv6:
    description:
      - Whether packets of IPv6 are to be forwarded. With V(false) nothing about it is changed.
      - Note that an interface of a forwarding host takes no router advertisements unless C(accept_ra) is V(2).
    type: bool
    default: false
  neutralise:
    description:
      - Whether lines of other files that would turn forwarding off again are commented out.
      - A file outside of F(/etc) is not edited. A copy of the same name without the line is put into F(/etc/sysctl.d),
        which replaces it.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: The changes are predicted, nothing is changed.
  diff_mode:
    support: full
    description: One entry for each changed kernel variable and file.
  idempotent:
    support: full
    description: A second run changes nothing.
  platform:
    support: full
    platforms: linux
    description: Linux, as root.
seealso:
  - module: ansible.posix.sysctl
"""

EXAMPLES = r"""
---
- name: Let packets of containers through
  ascend.fleet.sysctl_forward:
  become: true

- name: The same for IPv6, whatever other files say
  ascend.fleet.sysctl_forward:
    ipv6: true
    neutralise: true
  become: true
"""

RETURN = r"""
---
runtime:
  description: The values in the running kernel afterwards, by key. V(null) where the kernel has no such key.
  returned: success
  type: dict
  sample: {net.ipv4.ip_forward: "1"}
persistent:
  description: By key, the value after a boot and the line that decides it. V(null) where no file sets it.
  returned: success
  type: dict
  sample:
    net.ipv4.ip_forward: {value: "1", file: /etc/sysctl.d/99-zz-ascend-fleet.conf, line: 2}
overridden_by:
  description: Lines of other files that turn forwarding off again, as they were found.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The file.
      type: str
    line:
      description: Number of the line.
      type: int
    text:
      description: The line.
      type: str
    key:
      description: The key that it undoes.
      type: str
    reader:
      description: Who reads it so, C(systemd-sysctl) at boot or C(sysctl --system).
      type: str
  sample:
    - file: /etc/sysctl.conf
      line: 28
      text: net.ipv4.ip_forward = 0
      key: net.ipv4.ip_forward
      reader: systemd-sysctl
files:
  description: The files that were written or removed.
  returned: success
  type: list
  elements: str
  sample: [/etc/sysctl.d/99-zz-ascend-fleet.conf]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils import _sysctl
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "ipv4": {"type": "bool", "default": True},
    "ipv6": {"type": "bool", "default": False},
    "neutralise": {"type": "bool", "default": False},
}


def converge(system: System, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    before = _sysctl.observe(system)
    actions, findings = _sysctl.plan(params, before)
    if actions and not check_mode:
        _sysctl.apply(system, actions)
    after = before if check_mode else _sysctl.observe(system)
    return {
        "changed": bool(actions),
        "diff": [_sysctl.diff(step) for step in actions],
        "files": [step["target"] for step in actions if step["action"] != "sysctl"],
        "overridden_by": _sysctl.overridden_by(params, before),
        "warnings": [found["message"] for found in findings],
        **_sysctl.report(after, [name for name in _sysctl.SETTINGS if params[name]]),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = converge(System(), module.params, module.check_mode)
    except FleetError as error:
        module.fail_json(msg=error.told(), **error.finding)
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
