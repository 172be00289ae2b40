# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated npu-smi as a program: copied away, run as it is on a node, with its failures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import npu_smi
import pytest


def interpreters() -> dict[str, str]:
    """This Python, and the oldest supported one where the machine has it."""
    found = {"this": sys.executable}
    candidates = [*Path.home().glob(".pyenv/versions/3.8.*/bin/python"), *Path("/usr/bin").glob("python3.8")]
    if candidates:
        found["3.8"] = str(candidates[0])
    return found


PYTHONS = interpreters()
WAIT = 20


class Node:
    """A folder that holds the program under its real name and its state."""

    def __init__(self, folder: Path, python: str) -> None:
        self.program = folder / "npu-smi"
        self.state = folder / "state.json"
        self.environment = {**os.environ, "ASCEND_SIM_STATE": str(self.state), "ASCEND_SIM_PYTHON": python}
        shutil.copy(npu_smi.__file__, self.program)
        self.set(npu_smi.default_state("910B4", 2))

    def set(self, state: dict) -> None:
        self.state.write_text(json.dumps(state))

    def fault(self, *faults: dict, **more) -> None:
        self.set(npu_smi.default_state("910B4", 2, faults=list(faults), **more))

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        with self.start(*argv) as process:
            out, err = process.communicate(timeout=WAIT)
        return subprocess.CompletedProcess(argv, process.returncode, out.decode(), err.decode())

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.program, *argv], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


@pytest.fixture(params=PYTHONS)
def node(request, tmp_path) -> Node:
    return Node(tmp_path, PYTHONS[request.param])


def test_it_prints_the_table_of_its_state(node):
    result = node.run("info")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == npu_smi.render_info(npu_smi.default_state("910B4", 2))


def test_without_a_state_it_says_that_it_is_a_simulation(node):
    node.state.unlink()
    result = node.run("info")
    assert result.returncode == 2
    assert "simulated npu-smi" in result.stderr
    assert str(node.state) in result.stderr


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (-8005, 187, "dcmi module initialize failed. ret is -8005\n"),
        (-8008, 184, "dcmi module initialize failed. ret is -8008\n"),
        (-8020, 172, "dcmi model initialized failed, because the device is used. ret is -8020\n"),
        (-9005, 211, "npu get board type failed. ret is -9005\n"),
        (-99998, 98, "dcmi module initialize failed. ret is -99998\n"),
    ],
)
def test_codes_go_to_stdout_with_their_low_byte_as_status(node, code, status, text):
    node.fault({"kind": "code", "code": code})
    result = node.run("info")
    assert (result.returncode, result.stderr) == (status, "")
    assert result.stdout.endswith(text)
    assert "+--" not in result.stdout


def test_a_code_of_the_execution(node):
    node.fault({"kind": "code", "code": -8255, "stage": "execute"})
    result = node.run("info")
    assert (result.returncode, result.stdout) == (193, "Failed to execute npu-smi info. ret is -8255.\n")


def test_a_held_device(node):
    node.fault(held=True)
    result = node.run("info")
    assert result.returncode == 172
    assert "because the device is used. ret is -8020" in result.stdout


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"kind": "library"}, "error while loading shared libraries: libc_sec.so:"),
        ({"kind": "library", "name": "libdrvdsmi_host.so"}, "shared libraries: libdrvdsmi_host.so:"),
        ({"kind": "not_found"}, "npu-smi: command not found"),
    ],
)
def test_loader_and_shell_errors_go_to_stderr(node, fault, text):
    node.fault(fault)
    result = node.run("info")
    assert (result.returncode, result.stdout) == (127, "")
    assert text in result.stderr


def test_any_text_and_status(node):
    node.fault({"kind": "text", "stdout": "half a word", "stderr": "noise", "rc": 3})
    result = node.run("info")
    assert (result.stdout, result.stderr, result.returncode) == ("half a word", "noise", 3)


def test_damaged_output_keeps_its_bytes_and_may_have_a_status(node):
    node.fault({"kind": "crlf"}, {"kind": "cut", "bytes": 150, "rc": 5})
    result = node.run("info")
    assert result.returncode == 5
    assert result.stdout == npu_smi.render_info(npu_smi.default_state("910B4", 2)).replace("\n", "\r\n")[:150]


def test_a_fault_may_concern_some_queries_only(node):
    node.fault({"kind": "code", "code": -8005, "on": ["board", "-m"]})
    assert node.run("info").returncode == 0
    assert node.run("info", "-l").returncode == 0
    assert node.run("info", "-m").returncode == 187
    assert node.run("info", "-t", "board", "-i", "0").returncode == 187


def test_a_fault_may_pass(node):
    node.fault({"kind": "code", "code": -8005, "until": time.time() - 1})
    assert node.run("info").returncode == 0
    node.fault({"kind": "code", "code": -8005, "until": time.time() + 600})
    assert node.run("info").returncode == 187


