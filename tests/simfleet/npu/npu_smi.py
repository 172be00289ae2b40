#!/bin/sh
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
""":"
exec "${ASCEND_SIM_PYTHON:-/usr/bin/python3}" -SE "$0" "$@"

Test double of Huawei's ``npu-smi``: it prints what a JSON state file says, no NPU is involved.

One file, standard library only, Python 3.8 or later: copy it to a simulated server as
``/usr/local/sbin/npu-smi``, mode 0755 (the lines above start Python with fewer imports).
State: ``/etc/ascend-sim/state.json`` or ``$ASCEND_SIM_STATE``; every key is described in README.md
beside this file. Tests import ``default_state``, ``render_info``, ``values_shown``, ``damage`` and
``answer``. Nothing here is shared with the parser under test.
"""

from __future__ import annotations

import json
import os
import sys
from collections import namedtuple

STATE_FILE = "/etc/ascend-sim/state.json"

# ---------------------------------------------------------------------------------------------
# Tables of `npu-smi info`
# ---------------------------------------------------------------------------------------------
# title: width of the tool version; top and low: the two rows of a chip, cell by cell, as
# (label, width); used: width of the "used" field of hugepages, memory and HBM pairs;
# rule: what separates two chips of one NPU; end: border after an NPU, of the chip table or of the
# process table (a quirk of the wide A5 layout); version: a tool version that prints this layout.
Layout = namedtuple("Layout", "title top low used rule end process version")

_JOINED, _UNBROKEN = "joined", "unbroken"
_OWN, _PROCESS = "own", "process"


def _layout(title, top, low, used, version, rule=_JOINED, end=_OWN, process="mb"):
    return Layout(title, top, low, used, rule, end, process, version)


def _310(name_width, right, labels_right, title, used, version, process="mb"):
    top_right, low_right = labels_right
    return _layout(
        title,
        ((("NPU", 8), ("Name", name_width)), (("Health", 16),), tuple(zip(top_right, right))),
        ((("Chip", 8), ("Device", name_width)), (("Bus-Id", 16),), tuple(zip(low_right, right))),
        used,
        version,
        process=process,
    )


def _910(name_width, right, hugepages, title, used, version, process="mb"):
    top_right = ("Power(W)", "Temp(C)", "Hugepages-Usage(page)" if hugepages else "")
    low_right = ("AICore(%)", "Memory-Usage(MB)", "HBM-Usage(MB)")
    return _layout(
        title,
        ((("NPU", 6), ("Name", name_width)), (("Health", 14),), tuple(zip(top_right, right))),
        ((("Chip", 6), ("Phy-ID", name_width)), (("Bus-Id", 14),), tuple(zip(low_right, right))),
        used,
        version,
        rule=_UNBROKEN,
        process=process,
    )


def _950(right, title, used, version, end=_OWN, process="mb"):
    top_right = ("Power(W)", "Temp(C)", "Hugepages-Usage(page)")
    low_right = ("NPU Util(%)", "Memory-Usage(MB)", "HBM-Usage(MB)")
    return _layout(
        title,
        ((("NPU ID", 7),), (("Name", 17),), (("Health", 14),), tuple(zip(top_right, right))),
        ((("", 7),), (("", 17),), (("Bus-Id", 14),), tuple(zip(low_right, right))),
        used,
        version,
        end=end,
        process=process,
    )


_DDR_OLD = (("Power(W)", "Temp(C)"), ("AICore(%)", "Memory-Usage(MB)"))
_DDR = (
    ("Power(W)", "Temp(C)", "Hugepages-Usage(page)"),
    ("AICore(%)", "Memory-Usage(MB)", ""),
)

LAYOUTS = {
    "L1": _310(10, (18, 21), _DDR_OLD, 29, (5, 5, 5), "21.0.3.1", process="none"),
    "L2": _910(15, (11, 18, 15), False, 25, (5, 5, 5), "21.0.3.2", process="none"),
    "L3-93": _910(15, (12, 18, 21), True, 25, (5, 5, 5), "21.0.4"),
    "L3": _910(20, (12, 18, 21), True, 25, (5, 5, 5), "25.2.0"),
    "L3w": _910(20, (21, 24, 24), True, 36, (5, 5, 5), "26.0.rc1", process="container"),
    "L4-94": _310(10, (13, 18, 22), _DDR, 29, (5, 5, 5), "22.0.0"),
    "L4-98": _310(14, (13, 18, 22), _DDR, 33, (5, 5, 5), "22.0.2"),
    "L4": _310(22, (13, 18, 22), _DDR, 41, (6, 5, 5), "25.2.0"),
    "L5": _950((12, 18, 22), 41, (6, 5, 6), "25.7.rc1"),
    "L5w": _950((22, 25, 22), 41, (6, 6, 6), "25.6.rc1.b169", end=_PROCESS, process="container"),
}

# Variants of the process table: the columns after "Process id" as (label, width); width None
# takes what is left of the border. name: how many characters of a process name are printed.
ProcessTable = namedtuple("ProcessTable", "columns name")
PROCESS_TABLES = {
    "mb": ProcessTable((("Process name", 25), ("Process memory(MB)", None)), 15),
    "bytes": ProcessTable((("Process name", 25), ("Process memory(B)", None)), 15),
    "container": ProcessTable(
        (
            ("Process name", 19),
            ("Process memory(MB)", 22),
            ("Process id in container", None),
        ),
        13,
    ),
}
MAX_PROCESSES_PER_CHIP = 32
HEALTH = ("OK", "Warning", "Alarm", "Critical", "UNKNOWN")
DRIVER_WARNING = (
    "[WARNING]The driver package may not be completely installed, which may cause function "
    "abnormal. Please reinstall it."
)


