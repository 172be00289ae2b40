# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the simulated npu-smi: widths, separators, process tables, odd rows."""

from __future__ import annotations

import itertools
import json

import npu_smi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WIDTHS = {
    "L1": 80,
    "L2": 86,
    "L3-93": 93,
    "L3": 98,
    "L3w": 116,
    "L4-94": 94,
    "L4-98": 98,
    "L4": 106,
    "L5": 99,
    "L5w": 116,
}
SOCS_OF = {"L1": "310", "L2": "910A", "L3": "910B4", "L4": "310P3-duo", "L5": "950PR"}
NARROW = [layout for layout, width in WIDTHS.items() if width < 116]

WIDE_A3 = """\
+------------------------------------------------------------------------------------------------------------------+
| npu-smi 26.0.rc1                            Version: 26.0.rc1                                                    |
+---------------------------+---------------+----------------------------------------------------------------------+
| NPU   Name                | Health        | Power(W)             Temp(C)                 Hugepages-Usage(page)   |
| Chip  Phy-ID              | Bus-Id        | AICore(%)            Memory-Usage(MB)        HBM-Usage(MB)           |
+===========================+===============+======================================================================+
| 0     Ascend910           | OK            | 178.9                36                      0    / 0                |
| 0     0                   | 0000:9D:00.0  | 0                    0    / 0                60096/ 65536            |
+------------------------------------------------------------------------------------------------------------------+
| 0     Ascend910           | OK            | -                    36                      0    / 0                |
| 1     1                   | 0000:9F:00.0  | 0                    0    / 0                3189 / 65536            |
+===========================+===============+======================================================================+
+---------------------------+---------------+----------------------------------------------------------------------+
| NPU     Chip              | Process id    | Process name       | Process memory(MB)    | Process id in container |
+===========================+===============+======================================================================+
| 0       0                 | 4711          | a_name_longer      | 56684                 | NA                      |
+===========================+===============+======================================================================+
"""

WIDE_A5 = """\
+------------------------------------------------------------------------------------------------------------------+
| npu-smi 25.6.rc1.b169                            Version: 25.6.rc1.b169                                          |
+--------+------------------+---------------+----------------------------------------------------------------------+
| NPU ID | Name             | Health        | Power(W)              Temp(C)                  Hugepages-Usage(page) |
|        |                  | Bus-Id        | NPU Util(%)           Memory-Usage(MB)         HBM-Usage(MB)         |
+========+==================+===============+======================================================================+
| 0      | Ascend950DT      | OK            | 380.7                 44                       0     / 0             |
|        |                  | NA            | 0                     0     / 0                6632  / 86016         |
+===========================+===============+======================================================================+
+---------------------------+---------------+----------------------------------------------------------------------+
| NPU ID                    | Process id    | Process name       | Process memory(MB)    | Process id in container |
+===========================+===============+======================================================================+
| No running processes found in NPU 0                                                                              |
+===========================+===============+======================================================================+
"""


def state_of(layout: str, cards: int = 2, **more) -> dict:
    return npu_smi.default_state(SOCS_OF[layout[:2]], cards, layout=layout, **more)


def process(chip: dict, **more) -> dict:
    ids = {"npu_id": chip["npu_id"], "chip_id": chip["chip_id"]}
    return {**ids, "pid": 4711, "name": "python", "memory_mb": 100, **more}


def test_a_wide_a3_table():
    state = npu_smi.default_state("A3", 1, layout="L3w")
    state["processes"] = [process(state["chips"][0], name="a_name_longer_than_13", memory_mb=56684)]
    assert npu_smi.render_info(state) == WIDE_A3


def test_a_wide_a5_table():
    assert npu_smi.render_info(npu_smi.default_state("950DT", 1)) == WIDE_A5


@pytest.mark.parametrize(("layout", "width"), WIDTHS.items())
def test_every_line_has_the_width_of_its_layout(layout, width):
    lines = npu_smi.render_info(state_of(layout)).splitlines()
    assert {len(line) for line in lines} == {width}
    assert len(lines) > 10


def test_a5_process_rows_are_one_character_short():
    state = state_of("L5")
    state["processes"] = [process(state["chips"][0])]
    lengths = {len(line) for line in npu_smi.render_info(state).splitlines() if "4711" in line}
    assert lengths == {WIDTHS["L5"] - 1}


