# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated hccn_tool: queries, the two orders of arguments, failures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import hccn_tool
import npu_smi
import pytest

FAILED = ("Cmd execute failed!\n", 1)
OUT_OF_RANGE = ("Device ID is out of the valid range.\nCmd execute failed!\n", 1)


def ask(soc: str, argv: str, **device) -> tuple[str, int]:
    number = next(word for word in argv.split() if word.isdigit())
    state = npu_smi.default_state(soc, 2, hccn={number: device})
    return hccn_tool.answer(state, argv.split())


@pytest.mark.parametrize(
    ("argv", "device", "text"),
    [
        ("-i 1 -ip -g", {}, "ipaddr:192.168.100.11\nnetmask:255.255.255.0\n"),
        ("-i 0 -link -g", {"link": "DOWN"}, "link status: DOWN\n"),
        ("-i 0 -net_health -g", {}, "net health status: Success\n"),
        ("-i 0 -gateway -g", {"gateway": "10.0.0.1"}, "default gateway:10.0.0.1, Iface:eth0\n"),
        ("-i 0 -netdetect -g", {"netdetect": "10.0.0.1"}, "netdetect address: 10.0.0.1\n"),
        ("-i 1 -fec -g", {}, "fec mode: rs FEC mode\n"),
    ],
)
def test_queries_of_a2_and_a3(argv, device, text):
    assert ask("910B4", argv, **device) == (text, 0)


@pytest.mark.parametrize("switch", [0, 1])
def test_tls_prints_its_switch(switch):
    text, status = ask("910B4", "-i 1 -tls -g", tls=switch)
    assert status == 0
    assert text.startswith(f"dev_id:1, tls switch[{switch}](0:disable, 1:enable), ")


def test_the_id_is_that_of_the_chip_not_of_the_card():
    state = npu_smi.default_state("A3", 2)
    assert hccn_tool.answer(state, ["-i", "3", "-link", "-g"])[1] == 0
    assert hccn_tool.answer(state, ["-i", "4", "-link", "-g"]) == OUT_OF_RANGE


def test_a_card_id_of_a_310_is_out_of_range():
    assert ask("310", "-i 2048 -ip -g") == OUT_OF_RANGE


@pytest.mark.parametrize("what", ["ip", "gateway", "netdetect"])
def test_an_address_that_was_never_set(what):
    assert ask("910B4", f"-i 0 -{what} -g", **{what: None}) == ("no ip was preset\n", 13)


@pytest.mark.parametrize(
    ("device", "received", "loss"),
    [({}, 3, "0.00"), ({"link": "DOWN"}, 0, "100.00"), ({"unreachable": ["10.0.0.9"]}, 0, "100.00")],
)
def test_ping(device, received, loss):
    text, status = ask("910B4", "-i 0 -ping -g address 10.0.0.9", **device)
    lines = text.splitlines()
    assert status == 0
    assert lines[0] == "device 0 PING 10.0.0.9"
    assert lines[-1] == f"3 packets transmitted, {received} received, {loss}% packet loss"
    assert sum(line.startswith("recv seq=") for line in lines) == received
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("soc", "argv", "expected"),
    [
        ("950PR", "-g -ip -i 0", ("ipaddr:192.168.100.10\nnetmask:255.255.255.0\n", 0)),
        ("950PR", "-g -link -i 0 -u 1 -p 8", ("link status: UP\n", 0)),
        ("950PR", "-g -link -i 0 -u 1 -p 9", OUT_OF_RANGE),
        ("950PR", "-i 0 -ip -g", FAILED),
        ("910B4", "-g -ip -i 0", FAILED),
        ("910B4", "-i 0 -nonsense -g", FAILED),
        ("910B4", "-i 0 -dev_info -g", FAILED),
        ("910B4", "-i 0 -ping -g", FAILED),
        ("910B4", "-i 0 -ip", FAILED),
    ],
)
def test_each_generation_has_its_order(soc, argv, expected):
    assert ask(soc, argv) == expected


def test_a_fault_of_one_device():
    busy = {"text": "hccn_tool is busy, please try again\n", "rc": 1}
    assert ask("910B4", "-i 0 -link -g", fault=busy) == (busy["text"], 1)


def test_it_runs_as_a_program(tmp_path):
    program, state = tmp_path / "hccn_tool", tmp_path / "state.json"
    shutil.copy(hccn_tool.__file__, program)
    environment = {**os.environ, "ASCEND_SIM_STATE": str(state), "ASCEND_SIM_PYTHON": sys.executable}

    def run() -> subprocess.CompletedProcess[str]:
        argv = [program, "-i", "0", "-link", "-g"]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=20, check=False)

    without_state = run()
    assert without_state.returncode == 2
    assert "simulated hccn_tool" in without_state.stderr
    state.write_text(json.dumps(npu_smi.default_state("910B4", 1)))
    assert (run().stdout, run().returncode) == ("link status: UP\n", 0)