@pytest.mark.parametrize(("ignore_term", "ending"), [(False, signal.SIGTERM), (True, signal.SIGKILL)])
def test_a_hang_lasts_until_somebody_kills_it(node, ignore_term, ending):
    node.fault({"kind": "hang", "after_lines": 2, "ignore_term": ignore_term})
    with node.start("info") as process:
        assert process.stdout.readline().startswith(b"+--")
        assert process.stdout.readline().startswith(b"| npu-smi 25.2.0 ")
        process.terminate()
        if ignore_term:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.kill()
        assert process.wait(WAIT) == -ending


def test_calls_are_logged_on_request(node, tmp_path):
    log = tmp_path / "calls"
    node.fault(call_log=str(log))
    node.run("info")
    node.run("info", "-t", "board", "-i", "0")
    assert [json.loads(line) for line in log.read_text().splitlines()] == [
        ["info"],
        ["info", "-t", "board", "-i", "0"],
    ]


# --- arguments -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("soc", "argv", "status", "text"),
    [
        ("910B4", "", 0, "npu-smi (test double of ascend.fleet)\n"),
        ("910B4", "-h", 0, "npu-smi (test double of ascend.fleet)\n"),
        ("910B4", "info -h", 0, "npu-smi (test double of ascend.fleet)\n"),
        ("910B4", "-v", 0, "npu-smi version: 25.2.0\n"),
        ("910B4", "info -t nonsense -i 0", 191, "Error parameter of -t\n"),
        ("910B4", "info -t board -i 7", 191, "Error parameter of -i\n"),
        ("910B4", "info -t board -i x", 191, "Error parameter of -i\n"),
        ("910B4", "info -t board", 191, "Error parameter of -i\n"),
        ("910B4", "info -t board -i 0 -c 1", 191, "Error parameter of -c\n"),
        ("910B4", "info -t topo -i 0", 193, "This device does not support querying topo.\n"),
        ("A3", "info -t product -i 0", 193, "This device does not support querying product.\n"),
        ("310P3-duo", "info -t product -i 1", 0, "\tNPU ID                         : 1\n"),
        ("910B4", "set -t x", 191, "Command or option is not found.\n"),
        ("910B4", "info --json", 191, "Command or option is not found.\n"),
        ("910B4", "info -t proc-mem -i 0", 0, "No process in device.\n"),
    ],
)
def test_arguments(soc, argv, status, text):
    stdout, stderr, code = npu_smi.answer(npu_smi.default_state(soc, 1), argv.split())
    assert (code, stderr) == (status, "")
    assert stdout.startswith(text)


@pytest.mark.parametrize("query", ["common", "usages", "memory", "health", "product", "board"])
@pytest.mark.parametrize("soc", npu_smi.SOCS)
def test_every_soc_answers_every_query_or_says_that_it_cannot(soc, query):
    state = npu_smi.default_state(soc, 2)
    npu_id = str(state["chips"][0]["npu_id"])
    for chip in ([], ["-c", "0"]):
        stdout, _stderr, status = npu_smi.answer(state, ["info", "-t", query, "-i", npu_id, *chip])
        assert (status, "does not support" in stdout) in [(0, False), (193, True)]
        assert "None" not in stdout
        assert status or " : " in stdout


@pytest.mark.parametrize(
    ("query", "first"),
    [("common", True), ("usages", False), ("memory", False), ("health", False)],
)
def test_the_chip_id_leads_a_paragraph_of_common_and_ends_the_others(query, first):
    state = npu_smi.default_state("A3", 1)
    stdout, _stderr, _status = npu_smi.answer(state, ["info", "-t", query, "-i", "0"])
    for paragraph in stdout.split("\n\n")[1:3]:
        lines = paragraph.splitlines()
        assert "Chip ID" in lines[0 if first else -1]


@pytest.mark.parametrize(("soc", "name"), [("A3", "9392"), ("950PR", "9579")])
def test_boards_of_a3_and_a5_have_an_npu_name(soc, name):
    stdout, _stderr, _status = npu_smi.answer(
        npu_smi.default_state(soc, 1), ["info", "-t", "board", "-i", "0", "-c", "0"]
    )
    assert f"NPU Name                       : {name}\n" in stdout


@pytest.mark.parametrize("query", ["common", "memory", "usages"])
def test_a5_prints_neither_chip_count_nor_chip_id(query):
    stdout, _stderr, status = npu_smi.answer(npu_smi.default_state("950PR", 1), ["info", "-t", query, "-i", "0"])
    assert status == 0
    assert "Chip" not in stdout


def test_a_server_without_cards():
    state = npu_smi.default_state("910B4", 0)
    assert npu_smi.answer(state, ["info", "-m"]) == ("There is no NPU card on this server.\n", "", 184)
    assert npu_smi.answer(state, ["info", "-l"]) == ("\tTotal Count                    : 0\n", "", 0)


def test_the_total_count_may_differ_from_the_table():
    state = npu_smi.default_state("910B4", 7, total_count=8)
    assert "Total Count                    : 8\n" in npu_smi.answer(state, ["info", "-l"])[0]
    assert len(npu_smi.values_shown(state)["npus"]) == 7