@pytest.mark.parametrize("soc", npu_smi.SOCS)
def test_a_default_state_is_json_and_shows_every_chip(soc):
    state = npu_smi.default_state(soc, 3)
    assert json.loads(json.dumps(state)) == state
    shown = npu_smi.values_shown(state)["npus"]
    assert len(shown) == 3 * npu_smi.SOCS[soc].chips
    assert [chip["npu_id"] for chip in shown] == [chip["npu_id"] for chip in state["chips"]]
    assert len({(chip["npu_id"], chip["chip_id"]) for chip in shown}) == len(shown)


def test_a3_has_sixteen_chips_with_unbroken_separators_and_power_on_the_first_die():
    text = npu_smi.render_info(npu_smi.default_state("A3", 8))
    assert text.count("\n+" + "-" * 96 + "+\n") == 8
    assert text.count("| OK            | -    ") == 8
    assert "| 1     15                  |" in text


def test_chips_of_a_310_card_are_separated_by_a_jointed_line():
    text = npu_smi.render_info(npu_smi.default_state("310", 1))
    assert text.count("\n+-------------------+-----------------+") == 1 + 3


@pytest.mark.parametrize(
    ("health", "word"),
    [*enumerate(npu_smi.HEALTH), ("Alarm", "Alarm")],
)
def test_health_codes_print_their_word(health, word):
    state = state_of("L3", 1)
    state["chips"][0]["health"] = health
    assert f"| {word} " in npu_smi.render_info(state)


@pytest.mark.parametrize("health", [5, -1])
def test_a_health_code_without_a_word_loses_the_first_row_only(health):
    whole = npu_smi.render_info(state_of("L3", 2)).splitlines()
    state = state_of("L3", 2)
    state["chips"][0]["health"] = health
    (lost,) = [line for line in whole if line.startswith("| 0     910B4")]
    assert npu_smi.render_info(state).splitlines() == [line for line in whole if line != lost]


def test_a_failed_phy_id_query_ends_the_block_of_its_npu_without_a_border():
    state = npu_smi.default_state("A3", 2)
    state["chips"][1]["phy_id_fails"] = True
    lines = npu_smi.render_info(state).splitlines()
    rows = [line[:7] for line in lines[6:12]]
    assert rows == ["| 0    ", "| 0    ", "+------", "| 0    ", "| 1    ", "| 0    "]
    assert "Ascend910" in lines[9]
    assert "Ascend910" in lines[10]


def test_a_missing_chip_is_counted_but_not_shown():
    state = state_of("L3", 2)
    state["chips"][1]["missing"] = True
    assert "| 1     910B4" not in npu_smi.render_info(state)
    assert "Total Count                    : 2" in npu_smi.answer(state, ["info", "-l"])[0]


@pytest.mark.parametrize(("layout", "shows"), [("L2", True), ("L3", True), ("L4", False), ("L1", False)])
def test_only_hbm_layouts_print_the_driver_warning(layout, shows):
    text = npu_smi.render_info(state_of(layout, warning=True))
    assert text.endswith(npu_smi.DRIVER_WARNING + "\n") is shows


def test_a_full_used_field_touches_the_slash():
    state = state_of("L3", 1)
    state["chips"][0].update(hbm_used_mb=31718, memory_used_mb=None)
    text = npu_smi.render_info(state)
    assert " 31718/ 32768 " in text
    assert " NA   / 0 " in text


def test_boards_without_pcie_print_na():
    assert "| NA            |" in npu_smi.render_info(npu_smi.default_state("950DT", 1))


# --- process tables ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("layout", "more", "header"),
    [
        ("L1", {}, None),
        ("L2", {}, None),
        ("L3", {"process_table": "none"}, None),
        ("L3", {}, "Process memory(MB) "),
        ("L3-93", {"process_table": "bytes"}, "Process memory(B)  "),
        ("L3w", {}, "| Process id in container |"),
        ("L5w", {}, "| Process id in container |"),
        ("L5", {}, "| NPU ID                    | Process id "),
    ],
)
def test_process_table_variants(layout, more, header):
    text = npu_smi.render_info(state_of(layout, **more))
    assert ("Process" in text) is (header is not None)
    assert header is None or header in text


def test_310b_boards_have_no_process_table():
    assert "Process" not in npu_smi.render_info(npu_smi.default_state("310B4", 1))


@pytest.mark.parametrize("layout", NARROW)
def test_narrow_layouts_refuse_the_container_column(layout):
    with pytest.raises(ValueError, match=layout):
        npu_smi.render_info(state_of(layout, process_table="container"))


def test_idle_npus_are_named_once_and_processes_follow_their_chip():
    state = npu_smi.default_state("310P3-duo", 2)
    chips = state["chips"]
    state["processes"] = [process(chips[1], pid=2), process(chips[0], pid=1)]
    lines = npu_smi.render_info(state).splitlines()
    assert [line[:30].split()[1:3] for line in lines if "python" in line] == [["1", "0"], ["1", "1"]]
    assert sum("No running processes found in NPU 2" in line for line in lines) == 1
    assert sum("No running processes" in line for line in lines) == 1


