# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says about its Ascend NPUs: one dictionary, the facts ``ascend_npu``. Private to the collection."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import _npu_host as host
from ansible_collections.ascend.fleet.plugins.module_utils import _npu_ids as ids
from ansible_collections.ascend.fleet.plugins.module_utils import _npu_queries as queries
from ansible_collections.ascend.fleet.plugins.module_utils import _npu_smi as npu_smi
from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, WARNING, finding
from ansible_collections.ascend.fleet.plugins.module_utils._npu_errors import (
    Cause,
    Holders,
    Surroundings,
    explain,
    no_tool,
)
from ansible_collections.ascend.fleet.plugins.module_utils._system import Result, System

DEFAULTS: dict[str, Any] = {
    "npu_smi": None,
    "ascend_root": "/usr/local/Ascend",
    "sysfs": "/sys",
    "dev": "/dev",
    "timeout": 30,
}
PROCESSES_UNKNOWN = "npu-processes"

_TOOL = "npu-smi"
_SBIN_FOLDERS = ("/usr/local/sbin", "/usr/local/bin")
_LIBRARY_FOLDERS = ("driver/lib64", "driver/lib64/common", "driver/lib64/driver")
_CHECK_OF = {
    npu_smi.CUT: "npu-output",
    npu_smi.DAMAGED: "npu-output",
    npu_smi.MISSING: "npu-count",
    npu_smi.PROCESSES: PROCESSES_UNKNOWN,
}
_KINDS = tuple(_CHECK_OF)


