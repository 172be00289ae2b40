#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: npu_smi_facts
short_description: Reads the Ascend NPUs of a host
version_added: 0.1.0
description:
  - Runs C(npu-smi) and returns what it shows, for every layout of its table, as facts.
  - The values are returned only where the table is whole. An error text, a table that is cut or damaged, a chip that
    the tool itself left out, and a tool that does not answer fail the module with cause and remedy.
  - Calls C(npu-smi) once for the table and at most twice more, for its own count of NPUs and for ids or the name of the
    SoC that the table does not print.
author:
  - ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.facts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  facts:
    support: full
  platform:
    platforms: linux
options:
  npu_smi:
    description:
      - Program to ask. It is always run, and believed, whatever else is found on the host.
      - Without it the tool is searched in C(driver/tools) below O(ascend_root), in C(/usr/local/sbin),
        in C(/usr/local/bin) and in E(PATH).
    type: path
  ascend_root:
    description:
      - Folder of the driver and of the other software of the vendor.
      - Where it holds no driver, the folder that C(/etc/ascend_install.info) names is taken.
    type: path
    default: /usr/local/Ascend
  sysfs:
    description:
      - Folder where sysfs is mounted, to look for cards on the PCI bus.
    type: path
    default: /sys
  dev:
    description:
      - Folder of the device nodes.
    type: path
    default: /dev
  timeout:
    description:
      - Seconds after which the tool counts as hung, all calls together.
    type: int
    default: 30
  on_error:
    description:
      - With V(fail) the module fails where the NPUs cannot be read.
      - With V(report) it succeeds and returns the failure as C(error) in the facts, together with what could be read.
    type: str
    choices: [fail, report]
    default: fail
seealso:
  - module: ascend.fleet.ascend_container
"""

EXAMPLES = r"""
---
- name: Read the NPUs
  ascend.fleet.npu_smi_facts:

- name: Show name and health of each chip
  ansible.builtin.debug:
    msg: "{{ item.name }} /dev/davinci{{ item.davinci_id }}: {{ item.health }}"
  loop: "{{ ansible_facts.ascend_npu.npus }}"
  loop_control:
    label: "{{ item.npu_id }}"

- name: Go on without NPUs, and say why
  ascend.fleet.npu_smi_facts:
    npu_smi: /usr/local/sbin/npu-smi
    timeout: 60
    on_error: report

- name: Stop where fewer chips are seen than there should be
  ansible.builtin.assert:
    that:
      - ansible_facts.ascend_npu.error is none
      - ansible_facts.ascend_npu.npus | length == 8