def render_info(state: dict) -> str:
    """The text of ``npu-smi info`` for this state, without faults."""
    return _info(_current(state))


def _info(state):
    layout = _layout_of(state)
    lines = _heading(state, layout)
    for chips in _by_npu(state):
        lines += _npu_block(chips, layout)
    lines += _process_table(state, layout)
    if state.get("warning") and _has_column(layout, "HBM-Usage(MB)"):
        lines.append(DRIVER_WARNING)
    return "".join(line + "\n" for line in lines)


def _layout_of(state):
    """The layout of this state; the 910 layouts have the Phy-ID column on A3 only."""
    layout = LAYOUTS[state["layout"]]
    first = layout.low[0]
    if first[-1][0] == "Phy-ID" and not state.get("show_phy_id"):
        chip_only = (("Chip", first[0][1] + first[1][1]),)
        return layout._replace(low=(chip_only, *layout.low[1:]))
    return layout


def _heading(state, layout):
    border = _border(layout.top, "-")
    tool_version = state["tool_version"]
    driver_version = state.get("driver_version", tool_version)
    title = f"| npu-smi {tool_version:<{layout.title}}Version: {driver_version}"
    return [
        "+" + "-" * (len(border) - 2) + "+",
        title.ljust(len(border) - 1) + "|",
        border,
        _row(layout.top),
        _row(layout.low),
        _border(layout.top, "="),
    ]


def _npu_block(chips, layout):
    lines = []
    for position, chip in enumerate(chips):
        if position:
            lines.append(_chip_rule(layout))
        if _health(chip) is not None:
            lines.append(_row(_values(layout.top, chip, layout)))
        if chip.get("phy_id_fails"):
            return lines
        lines.append(_row(_values(layout.low, chip, layout)))
    end = layout.top if layout.end == _OWN else _process_cells(layout)
    lines.append(_border(end, "="))
    return lines


def _chip_rule(layout):
    border = _border(layout.top, "-")
    return border if layout.rule == _JOINED else "+" + "-" * (len(border) - 2) + "+"


def _values(cells, chip, layout):
    return [[(_value(label, chip, layout), width) for label, width in cell] for cell in cells]


def _row(cells):
    return "|" + "|".join(" " + "".join(text.ljust(n) for text, n in cell) for cell in cells) + "|"


def _border(cells, fill):
    widths = [1 + sum(width for _label, width in cell) for cell in cells]
    return "+" + "+".join(fill * width for width in widths) + "+"


def _value(label, chip, layout):
    if not label:
        return ""
    if label.endswith(("(page)", "(MB)")):
        key, column = PAIRS[label]
        used = chip.get(key + "_used" + _unit(key))
        total = chip.get(key + "_total" + _unit(key))
        return _text(used).ljust(layout.used[column]) + "/ " + _text(total)
    return FIELDS[label](chip)


def _unit(key):
    return "" if key == "hugepages" else "_mb"


def _text(value):
    return "NA" if value is None else str(value)


def _power(chip):
    power = chip.get("power_w")
    return f"{power:.1f}" if isinstance(power, (int, float)) else _text(power)


def _health(chip):
    """The word of a health code; None for a code the tool has no word for."""
    health = chip.get("health", "OK")
    if isinstance(health, int):
        return HEALTH[health] if 0 <= health < len(HEALTH) else None
    return health


FIELDS = {
    "NPU": lambda chip: str(chip["npu_id"]),
    "NPU ID": lambda chip: str(chip["npu_id"]),
    "Name": lambda chip: chip["name"],
    "Health": _health,
    "Power(W)": _power,
    "Temp(C)": lambda chip: _text(chip.get("temp_c")),
    "Chip": lambda chip: str(chip["chip_id"]),
    "Device": lambda chip: _text(chip.get("logic_id")),
    "Phy-ID": lambda chip: _text(chip.get("phy_id")),
    "Bus-Id": lambda chip: _text(chip.get("bus_id")),
    "AICore(%)": lambda chip: _text(chip.get("aicore_pct")),
    "NPU Util(%)": lambda chip: _text(chip.get("aicore_pct")),
}
PAIRS = {
    "Hugepages-Usage(page)": ("hugepages", 0),
    "Memory-Usage(MB)": ("memory", 1),
    "HBM-Usage(MB)": ("hbm", 2),
}


def _has_column(layout, label):
    return any(label == text for cell in layout.top + layout.low for text, _width in cell)


# --- process table -----------------------------------------------------------------------------
def _process_variant(state, layout):
    if state["chips"] and all(chip["name"].startswith("310B") for chip in state["chips"]):
        return "none"
    return state.get("process_table") or layout.process


def _process_cells(layout):
    """Cells of the process table's borders: those of the chip table, the A5's first two as one."""
    top = layout.top
    if len(top) == 4:
        width = sum(width for cell in top[:2] for _label, width in cell) + 2
        return ((("NPU ID", width),), *top[2:])
    width = sum(width for _label, width in top[0])
    return ((("NPU", 8), ("Chip", width - 8)), *top[1:])


