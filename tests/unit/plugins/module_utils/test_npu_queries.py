# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other queries of npu-smi, and the vendor's version files."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._npu_host import parse_info
from ansible_collections.ascend.fleet.plugins.module_utils._npu_queries import (
    Chip,
    parse_details,
    parse_listing,
    parse_mapping,
)

TABLE = "| NPU ID | Name  |\n| npu-smi 25.2.0   Version: 25.2.0 |\n"


def line(*cells: str) -> str:
    return "\t" + "".join(cell.ljust(31) for cell in cells) + "\n"


def field(key: str, value: str) -> str:
    return f"\t{key:<30} : {value}\n"


@pytest.mark.parametrize("label", ["Total Count", "Card Count"])
def test_the_count_of_npus(label: str) -> None:
    text = field(label, "2") + "\n"
    text += field("NPU ID", "4") + field("Chip Count", "2") + "\n" + field("NPU ID", "9") + field("Chip Count", "1")
    listing = parse_listing(text)
    assert listing.total_count == 2
    assert listing.npus == [{"NPU ID": "4", "Chip Count": "2"}, {"NPU ID": "9", "Chip Count": "1"}]


@pytest.mark.parametrize("text", ["", TABLE, "Error parameter of -l\n", "There is no NPU card on this server.\n"])
def test_no_count_in_other_text(text: str) -> None:
    assert parse_listing(text).total_count is None
    assert parse_mapping(text) == []


def test_mapping_without_management_controllers() -> None:
    text = line("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name")
    text += line("4", "0", "0", "Ascend 310P3") + line("4", "1", "1", "Ascend 310P3") + line("4", "2", "-", "Mcu")
    text += line("5", "3", "-", "3559")
    assert parse_mapping(text) == [Chip(4, 0, 0, None), Chip(4, 1, 1, None)]


def test_mapping_with_physical_ids() -> None:
    text = line("NPU ID", "Chip ID", "Chip Logic ID", "Chip Phy-ID", "Chip Name") + line(
        "1", "1", "3", "9", "Ascend910"
    )
    assert parse_mapping(text) == [Chip(1, 1, 3, 9)]


def test_mapping_of_the_950_has_no_logic_id() -> None:
    text = line("NPU ID", "Slot ID", "Chip ID", "Chip Phy-ID", "Chip Name") + line("2", "-1", "0", "5", "Ascend950PR")
    assert parse_mapping(text) == [Chip(2, 0, None, 5)]


def test_the_marker_of_a_chip_stands_first_or_last() -> None:
    head = field("NPU ID", "1") + field("Chip Count", "2") + "\n"
    first = head + field("Chip ID", "0") + field("Load", "7") + "\n" + field("Chip ID", "1") + field("Load", "9")
    last = head + field("Load", "7") + field("Chip ID", "0") + "\n" + field("Load", "9") + field("Chip ID", "1")
    for text in (first, last):
        details = parse_details(text)
        assert details.card == {"NPU ID": "1", "Chip Count": "2"}
        assert details.chips == {"0": {"Load": "7"}, "1": {"Load": "9"}}


def test_details_of_the_management_controller_and_of_one_chip() -> None:
    details = parse_details(field("Health", "OK") + field("Chip ID", "0") + "\n" + field("Chip Name", "MCU"))
    assert (details.chips, details.mcu) == ({"0": {"Health": "OK"}}, {"Chip Name": "MCU"})
    board = parse_details(field("NPU ID", "0") + field("NPU Name", "9392") + field("Chip ID", "0") + field("X", "1"))
    assert board.card["NPU Name"] == "9392"


def test_a_long_value_goes_on_in_the_next_line() -> None:
    assert parse_details("Error Information: one,\n      two\n").card == {"Error Information": "one, two"}


def test_version_file() -> None:
    assert parse_info("# made up\nVersion=25.2.0\n compatible = [1],[2]\nnothing\n") == {
        "Version": "25.2.0",
        "compatible": "[1],[2]",
    }