def test_process_names_and_numbers_are_cut():
    state = state_of("L3", 1, max_processes_per_chip=2)
    state["processes"] = [process(state["chips"][0], pid=pid, name="x" * 20) for pid in range(5)]
    shown = npu_smi.values_shown(state)["processes"]
    assert [(row["pid"], row["name"]) for row in shown] == [(0, "x" * 15), (1, "x" * 15)]
    assert npu_smi.render_info(state).count("x" * 15 + " ") == 2


def test_process_memory_is_counted_as_memory_in_use():
    state = state_of("L3", 1)
    idle = state["chips"][0]["hbm_used_mb"]
    state["processes"] = [process(state["chips"][0], memory_mb=1000)]
    assert f" {idle + 1000} / 32768 " in npu_smi.render_info(state)
    assert f" {idle} / 32768 " in npu_smi.render_info(dict(state, count_process_memory=False))


@pytest.mark.parametrize(
    ("now", "listed", "in_use"),
    [(100.0, True, True), (150.0, False, True), (250.0, False, False)],
)
def test_memory_may_be_released_later_than_the_process_ends(monkeypatch, now, listed, in_use):
    monkeypatch.setattr(npu_smi, "_now", lambda: now)
    state = state_of("L3", 1)
    idle = state["chips"][0]["hbm_used_mb"]
    state["processes"] = [process(state["chips"][0], memory_mb=1000, until=120, memory_until=200)]
    shown = npu_smi.values_shown(state)
    assert bool(shown["processes"]) is listed
    assert shown["npus"][0]["hbm_used_mb"] == idle + (1000 if in_use else 0)


@pytest.mark.parametrize(
    ("content", "pids", "hbm"),
    [
        (None, [], 2871),
        ([], [], 2871),
        ([{"npu_id": 0, "chip_id": 0, "pid": 7, "name": "a", "memory_mb": 29}], [7], 2900),
        ({"chips": [{"npu_id": 0, "chip_id": 0, "hbm_used_mb": 30000}]}, [], 30000),
    ],
)
def test_processes_come_from_a_file(tmp_path, content, pids, hbm):
    path = tmp_path / "processes.json"
    if content is not None:
        path.write_text(json.dumps(content))
    shown = npu_smi.values_shown(state_of("L3", 1, processes_file=str(path)))
    assert [row["pid"] for row in shown["processes"]] == pids
    assert shown["npus"][0]["hbm_used_mb"] == hbm


# --- properties ----------------------------------------------------------------------------------
@settings(deadline=None)
@given(
    layout=st.sampled_from(sorted(WIDTHS)),
    used=st.integers(0, 99999),
    power=st.floats(0, 999.9),
    health=st.integers(0, 4),
    aicore=st.integers(0, 100),
)
def test_values_that_fit_keep_every_row_inside_its_borders(layout, used, power, health, aicore):
    state = state_of(layout)
    for chip in state["chips"]:
        chip.update(power_w=power, health=health, aicore_pct=aicore, memory_used_mb=used)
    lines = npu_smi.render_info(state).splitlines()
    assert {len(line) for line in lines} == {WIDTHS[layout]}
    assert all(line[0] + line[-1] in ("++", "||") for line in lines)


@settings(deadline=None)
@given(cut=st.integers(0, 4000))
def test_a_cut_is_a_beginning_of_the_text(cut):
    text = npu_smi.render_info(state_of("L3"))
    assert npu_smi.damage(text, [{"kind": "cut", "bytes": cut}]) == text[:cut]


def test_damages_are_applied_in_their_order():
    text = npu_smi.render_info(state_of("L3"))
    kinds = [{"kind": "cut", "lines": 2}, {"kind": "trailing_blank"}, {"kind": "prefix"}, {"kind": "crlf"}]
    lines = npu_smi.damage(text, kinds).split("\r\n")
    assert [line[:3] + line[-2:] for line in lines] == ["> ++ ", "> || ", ""]


def test_rendering_does_not_change_the_state():
    for layout, soc in itertools.product(("L3", "L5"), ("910B4", "950PR")):
        state = npu_smi.default_state(soc, 1, layout=layout, processes=[])
        state["processes"] = [process(state["chips"][0])]
        before = json.dumps(state)
        npu_smi.render_info(state)
        npu_smi.values_shown(state)
        assert json.dumps(state) == before