def read(
    system: System,
    want: Mapping[str, Any],
    holders: Holders = tuple,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The facts; what is wrong stands in ``error`` with cause, remedy and check id. Never raises for a broken tool."""
    given = {key: value for key, value in want.items() if value is not None}
    return _Reading(system, {**DEFAULTS, **given}, holders, clock).facts()


class _Reading:
    def __init__(self, system: System, want: Mapping[str, Any], holders: Holders, clock: Callable[[], float]) -> None:
        self.system = system
        self.want = want
        self.holders = holders
        self.clock = clock
        self.deadline = clock() + float(want["timeout"])
        self.root = host.driver_root(system, want["ascend_root"])
        self.nodes = host.device_nodes(system, want["dev"])
        self.numbers = host.davinci_numbers(self.nodes)
        self.cards = host.accelerators(system, want["sysfs"])
        self.folders = [f"{self.root}/driver/tools", *_SBIN_FOLDERS]
        self.program = want["npu_smi"] or self._search()

    def facts(self) -> dict[str, Any]:
        versions = host.versions(self.system, self.want["ascend_root"])
        facts: dict[str, Any] = {
            "present": bool(self.program or self.numbers or self.cards),
            "tool_version": None,
            "driver_version": versions.driver,
            "firmware_version": versions.firmware,
            "cann_version": versions.cann,
            "soc": None,
            "total_count": None if self.program or self.numbers or self.cards else 0,
            "npus": [],
            "processes": [],
            "device_nodes": self.nodes,
            "error": None,
        }
        if self.program:
            cause = self._ask(facts)
        elif facts["present"]:
            cause = no_tool(self._surroundings(), self.folders)
        else:
            cause = None
        if cause is not None:
            facts["error"] = {"cause": cause.cause, "remedy": cause.remedy, "check": cause.check}
        return facts

    def _ask(self, facts: dict[str, Any]) -> Cause | None:
        result = self._run("info")
        table = npu_smi.parse(result.out)
        facts["tool_version"] = table.version
        facts["driver_version"] = facts["driver_version"] or table.driver_version
        facts["npus"] = [_with_davinci_id(npu, None) for npu in table.npus]
        facts["processes"] = table.processes
        cause = self._refusal(result, table)
        if cause is not None:
            return cause
        missing = list(table.problems)
        for query in (self._count, self._complete):
            cause = query(facts, missing)
            if cause is not None:
                return cause
        return self._problem(missing)

    def _refusal(self, result: Result, table: npu_smi.Table) -> Cause | None:
        """Why the output cannot be read as a whole table."""
        if result.timed_out:
            return self._hang("info")
        if not table.recognised:
            return explain(result.out, result.err, result.rc, self._surroundings())
        if result.rc != 0:
            cause = explain(result.out, result.err, result.rc, self._surroundings())
            if cause.check != "npu-output":
                return cause
            return Cause.of("npu-output", f"{self.program} printed a table and failed with status {result.rc}.")
        return self._problem([problem for problem in table.problems if _CHECK_OF[problem.kind] == "npu-output"])

    def _problem(self, problems: Sequence[npu_smi.Problem]) -> Cause | None:
        if not problems:
            return None
        worst = min(problems, key=lambda problem: _KINDS.index(problem.kind))
        said = "; ".join(problem.message for problem in problems if problem.kind == worst.kind)
        return Cause.of(_CHECK_OF[worst.kind], f"The table of {self.program} is not whole: {said}.")

    # at most two more calls

    def _count(self, facts: dict[str, Any], missing: list[npu_smi.Problem]) -> Cause | None:
        result = self._run("info", "-l")
        if result.timed_out:
            return self._hang("info -l")
        shown = [npu["npu_id"] for npu in facts["npus"]]
        listing = queries.parse_listing(result.out if result.rc == 0 else "")
        # A program that prints only the table has no count of its own.
        facts["total_count"] = len(set(shown)) if listing.total_count is None else listing.total_count
        missing.extend(npu_smi.Problem(npu_smi.MISSING, message) for message in _uncounted(shown, listing))
        return None

    def _complete(self, facts: dict[str, Any], missing: list[npu_smi.Problem]) -> Cause | None:
        npus = facts["npus"]
        board: dict[str, str] = {}
        device_column = all(npu["logic_id"] is not None for npu in npus)
        arguments: tuple[str, ...] = ()
        if any(npu["phy_id"] is not None for npu in npus):
            first = npus[0]
            arguments = ("info", "-t", "board", "-i", str(first["npu_id"]), "-c", str(first["chip_id"]))
        elif not device_column:
            arguments = ("info", "-m")
        if arguments:
            result = self._run(*arguments)
            if result.timed_out:
                return self._hang(" ".join(arguments))
            if arguments[1] == "-m":
                ids.complete(npus, queries.parse_mapping(result.out))
            else:
                details = queries.parse_details(result.out)
                board = {**details.card, **next(iter(details.chips.values()), {})}
        numbers = ids.davinci_ids(npus, device_column, self.numbers)
        facts["npus"] = [_with_davinci_id(npu, number) for npu, number in zip(npus, numbers)]
        facts["soc"] = ids.soc(npus, board)
        return None

    # the edge

    def _search(self) -> str | None:
        folders = [*self.folders, *os.environ.get("PATH", "").split(os.pathsep)]
        for folder in folders:
            path = f"{folder}/{_TOOL}"
            if folder and not self.system.isdir(path) and os.access(self.system.path(path), os.X_OK):
                return path
        return None

    def _run(self, *arguments: str) -> Result:
        if self.program is None:
            raise AssertionError("asked without a program")
        left = self.deadline - self.clock()
        if left <= 0:
            return Result(-1, "", "", True)
        program = self.system.path(self.program) if "/" in self.program else self.program
        return self.system.run([program, *arguments], timeout=left, env=self._environment())

    def _environment(self) -> dict[str, str]:
        """Shells without login, such as Ansible's, do not know where the driver's libraries are."""
        libraries = [self.system.path(f"{self.root}/{folder}") for folder in _LIBRARY_FOLDERS]
        known = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
        return {"LD_LIBRARY_PATH": ":".join(dict.fromkeys(libraries + known))}

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            program=self.program or _TOOL,
            as_root=os.geteuid() == 0,
            nodes=bool(self.numbers),
            driver=self.system.isdir(f"{self.root}/driver"),
            holders=self.holders,
        )

    def _hang(self, query: str) -> Cause:
        return Cause.of("npu-hang", f"{self.program} {query} did not answer within {self.want['timeout']} s.")


def _with_davinci_id(npu: dict[str, Any], number: int | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in npu.items():
        if key == "name":
            values["davinci_id"] = number
        if key != "davinci_id":
            values[key] = value
    return values


def _uncounted(shown: Sequence[int], listing: queries.Listing) -> list[str]:
    """What the tool's own count and the rows of its table disagree about."""
    if listing.total_count is None:
        return []
    messages = []
    npus = set(shown)
    if listing.total_count != len(npus):
        absent = [npu["NPU ID"] for npu in listing.npus if npu["NPU ID"] not in {str(npu_id) for npu_id in npus}]
        names = f" (NPU {', '.join(absent)} is not in the table)" if absent else ""
        messages.append(f"the tool counts {listing.total_count} NPUs, its table shows {len(npus)}{names}")
    for npu in listing.npus:
        chips = npu.get("Chip Count", "")
        rows = [npu_id for npu_id in shown if str(npu_id) == npu["NPU ID"]]
        if chips.isdigit() and rows and int(chips) != len(rows):
            messages.append(f"NPU {npu['NPU ID']} has {chips} chips, its table shows {len(rows)}")
    return messages


def findings(facts: Mapping[str, Any], expected: int | None = None, needed: bool = True) -> list[dict[str, Any]]:
    """What a step that needs the cards must say about these facts."""
    found: list[dict[str, Any]] = []
    if facts["error"]:
        error = facts["error"]
        found.append(finding(error["check"], error["cause"], error["remedy"], key="npus"))
    elif not facts["present"] and (needed or expected):
        found.append(
            finding("npu-absent", "The node has no Ascend NPU, no /dev/davinci node and no npu-smi.", key="npus")
        )
    return found + _count_findings(facts, expected) + _chip_findings(facts)


def _count_findings(facts: Mapping[str, Any], expected: int | None) -> list[dict[str, Any]]:
    rows = len(facts["npus"])
    if not rows:
        return []
    found = []
    nodes = len(host.davinci_numbers(facts["device_nodes"]))
    if nodes != rows:
        message = f"npu-smi shows {rows} chips, but there are {nodes} /dev/davinci nodes."
        found.append(finding("npu-count", message, key="device_nodes", value=nodes))
    if expected is not None and expected != rows:
        message = f"The inventory expects {expected} chips, npu-smi shows {rows} on {facts['total_count']} NPUs."
        found.append(finding("npu-count", message, key="fleet_npus_expected", value=expected))
    return found


def _chip_findings(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for npu in facts["npus"]:
        place = f"Chip {npu['chip_id']} of NPU {npu['npu_id']}"
        if npu["health"] != "OK":
            severity = WARNING if npu["health"] == "Warning" else ERROR
            message = f"{place} has the health {npu['health']}."
            found.append(finding("npu-unhealthy", message, key="health", value=npu["health"], severity=severity))
        if npu["davinci_id"] is None and not facts["error"]:
            found.append(finding("npu-device", f"{place} cannot be matched to a /dev/davinci node.", key="davinci_id"))
    return found
