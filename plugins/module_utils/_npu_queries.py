# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``npu-smi info -l``, ``-m`` and ``-t <type>``. Private to the collection."""

from __future__ import annotations

import re
from typing import Dict, NamedTuple

_PAIR = re.compile(r"^\s*(\S.*?)\s*:(?:\s+(.*?)|)\s*$")
_COUNTS = ("Total Count", "Card Count")
_MAPPING_COLUMNS = re.compile(r"NPU ID|Slot ID|Chip ID|Chip Logic ID|Chip Phy-ID|Chip Name")
_NUMBER = re.compile(r"^\d+$")

Fields = Dict[str, str]


class Listing(NamedTuple):
    """``-l``: how many NPUs the tool counts."""

    total_count: int | None
    npus: list[Fields]


class Chip(NamedTuple):
    """A row of ``-m`` that is a chip, not a management controller."""

    npu_id: int
    chip_id: int
    logic_id: int | None
    phy_id: int | None


class Details(NamedTuple):
    """``-t <type>``: what holds for the card, for each chip, and for the management controller."""

    card: Fields
    chips: dict[str, Fields]
    mcu: Fields


def parse_listing(text: str) -> Listing:
    total: int | None = None
    npus: list[Fields] = []
    for key, value in _pairs(text):
        if key in _COUNTS and _NUMBER.match(value):
            total = int(value)
        elif key == "NPU ID":
            npus.append({key: value})
        elif npus:
            npus[-1][key] = value
    return Listing(total, npus)


def parse_mapping_rows(text: str) -> tuple[list[str], list[Fields]]:
    """Header and rows of ``-m``, everything as text. No header means no mapping."""
    header: list[str] = []
    rows: list[Fields] = []
    for line in text.splitlines():
        if not header:
            if line.strip().startswith("NPU ID") and not _MAPPING_COLUMNS.sub("", line).strip():
                header = _MAPPING_COLUMNS.findall(line)
            continue
        # The name stands last and may hold blanks.
        cells = line.split(None, len(header) - 1)
        if len(cells) == len(header):
            rows.append(dict(zip(header, (cell.strip() for cell in cells))))
    return header, rows


def parse_mapping(text: str) -> list[Chip]:
    chips = []
    for row in parse_mapping_rows(text)[1]:
        numbers = {key: int(value) for key, value in row.items() if _NUMBER.match(value)}
        ids = numbers.get("Chip Logic ID"), numbers.get("Chip Phy-ID")
        if "NPU ID" in numbers and "Chip ID" in numbers and ids != (None, None):
            chips.append(Chip(numbers["NPU ID"], numbers["Chip ID"], *ids))
    return chips


def parse_details(text: str) -> Details:
    """The marker ``Chip ID`` stands first in a paragraph of ``-t common`` and last in the other types."""
    card: Fields = {}
    chips: dict[str, Fields] = {}
    mcu: Fields = {}
    for paragraph in _paragraphs(text):
        keys = list(paragraph)
        if paragraph.get("Chip Name", "").lower() == "mcu":
            mcu.update(paragraph)
        elif "NPU ID" in paragraph and keys[-1:] != ["Chip ID"] and _flat_marker(keys) is None:
            card.update(paragraph)
        elif "Chip ID" in paragraph:
            chip, rest = _split_chip(paragraph, keys)
            card.update(rest)
            chips[paragraph["Chip ID"]] = chip
        else:
            card.update(paragraph)
    return Details(card, chips, mcu)


def _flat_marker(keys: list[str]) -> int | None:
    """Where ``-t common`` without blank lines goes over from the card to its only chip."""
    if keys[:3] == ["NPU ID", "Chip Count", "Chip ID"]:
        return 2
    return None


def _split_chip(paragraph: Fields, keys: list[str]) -> tuple[Fields, Fields]:
    head = _flat_marker(keys) or 0
    rest = {key: paragraph[key] for key in keys[:head]}
    return {key: paragraph[key] for key in keys[head:] if key != "Chip ID"}, rest


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = _PAIR.match(line)
        if match and "|" not in line:
            pairs.append((match.group(1), match.group(2) or ""))
        elif line.strip() and pairs and "|" not in line:
            # A long value goes on in the next line.
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {line.strip()}")
    return pairs


def _paragraphs(text: str) -> list[Fields]:
    blocks = re.split(r"\n[ \t\r]*\n", text)
    return [dict(pairs) for pairs in map(_pairs, blocks) if pairs]
