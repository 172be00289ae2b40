# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated npu-smi against recorded output, where recordings are at hand.

A state is built from the recorded values and has to render to the recorded bytes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import hccn_tool
import npu_smi
import pytest

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "npu-samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no recorded npu-smi output in {SAMPLES}")

NO_PROCESSES = {"process_table": "none"}
CRLF = [{"kind": "crlf"}]
TRAILING_BLANK = [{"kind": "trailing_blank"}]

# recording, layout, state keys, damage the recording has. Recordings that were edited or elided by
# hand in the middle (011 015 019 022 024 039) are no output of the tool and are left out.
TABLES = [
    ("001", "L1", {}, []),
    ("003", "L2", {}, []),
    ("004", "L2", {}, []),
    ("005", "L1", {}, []),
    ("006", "L2", {}, []),
    ("007", "L1", {}, []),
    ("008", "L3-93", NO_PROCESSES, []),
    ("010", "L4-94", NO_PROCESSES, []),
    ("012", "L4-98", NO_PROCESSES, CRLF),
    ("017", "L4", {}, TRAILING_BLANK),
    ("020", "L3", {}, []),
    ("023", "L3", NO_PROCESSES, []),
    ("026", "L4", {}, []),
    ("028", "L3", {"show_phy_id": True}, []),
    ("032", "L3", {"show_phy_id": True}, []),
    ("033", "L4", {}, []),
    ("040", "L5", {}, []),
    ("046", "L5", {}, []),
]
# Recordings whose paste ends early: what is there has to be the beginning of what we print.
ENDS_EARLY = {"020", "040", "046"}


def sample(number: str) -> tuple[str, dict]:
    (text,) = SAMPLES.glob(f"{number}-*.txt")
    expected = text.with_name(text.name.replace(".txt", ".expected.json"))
    return text.read_bytes().decode(), json.loads(expected.read_text())


def recorded_state(number: str, layout: str, more: dict) -> dict:
    text, expected = sample(number)
    no_power = "-" if more.get("show_phy_id") else "NA"
    chips = [dict(chip, power_w=no_power if chip["power_w"] is None else chip["power_w"]) for chip in expected["npus"]]
    return {
        "layout": layout,
        "tool_version": expected["version"],
        "driver_version": re.search(r"Version: (\S+)", text)[1],
        "chips": chips,
        "processes": expected["processes"],
        **more,
    }


@pytest.mark.parametrize(("number", "layout", "more", "damage"), TABLES, ids=[row[0] for row in TABLES])
def test_recorded_values_render_to_the_recorded_bytes(number, layout, more, damage):
    recorded = sample(number)[0].rstrip("\r\n")
    rendered = npu_smi.damage(npu_smi.render_info(recorded_state(number, layout, more)), damage).rstrip("\r\n")
    if number in ENDS_EARLY:
        assert recorded
        assert rendered[: len(recorded)].splitlines() == recorded.splitlines()
    else:
        assert rendered.splitlines() == recorded.splitlines()
        assert rendered == recorded


def test_the_anonymised_910_recording_differs_in_blanks_only():
    rendered = npu_smi.render_info(recorded_state("016", "L3", {}))
    assert rendered.split() == sample("016")[0].split()


@pytest.mark.parametrize(("number", "layout", "more", "damage"), TABLES, ids=[row[0] for row in TABLES])
def test_the_oracle_gives_the_recorded_values(number, layout, more, damage):
    shown = npu_smi.values_shown(recorded_state(number, layout, more))
    assert shown == sample(number)[1]


def lines_of(text: str) -> list[str]:
    """Lines without the indentation and the padding that copying a terminal changes."""
    return [line.strip() for line in text.splitlines()]


def state_a2(**more) -> dict:
    return npu_smi.default_state("910B4", 8, **more)


def state_duo() -> dict:
    state = npu_smi.default_state("310P3-duo", 4)
    for chip, npu_id in zip(state["chips"], (1, 1, 2, 2, 4, 4, 5, 5), strict=True):
        chip["npu_id"] = npu_id
        chip["name"] = "xxx"
    return state


def first_chip(soc: str, family_values: dict | None = None, npu_id: int = 0, **values) -> dict:
    state = npu_smi.default_state(soc, 1, family_values=family_values or {})
    for chip in state["chips"]:
        chip["npu_id"] = npu_id
    state["chips"][0].update(values)
    return state


def board_910a() -> dict:
    state = first_chip("910A", bus_id="0000:61:00.0")
    return dict(state, driver_version="23.0.5", firmware_version="7.1.0.7.220")


def serials_950() -> dict:
    state = npu_smi.default_state("950PR", 2, family_values={"product_name": "A310-50-C00MM304A1"})
    for chip, npu_id in zip(state["chips"], (0, 3), strict=True):
        chip.update(npu_id=npu_id, serial=f"serial-{npu_id}")
    return state