def _process_columns(layout, table):
    cells = _process_cells(layout)
    room = sum(width for _label, width in cells[2]) + 1
    columns = []
    for label, width in table.columns:
        if width is None:
            width = room - sum(taken + 2 for _label, taken in columns) - 1
        columns.append((label, width))
    return (cells[0], (("Process id", cells[1][0][1]),), *((column,) for column in columns))


def _process_table(state, layout):
    variant = _process_variant(state, layout)
    if variant == "none":
        return []
    if variant == "container" and len(_border(layout.top, "-")) < 116:
        raise ValueError(f"layout {state['layout']} has no room for the container column")
    table = PROCESS_TABLES[variant]
    cells = _process_cells(layout)
    columns = _process_columns(layout, table)
    rule = _border(cells, "=")
    lines = [""] if state.get("blank_line") else []
    lines += [_border(cells, "-"), _row(columns), rule]
    for chips in _by_npu(state):
        shown = _listed(state, chips, table)
        for process in shown:
            lines.append(_row(_process_values(columns, process, state["layout"])))
        if not shown:
            text = f"| No running processes found in NPU {chips[0]['npu_id']}"
            lines.append(text.ljust(len(rule) - 1) + "|")
        lines.append(rule)
    return lines


def _process_values(columns, process, layout_name):
    values = {
        "NPU": str(process["npu_id"]),
        "NPU ID": str(process["npu_id"]),
        "Chip": str(process.get("chip_id", 0)),
        "Process id": str(process["pid"]),
        "Process name": process.get("name", ""),
        "Process memory(MB)": str(process.get("memory_mb", 0)),
        "Process memory(B)": str(process.get("memory_mb", 0) * 1024 * 1024),
        "Process id in container": _text(process.get("container_pid")),
    }
    row = [[(values[label], width) for label, width in cell] for cell in columns]
    if layout_name == "L5":
        # the tool itself prints these rows one character short of the border
        text, width = row[-1][-1]
        row[-1][-1] = (text, width - 1)
    return row


def _listed(state, chips, table):
    """Processes of one NPU as the tool lists them: by chip, cut in number and in name."""
    rows = []
    for chip in chips:
        mine = [p for p in state["processes"] if _owner(p) == (chip["npu_id"], chip["chip_id"])]
        for process in mine[: state.get("max_processes_per_chip", MAX_PROCESSES_PER_CHIP)]:
            rows.append(dict(process, name=process.get("name", "")[: table.name]))
    return rows


def _owner(process):
    return process["npu_id"], process.get("chip_id", 0)


# ---------------------------------------------------------------------------------------------
# State
# ---------------------------------------------------------------------------------------------
def _by_npu(state, missing=False):
    """Chips the tool sees, grouped by NPU in the order of the state."""
    groups = {}
    for chip in state["chips"]:
        if missing or not chip.get("missing"):
            groups.setdefault(chip["npu_id"], []).append(chip)
    return list(groups.values())


def _now():
    import time

    return time.time()


def _current(state):
    """The state of this moment: processes file read, ended processes and released memory gone."""
    overlay = {"processes": state.get("processes") or [], "chips": []}
    if state.get("processes_file"):
        overlay = _processes_file(state["processes_file"], overlay)
    chips = [dict(chip) for chip in state["chips"]]
    for change in overlay.get("chips") or []:
        for chip in chips:
            if _owner(chip) == _owner(change):
                chip.update(change)
    now = _now() if any("until" in p or "memory_until" in p for p in overlay["processes"]) else 0
    if state.get("count_process_memory"):
        _add_process_memory(chips, overlay["processes"], now)
    shown = [p for p in overlay["processes"] if now < p.get("until", now + 1)]
    return dict(state, chips=chips, processes=shown)


def _processes_file(path, default):
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except FileNotFoundError:
        return default
    return {"processes": content} if isinstance(content, list) else dict(default, **content)


def _add_process_memory(chips, processes, now):
    for process in processes:
        until = process.get("memory_until", process.get("until", now + 1))
        for chip in chips:
            if _owner(chip) == _owner(process) and now < until:
                key = "hbm_used_mb" if chip.get("hbm_total_mb") is not None else "memory_used_mb"
                if chip.get(key) is not None:
                    chip[key] += process.get("memory_mb", 0)


def values_shown(state: dict) -> dict:
    """What a correct reader gets from ``render_info(state)``: the oracle of property tests.

    ``{"version", "npus", "processes"}``; a column the layout does not have, ``NA`` and ``-`` are
    None; a chip without its first row (health code out of range) and an NPU cut short by a failed
    phy-id query are left out here: a reader has to refuse such a table or report the hole.
    """
    state = _current(state)
    layout = _layout_of(state)
    chips = [
        chip
        for group in _by_npu(state)
        for chip in group
        if _health(chip) is not None and not any(c.get("phy_id_fails") for c in group)
    ]
    return {
        "version": state["tool_version"],
        "npus": [_chip_shown(chip, layout) for chip in chips],
        "processes": _processes_shown(state, layout),
    }


def _chip_shown(chip, layout):
    def column(label, key):
        value = chip.get(key) if _has_column(layout, label) else None
        return None if value in ("NA", "-") else value

    shown = {
        "npu_id": chip["npu_id"],
        "chip_id": chip["chip_id"] if _has_column(layout, "Chip") else 0,
        "phy_id": column("Phy-ID", "phy_id"),
        "logic_id": column("Device", "logic_id"),
        "name": chip["name"],
        "health": _health(chip),
        "power_w": column("Power(W)", "power_w"),
        "temp_c": column("Temp(C)", "temp_c"),
        "bus_id": column("Bus-Id", "bus_id"),
        "aicore_pct": chip.get("aicore_pct"),
    }
    if shown["power_w"] is not None:
        shown["power_w"] = float(f"{shown['power_w']:.1f}")
    for label, (key, _column) in PAIRS.items():
        for side in ("_used", "_total"):
            shown[key + side + _unit(key)] = column(label, key + side + _unit(key))
    return shown


