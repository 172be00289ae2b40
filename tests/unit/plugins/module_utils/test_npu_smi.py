# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of ``npu-smi info``: tables of every layout, written by hand, and what must not be believed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._npu_smi import (
    CHIP_FIELDS,
    CUT,
    DAMAGED,
    MISSING,
    PROCESSES,
    parse,
)

TABLES = Path(__file__).parent / "npu_tables"
NA = None

# Columns: npu, chip, logic, phy, name, health, power, temp, hugepages, bus, aicore, memory, HBM.
CHIPS = {
    "L1": [
        (2112, 0, 0, NA, "310", "OK", 12.8, 51, NA, NA, "0000:21:00.0", 7, 2703, 8192, NA, NA),
        (2112, 1, 1, NA, "310", "Alarm", 12.8, -3, NA, NA, "0000:22:00.0", 0, 2621, 8192, NA, NA),
        (2113, 0, 2, NA, "310", "OK", 12.8, 47, NA, NA, NA, 100, 8192, 8192, NA, NA),
    ],
    "L2": [
        (5, 0, NA, NA, "910A", "OK", 66.4, 33, NA, NA, "0000:81:00.0", 0, 1553, 15171, 12, 32768),
        (7, 0, NA, NA, "910A", "Warning", 70.2, 81, NA, NA, "0000:01:00.0", 99, 15171, 15171, 30757, 32768),
    ],
    "L3": [
        (0, 0, NA, NA, "910B2", "OK", 95.3, 49, 0, 0, "0000:C1:00.0", 41, 0, 0, 61234, 65536),
        (1, 0, NA, NA, "910B2", "OK", 91.0, 38, 120, 4096, "0000:01:00.0", 0, 0, 0, 3351, 65536),
    ],
    "L3-A3": [
        (0, 0, NA, 0, "Ascend910", "OK", 171.6, 36, 0, 0, "0000:9D:00.0", 0, 0, 0, 3110, 65536),
        (0, 1, NA, 1, "Ascend910", "Critical", NA, 35, 0, 0, "0000:9F:00.0", 5, 0, 0, 41000, 65536),
        (1, 0, NA, 2, "Ascend910", "OK", 168.0, 37, 0, 0, "0000:37:00.0", 0, 0, 0, 3112, 65536),
        (1, 1, NA, 3, "Ascend910", "OK", NA, 36, 0, 0, "0000:39:00.0", 0, 0, 0, 2870, 65536),
    ],
    "L3w": [(3, 0, NA, NA, "910B4-1", "OK", 99.5, 44, 0, 0, "0000:82:00.0", 88, 0, 0, 50111, 65536)],
    "L4": [
        (8, 0, 0, NA, "310P3", "OK", NA, 52, 310, 1200, "0000:02:00.0", 12, 20480, 44280, NA, NA),
        (8, 1, 1, NA, "310P3", "OK", NA, 50, 0, 0, "0000:02:00.0", 0, 1411, 43693, NA, NA),
        (32, 0, 2, NA, "310P3", "OK", NA, 48, 0, 0, "0000:83:00.0", 0, 1529, 44280, NA, NA),
        (32, 1, 3, NA, "310P3", "OK", NA, 47, 0, 0, "0000:83:00.0", 0, 1420, 43693, NA, NA),
    ],
    "L4-310B": [(0, 0, 0, NA, "310B1", "OK", 8.5, 55, 15, 15, NA, 0, NA, 15609, NA, NA)],
    "L5": [
        (0, 0, NA, NA, "Ascend950PR", "OK", 201.4, 58, 0, 0, "0000:11:00.0", 77, 0, 0, 101234, 131072),
        (4, 0, NA, NA, "Ascend950PR", "OK", 188.8, 41, 0, 0, "0000:91:00.0", 0, 0, 0, 5413, 114688),
    ],
}
# npu, chip, pid, name, memory
PROCESSES_OF = {
    "L3": [(0, 0, 88123, "VLLMWorker_TP", 57800), (0, 0, 88124, "", 32)],
    "L3-A3": [(0, 1, 4242, "python3.11", 37400)],
    "L3w": [(3, 0, 1712733, "sglang::sched", 46700), (3, 0, 1712999, "python", 150)],
    "L4": [(8, 0, 3100, "mindie_llm_back", 18000)],
    "L5": [(0, 0, 846718, "", 332), (0, 0, 846719, "python", 95400)],
}
VERSIONS = {
    "L1": ("21.0.2", "21.0.2"),
    "L2": ("1.8.21", "20.2.2.spc001"),
    "L3": ("24.1.rc2", "24.1.rc1"),
    "L3-A3": ("25.2.1", "25.2.1"),
    "L3w": ("26.0.rc2", "26.0.rc2"),
    "L4": ("25.0.rc1.1", "25.0.rc1.1"),
    "L4-310B": ("23.0.0", "23.0.0"),
    "L5": ("25.7.rc1", "25.7.rc1"),
}
EVERY = sorted(CHIPS)