def processes_910b3() -> dict:
    process = {"npu_id": 0, "chip_id": 0, "pid": 207795, "name": "VLLMEngineCor", "memory_mb": 55436}
    return npu_smi.default_state("910B3", 1, processes=[process])


def product_duo() -> dict:
    state = npu_smi.default_state("310P3-duo", 1)
    for chip, memory in zip(state["chips"], (44278, 43693), strict=True):
        chip.update(npu_id=2944, memory_total_mb=memory)
    return state


# recording, arguments, state; all but the copying-dependent indentation has to be equal.
QUERIES = [
    ("100", "-l", state_a2()),
    ("101", "-l", serials_950()),
    ("102", "-m", state_a2()),
    ("103", "-m", npu_smi.default_state("910A", 8)),
    ("104", "-m", state_duo()),
    ("110", "-t board -i 0", board_910a()),
    ("130", "-t common -i 1", first_chip("910B1", npu_id=1, temp_c=46, power_w=93.4, hbm_used_mb=2700)),
    (
        "132",
        "-t common -i 0",
        first_chip("950PR", temp_c=65, power_w=298.6, hbm_used_mb=5000),
    ),
    ("120", "-t usages -i 0", first_chip("910A", memory_used_mb=900, memory_total_mb=13553, hbm_total_mb=31129)),
    ("121", "-t usages -i 0", first_chip("910B1", hbm_used_mb=2700)),
    ("140", "-t memory -i 0", first_chip("950PR", family_values={"hbm_temp_c": 63})),
    ("141", "-t memory -i 0 -c 0", npu_smi.default_state("910B3", 1)),
    ("142", "-t memory -i 2944", product_duo()),
    ("150", "-t health -i 0 -c 0", npu_smi.default_state("910A", 1)),
    ("152", "-t health -i 2944", product_duo()),
    ("170", "-t product -i 2944", product_duo()),
    ("180", "-t proc-mem -i 0 -c 0", processes_910b3()),
]


@pytest.mark.parametrize(("number", "query", "state"), QUERIES, ids=[row[0] for row in QUERIES])
def test_other_queries_print_the_recorded_lines(number, query, state):
    stdout, stderr, status = npu_smi.answer(state, ["info", *query.split()])
    assert (stderr, status) == ("", 0)
    assert lines_of(stdout) == lines_of(sample(number)[0].rstrip("\n"))


@pytest.mark.parametrize(
    ("number", "soc", "fault"),
    [
        ("053", "910B4", {"held": True}),
        ("053", "A3", {"faults": [{"kind": "code", "code": -8020}]}),
        ("058", "910B4", {"faults": [{"kind": "library"}]}),
        ("060", "910B4", {"faults": [{"kind": "not_found"}]}),
    ],
)
def test_errors_are_the_recorded_ones(number, soc, fault):
    stdout, stderr, _status = npu_smi.answer(npu_smi.default_state(soc, 1, **fault), ["info"])
    assert (stdout + stderr).removeprefix("bash: ").strip() == sample_text(number)


def sample_text(number: str) -> str:
    (path,) = SAMPLES.glob(f"{number}-*.txt")
    return path.read_text().strip()


@pytest.mark.parametrize(
    ("number", "query", "device"),
    [
        ("210", ["-ip"], {"ip": "192.161.200.10"}),
        ("211", ["-link"], {}),
        ("212", ["-net_health"], {"net_health": "Socket failed"}),
        ("216", ["-netdetect", "-gateway"], {"netdetect": "11.12.165.1", "gateway": "11.12.165.1"}),
        ("217", ["-fec"], {"fec": "no FEC mode"}),
    ],
)
def test_hccn_tool_prints_the_recorded_lines(number, query, device):
    state = npu_smi.default_state("910B4", 1, hccn={"0": device})
    answers = [hccn_tool.answer(state, ["-i", "0", what, "-g"]) for what in query]
    assert "".join(text for text, _status in answers).strip() == sample_text(number)


def test_hccn_tool_of_the_a5_prints_the_recorded_ports():
    ports = [
        {"udie": 0, "port": 4, "speed": 200, "type": "ETH", "link": "DOWN", "media": "Electrical"},
        {"udie": 0, "port": 5, "speed": 200, "type": "ETH", "link": "UP", "media": "Electrical"},
        {"udie": 1, "port": 8, "speed": 200, "type": "UB", "link": "DOWN", "media": "Optical"},
        {"udie": 1, "port": 9, "speed": 200, "type": "UB", "link": "UP", "media": "Optical"},
    ]
    state = npu_smi.default_state("950PR", 1, hccn={"0": {"ports": ports}})
    text, _status = hccn_tool.answer(state, ["-g", "-dev_info", "-i", "0"])
    assert text.strip() == sample_text("203")