def _processes_shown(state, layout):
    variant = _process_variant(state, layout)
    if variant == "none":
        return []
    return [
        {
            "npu_id": process["npu_id"],
            "chip_id": process.get("chip_id", 0),
            "pid": process["pid"],
            "name": process["name"],
            "memory_mb": process.get("memory_mb", 0),
        }
        for chips in _by_npu(state)
        for process in _listed(state, chips, PROCESS_TABLES[variant])
    ]


# --- states to start from ------------------------------------------------------------------------
# layout; family (selects the texts of -t, -m, -l); name in the table; chips per NPU; first NPU id;
# bus(card, chip) as a number or None; values of an idle chip, those of later chips of an NPU.
Soc = namedtuple("Soc", "layout family name chips first_npu bus values later")


def _a2_bus(card, _chip):
    return (0xC1, 0xC2, 0x81, 0x82, 0x01, 0x02, 0x41, 0x42)[card % 8] + card // 8 * 4


def _idle(power, temperature, ddr, hbm, hugepages=(0, 0), aicore=0):
    return {
        "power_w": power,
        "temp_c": temperature,
        "hugepages_used": hugepages[0],
        "hugepages_total": hugepages[1],
        "aicore_pct": aicore,
        "memory_used_mb": ddr[0],
        "memory_total_mb": ddr[1],
        "hbm_used_mb": hbm and hbm[0],
        "hbm_total_mb": hbm and hbm[1],
    }


def _a2(name, hbm_total, hbm_used):
    values = _idle(92.4, 41, (0, 0), (hbm_used, hbm_total))
    return Soc("L3", "A2", name, 1, 0, _a2_bus, values, {})


def _910_old(name, layout, memory):
    values = _idle(67.2, 38, memory, (0, 32768))
    return Soc(layout, "910A", name, 1, 0, _a2_bus, values, {})


_310_IDLE = _idle(12.8, 46, (2621, 8192), None)
_310P_IDLE = _idle("NA", 47, (1807, 21527), None)
_DUO_IDLE = _idle("NA", 51, (1529, 44280), None)
_DUO_SECOND = {"memory_used_mb": 1411, "memory_total_mb": 43693}
_310B_IDLE = _idle(8.7, 55, (3628, 15609), None, hugepages=(15, 15))
_A3_IDLE = _idle(178.9, 36, (0, 0), (3412, 65536))
_A3_SECOND = {"power_w": "-", "hbm_used_mb": 3189}
_950PR_IDLE = _idle(187.1, 46, (0, 0), (5413, 131072))
_950DT_IDLE = _idle(380.7, 44, (0, 0), (6632, 86016))

SOCS = {
    "310": Soc("L1", "310", "310", 4, 2048, lambda card, chip: 0x81 + 4 * card + chip, _310_IDLE, {}),
    "310P3": Soc("L4", "310P", "310P3", 1, 0, lambda card, _chip: 0x01 + card, _310P_IDLE, {}),
    "310P3-duo": Soc("L4", "310P", "310P3", 2, 1, lambda card, _chip: 0x01 + card, _DUO_IDLE, _DUO_SECOND),
    "310B4": Soc("L4", "310B", "310B4", 1, 0, lambda _card, _chip: None, _310B_IDLE, {}),
    "910A": _910_old("910A", "L2", (1809, 15079)),
    "910B": _910_old("910B", "L3", (1820, 15137)),
    "910ProB": _910_old("910ProB", "L3", (1820, 15137)),
    "910B1": _a2("910B1", 65536, 3390),
    "910B2": _a2("910B2", 65536, 3390),
    "910B2C": _a2("910B2C", 65536, 3316),
    "910B3": _a2("910B3", 65536, 3314),
    "910B4": _a2("910B4", 32768, 2871),
    "910B4-1": _a2("910B4-1", 65536, 3390),
    "A3": Soc("L3", "A3", "Ascend910", 2, 0, lambda card, chip: 0x9D - 4 * card + 2 * chip, _A3_IDLE, _A3_SECOND),
    "950PR": Soc("L5", "A5", "Ascend950PR", 1, 0, lambda card, _chip: 0x01 + 0x10 * card, _950PR_IDLE, {}),
    "950DT": Soc("L5w", "A5", "Ascend950DT", 1, 0, lambda _card, _chip: None, _950DT_IDLE, {}),
}


def default_state(
    soc: str, cards: int = 8, layout: str = "", tool_version: str = "", driver_version: str = "", **more: object
) -> dict:
    """A healthy idle server: ``cards`` NPUs of a ``SOCS`` key; ``more`` are further state keys."""
    profile = SOCS[soc]
    layout = layout or profile.layout
    tool_version = tool_version or LAYOUTS[layout].version
    state = {
        "schema": 1,
        "soc": soc,
        "family": profile.family,
        "layout": layout,
        "tool_version": tool_version,
        "driver_version": driver_version or tool_version,
        "firmware_version": "7.7.0.1.231",
        "show_phy_id": profile.family == "A3",
        "count_process_memory": True,
        "chips": [_default_chip(profile, card, chip) for card in range(cards) for chip in range(profile.chips)],
        "processes": [],
        "faults": [],
    }
    state.update(more)
    return state