def text_of(layout: str) -> str:
    return (TABLES / f"{layout}.txt").read_text()


def chips_of(layout: str) -> list[dict[str, object]]:
    return [dict(zip(CHIP_FIELDS, chip, strict=True)) for chip in CHIPS[layout]]


def processes_of(layout: str) -> list[dict[str, object]]:
    keys = ("npu_id", "chip_id", "pid", "name", "memory_mb")
    return [dict(zip(keys, process, strict=True)) for process in PROCESSES_OF.get(layout, [])]


def kinds(text: str) -> set[str]:
    return {problem.kind for problem in parse(text).problems}


def without_line(text: str, number: int) -> str:
    lines = text.splitlines()
    del lines[number]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("layout", EVERY)
def test_every_layout_is_read(layout: str) -> None:
    table = parse(text_of(layout))
    assert table.problems == []
    assert (table.version, table.driver_version) == VERSIONS[layout]
    assert table.npus == chips_of(layout)
    assert table.processes == processes_of(layout)


@pytest.mark.parametrize("layout", EVERY)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: text.replace("\n", " \n"), id="blank at the end"),
        pytest.param(lambda text: re.sub("(?m)^", "    ", text), id="indented"),
        pytest.param(lambda text: re.sub("(?m)^", "> ", text), id="quoted"),
        pytest.param(lambda text: text.rstrip("\n"), id="no last line end"),
        pytest.param(lambda text: "[root@node1 ~]# npu-smi info\n" + text + "[root@node1 ~]# \n", id="prompt"),
        pytest.param(lambda text: text.replace("Version: ", "Version:"), id="no blank in the title"),
        pytest.param(lambda text: text.replace("| npu-smi", "npu-smi"), id="title without bar"),
        pytest.param(lambda text: re.sub(r"(?<=-)\+(?=-)", "|", text), id="bars in borders"),
        pytest.param(lambda text: text.replace("+\n+", "+\n\n+"), id="blank line between tables"),
        pytest.param(lambda text: text.replace("+\n+", "+\n[WARNING] x\n+"), id="warning between tables"),
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace(" ", "\xa0"), id="blanks that do not break"),
        pytest.param(lambda text: text.replace("OK", "\x1b(B\x1b[mOK\x1b(B"), id="character sets"),
        pytest.param(lambda text: re.sub(r"OK|\d+\.\d+", "\x1b[1;32m\\g<0>\x1b[0m", text) + "\x1b[0m", id="colours"),
    ],
)
def test_what_pasting_does_to_a_table_changes_nothing(layout: str, change) -> None:
    table = parse(change(text_of(layout)))
    assert table.problems == []
    assert table.npus == chips_of(layout)
    assert table.processes == processes_of(layout)


@pytest.mark.parametrize("layout", EVERY)
def test_a_table_without_title_has_no_version(layout: str) -> None:
    lines = text_of(layout).splitlines(keepends=True)
    table = parse("".join(lines[2:]))
    assert (table.version, table.driver_version) == (None, None)
    assert table.npus == chips_of(layout)


def test_a_table_typed_anew_is_read_by_its_columns() -> None:
    text = re.sub(" {2,}", "  ", text_of("L3"))
    assert parse(text).npus == chips_of("L3")


