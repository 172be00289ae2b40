# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of the parser: it reads what the simulated tool prints, and damage is never silently wrong."""

from __future__ import annotations

from typing import Any

import npu_smi as simulator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.module_utils._npu_smi import Table, parse

# layout: names, chips of one NPU at most, whether the physical id is shown
LAYOUTS = {
    "L1": (("310",), 4, False),
    "L2": (("910A",), 1, False),
    "L3-93": (("910A", "910B", "910ProB"), 1, False),
    "L3": (("910B1", "910B2C", "910B4-1", "xxx"), 1, False),
    "L3-A3": (("Ascend910", "xxx"), 2, True),
    "L3w": (("910B3", "910B4"), 1, False),
    "L3w-A3": (("Ascend910",), 2, True),
    "L4-94": (("310P3", "310"), 4, False),
    "L4-98": (("310P3", "310P1"), 2, False),
    "L4": (("310P3", "310B1", "310B4"), 2, False),
    "L5": (("Ascend950PR", "Ascend950DT"), 1, False),
    "L5w": (("Ascend950PR", "Ascend950DT"), 1, False),
}
HEALTH = st.sampled_from(["OK", "Warning", "Alarm", "Critical", "UNKNOWN"])
POWER = st.one_of(st.sampled_from(["NA", "-"]), st.integers(0, 9999).map(lambda tenths: tenths / 10))
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_:-./ ", max_size=13).map(str.strip)


def pairs(largest: int, smallest: int = 0) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(smallest, largest).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@st.composite
def chips(draw: st.DrawFn, layout: str) -> list[dict[str, Any]]:
    names, most, _width = LAYOUTS[layout]
    name = draw(st.sampled_from(names))
    npus = sorted(draw(st.sets(st.integers(0, 40000), min_size=1, max_size=8)))
    found: list[dict[str, Any]] = []
    for bus, npu in enumerate(npus):
        for chip in range(draw(st.integers(1, most))):
            # A chip without any memory is one that the tool could not query.
            hugepages, hbm = draw(pairs(99999)), draw(pairs(99999, 1))
            memory = draw(pairs(99999, 1 if layout.startswith(("L1", "L4")) else 0))
            found.append(
                {
                    "npu_id": npu,
                    "chip_id": chip,
                    "logic_id": len(found),
                    "phy_id": len(found),
                    "name": name,
                    "health": draw(HEALTH),
                    "power_w": draw(POWER),
                    "temp_c": draw(st.integers(-40, 150)),
                    "hugepages_used": hugepages[0],
                    "hugepages_total": hugepages[1],
                    "bus_id": draw(st.sampled_from(["NA", f"{bus:04X}:{draw(st.integers(0, 255)):02X}:00.0"])),
                    "aicore_pct": draw(st.integers(0, 100)),
                    "memory_used_mb": memory[0],
                    "memory_total_mb": memory[1],
                    "hbm_used_mb": hbm[0],
                    "hbm_total_mb": hbm[1],
                }
            )
    return found


@st.composite
def states(draw: st.DrawFn, layout: str = "") -> dict[str, Any]:
    layout = layout or draw(st.sampled_from(sorted(LAYOUTS)))
    state = simulator.default_state("910B4", cards=1, layout=layout.removesuffix("-A3"))
    state["chips"] = draw(chips(layout))
    state["show_phy_id"] = LAYOUTS[layout][2]
    state["count_process_memory"] = False
    owners = st.sampled_from([(chip["npu_id"], chip["chip_id"]) for chip in state["chips"]])
    state["processes"] = [
        {
            "npu_id": owner[0],
            "chip_id": owner[1],
            "pid": draw(st.integers(1, 4194304)),
            "name": draw(NAMES),
            "memory_mb": draw(st.integers(0, 99999)),
        }
        for owner in draw(st.lists(owners, max_size=6))
    ]
    return state


def values(table: Table) -> tuple[Any, Any]:
    return table.npus, table.processes


def believed(table: Table) -> bool:
    return table.recognised and not table.problems


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_the_simulator_prints_is_read_back(layout: str, data: st.DataObject) -> None:
    state = data.draw(states(layout))
    text = simulator.render_info(state)
    table = parse(text)
    shown = simulator.values_shown(state)
    assert {"version": table.version, "npus": table.npus, "processes": table.processes} == shown
    assert table.problems == []


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_output_that_ends_anywhere_is_complete_or_refused(layout: str, data: st.DataObject) -> None:
    state = data.draw(states(layout))
    text = simulator.render_info(state)
    whole = values(parse(text))
    borders = set() if _must_list_processes(state) else _borders_of_chips(text)
    for end in data.draw(st.lists(st.integers(0, len(text) - 1), min_size=20, max_size=20)):
        table = parse(text[:end])
        # A table without a list of processes, cut below an NPU, is a whole table of fewer NPUs.
        # There only the tool's own count tells; see test_npu_facts.
        if text[:end].rstrip("\n") not in borders:
            assert not believed(table) or values(table) == whole, text[:end]


@settings(max_examples=300, deadline=None)
@given(state=states(), data=st.data())
def test_one_wrong_character_is_harmless_or_refused(state: dict[str, Any], data: st.DataObject) -> None:
    """Nobody can see one digit in the place of another, nor a letter in a name: those are left out."""
    text = simulator.render_info(state)
    start = text.index("| NPU")
    place = data.draw(st.integers(start, len(text) - 1))
    change = data.draw(st.sampled_from(["lost", "added", "replaced"]))
    if change == "lost":
        damaged = text[:place] + text[place + 1 :]
    elif change == "added":
        damaged = text[:place] + data.draw(st.sampled_from("7x |-\n")) + text[place:]
    else:
        if _in_free_text(text, place):
            return
        damaged = text[:place] + data.draw(st.sampled_from("|+?,\n")) + text[place + 1 :]
    table = parse(damaged)
    assert not believed(table) or values(table) == values(parse(text)), damaged


@settings(max_examples=100, deadline=None)
@given(state=states(), data=st.data())
def test_a_lost_line_is_harmless_or_refused(state: dict[str, Any], data: st.DataObject) -> None:
    """Of several processes on one NPU nobody can miss one: there are none here."""
    state["processes"] = []
    lines = simulator.render_info(state).splitlines(keepends=True)
    lost = data.draw(st.integers(0, len(lines) - 1))
    table = parse("".join(lines[:lost] + lines[lost + 1 :]))
    assert not believed(table) or values(table) == values(parse("".join(lines)))


def _must_list_processes(state: dict[str, Any]) -> bool:
    """Tools since 22 list processes, though not for boards without PCIe; older ones were seen with and without."""
    if "Process id" not in simulator.render_info(state) or int(state["tool_version"].split(".")[0]) < 22:
        return False
    return not state["layout"].startswith("L4") or all(chip["bus_id"] != "NA" for chip in state["chips"])


def _borders_of_chips(text: str) -> set[str]:
    """The text up to each border that may be the last one."""
    lines = text.splitlines(keepends=True)
    return {"".join(lines[: n + 1]).rstrip("\n") for n, line in enumerate(lines) if line.startswith("+=")}


def _in_free_text(text: str, place: int) -> bool:
    """In the name of a process, where any character may stand."""
    if "Process id" not in text[:place]:
        return False
    line = text[text.rfind("\n", 0, place) + 1 :]
    column = place - text.rfind("\n", 0, place) - 1
    return line[:column].count("|") == 3
