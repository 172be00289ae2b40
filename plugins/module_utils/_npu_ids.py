# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which /dev/davinci node and which SoC a chip of the table is. Private to the collection."""

from __future__ import annotations

import re
from typing import Any, Iterable, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._npu_columns import is_redacted
from ansible_collections.ascend.fleet.plugins.module_utils._npu_queries import Chip

_NPU_NAME = re.compile(r"^[0-9A-Za-z]+$")


def complete(npus: list[dict[str, Any]], mapping: Iterable[Chip]) -> None:
    """Take the ids that the table does not print from the tool's mapping."""
    known = {(chip.npu_id, chip.chip_id): chip for chip in mapping}
    for npu in npus:
        chip = known.get((npu["npu_id"], npu["chip_id"]))
        if chip is not None:
            npu["logic_id"] = chip.logic_id if npu["logic_id"] is None else npu["logic_id"]
            npu["phy_id"] = chip.phy_id if npu["phy_id"] is None else npu["phy_id"]


def davinci_ids(npus: Sequence[dict[str, Any]], device_column: bool, nodes: Sequence[int]) -> list[int | None]:
    """The N of /dev/davinciN for each chip, None where it cannot be known.

    A3 and 950: the physical id. 310 and 310P: the logic id, which the column Device prints. 910 and A2: on a
    host the logic id; in a container logic ids start again at 0 while NPU ids and nodes keep the host's
    numbers, so the nodes that exist decide.
    """
    unknown: list[int | None] = [None] * len(npus)
    if npus and all(npu["phy_id"] is not None for npu in npus):
        return _first_of_each([npu["phy_id"] for npu in npus])
    series = list(range(len(npus)))
    logic = [npu["logic_id"] for npu in npus]
    mapped = all(number is not None for number in logic)
    candidates = [logic if mapped else series]
    if not device_column:
        candidates.append([npu["npu_id"] for npu in npus])
    candidates = [numbers for numbers in candidates if len(set(numbers)) == len(numbers)]
    if not candidates:
        return unknown
    if not nodes:
        agree = all(numbers == candidates[0] for numbers in candidates)
        return list(candidates[0]) if mapped or agree else unknown
    inside = [numbers for numbers in candidates if set(numbers) <= set(nodes)]
    around = [numbers for numbers in candidates if set(numbers) >= set(nodes)]
    return list((inside + around + [unknown])[0])


def _first_of_each(numbers: Sequence[int]) -> list[int | None]:
    """A soft-partitioned A3 shows one die in two rows; the second row has no node of its own."""
    return [number if number not in numbers[:index] else None for index, number in enumerate(numbers)]


def soc(npus: Sequence[dict[str, Any]], board: dict[str, str]) -> str | None:
    """``Ascend910B3``, ``Ascend310P3``, ``Ascend910_9392``; None for a mixture or a name that says nothing."""
    names = {str(npu["name"]) for npu in npus}
    name = names.pop() if len(names) == 1 else ""
    if is_redacted(name):
        name = board.get("Chip Name", "")
    if not name:
        return None
    full = name.replace(" ", "") if name.startswith("Ascend") else f"Ascend{name}"
    variant = board.get("NPU Name", "")
    return f"{full}_{variant}" if _NPU_NAME.match(variant) and variant != "NA" else full
