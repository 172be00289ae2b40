# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the texts of a failing npu-smi to cause, remedy and check."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._npu_errors import Surroundings, explain, no_tool

HOST = Surroundings("npu-smi", as_root=True, nodes=True, driver=True, holders=tuple)
FAILED = "dcmi module initialize failed. ret is {}\n"
USED = (
    "DrvMngGetConsoleLogLevel failed. (ret=4)\n"
    "dcmi model initialized failed, because the device is used. ret is -8020\n"
)
LOADER = (
    "npu-smi: error while loading shared libraries: {}: cannot open shared object file: No such file or directory\n"
)


@pytest.mark.parametrize(
    ("out", "err", "rc", "check", "says"),
    [
        (USED, "", 172, "npu-held", "-8020"),
        (USED + "npu get board type failed. ret is -9005\n", "", 172, "npu-held", "-8020"),
        (FAILED.format(-8005), "", 187, "npu-driver-reboot", "not rebooted"),
        (FAILED.format(-8002), "", 190, "npu-permission", "-8002"),
        (FAILED.format(-8006), "", 186, "npu-hang", "-8006"),
        (FAILED.format(-8008), "", 184, "npu-driver-missing", "no device"),
        (FAILED.format(-99998), "", 1, "npu-driver-missing", "too old"),
        (FAILED.format(-99999), "", 1, "npu-library", "libdcmi.so"),
        (FAILED.format(-8042), "", 1, "npu-output", "unknown code -8042"),
        ("npu get board type failed. ret is -9005\n", "", 211, "npu-driver-missing", "-9005"),
        ("Failed to execute npu-smi info. ret is -8255.\n", "", 193, "npu-output", "not support"),
        ("", LOADER.format("libc_sec.so"), 127, "npu-library", "libc_sec.so"),
        (LOADER.format("libdrvdsmi_host.so"), "", 0, "npu-library", "libdrvdsmi_host.so"),
        ("", "bash: line 1: npu-smi: command not found\n", 127, "npu-tool-missing", "command not found"),
        ("npu-smi: command not found\n", "", 0, "npu-tool-missing", "command not found"),
        ("", "/opt/npu-smi: 第 3 行：npu-smi：未找到命令\n", 1, "npu-tool-missing", "未找到命令"),
        ("", "/opt/npu-smi: 第 3 行：/dev/davinci_manager: 权限不够\n", 1, "npu-permission", "权限不够"),
        ("", "[Errno 13] Permission denied: 'npu-smi'", 126, "npu-permission", "may not be run"),
        ("There is no NPU card on this server.\n", "", 0, "npu-driver-missing", "no NPU card"),
        ("", "", 0, "npu-output", "printed nothing"),
        ("hello\n", "", 3, "npu-output", "'hello' (status 3)"),
        ("", "", -11, "npu-output", "killed by signal 11"),
        ("", "[Errno 8] Exec format error: 'npu-smi'", 126, "npu-tool-missing", "no program for this machine"),
    ],
)
def test_a_text_has_a_cause(out: str, err: str, rc: int, check: str, says: str) -> None:
    cause = explain(out, err, rc, HOST)
    assert cause.check == check
    assert says in cause.cause
    assert cause.remedy.endswith(".")


@pytest.mark.parametrize(("as_root", "remedy"), [(True, "executed"), (False, "become")])
def test_who_is_root_is_not_told_to_become_it(as_root: bool, remedy: str) -> None:
    assert remedy in explain("", "[Errno 13] Permission denied", 126, HOST._replace(as_root=as_root)).remedy


def test_a_container_that_holds_the_cards_is_named() -> None:
    cause = explain(USED, "", 172, HOST._replace(holders=lambda: ["notebook"]))
    assert "held by container notebook" in cause.cause
    assert "notebook" in cause.remedy
    both = explain(FAILED.format(-8005), "", 187, HOST._replace(holders=lambda: ["a", "b"]))
    assert "container a, b" in both.cause


def test_nobody_is_asked_for_holders_where_they_explain_nothing() -> None:
    def ask() -> list[str]:
        raise AssertionError("asked")

    assert explain("", LOADER.format("libc_sec.so"), 127, HOST._replace(holders=ask)).check == "npu-library"


def test_an_ordinary_user_is_told_to_become_root() -> None:
    cause = explain(FAILED.format(-8005), "", 187, HOST._replace(as_root=False))
    assert cause.check == "npu-permission"
    assert "become" in cause.remedy
    assert "Reboot" in cause.remedy


def test_a_driver_that_is_not_loaded_is_named() -> None:
    assert "not loaded" in explain(FAILED.format(-8005), "", 187, HOST._replace(nodes=False)).cause


@pytest.mark.parametrize(
    ("nodes", "driver", "check"),
    [
        (False, False, "npu-driver-missing"),
        (False, True, "npu-driver-reboot"),
        (True, True, "npu-tool-missing"),
    ],
)
def test_cards_without_a_tool(nodes: bool, driver: bool, check: str) -> None:
    assert no_tool(HOST._replace(nodes=nodes, driver=driver), ["/usr/local/sbin"]).check == check