def test_a_document_that_redacts_names_may_move_values_inside_a_cell() -> None:
    """As in the vendor's manual for the diagnosis of faults; a value that moves a bar is damage there, too."""
    text = text_of("L4-310B").replace("| 0       310B1 ", "| 0       xxx   ")
    old, new = (
        "| 8.5          55                15    / 15            |",
        "| 10.4          66               0     / 0             |",
    )
    assert old in text
    table = parse(text.replace(old, new))
    assert table.problems == []
    changed = {"name": "xxx", "power_w": 10.4, "temp_c": 66, "hugepages_used": 0, "hugepages_total": 0}
    assert table.npus == [{**chips_of("L4-310B")[0], **changed}]
    assert DAMAGED in kinds(text.replace(old, new.replace("    / 0 ", "   / 0 ")))
    assert DAMAGED in kinds(text_of("L4-310B").replace(old, new))


@pytest.mark.parametrize(
    ("layout", "old", "new", "kind"),
    [
        ("L3", "| 41          0 ", "| 4x          0 ", DAMAGED),
        ("L3", "95.3 ", "95,3 ", DAMAGED),
        ("L3", "61234/ 65536", "71234/ 65536", DAMAGED),
        ("L3", "61234/ 65536", "6123/ 65536", DAMAGED),
        ("L3", "61234/ 65536", "612340/ 65536", DAMAGED),
        ("L3", "0000:C1:00.0", "0000:C1;00.0", DAMAGED),
        ("L3", "0000:C1:00.0", "0000:01:00.0", DAMAGED),
        ("L3", "| OK            | 95.3", "| OKK           | 95.3", DAMAGED),
        ("L3", "| 0     910B2 ", "| 0     91?B2 ", DAMAGED),
        ("L3", "| 0     910B2 ", "  0     910B2 ", DAMAGED),
        ("L3", "HBM-Usage(MB)", "HBM Usage(MB)", DAMAGED),
        ("L3", "| 88123         |", "| 88l23         |", DAMAGED),
        ("L3", "| 88123         |", "| 8812         |", DAMAGED),
        ("L4", "| 32      310P3", "| 33      310P3", MISSING),
        ("L4", "| 1       3     ", "| 1       2     ", DAMAGED),
        ("L3-A3", "| 1     1     ", "| 2     1     ", MISSING),
        ("L3", "found in NPU 1 ", "found in NPU 2 ", MISSING),
        ("L3", "| 0       0                 | 88124", "| 0       1                 | 88124", MISSING),
    ],
)
def test_damage_is_named(layout: str, old: str, new: str, kind: str) -> None:
    text = text_of(layout)
    assert old in text
    assert kind in kinds(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("| 95.3        49 ", "| N/A         49 ", {"power_w": None}),
        ("| 95.3        49 ", "| 95.3        N/A", {"temp_c": None}),
        ("| 95.3        49 ", "| 1095.3      127", {"power_w": 1095.3, "temp_c": 127}),
        ("0000:C1:00.0  |", "N/A           |", {"bus_id": None}),
        ("0000:C1:00.0  |", "00000001:C1:00.0 |", {"bus_id": "00000001:C1:00.0"}),
        ("61234/ 65536 ", "N/A  / 65536 ", {"hbm_used_mb": None}),
        ("61234/ 65536 ", "N/A  / N/A   ", {"hbm_used_mb": None, "hbm_total_mb": None}),
        ("| 41         ", "| N/A        ", {"aicore_pct": None}),
        ("| OK            | 95", "| N/A           | 95", {"health": "UNKNOWN"}),
        ("| OK            | 95", "| NA            | 95", {"health": "UNKNOWN"}),
        ("| OK            | 95", "| -             | 95", {"health": "UNKNOWN"}),
        ("| 0     910B2   ", "| 0     910B4-1 ", {"name": "910B4-1"}),
        ("| 0     910B2            ", "| 0     Ascend910_9362   ", {"name": "Ascend910_9362"}),
    ],
)
def test_an_odd_value_is_read(old: str, new: str, changed: dict[str, object]) -> None:
    assert old in text_of("L3")
    table = parse(text_of("L3").replace(old, new, 1))
    assert table.problems == []
    assert table.npus == [{**chips_of("L3")[0], **changed}, chips_of("L3")[1]]