def _default_chip(profile, card, chip):
    bus = profile.bus(card, chip)
    number = card * profile.chips + chip
    identity = {
        "npu_id": profile.first_npu + card,
        "chip_id": chip,
        "logic_id": number,
        "phy_id": number,
        "name": profile.name,
        "health": "OK",
        "bus_id": "NA" if bus is None else f"0000:{bus % 256:02X}:00.0",
    }
    return dict(identity, **dict(profile.values, **(profile.later if chip else {})))


# ---------------------------------------------------------------------------------------------
# The other queries of `npu-smi info`
# ---------------------------------------------------------------------------------------------
# What a family prints besides the values of a chip. product None: the query is unsupported.
_DUO_CARD = {"product": "Atlas 300I Duo", "mcu_power_w": 45.2, "total_ddr_mb": 49152, "ddr_clock": 451}
_950_CARD = {"npu_name": "9579", "hbm_clock": 3200, "hbm_maker": "0x5A"}
FAMILIES = {
    "310": {"freq": 680, "current_freq": 680, "cores": 2, "device_id": "0xD100"},
    "310P": {"freq": 1080, "current_freq": 960, "cores": 8, "device_id": "0xD500", "mcu": True, **_DUO_CARD},
    "310B": {"freq": 1500, "current_freq": 1500, "cores": 1, "device_id": "0xD105"},
    "910A": {"freq": 900, "current_freq": 900, "cores": 30, "device_id": "0xD801"},
    "A2": {"freq": 1800, "current_freq": 800, "cores": 24, "device_id": "0xD802", "mcu": True},
    "A3": {"freq": 1800, "current_freq": 800, "cores": 24, "device_id": "0xD803", "mcu": True, "npu_name": "9392"},
    "A5": {"freq": 1650, "current_freq": 100, "cores": 32, "device_id": "0xD806", **_950_CARD},
}
_FAMILY_DEFAULTS = {
    "product": None,
    "npu_name": "",
    "mcu": False,
    "mcu_temp_c": 38,
    "mcu_power_w": "NA",
    "total_ddr_mb": 0,
    "ddr_clock": 0,
    "hbm_clock": 1600,
    "hbm_temp_c": 52,
    "hbm_maker": "0x56",
    "board_id": "0x02",
    "serial": "SIM",
    "product_name": "simulated card",
    "error_code": "NA",
    "error_information": "NA",
}

# Rows of a paragraph: (label, template over the chip's view).
_RATES_HBM = (("Memory Usage Rate(%)", "{ddr_pct}"), ("HBM Usage Rate(%)", "{hbm_pct}"))
_RATES_DDR = (("Memory Usage Rate(%)", "{ddr_pct}"),)
_AICORE = (
    ("Aicore Usage Rate(%)", "{aicore_pct}"),
    ("Aicore Freq(MHZ)", "{freq}"),
    ("Aicore curFreq(MHZ)", "{current_freq}"),
)
_COUNT = (("Aicore Count", "{cores}"),)
_TEMPERATURE = (("Temperature(C)", "{temp_c}"),)
_POWER = (("NPU Real-time Power(W)", "{power}"),)
_DDR_USAGE = (
    ("DDR Capacity(MB)", "{memory_total_mb}"),
    ("DDR Usage Rate(%)", "{ddr_pct}"),
    ("DDR Hugepages Total(page)", "{hugepages_total}"),
    ("DDR Hugepages Usage Rate(%)", "{hugepages_pct}"),
)
_HBM_USAGE = (("HBM Capacity(MB)", "{hbm_total_mb}"), ("HBM Usage Rate(%)", "{hbm_pct}"))
_CORE_USAGE = (("Aicore Usage Rate(%)", "{aicore_pct}"),)
_CPU_USAGE = (("Aicpu Usage Rate(%)", "0"), ("Ctrlcpu Usage Rate(%)", "0"))
_BANDWIDTH = (("DDR Bandwidth Usage Rate(%)", "0"), ("HBM Bandwidth Usage Rate(%)", "0"))
_VIDEO = (
    ("DDR Bandwidth Usage Rate(%)", "51"),
    ("DVPP VDEC Usage Rate(%)", "0"),
    ("DVPP VPC Usage Rate(%)", "0"),
    ("DVPP VENC Usage Rate(%)", "0"),
    ("DVPP JPEGE Usage Rate(%)", "0"),
    ("DVPP JPEGD Usage Rate(%)", "0"),
)
_DDR_MEMORY = (
    ("DDR Capacity(MB)", "{memory_total_mb}"),
    ("DDR Clock Speed(MHz)", "{ddr_clock}"),
)
_HBM_MEMORY = (
    ("HBM Capacity(MB)", "{hbm_total_mb}"),
    ("HBM Clock Speed(MHz)", "{hbm_clock}"),
    ("HBM Temperature(C)", "{hbm_temp_c}"),
    ("HBM Manufacturer ID", "{hbm_maker}"),
)
_MCU = (("Chip Name", "mcu"),)