"""

RETURN = r"""
---
ansible_facts:
  description: The facts.
  returned: success
  type: dict
  contains:
    ascend_npu:
      description: The NPUs of the host. A number that is unknown is null, never 0.
      type: dict
      contains:
        present:
          description:
            - Whether the host has NPUs, or something that belongs to them.
            - False only where there is no accelerator of the vendor on the PCI bus, no davinci device node and no
              C(npu-smi).
          type: bool
          sample: true
        tool_version:
          description: Version of C(npu-smi).
          type: str
          sample: 25.2.0
        driver_version:
          description: Version of the driver.
          type: str
          sample: 25.2.0
        firmware_version:
          description: Version of the firmware.
          type: str
          sample: 7.7.0.1.231
        cann_version:
          description: Version of CANN on the host.
          type: str
          sample: 8.2.RC1
        soc:
          description: Name of the SoC. Null where the chips differ.
          type: str
          sample: Ascend910B4
        total_count:
          description:
            - How many NPUs the tool counts, which may be fewer than chips.
            - Taken from the table where the tool does not tell its count.
          type: int
          sample: 8
        npus:
          description: One entry a chip.
          type: list
          elements: dict
          contains:
            npu_id:
              description: Id of the NPU. Not always a series from 0.
              type: int
            chip_id:
              description: Number of the chip in its NPU.
              type: int
            logic_id:
              description: Logic id of the chip.
              type: int
            phy_id:
              description: Physical id of the chip.
              type: int
            davinci_id:
              description: The number of its device node, as in C(/dev/davinci0).
              type: int
            name:
              description: Name of the chip as the table prints it.
              type: str
            health:
              description: V(OK), V(Warning), V(Alarm), V(Critical) or V(UNKNOWN).
              type: str
            power_w:
              description: Power in watt.
              type: float
            temp_c:
              description: Temperature in degrees Celsius.
              type: int
            hugepages_used:
              description: Huge pages in use.
              type: int
            hugepages_total:
              description: Huge pages.
              type: int
            bus_id:
              description: PCI address.
              type: str
            aicore_pct:
              description: Load of the AI cores in percent.
              type: int
            memory_used_mb:
              description: DDR memory in use.
              type: int
            memory_total_mb:
              description: DDR memory. Chips of the A2, A3 and 950 families show 0.
              type: int
            hbm_used_mb:
              description: HBM in use.
              type: int
            hbm_total_mb:
              description: HBM.
              type: int
          sample:
            - npu_id: 0
              chip_id: 0
              logic_id: 0
              phy_id:
              davinci_id: 0
              name: 910B4
              health: OK
              power_w: 92.4
              temp_c: 41
              hugepages_used: 0
              hugepages_total: 0
              bus_id: 0000:C1:00.0
              aicore_pct: 0
              memory_used_mb: 0
              memory_total_mb: 0
              hbm_used_mb: 2871
              hbm_total_mb: 32768
        processes:
          description: Processes that use the NPUs, as far as the tool lists them.
          type: list
          elements: dict
          contains:
            npu_id:
              description: Id of the NPU.
              type: int
            chip_id:
              description: Number of the chip in its NPU.
              type: int
            pid:
              description: Process id on the host.
              type: int
            name:
              description: Name of the process, cut to 15 characters. Empty in a container without the host's processes.
              type: str
            memory_mb:
              description: Memory of the NPU in use by the process.
              type: int
          sample:
            - npu_id: 0
              chip_id: 0
              pid: 124528
              name: python3.8
              memory_mb: 17400
        device_nodes:
          description: Device nodes of the driver.
          type: list
          elements: str
          sample: [/dev/davinci0, /dev/davinci_manager, /dev/devmm_svm, /dev/hisi_hdc]
        error:
          description: Why the NPUs could not be read, null where they could.
          returned: with O(on_error=report)
          type: dict
          contains:
            cause:
              description: What is wrong.
              type: str
            remedy:
              description: What helps.
              type: str
            check:
              description: Id of the check that failed.
              type: str
          sample:
            cause: npu-smi cannot reach the driver (-8005).
            remedy: Reboot the server.
            check: npu-driver-reboot
cause:
  description: What is wrong.
  returned: failure
  type: str
  sample: The cards are held by container notebook (-8020).
remedy:
  description: What helps.
  returned: failure
  type: str
  sample: Stop notebook, or name it in fleet_release so that the run may stop it.
check:
  description: Id of the check that failed.
  returned: failure
  type: str
  sample: npu-held
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._npu_facts import PROCESSES_UNKNOWN, read
from ansible_collections.ascend.fleet.plugins.module_utils._npu_holders import running_holders
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "npu_smi": {"type": "path"},
            "ascend_root": {"type": "path", "default": "/usr/local/Ascend"},
            "sysfs": {"type": "path", "default": "/sys"},
            "dev": {"type": "path", "default": "/dev"},
            "timeout": {"type": "int", "default": 30},
            "on_error": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    if module.params["timeout"] < 1:
        module.fail_json(msg=f"timeout is {module.params['timeout']}, it must be 1 second or more.")
    facts = read(System(), module.params, running_holders)
    error = facts.pop("error")
    if error and error["check"] == PROCESSES_UNKNOWN:
        # The chips are all there, and old or pasted tables have no list of processes.
        module.warn(f"{error['cause']} {error['remedy']}")
        error = None
    if module.params["on_error"] == "report":
        facts["error"] = error
    elif error:
        module.fail_json(msg=f"{error['cause']} {error['remedy']}", **error)
    module.exit_json(changed=False, ansible_facts={"ascend_npu": facts})


if __name__ == "__main__":
    main()