@pytest.mark.parametrize("layout", ["L3", "L3w", "L5"])
def test_a_name_of_a_process_may_be_wider_than_its_column(layout: str) -> None:
    name = "vllm_worker_with_tensor_parallel_rank_0"
    old = {"L3": "VLLMWorker_TP           ", "L3w": "sglang::sched     ", "L5": "python                  "}[layout]
    table = parse(text_of(layout).replace(f" {old} ", f" {name} "))
    assert table.problems == []
    assert name in [process["name"] for process in table.processes]


@pytest.mark.parametrize("layout", EVERY)
def test_no_row_of_a_chip_may_be_missing(layout: str) -> None:
    lines = text_of(layout).splitlines()
    header = next(number for number, line in enumerate(lines) if "Health" in line)
    end = next((number for number, line in enumerate(lines) if "Process id" in line), len(lines))
    rows = [number for number in range(header, end) if lines[number].startswith("|")]
    assert len(rows) == 2 + 2 * len(CHIPS[layout])
    for number in rows:
        table = parse(without_line(text_of(layout), number))
        assert table.problems or not table.recognised, lines[number]


@pytest.mark.parametrize("layout", EVERY)
def test_a_table_cut_at_any_byte_is_complete_or_refused(layout: str) -> None:
    """Only the tool's own count can tell a whole table of few NPUs from one cut below an NPU; see test_npu_facts."""
    text = text_of(layout)
    whole = parse(text)
    lines = text.splitlines(keepends=True)
    ends_of_npus = ["".join(lines[: n + 1]) for n, line in enumerate(lines) if line.startswith("+=")]
    for end in range(len(text)):
        table = parse(text[:end])
        if "Process id" not in text and any(text[:end] in (npu, npu[:-1]) for npu in ends_of_npus):
            continue
        believed = table.recognised and not table.problems
        assert not believed or (table.npus, table.processes) == (whole.npus, whole.processes), text[:end]


@pytest.mark.parametrize("layout", EVERY)
def test_no_border_below_a_chip_may_be_missing(layout: str) -> None:
    lines = text_of(layout).splitlines()
    below_chips = [
        n for n, line in enumerate(lines) if line.startswith("+=") and re.match(r"\|.*/ \d+ +\|$", lines[n - 1])
    ]
    assert below_chips
    for number in below_chips:
        assert kinds(without_line(text_of(layout), number)) & {CUT, MISSING}


@pytest.mark.parametrize("layout", EVERY)
def test_a_text_in_place_of_an_npu_is_damage(layout: str) -> None:
    parts = re.split(r"(?m)^(\+=.*\n)", text_of(layout))
    parts[2] = "dcmi failed\n"
    assert DAMAGED in kinds("".join(parts))


def test_rows_left_out_are_a_cut() -> None:
    text = text_of("L3").replace("| 1     910B2", "...\n| 1     910B2")
    table = parse(text)
    assert CUT in {problem.kind for problem in table.problems}
    assert table.npus == chips_of("L3")


def test_a_second_row_alone_belongs_to_no_chip() -> None:
    """The tool loses the first row of a chip whose health it cannot name."""
    text = "\n".join(line for line in text_of("L4").splitlines() if "NA           50" not in line)
    table = parse(text + "\n")
    assert [chip["logic_id"] for chip in table.npus] == [0, 2, 3]
    assert {problem.kind for problem in table.problems} == {MISSING}
    assert "chip 1 at bus id 0000:02:00.0" in table.problems[0].message


def test_a_block_that_stops_without_border_lacks_a_chip() -> None:
    """The tool stops the rows of an NPU where it cannot read a physical id."""
    lines = text_of("L3-A3").splitlines()
    first_rows = [number for number, line in enumerate(lines) if "Critical" in line]
    for number in reversed(range(first_rows[0], first_rows[0] + 3)):
        del lines[number]
    table = parse("\n".join(lines) + "\n")
    assert [chip["phy_id"] for chip in table.npus] == [0, 2, 3]
    assert MISSING in {problem.kind for problem in table.problems}