# kind -> family -> rows of a chip; "" stands for every family not named. A pair of row sets
# adds the paragraph of the management chip.
REPORTS = {
    "common": {
        "": (_RATES_HBM + _AICORE + _COUNT + _TEMPERATURE + _POWER, _MCU + _TEMPERATURE),
        "310P": (_RATES_DDR + _AICORE + _TEMPERATURE, _MCU + _TEMPERATURE + _POWER),
        "310B": (_RATES_DDR + _AICORE + _COUNT + _TEMPERATURE + _POWER, ()),
        "310": (_RATES_DDR + _AICORE + _TEMPERATURE, ()),
    },
    "usages": {
        "": (
            _DDR_USAGE + _HBM_USAGE + _CORE_USAGE + (("Aivector Usage Rate(%)", "0"),) + _CPU_USAGE + _BANDWIDTH,
            (),
        ),
        "910A": (_DDR_USAGE + _HBM_USAGE + _CORE_USAGE + _CPU_USAGE + _BANDWIDTH, ()),
        "310P": (
            _DDR_USAGE + _CORE_USAGE + _CPU_USAGE + (("Vectorcore Usage Rate(%)", "0"),) + _VIDEO,
            (),
        ),
        "310B": (_DDR_USAGE + _CORE_USAGE + _CPU_USAGE, ()),
        "310": (_DDR_USAGE + _CORE_USAGE + _CPU_USAGE, ()),
    },
    "memory": {
        "": (_DDR_MEMORY + _HBM_MEMORY, ()),
        "310P": ((("Total DDR Capacity(MB)", "{total_ddr_mb}"), *_DDR_MEMORY), ()),
        "310B": (_DDR_MEMORY, ()),
        "310": (_DDR_MEMORY, ()),
    },
    "health": {"": ((("Health", "{health}"),), (("Health", "OK"), ("Chip Name", "MCU")))},
    "product": {"": ((("Product Type", "{product}"),), ())},
}
PRODUCT_OF_CARD = (("Product Name", "{product_name}"), ("Serial Number", "{serial}"))
HEALTH_OF_CHIP = (
    ("Health Status", "{health}"),
    ("Error Code", "{error_code}"),
    ("Error Information", "{error_information}"),
)
BOARD_OF_CARD = (
    ("Software Version", "{driver_version}"),
    ("Firmware Version", "{firmware_version}"),
    ("Compatibility", "OK"),
    ("Board ID", "{board_id}"),
    ("PCB ID", "A"),
    ("BOM ID", "1"),
    ("PCIe Bus Info", "{bus}"),
    ("Slot ID", "{npu_id}"),
    ("Class ID", "NA"),
    ("PCI Vendor ID", "0x19E5"),
    ("PCI Device ID", "{device_id}"),
    ("Subsystem Vendor ID", "0x0200"),
    ("Subsystem Device ID", "0x0100"),
)
_IDENTITY = {
    "": (("Chip ID", "{chip_id}"), ("Chip Type", "Ascend"), ("Chip Name", "{name}")),
    "A3": (("NPU Name", "{npu_name}"), ("Chip ID", "{chip_id}"), ("Chip Name", "{name}")),
    "A5": (("NPU Name", "{npu_name}"), ("Chip Name", "{name}")),
}
BOARD_OF_CHIP = (
    ("Chip Version", "V1"),
    ("Board ID", "{board_id}"),
    ("PCB ID", "NA"),
    ("BOM ID", "1"),
    ("VDie ID", "00000000 00000000 00000000 00000000 {logic_id:08X}"),
    ("NDie ID", "00000000 00000000 00000000 00000001 {logic_id:08X}"),
    ("Chip Position ID", "{chip_id}"),
    ("PCIe Bus Info", "{bus}"),
    ("Firmware Version", "{firmware_version}"),
)
# Types the real tool knows and this double does not model.
OTHER_TYPES = (
    "flash sensors temp power volt mac-addr ecc ip sys-time i2c_check work-mode ecc-enable "
    "p2p-enable ssh-enable license customized-info device-share nve-level aicpu-config pcie-err "
    "mcu-monitor err-count boot-area vnpu-mode info-vnpu vnpu-svm cpu-num-cfg phyid-remap topo "
    "first-power-on-date vnpu-cfg-recover key-manage template-info pkcs-enable p2p-mem-cfg "
    "pwm-mode pwm-duty-ratio boot-select"
)

BAD_PARAMETER, NO_DEVICE, UNSUPPORTED = -8001, -8008, -8255
USAGE = """\
npu-smi (test double of ascend.fleet)
  npu-smi info                         table of all NPUs and their processes
  npu-smi info -l                      NPUs and their number of chips
  npu-smi info -m                      ids of NPU, chip and logic device
  npu-smi info -t TYPE -i NPU [-c CHIP]
                                       TYPE: board common usages memory health product proc-mem
  npu-smi info -h, npu-smi -h          this text
  npu-smi -v                           version
"""


def _line(label, value):
    return f"\t{label:<30} : {value}\n"


def _rows(rows, view):
    return "".join(_line(label, template.format(**view)) for label, template in rows)


def _percent(used, total):
    return used * 100 // total if used and total else 0


def _family(state):
    family = dict(_FAMILY_DEFAULTS, **FAMILIES[state.get("family", "A2")])
    family.update(state.get("family_values") or {})
    return family


def _view(state, chip):
    """Everything a template may name."""
    view = dict(_family(state), **chip)
    view.update(
        driver_version=state.get("driver_version", state["tool_version"]),
        firmware_version=state.get("firmware_version", "NA"),
        bus=_text(chip.get("bus_id")),
        power=_power(chip),
        health=_health(chip) or "UNKNOWN",
        ddr_pct=_percent(chip.get("memory_used_mb"), chip.get("memory_total_mb")),
        hbm_pct=_percent(chip.get("hbm_used_mb"), chip.get("hbm_total_mb")),
        hugepages_pct=_percent(chip.get("hugepages_used"), chip.get("hugepages_total")),
    )
    view.setdefault("logic_id", 0)
    return view


