# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of the tables of ``npu-smi info``: from header cells to typed values. Private to the collection."""

from __future__ import annotations

import re
from typing import Any, Callable, NamedTuple, Sequence

HEALTH_WORDS = ("OK", "Warning", "Alarm", "Critical", "UNKNOWN", "Unknown")

_BUS_ID = re.compile(r"^[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]{1,2}$")
_UNKNOWN = ("NA", "N/A", "-")
_INTEGER = re.compile(r"^-?\d{1,18}$")
_DECIMAL = re.compile(r"^-?\d{1,18}(\.\d+)?$")
_REDACTED = re.compile(r"^(?:Ascend ?)?x+$", re.IGNORECASE)
_CHIP_NAME = re.compile(r"^(?:Ascend ?)?\d{3}[A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*$")

# The narrowest field that holds the first number of a pair: a longer one pushes what follows.
_PAIR_FIELDS = (5, 6)


class _UnreadableError(Exception):
    pass


def _integer(text: str) -> int | None:
    if text in _UNKNOWN:
        return None
    if not _INTEGER.match(text):
        raise _UnreadableError(text)
    return int(text)


def _decimal(text: str) -> float | None:
    if text in _UNKNOWN:
        return None
    if not _DECIMAL.match(text):
        raise _UnreadableError(text)
    return float(text)


def _quantity(text: str) -> int | None:
    number = _integer(text)
    return number if number is None or number >= 0 else None


def _percent(text: str) -> int | None:
    number = _integer(text)
    return number if number is None or 0 <= number <= 100 else None


def _text(text: str) -> str:
    return text


def _health(text: str) -> str:
    return "UNKNOWN" if text in _UNKNOWN else text


def _bus_id(text: str) -> str | None:
    return None if text in _UNKNOWN else text


def is_chip_name(text: str) -> bool:
    return _CHIP_NAME.match(text) is not None or is_redacted(text)


def is_redacted(text: str) -> bool:
    """Documents of the vendor print xxx for a name, and lose the alignment of its row with it."""
    return _REDACTED.match(text) is not None


def is_bus_id(text: str) -> bool:
    return text in _UNKNOWN or _BUS_ID.match(text) is not None


class _Kind(NamedTuple):
    fields: tuple[str, ...]
    convert: Callable[[str], Any]
    pattern: str = r"(N/A|[^\s/]+)"


_PAIR = r"(N/A|[^\s/]+)\s*/\s*(N/A|[^\s/]+)"
_TEXT = r"(\S.*?|)"

_COLUMNS = {
    "NPU": _Kind(("npu_id",), _integer),
    "NPU ID": _Kind(("npu_id",), _integer),
    "Name": _Kind(("name",), _text, _TEXT),
    "Health": _Kind(("health",), _health),
    "Power(W)": _Kind(("power_w",), _decimal),
    "Temp(C)": _Kind(("temp_c",), _integer),
    "Hugepages-Usage(page)": _Kind(("hugepages_used", "hugepages_total"), _quantity, _PAIR),
    "Chip": _Kind(("chip_id",), _integer),
    "Device": _Kind(("logic_id",), _integer),
    "Phy-ID": _Kind(("phy_id",), _integer),
    "Bus-Id": _Kind(("bus_id",), _bus_id),
    "AICore(%)": _Kind(("aicore_pct",), _percent),
    "NPU Util(%)": _Kind(("aicore_pct",), _percent),
    "Memory-Usage(MB)": _Kind(("memory_used_mb", "memory_total_mb"), _quantity, _PAIR),
    "HBM-Usage(MB)": _Kind(("hbm_used_mb", "hbm_total_mb"), _quantity, _PAIR),
    "Process id": _Kind(("pid",), _integer),
    "Process name": _Kind(("process_name",), _text, _TEXT),
    "Process memory(MB)": _Kind(("memory_mb",), _quantity),
    "Process memory(B)": _Kind(("memory_bytes",), _quantity),
    "Process id in container": _Kind(("container_pid",), _integer),
}
_HEADER_WORD = re.compile("|".join(re.escape(word) for word in sorted(_COLUMNS, key=len, reverse=True)))
_REQUIRED = ("npu_id", "chip_id", "pid")


class _Column(NamedTuple):
    kind: _Kind
    start: int


class Cell(NamedTuple):
    columns: list[_Column]
    width: int
    pattern: re.Pattern[str]


class Row(NamedTuple):
    values: dict[str, Any]
    unreadable: list[str]
    format: RowFormat
    cells: list[str]