@pytest.mark.parametrize(
    ("layout", "kept"),
    [("L3", "No running processes found in NPU 1"), ("L5", "No running processes found in NPU 4")],
)
def test_a_list_of_processes_must_cover_every_npu(layout: str, kept: str) -> None:
    lines = text_of(layout).splitlines()
    end = next(number for number, line in enumerate(lines) if kept in line)
    assert kinds("\n".join(lines[:end]) + "\n") == {PROCESSES}
    start = next(number for number, line in enumerate(lines) if "Process id" in line)
    assert kinds("\n".join(lines[: start - 1]) + "\n") == {PROCESSES}
    assert CUT in kinds("\n".join(lines[: start + 2]) + "\n")


@pytest.mark.parametrize("layout", ["L1", "L2", "L4-310B"])
def test_what_never_lists_processes_needs_no_list(layout: str) -> None:
    assert "Process" not in text_of(layout)
    assert kinds(text_of(layout)) == set()


def test_several_npus_may_have_no_address() -> None:
    """The tool prints zeros where it cannot ask for the address; recorded with one card in a container."""
    text = text_of("L3").replace("0000:C1:00.0", "0000:00:00.0").replace("0000:01:00.0", "0000:00:00.0")
    table = parse(text)
    assert table.problems == []
    assert table.npus == [{**chip, "bus_id": "0000:00:00.0"} for chip in chips_of("L3")]


SILENT = "| 0.0         0                 0    / 0             |"
NOTHING = "| 0           0    / 0          0    / 0             |"


@pytest.mark.parametrize(("health", "kind"), [("OK", {MISSING}), ("Critical", set()), ("UNKNOWN", set())])
def test_a_chip_that_answers_nothing_is_not_taken_for_healthy(health: str, kind: set[str]) -> None:
    """The tool starts from zeros, and code 0 of the health is OK."""
    text = text_of("L3").replace(
        "| OK            | 91.0        38                120  / 4096          |", f"| {health:<13} {SILENT}"
    )
    text = text.replace(
        "0000:01:00.0  | 0           0    / 0          3351 / 65536         |", f"0000:00:00.0  {NOTHING}"
    )
    table = parse(text)
    assert {problem.kind for problem in table.problems} == kind
    assert table.npus[0] == chips_of("L3")[0]
    assert (table.npus[1]["health"], table.npus[1]["temp_c"], table.npus[1]["hbm_total_mb"]) == (health, 0, 0)


@pytest.mark.parametrize(
    ("layout", "name"), [("L3", "910B2 "), ("L4", "310P3 "), ("L3-A3", "Ascend910 "), ("L5", "Ascend950PR ")]
)
def test_a_chip_without_name_could_not_be_queried(layout: str, name: str) -> None:
    table = parse(text_of(layout).replace(name, " " * len(name), 1))
    assert [problem.kind for problem in table.problems] == [MISSING]
    assert "without name" in table.problems[0].message
    assert table.npus[1:] == chips_of(layout)[1:]


def test_memory_of_processes_in_bytes() -> None:
    text = text_of("L3").replace("Process memory(MB) ", "Process memory(B)  ").replace("57800 ", "1073741824 ")
    assert parse(text).processes[0]["memory_mb"] == 1024


def test_a_field_that_overflows_is_no_damage() -> None:
    row = "| 0                         | 0000:C1:00.0  | 41          0    / 0          61234/ 65536         |"
    text = text_of("L3")
    assert row in text
    wider = row.replace("61234/ 65536", "261234/ 400000").replace("400000         |", "400000        |")
    table = parse(text.replace(row, wider))
    assert table.problems == []
    assert table.npus[0]["hbm_used_mb"] == 261234


@pytest.mark.parametrize("text", ["", "\n\n", "bash: npu-smi: command not found\n", "+----+\n|    |\n+----+\n"])
def test_other_text_is_no_table(text: str) -> None:
    table = parse(text)
    assert (table.recognised, table.version, table.npus, table.processes) == (False, None, [], [])
