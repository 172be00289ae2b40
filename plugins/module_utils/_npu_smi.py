# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the table of ``npu-smi info``. Private to the collection.

The header rows say which columns there are, so every layout of the tool (310, 910, 310P, A3,
950, the wide one of 26.x) goes through the same code. ``parse`` always gives the values it
could read; what speaks against trusting them stands in ``problems``.
"""

from __future__ import annotations

import re
from typing import Any, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._npu_columns import (
    HEALTH_WORDS,
    Row,
    RowFormat,
    is_bus_id,
    is_chip_name,
    misaligned,
    read_header,
)

CUT = "cut"
"""The output stops, or rows were left out."""
DAMAGED = "damaged"
"""A row does not follow the format, or rows contradict each other."""
MISSING = "missing"
"""The tool itself shows that it left out a chip."""
PROCESSES = "processes"
"""The chips are there, the list of processes does not cover them."""

CHIP_FIELDS = (
    "npu_id",
    "chip_id",
    "logic_id",
    "phy_id",
    "name",
    "health",
    "power_w",
    "temp_c",
    "hugepages_used",
    "hugepages_total",
    "bus_id",
    "aicore_pct",
    "memory_used_mb",
    "memory_total_mb",
    "hbm_used_mb",
    "hbm_total_mb",
)

_Values = Dict[str, Any]

_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\([0-9A-Z])")
_PREFIX = re.compile(r"^[\s>\ufeff]+")
_BORDER = re.compile(r"^\+[-+=|]{4,}$")
_TITLE = re.compile(r"^\|?\s*npu-smi\s+(\S+)\s+Version:\s*(\S+)")
_ELIDED = re.compile(r"^\|?\s*(?:\.{3,}|\u2026)\s*\|?$")
_IDLE = re.compile(r"^No running processes found in NPU\s+(\d+)$")
_MIB = 1024 * 1024
_NO_BUS_ID = "0000:00:00.0"
"""What the tool prints where it cannot ask for the address, as in some containers."""
_FIRST_WITH_PROCESS_TABLE = 23


class Problem(NamedTuple):
    kind: str
    message: str


class Table(NamedTuple):
    version: str | None
    driver_version: str | None
    npus: list[_Values]
    processes: list[_Values]
    problems: list[Problem]
    recognised: bool
    """Both header rows of a table of chips were found."""


def parse(text: str) -> Table:
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self.version: str | None = None
        self.driver_version: str | None = None
        self.npus: list[_Values] = []
        self.processes: list[_Values] = []
        self.problems: list[Problem] = []
        self.first: RowFormat | None = None
        self.second: RowFormat | None = None
        self.process: RowFormat | None = None
        self.pending: _Values | None = None
        self.rows: list[Row] = []
        self.listed: list[int] = []
        self.width = 0
        self.closed = False
        self.last = ""
        self.stray: list[str] = []

    def read(self, text: str) -> Table:
        # Web pages keep their layout with blanks that do not break.
        for line in re.split(r"\r\n|\n|\r", _COLOUR.sub("", text).replace("\xa0", " ")):
            stripped = _PREFIX.sub("", line).rstrip()
            if stripped:
                self._line(stripped)
        if self.first is not None and self.second is not None:
            self._end()
        return Table(
            self.version,
            self.driver_version,
            self.npus,
            self.processes,
            self.problems,
            self.first is not None and self.second is not None,
        )

    def _problem(self, kind: str, message: str) -> None:
        problem = Problem(kind, message)
        if problem not in self.problems:
            self.problems.append(problem)

    # lines

    def _line(self, line: str) -> None:
        title = _TITLE.match(line)
        if title and self.version is None and self.first is None:
            self.version, self.driver_version = title.groups()
        elif _BORDER.match(line):
            self._border(line)
        elif _ELIDED.match(line):
            self._drop_pending()
            self._problem(CUT, "rows were left out of the table ('...')")
        elif line.startswith("|"):
            self._row(line)
        elif self.first is not None:
            self.stray.append(line)

    def _inside(self) -> None:
        """A line of the table follows: what stood between it and the table so far is damage."""
        for line in self.stray:
            self._problem(DAMAGED, f"the table is interrupted by {_short(line)}")
        self.stray = []

    def _border(self, line: str) -> None:
        if self.closed and "=" not in line:
            # Between two tables nothing is interrupted; a warning may stand there.
            self.stray = [text for text in self.stray if "|" in text]
        self._inside()
        self._drop_pending()
        self.last = line
        self.closed = self.closed or "=" in line
        if self.second is not None and self.width == 0:
            self.width = len(line)

    def _row(self, line: str) -> None:
        self._inside()
        before, self.last = self.last, line
        if not line.endswith("|") or len(line) < 2:
            self._drop_pending()
            self._problem(DAMAGED, f"a row has no end: {_short(line)}")
            return
        cells = line[1:-1].split("|")
        header = read_header(cells)
        if header is not None:
            self._header(header, line)
        elif self.process is not None:
            self._process_row(cells, line)
        elif self.first is not None and self.second is not None:
            self._chip_row(cells, line, before)
        else:
            self._problem(DAMAGED, f"a row stands before the header of its table: {_short(line)}")

    def _header(self, header: RowFormat, line: str) -> None:
        fields = header.fields
        if self.process is None and "pid" in fields and self.second is not None:
            self.process = header
            if not self.closed:
                self._problem(MISSING, "the rows of the last NPU stop without a border")
            # A lost letter makes bytes of megabytes.
            if "memory_bytes" in fields and len(line) != self.width:
                self._problem(DAMAGED, "the header of the list of processes is shifted")
        elif self.first is None and {"npu_id", "name", "health"} <= set(fields):
            self.first = header
        elif self.first is not None and self.second is None and "bus_id" in fields:
            self.second = header
        else:
            self._problem(DAMAGED, "a header row stands where none belongs")

    # the table of chips

    def _chip_row(self, cells: list[str], line: str, before: str) -> None:
        if self.first is None or self.second is None:
            raise AssertionError("a row of chips before the header")
        bus = self.second.cell_of("bus_id")
        is_second = len(cells) == len(self.second.cells) and is_bus_id(cells[bus].strip())
        row = self.second.read(cells) if is_second else None
        if row is None:
            # NA may be a bus id and a health.
            is_second, row = False, self.first.read(cells)
        if row is None:
            self._drop_pending()
            self._problem(DAMAGED, f"a row does not fit the header of the table: {_short(line)}")
            return
        self.rows.append(row)
        self.closed = False
        for text in row.unreadable:
            self._problem(DAMAGED, f"{text!r} is no number in the row {_short(line)}")
        if is_second:
            self._second_row(row.values)
        else:
            self._first_row(row.values, before)

    def _first_row(self, values: _Values, before: str) -> None:
        self._drop_pending()
        if values["health"] not in HEALTH_WORDS:
            self._problem(DAMAGED, f"NPU {values['npu_id']} has the unknown health {values['health']!r}")
        if not values["name"]:
            self._problem(MISSING, f"NPU {values['npu_id']} has a chip without name: the tool could not query it")
        elif not is_chip_name(values["name"]):
            self._problem(DAMAGED, f"NPU {values['npu_id']} has the unknown chip name {values['name']!r}")
        if self.npus and self.npus[-1]["npu_id"] != values["npu_id"] and "=" not in before:
            self._problem(
                MISSING,
                f"the rows of NPU {self.npus[-1]['npu_id']} stop without a border: "
                "the tool could not read one of its chips",
            )
        self.pending = values

    def _second_row(self, values: _Values) -> None:
        if self.pending is None:
            place = f"chip {values['chip_id']} " if values.get("chip_id") is not None else "a chip "
            self._problem(
                MISSING,
                f"{place}at bus id {values['bus_id'] or 'NA'} has no row with its NPU and health: "
                "the tool could not read its health",
            )
            return
        chip: _Values = dict.fromkeys(CHIP_FIELDS)
        chip["chip_id"] = 0
        chip.update(self.pending)
        chip.update(values)
        self.pending = None
        self.npus.append(chip)

    def _drop_pending(self) -> None:
        if self.pending is not None:
            self._problem(MISSING, f"NPU {self.pending['npu_id']} has a chip with a first row only")
            self.pending = None

    # the table of processes

    def _process_row(self, cells: list[str], line: str) -> None:
        if self.process is None:
            raise AssertionError("a row of processes before the header")
        idle = _IDLE.match(cells[0].strip()) if len(cells) == 1 else None
        if idle:
            self.listed.append(int(idle.group(1)))
            return
        row = self.process.read(cells)
        if row is None or row.unreadable or row.values["npu_id"] is None or row.values["pid"] is None:
            self._problem(DAMAGED, f"a row does not fit the header of the list of processes: {_short(line)}")
            return
        self.rows.append(row)
        values = row.values
        memory = values.get("memory_mb")
        if values.get("memory_bytes") is not None:
            memory = values["memory_bytes"] // _MIB
        self.listed.append(values["npu_id"])
        self.processes.append(
            {
                "npu_id": values["npu_id"],
                "chip_id": values.get("chip_id", 0),
                "pid": values["pid"],
                "name": values["process_name"],
                "memory_mb": memory,
            }
        )

    # the whole

    def _end(self) -> None:
        self._drop_pending()
        for line in self.stray:
            if "|" in line or line.startswith("+"):
                self._problem(DAMAGED, f"after the table stands the rest of a row: {_short(line)}")
        self._check_end()
        self._check_chips()
        self._check_processes()
        for message in misaligned(self.rows):
            self._problem(DAMAGED, message)

    def _check_end(self) -> None:
        closed = _BORDER.match(self.last) and len(self.last) >= self.width and self.last.endswith("+")
        if not closed:
            self._problem(CUT, "the table ends without its last border")
        elif "=" not in self.last and not self.listed:
            self._problem(CUT, "the table ends in the middle: its last border announces more")
        elif self.process is not None and not self.listed:
            self._problem(CUT, "the list of processes has a header and nothing below")
        elif not self.npus:
            self._problem(CUT, "the table has a header and no chip")

    def _check_chips(self) -> None:
        chips_of: dict[int, list[int]] = {}
        npu_at: dict[str, int] = {}
        logic_ids: list[int] = []
        for chip in self.npus:
            npu = chip["npu_id"]
            chips_of.setdefault(npu, []).append(chip["chip_id"])
            if chip["logic_id"] is not None:
                logic_ids.append(chip["logic_id"])
            if chip["bus_id"] not in (None, _NO_BUS_ID) and npu_at.setdefault(chip["bus_id"], npu) != npu:
                self._problem(DAMAGED, f"NPU {npu_at[chip['bus_id']]} and NPU {npu} have the same bus id")
            for what in ("hugepages", "memory", "hbm"):
                unit = "" if what == "hugepages" else "_mb"
                used, total = chip[f"{what}_used{unit}"], chip[f"{what}_total{unit}"]
                if used is not None and total is not None and used > total:
                    self._problem(DAMAGED, f"NPU {npu} uses more {what} ({used}) than it has ({total})")
            if _is_silent(chip):
                place = f"chip {chip['chip_id']} of NPU {npu}"
                self._problem(MISSING, f"{place} shows OK and zeros only: the tool could not query it")
        for npu, chips in chips_of.items():
            if chips != list(range(len(chips))):
                self._problem(MISSING, f"NPU {npu} shows the chips {chips}, which is not a series from 0")
        if len(set(logic_ids)) != len(logic_ids):
            self._problem(DAMAGED, "two chips have the same device number")

    def _check_processes(self) -> None:
        shown = [chip["npu_id"] for chip in self.npus]
        chips = {(chip["npu_id"], chip["chip_id"]) for chip in self.npus}
        for npu in self.listed:
            if npu not in shown:
                self._problem(MISSING, f"NPU {npu} is in the list of processes and not in the table of chips")
        for process in self.processes:
            if process["npu_id"] in shown and (process["npu_id"], process["chip_id"]) not in chips:
                place = f"chip {process['chip_id']} of NPU {process['npu_id']}"
                self._problem(MISSING, f"{place} has a process and is not in the table of chips")
        unlisted = [str(npu) for npu in dict.fromkeys(shown) if npu not in self.listed]
        if self.process is not None and self.listed and unlisted:
            self._problem(PROCESSES, f"the list of processes says nothing about NPU {', '.join(unlisted)}")
        elif self.process is None and self.npus and self._prints_processes():
            self._problem(PROCESSES, "the list of processes, which this version prints, is missing")

    def _prints_processes(self) -> bool:
        """Whether the tool is known to print a list of processes for these chips."""
        major = re.match(r"\d+", self.version or "")
        if not major or int(major.group()) < _FIRST_WITH_PROCESS_TABLE:
            return False
        if any(chip["hbm_total_mb"] is not None for chip in self.npus):
            return True
        on_pcie = any(chip["bus_id"] is not None for chip in self.npus)
        return on_pcie and not any(str(chip["name"]).startswith("310B") for chip in self.npus)


def _is_silent(chip: _Values) -> bool:
    """The tool starts from zeros, which read as OK, and goes on where the driver answers nothing for a chip."""
    totals = chip["memory_total_mb"], chip["hbm_total_mb"]
    return chip["health"] == "OK" and chip["temp_c"] == 0 and 0 in totals and not any(totals)


def _short(line: str) -> str:
    text = " ".join(line.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")