class RowFormat(NamedTuple):
    cells: list[Cell]

    @property
    def fields(self) -> list[str]:
        return [field for cell in self.cells for column in cell.columns for field in column.kind.fields]

    def cell_of(self, field: str) -> int:
        return next(
            index
            for index, cell in enumerate(self.cells)
            if any(field in column.kind.fields for column in cell.columns)
        )

    def read(self, texts: list[str]) -> Row | None:
        """The values of a row of this format, or None where it has another one."""
        if len(texts) != len(self.cells):
            return None
        values: dict[str, Any] = {}
        unreadable: list[str] = []
        for cell, text in zip(self.cells, texts):
            match = cell.pattern.match(text)
            if match is None:
                return None
            names = [(field, column.kind.convert) for column in cell.columns for field in column.kind.fields]
            for (field, convert), token in zip(names, match.groups()):
                try:
                    values[field] = convert(token)
                except _UnreadableError:
                    values[field] = None
                    unreadable.append(token)
                if field in _REQUIRED and values[field] is None:
                    return None
        return Row(values, unreadable, self, texts)


def read_header(texts: Sequence[str]) -> RowFormat | None:
    """The format that a header row announces, or None where the row is no header."""
    cells = [_header_cell(text) for text in texts]
    known = [cell for cell in cells if cell is not None]
    if len(known) != len(cells) or not any(cell.columns for cell in known):
        return None
    return RowFormat(known)


def _header_cell(text: str) -> Cell | None:
    if _HEADER_WORD.sub("", text).strip():
        return None
    columns = [_Column(_COLUMNS[match.group()], match.start()) for match in _HEADER_WORD.finditer(text)]
    pattern = r"\s+".join(column.kind.pattern for column in columns)
    return Cell(columns, len(text), re.compile(r"^\s*" + pattern + r"\s*$"))


def misaligned(rows: list[Row]) -> list[str]:
    """Messages about rows that are shifted against their header, as a lost or added character shifts them.

    A table of which most rows are shifted was typed anew by a person: there it says nothing.
    """
    widths = _usual_widths([row for row in rows if "pid" in row.values])
    shifted = [row for row in rows if not _aligned(row, widths)]
    if len(shifted) * 2 > len(rows):
        return []
    return ["a row is shifted against its header: " + repr(" ".join("|".join(row.cells).split())) for row in shifted]


def _usual_widths(rows: list[Row]) -> list[int]:
    """The width that each cell has most often in a list of several rows."""
    if len(rows) < 2:
        return []
    columns = []
    for cell, texts in zip(rows[0].format.cells, zip(*(row.cells for row in rows))):
        lengths = [len(text) for text in texts if not _overflows(cell, text)]
        columns.append(max(lengths or [cell.width], key=lengths.count))
    return columns


def _aligned(row: Row, widths: list[int]) -> bool:
    for index, (cell, text) in enumerate(zip(row.format.cells, row.cells)):
        fields = cell.columns[0].kind.fields if cell.columns else ()
        # A health word proves itself, and so does a blank cell.
        if not fields or "health" in fields or _overflows(cell, text):
            continue
        off = _off(cell, text, row)
        if off is None:
            return False
        if "pid" not in row.values:
            aligned = off == 0
        elif widths and text.isascii():
            aligned = len(text) == widths[index]
        else:
            aligned = off == 0 or off in _quirk(cell, row)
        if not aligned:
            return False
    return True


def _overflows(cell: Cell, text: str) -> bool:
    """Whether the only value of a cell is wider than the cell, which moves the bar behind it."""
    return len(cell.columns) == 1 and len(text) > cell.width and text == f" {text.strip()} "


def _off(cell: Cell, text: str, row: Row) -> int | None:
    """By how much a cell misses the width of its header; None where a value does not stand below its label."""
    match = cell.pattern.match(text)
    if match is None:
        raise AssertionError(f"the pattern of {cell.columns} matches any text")
    if "process_name" in cell.columns[0].kind.fields:
        # The tool counts bytes where a name is not ASCII.
        return len(text) - cell.width if text.isascii() else 0
    redacted = is_redacted(str(row.values.get("name", "")))
    shift, group = 0, 1
    pushed = {0}
    for column in cell.columns:
        if not match.group(group):
            return len(text) - cell.width - shift
        moved = match.start(group) - column.start - shift
        if moved not in pushed:
            return 0 if redacted and len(text) == cell.width else None
        shift += moved
        pushed = {0}
        if len(column.kind.fields) == 2 and text[match.end(group)] == "/":
            length = len(match.group(group))
            pushed |= {length - field for field in _PAIR_FIELDS if length > field}
        group += len(column.kind.fields)
    if redacted and "name" in cell.columns[-1].kind.fields:
        return 0
    off = len(text) - cell.width - shift
    return 0 if off in pushed else off


def _quirk(cell: Cell, row: Row) -> tuple[int, ...]:
    """By how much the tool itself misses the width of a cell: in the list of processes of the 950."""
    if "chip_id" in row.values:
        return ()
    if "npu_id" in cell.columns[0].kind.fields:
        return (1,)
    return (-1,) if cell is row.format.cells[-1] else ()
