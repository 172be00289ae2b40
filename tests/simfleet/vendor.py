# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the vendor's driver on a simulated server, as one pure function of its spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .npu import npu_smi
from .soc import SOCS, Soc
from .spec import NodeSpec

STATE = "/etc/ascend-sim/state.json"
DEVICES = "/etc/ascend-sim/devices"
SYSFS = "/opt/ascend-sim/sys"
ROOT = "/usr/local/Ascend"
_TOOLS = Path(__file__).parent / "npu"
_HUAWEI = "0x19e5"
_ACCELERATOR = "0x120000"
_LIBRARIES = (
    "lib64/driver/libascend_hal.so",
    "lib64/driver/libdcmi.so",
    "lib64/common/libc_sec.so",
    "lib64/common/libmmpa.so",
)
_SHARED_MINOR = 64

# path -> (mode, content)
Files = dict[str, tuple[int, bytes]]


def files(spec: NodeSpec, major: int) -> Files:
    """Everything a server with this spec has on its disk because of its cards."""
    soc = SOCS[spec.soc]
    state = spec.state or initial_state(spec)
    found: Files = {**_pci_tree(soc, state)}
    found[STATE] = (0o644, _json(state))
    if not spec.chips or spec.driver == "absent":
        return found
    found.update(_driver(soc, spec.chips))
    found[DEVICES] = (0o644, _device_list(soc, spec.chips, major).encode())
    if spec.driver == "not-rebooted":
        # the list takes effect at the next boot but one: the first boot renames it
        found[DEVICES + ".next"] = found.pop(DEVICES)
    tool = (0o755, (_TOOLS / "npu_smi.py").read_bytes())
    if spec.npu_smi:
        found[spec.npu_smi] = tool
    return found


def initial_state(spec: NodeSpec) -> dict[str, Any]:
    """The simulated npu-smi's state of a healthy, idle server."""
    soc = SOCS[spec.soc]
    cards = -(-spec.chips // soc.per_card)
    state: dict[str, Any] = npu_smi.default_state(soc.npu_smi, cards=cards, driver_version=soc.driver_version)
    state["chips"] = state["chips"][: spec.chips]
    return state


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _pci_tree(soc: Soc, state: dict[str, Any]) -> Files:
    """bus/pci/devices of the cards and of one foreign device; cards without PCIe show nothing."""
    devices = {"0000:00:03.0": ("0x1af4", "0x1000", "0x020000")}
    for chip in state["chips"]:
        if chip["bus_id"] != "NA":
            devices[chip["bus_id"].lower()] = (_HUAWEI, soc.pci_device, _ACCELERATOR)
    tree: Files = {}
    for address, values in devices.items():
        for name, value in zip(("vendor", "device", "class"), values, strict=True):
            tree[f"{SYSFS}/bus/pci/devices/{address}/{name}"] = (0o444, f"{value}\n".encode())
    return tree


def _device_list(soc: Soc, chips: int, major: int) -> str:
    """Lines `path major minor` for the boot script."""
    lines = [f"/dev/davinci{number} {major} {number}" for number in range(chips)]
    for offset, name in enumerate(soc.shared_devices):
        lines.append(f"/dev/{name} {major + offset} {_SHARED_MINOR}")
    return "".join(f"{line}\n" for line in lines)


def _driver(soc: Soc, chips: int) -> Files:
    version = soc.driver_version
    driver = (
        f"Version={version}\nascendhal_version=7.35.23\naicpu_version=1.0\n"
        f"Innerversion=V100R001C21SPC002B220\npackage_version={version}\n"
    )
    firmware = f"Version=7.7.0.1.231\nfirmware_version=1.0\npackage_version={version}\n"
    install = (
        "UserName=HwHiAiUser\nUserGroup=HwHiAiUser\n"
        f"Driver_Install_Type=full\nDriver_Install_Path_Param={ROOT}\n"
        f"Firmware_Install_Type=full\nFirmware_Install_Path_Param={ROOT}\n"
        "Driver_Install_For_All=no\nDriver_Install_Mode=normal\nDriver_Install_Status=complete\n"
    )
    found: Files = {
        f"{ROOT}/driver/version.info": (0o644, driver.encode()),
        f"{ROOT}/firmware/version.info": (0o644, firmware.encode()),
        f"{ROOT}/driver/tools/hccn_tool": (0o755, (_TOOLS / "hccn_tool.py").read_bytes()),
        "/usr/local/dcmi/libdcmi.so": (0o644, b""),
        "/usr/local/dcmi/dcmi_interface_api.h": (0o644, b""),
        "/etc/ascend_install.info": (0o644, install.encode()),
        "/etc/hccn.conf": (0o644, _hccn_conf(chips).encode()),
        "/var/log/npu/slog/.keep": (0o644, b""),
    }
    for library in _LIBRARIES:
        found[f"{ROOT}/driver/{library}"] = (0o644, b"")
    for path in soc.extra_files:
        found[path] = (0o644, b"{}\n")
    return found


def _hccn_conf(chips: int) -> str:
    lines = []
    for number in range(chips):
        lines += [
            f"address_{number}=29.1.0.{10 + number}",
            f"netmask_{number}=255.255.0.0",
            f"netdetect_{number}=29.1.0.1",
            f"gateway_{number}=29.1.0.1",
            f"send_arp_status_{number}=1",
        ]
    return "".join(f"{line}\n" for line in lines)
