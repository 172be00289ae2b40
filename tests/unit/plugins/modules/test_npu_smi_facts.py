# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module npu_smi_facts as people call it: ``ansible localhost -m``, with programs that print tables and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import npu_smi as simulator
import pytest

TABLES = Path(__file__).resolve().parents[1] / "module_utils" / "npu_tables"
ANSIBLE = Path(sys.executable).parent / "ansible"


class Call:
    """Runs the module and gives its result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "npu-smi"

    def prints(self, text: str, status: int = 0) -> None:
        """A program that prints the same whatever it is asked."""
        output = self.folder / "output.txt"
        output.write_text(text)
        self.script(f"cat {output}\nexit {status}\n")

    def script(self, lines: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{lines}")
        self.program.chmod(0o755)

    def __call__(self, *flags: str, **options: Any) -> dict[str, Any]:
        options = {"sysfs": str(self.folder), "dev": str(self.folder), **options}
        configuration = self.folder / "ansible.cfg"
        configuration.touch()
        environment = {
            **os.environ,
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "json",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CONFIG": str(configuration),
        }
        module = ["-m", "ascend.fleet.npu_smi_facts", "-a", json.dumps(options)]
        command = [str(ANSIBLE), "localhost", *module, *flags]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        start = result.stdout.find("{")
        assert start >= 0, result.stdout + result.stderr
        document = json.loads(result.stdout[start:])
        return document["plays"][0]["tasks"][0]["hosts"]["localhost"] if "plays" in document else document


@pytest.fixture
def call(tmp_path: Path) -> Call:
    return Call(tmp_path)


@pytest.mark.parametrize(("table", "chips"), [("L1", 3), ("L2", 2), ("L3-A3", 4), ("L3w", 1), ("L4", 4), ("L5", 2)])
def test_any_program_that_prints_a_table(call: Call, table: str, chips: int) -> None:
    call.prints((TABLES / f"{table}.txt").read_text())
    result = call(npu_smi=str(call.program))
    assert not result.get("failed"), result
    assert result["changed"] is False
    assert set(result["ansible_facts"]) == {"ascend_npu"}
    facts = result["ansible_facts"]["ascend_npu"]
    assert facts["present"] is True
    assert len(facts["npus"]) == chips
    assert "error" not in facts


def test_check_mode_reads_as_well(call: Call) -> None:
    call.prints(simulator.render_info(simulator.default_state("910B4", cards=2)))
    result = call("--check", npu_smi=str(call.program))
    assert len(result["ansible_facts"]["ascend_npu"]["npus"]) == 2


def test_no_npus_are_no_failure(call: Call) -> None:
    result = call(ascend_root=str(call.folder))
    facts = result["ansible_facts"]["ascend_npu"]
    assert (facts["present"], facts["npus"], facts["total_count"]) == (False, [], 0)


def test_an_error_text_fails_with_cause_and_remedy(call: Call) -> None:
    call.prints("dcmi model initialized failed, because the device is used. ret is -8020\n", 172)
    result = call(npu_smi=str(call.program))
    assert result["failed"] is True
    assert result["check"] == "npu-held"
    assert result["msg"] == f"{result['cause']} {result['remedy']}"
    assert "ansible_facts" not in result


def test_half_a_table_fails(call: Call) -> None:
    text = (TABLES / "L3-A3.txt").read_text()
    call.prints(text[: len(text) // 2])
    result = call(npu_smi=str(call.program))
    assert result["failed"] is True
    assert result["check"] == "npu-output"


def test_a_failure_is_reported_on_request(call: Call) -> None:
    text = (TABLES / "L3-A3.txt").read_text()
    call.prints(text[: len(text) // 2])
    facts = call(npu_smi=str(call.program), on_error="report")["ansible_facts"]["ascend_npu"]
    assert set(facts["error"]) == {"cause", "remedy", "check"}
    call.prints(text)
    assert call(npu_smi=str(call.program), on_error="report")["ansible_facts"]["ascend_npu"]["error"] is None


def test_a_list_of_processes_that_stops_early_is_a_warning(call: Call) -> None:
    text = (TABLES / "L3.txt").read_text()
    call.prints(text[: text.index("| No running")])
    result = call(npu_smi=str(call.program))
    assert len(result["ansible_facts"]["ascend_npu"]["npus"]) == 2
    assert any("says nothing about NPU 1" in str(warning) for warning in result["warnings"])


def test_a_hang_ends_with_the_time_limit(call: Call) -> None:
    call.script("exec sleep 600\n")
    started = time.monotonic()
    result = call(npu_smi=str(call.program), timeout=2)
    assert result["failed"] is True
    assert result["check"] == "npu-hang"
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("options", [{"timeout": 0}, {"on_error": "ignore"}])
def test_wrong_options_are_refused(call: Call, options: dict[str, Any]) -> None:
    assert call(**options)["failed"] is True