def _list(state):
    """``info -l``. A chip marked missing still counts here, unlike in the table."""
    groups = _by_npu(state, missing=True)
    paragraphs = [_line("Total Count", state.get("total_count", len(groups)))]
    for chips in groups:
        text = _line("NPU ID", chips[0]["npu_id"])
        if state.get("family") == "A5":
            text += _rows(PRODUCT_OF_CARD, _view(state, chips[0]))
        else:
            text += _line("Chip Count", len(chips))
        paragraphs.append(text)
    return "\n".join(paragraphs), 0


_MAPPINGS = {
    "": ("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name"),
    "A3": ("NPU ID", "Chip ID", "Chip Logic ID", "Chip Phy-ID", "Chip Name"),
    "A5": ("NPU ID", "Slot ID", "Chip ID", "Chip Phy-ID", "Chip Name"),
}


def _columns(values):
    return " ".join(f"{value!s:<30}" for value in values)


def _mapping(state):
    """``info -m``: fixed columns of 31 characters."""
    groups = _by_npu(state)
    if not groups:
        return "There is no NPU card on this server.\n", NO_DEVICE
    columns = _MAPPINGS.get(state.get("family"), _MAPPINGS[""])
    lines = [_columns(columns)]
    for chips in groups:
        for chip in chips:
            name = chip["name"]
            values = {
                "NPU ID": chip["npu_id"],
                "Slot ID": chip["npu_id"],
                "Chip ID": chip["chip_id"],
                "Chip Logic ID": chip.get("logic_id"),
                "Chip Phy-ID": chip.get("phy_id"),
                "Chip Name": name if name.startswith("Ascend") else "Ascend " + name,
            }
            fixed = _columns(_text(values[column]) for column in columns[:-1])
            lines.append(f"{fixed} {values['Chip Name']}")
        if _family(state)["mcu"]:
            ids = [chips[0]["npu_id"], chips[-1]["chip_id"] + 1] + ["-"] * (len(columns) - 3)
            lines.append(_columns([*ids, "Mcu"]))
    return "".join("\t" + line + "\n" for line in lines), 0


def _report(state, kind, npu_id, chip_id):
    """``info -t kind -i npu [-c chip]``."""
    if kind in OTHER_TYPES.split() or (kind == "product" and _family(state)["product"] is None):
        return f"This device does not support querying {kind}.\n", UNSUPPORTED
    if kind not in REPORTS and kind not in ("board", "proc-mem"):
        return "Error parameter of -t\n", BAD_PARAMETER
    groups = {chips[0]["npu_id"]: chips for chips in _by_npu(state)}
    if npu_id not in groups:
        return "Error parameter of -i\n", BAD_PARAMETER
    chips = groups[npu_id]
    if chip_id is not None:
        chips = [chip for chip in chips if chip["chip_id"] == chip_id]
        if not chips:
            return "Error parameter of -c\n", BAD_PARAMETER
    if kind == "board":
        return _board(state, chips, chip_id is not None), 0
    if kind == "proc-mem":
        return _process_memory(state, chips), 0
    return _paragraphs(state, kind, chips, chip_id is not None), 0


def _paragraphs(state, kind, chips, one_chip):
    """One paragraph a chip. The chip's id leads it in `common` and ends it everywhere else."""
    family = state.get("family", "A2")
    rows, mcu_rows = REPORTS[kind].get(family, REPORTS[kind][""])
    if one_chip:
        rows = HEALTH_OF_CHIP if kind == "health" else rows
        return _rows(rows, _view(state, chips[0]))
    head = _line("NPU ID", chips[0]["npu_id"])
    if family == "A5":
        return head + _rows(rows, _view(state, chips[0]))
    paragraphs = [head + _line("Chip Count", len(chips))]
    for chip in chips:
        marker = _line("Chip ID", chip["chip_id"])
        text = _rows(rows, _view(state, chip))
        paragraphs.append(marker + text if kind == "common" else text + marker)
    if mcu_rows and _family(state)["mcu"]:
        view = _view(state, chips[0])
        mcu = dict(view, temp_c=view["mcu_temp_c"], power=view["mcu_power_w"])
        paragraphs.append(_rows(mcu_rows, mcu))
    return "\n".join(paragraphs)


def _board(state, chips, one_chip):
    view = _view(state, chips[0])
    text = _line("NPU ID", chips[0]["npu_id"])
    if one_chip:
        identity = _IDENTITY.get(state.get("family"), _IDENTITY[""])
        return text + _rows(identity + BOARD_OF_CHIP, view)
    return text + _rows(BOARD_OF_CARD, view) + _line("Chip Count", len(chips))


def _process_memory(state, chips):
    shown = _listed(state, chips, PROCESS_TABLES["mb"])
    if not shown:
        return "No process in device.\n"
    return "".join(
        f"Process id:{process['pid']:<8}Process name:{process['name']:<18}"
        f"Process memory(MB):{process.get('memory_mb', 0)}\n"
        for process in shown
    )


