# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why ``npu-smi`` gave no table: from its texts to cause, remedy and check id. Private to the collection."""

from __future__ import annotations

import re
from typing import Callable, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._findings import CHECKS

Holders = Callable[[], Sequence[str]]
"""Names of the running containers that have cards; asked only where it helps to explain a failure."""


class Cause(NamedTuple):
    check: str
    cause: str
    remedy: str

    @classmethod
    def of(cls, check: str, cause: str, remedy: str | None = None) -> Cause:
        return cls(check, cause, remedy or CHECKS[check].remedy)


class Surroundings(NamedTuple):
    """What the same text may mean depends on what is on the node."""

    program: str
    as_root: bool
    nodes: bool
    """There are /dev/davinci nodes."""
    driver: bool
    """Files of the driver are installed."""
    holders: Holders


_LIBRARY = re.compile(r"error while loading shared libraries: ([^:\s]+)")
_CODE = re.compile(r"ret is\s*(-\d+)")
# Shells also speak Chinese where the tool is at home.
_NOT_FOUND = re.compile(r"command not found|No such file or directory|: not found|未找到命令|没有那个文件或目录")
_DENIED = re.compile(r"permission denied|operation not permitted|权限不够|不允许的操作", re.IGNORECASE)

_HELD = -8020
_INTERNAL = -8005
_PERMISSION = -8002
_NO_BOARD = -9005

# code: check, what it means
_CODES = {
    _PERMISSION: ("npu-permission", "the driver refuses this user (-8002)"),
    -8006: ("npu-hang", "the driver did not answer the tool in time (-8006)"),
    -8008: ("npu-driver-missing", "the driver sees no device (-8008)"),
    -8012: ("npu-driver-reboot", "the device is not ready (-8012)"),
    -8013: ("npu-output", "the query does not work inside containers (-8013)"),
    -8255: ("npu-output", "the driver does not support the query (-8255)"),
    -99998: ("npu-driver-missing", "the driver is too old for the tool (-99998)"),
    -99999: ("npu-library", "the driver's library libdcmi.so cannot be loaded (-99999)"),
    _NO_BOARD: ("npu-driver-missing", "the driver does not tell the type of the board (-9005)"),
}


def explain(out: str, err: str, rc: int, where: Surroundings) -> Cause:
    """The cause behind output that is no table of chips."""
    text = f"{out}\n{err}"
    codes = [int(code) for code in _CODE.findall(text)]
    library = _LIBRARY.search(text)
    if library:
        return Cause.of("npu-library", f"{where.program} does not find the library {library.group(1)}.")
    if _HELD in codes or "device is used" in text:
        return _held(where)
    if _INTERNAL in codes:
        return _internal(where)
    for code in codes:
        if code in _CODES:
            check, meaning = _CODES[code]
            return Cause.of(check, f"{where.program} says: {meaning}.")
    if codes:
        return Cause.of("npu-output", f"{where.program} failed with the unknown code {codes[0]}: {_quote(out, err)}.")
    if "There is no NPU card on this server" in text:
        return Cause.of("npu-driver-missing", f"{where.program} says that there is no NPU card on this server.")
    if "Exec format error" in text:
        return Cause.of("npu-tool-missing", f"{where.program} is no program for this machine: {_quote(out, err)}.")
    if rc == 126 or _DENIED.search(text):
        remedy = f"Make {where.program} a file that may be executed (ls -l)." if where.as_root else None
        return Cause.of("npu-permission", f"{where.program} may not be run: {_quote(out, err)}.", remedy)
    if rc == 127 or _NOT_FOUND.search(text):
        return Cause.of("npu-tool-missing", f"{where.program} cannot be started: {_quote(out, err)}.")
    if not text.strip():
        ended = f"was killed by signal {-rc}" if rc < 0 else f"ended with status {rc}"
        return Cause.of("npu-output", f"{where.program} printed nothing and {ended}.")
    return Cause.of("npu-output", f"{where.program} printed no table of chips: {_quote(out, err)} (status {rc}).")


def no_tool(where: Surroundings, searched: Sequence[str]) -> Cause:
    """There are cards, and no npu-smi to ask."""
    if where.nodes:
        return Cause.of(
            "npu-tool-missing",
            f"There are /dev/davinci nodes, but no npu-smi in {', '.join(searched)} or PATH.",
        )
    if where.driver:
        return Cause.of(
            "npu-driver-reboot",
            "Cards are on the PCI bus and the driver is installed, but not running: "
            "there is no /dev/davinci node and no npu-smi.",
        )
    return Cause.of("npu-driver-missing", "Cards are on the PCI bus, but no driver is installed.")


def _held(where: Surroundings) -> Cause:
    names = list(where.holders())
    if names:
        listed = ", ".join(names)
        return Cause.of(
            "npu-held",
            f"The cards are held by {'container' if len(names) == 1 else 'the containers'} {listed} (-8020).",
            f"Stop {listed}, or name it in fleet_release so that the run may stop it.",
        )
    return Cause.of("npu-held", "The cards are held by another container or a process in one (-8020).")


def _internal(where: Surroundings) -> Cause:
    causes = ["driver or firmware were changed and the server was not rebooted"]
    remedies = ["Reboot the server"]
    names = list(where.holders())
    if names:
        causes.append(f"the cards are held by container {', '.join(names)}")
        remedies.append("stop the containers that have the cards")
    if not where.as_root:
        causes.insert(0, "this user is not root")
        remedies.insert(0, "Run as root (become: true)")
    if not where.nodes:
        causes.append("the driver is not loaded (there is no /dev/davinci node)")
        remedies.append("look for its errors in dmesg")
    return Cause.of(
        "npu-driver-reboot" if where.as_root else "npu-permission",
        f"{where.program} cannot reach the driver (-8005): {', or '.join(causes)}.",
        f"{'; if that does not help: '.join(remedies)}.",
    )


def _quote(out: str, err: str) -> str:
    lines = [" ".join(line.split()) for line in (out.strip() or err.strip()).splitlines() if line.strip()]
    return repr(lines[-1][:160]) if lines else "no output"
