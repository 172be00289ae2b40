# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node's files say about NPUs without asking the tool. Private to the collection."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._system import System

INSTALL_INFO = "/etc/ascend_install.info"

_VENDOR = "0x19e5"
# Other devices of the vendor, network cards and the graphics of its management controller, have other classes.
_CLASS = "0x1200"
_DAVINCI = re.compile(r"^davinci(\d+)$")
_NODES = re.compile(r"^(davinci\w*|hisi_hdc|devmm_svm|dvpp_cmdlist|svm0|ascend_manager)$")
_NUMBERS = re.compile(r"(\d+)")


class Versions(NamedTuple):
    driver: str | None
    firmware: str | None
    cann: str | None


def parse_info(text: str) -> dict[str, str]:
    """A version.info, ascend_install.info or *_install.info file: ``key=value`` lines."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _equals, value in pairs if key.strip() and not key.startswith("#")}


def device_nodes(system: System, dev: str) -> list[str]:
    names = [name for name in system.listdir(dev) if _NODES.match(name) and not system.isdir(f"{dev}/{name}")]
    return [f"{dev.rstrip('/')}/{name}" for name in sorted(names, key=_natural)]


def davinci_numbers(nodes: list[str]) -> list[int]:
    matches = (_DAVINCI.match(node.rsplit("/", 1)[-1]) for node in nodes)
    return sorted(int(match.group(1)) for match in matches if match)


def accelerators(system: System, sysfs: str) -> list[str]:
    """PCI addresses of the vendor's processing accelerators."""
    folder = f"{sysfs.rstrip('/')}/bus/pci/devices"
    return [
        address
        for address in system.listdir(folder)
        if _value(system, f"{folder}/{address}/class").startswith(_CLASS)
        and _value(system, f"{folder}/{address}/vendor") == _VENDOR
    ]


def driver_root(system: System, ascend_root: str) -> str:
    """The folder that holds driver/ and firmware/: the given one, else where the installer says it put them."""
    if not system.isdir(f"{ascend_root}/driver"):
        installed = parse_info(system.read(INSTALL_INFO) or "").get("Driver_Install_Path_Param", "")
        if installed and system.isdir(f"{installed}/driver"):
            return installed
    return ascend_root


def versions(system: System, ascend_root: str) -> Versions:
    root = driver_root(system, ascend_root)
    return Versions(
        _version(system, f"{root}/driver/version.info"),
        _version(system, f"{root}/firmware/version.info"),
        _cann_version(system, ascend_root),
    )


def _version(system: System, path: str) -> str | None:
    info = parse_info(system.read(path) or "")
    return info.get("Version") or info.get("version") or info.get("package_version")


def _cann_version(system: System, ascend_root: str) -> str | None:
    newest_first = sorted(system.listdir(ascend_root), key=_natural, reverse=True)
    roots = ["ascend-toolkit/latest", "cann", *(name for name in newest_first if name.startswith("cann-"))]
    for root in [*roots, "nnae/latest", "nnrt/latest"]:
        base = f"{ascend_root}/{root}"
        folders = [base, *(f"{base}/{name}" for name in system.listdir(base) if name.endswith("-linux"))]
        for folder in folders:
            for name in system.listdir(folder):
                if name.startswith("ascend_") and name.endswith("_install.info"):
                    version = _version(system, f"{folder}/{name}")
                    if version:
                        return version
    return None


def _value(system: System, path: str) -> str:
    return (system.read(path) or "").strip().lower()


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBERS.split(name) if part]