# ---------------------------------------------------------------------------------------------
# Faults
# ---------------------------------------------------------------------------------------------
INIT_FAILED = "dcmi module initialize failed. ret is %d\n"
CODE_TEXTS = {
    -8020: "DrvMngGetConsoleLogLevel failed. (ret=4)\n"
    "dcmi model initialized failed, because the device is used. ret is %d\n",
    -9005: "npu get board type failed. ret is %d\n",
}
HELD = {"kind": "code", "code": -8020}


def damage(text: str, faults: list) -> str:
    """The text as these faults leave it: cut, crlf, trailing_blank, prefix; in their order."""
    for fault in faults:
        kind = fault["kind"]
        if kind == "cut" and "lines" in fault:
            text = "".join(text.splitlines(True)[: fault["lines"]])
        elif kind == "cut":
            data = text.encode("utf-8")[: fault["bytes"]]
            text = data.decode("utf-8", "ignore")
        elif kind == "crlf":
            text = text.replace("\n", "\r\n")
        elif kind == "trailing_blank":
            text = text.replace("\n", " \n")
        elif kind == "prefix":
            text = "".join(fault.get("text", "> ") + line for line in text.splitlines(True))
    return text


def _active(state, command):
    faults = list(state.get("faults") or [])
    if state.get("held"):
        faults.insert(0, HELD)
    now = _now() if any("until" in fault for fault in faults) else 0
    return [fault for fault in faults if command in fault.get("on", [command]) and now < fault.get("until", now + 1)]


def _failure(fault):
    """(stdout, stderr, status) of a fault that replaces the answer, else None."""
    kind = fault["kind"]
    if kind == "code":
        template = CODE_TEXTS.get(fault["code"], INIT_FAILED)
        if fault.get("stage") == "execute":
            template = "Failed to execute npu-smi info. ret is %d.\n"
        return template % fault["code"], "", fault["code"] & 0xFF
    if kind == "library":
        text = (
            "npu-smi: error while loading shared libraries: %s: cannot open shared object file: "
            "No such file or directory\n"
        )
        return "", text % fault.get("name", "libc_sec.so"), 127
    if kind == "not_found":
        return "", "bash: line 1: npu-smi: command not found\n", 127
    if kind == "text":
        return fault.get("stdout", ""), fault.get("stderr", ""), fault.get("rc", 0)
    return None


# ---------------------------------------------------------------------------------------------
# Command line
# ---------------------------------------------------------------------------------------------
def answer(state: dict, argv: list) -> tuple:
    """(stdout, stderr, exit status) for these arguments; a hang is left to ``main``."""
    faults = _active(state, _command(argv))
    for fault in faults:
        failure = _failure(fault)
        if failure:
            return failure
    text, code = _query(_current(state), argv)
    for fault in faults:
        if "rc" in fault:
            code = fault["rc"]
    return damage(text, faults), "", code & 0xFF


def _options(argv):
    """{"-t": "board", "-i": "0"}; None when an option lacks its value or is unknown."""
    options = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if word in ("-l", "-m", "-h", "--help"):
            options[word] = True
        elif word in ("-t", "-i", "-c", "-p") and words:
            options[word] = words.pop(0)
        else:
            return None
    return options


def _command(argv):
    """Name of the query, as the "on" list of a fault spells it."""
    options = _options(argv[1:]) or {}
    if argv[:1] != ["info"]:
        return "other"
    return options.get("-t") or ("-l" if "-l" in options else "-m" if "-m" in options else "info")


def _query(state, argv):
    if argv in ([], ["-h"], ["--help"]):
        return USAGE, 0
    if argv == ["-v"]:
        return f"npu-smi version: {state['tool_version']}\n", 0
    options = _options(argv[1:])
    if argv[0] != "info" or options is None:
        return "Command or option is not found.\n", BAD_PARAMETER
    if "-h" in options or "--help" in options:
        return USAGE, 0
    if "-l" in options:
        return _list(state)
    if "-m" in options:
        return _mapping(state)
    if "-t" in options:
        return _typed(state, options)
    if options:
        return "Command or option is not found.\n", BAD_PARAMETER
    return _info(state), 0


def _typed(state, options):
    numbers = {}
    for name in ("-i", "-c"):
        value = options.get(name)
        if value is not None and not value.isdigit():
            return f"Error parameter of {name}\n", BAD_PARAMETER
        numbers[name] = None if value is None else int(value)
    if numbers["-i"] is None:
        return "Error parameter of -i\n", BAD_PARAMETER
    return _report(state, options["-t"], numbers["-i"], numbers["-c"])


def _hang(fault, text):
    """Print what the tool got to, then wait until somebody kills this process."""
    import signal

    if fault.get("ignore_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lines = text.splitlines(True)[: fault.get("after_lines", 0)]
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
    while True:
        signal.pause()


def main(argv: list) -> int:
    path = os.environ.get("ASCEND_SIM_STATE", STATE_FILE)
    try:
        with open(path, encoding="utf-8") as stream:
            state = json.load(stream)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulated npu-smi: cannot read the state: {error}\n")
        return 2
    if state.get("call_log"):
        with open(state["call_log"], "a", encoding="utf-8") as log:
            log.write(json.dumps(argv) + "\n")
    for fault in _active(state, _command(argv)):
        if fault["kind"] == "slow":
            __import__("time").sleep(fault["seconds"])
        if fault["kind"] == "hang":
            _hang(fault, _query(_current(state), argv)[0])
    stdout, stderr, status = answer(state, argv)
    sys.stderr.write(stderr)
    sys.stdout.buffer.write(stdout.encode("utf-8"))
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
