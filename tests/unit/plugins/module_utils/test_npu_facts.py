# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts about NPUs, on a made-up host: what is found, asked, matched and refused."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import npu_smi as simulator
import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_npus
from ansible_collections.ascend.fleet.plugins.module_utils._npu_facts import findings, read
from ansible_collections.ascend.fleet.plugins.module_utils._npu_ids import davinci_ids, soc
from ansible_collections.ascend.fleet.plugins.module_utils._system import Result, System

TOOL = "/usr/local/sbin/npu-smi"
KEYS = [
    "present",
    "tool_version",
    "driver_version",
    "firmware_version",
    "cann_version",
    "soc",
    "total_count",
    "npus",
    "processes",
    "device_nodes",
    "error",
]
CHIP_KEYS = [
    "npu_id",
    "chip_id",
    "logic_id",
    "phy_id",
    "davinci_id",
    "name",
    "health",
    "power_w",
    "temp_c",
    "hugepages_used",
    "hugepages_total",
    "bus_id",
    "aicore_pct",
    "memory_used_mb",
    "memory_total_mb",
    "hbm_used_mb",
    "hbm_total_mb",
]


class Host:
    """A root folder and a tool that answers from a simulated state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[list[str]] = []
        self.environment: dict[str, str] = {}
        self.timeouts: list[float] = []
        self.answer: Callable[[list[str]], Result] = lambda arguments: Result(127, "", "not found")

    def state(self, state: dict[str, Any]) -> None:
        def answer(arguments: list[str]) -> Result:
            out, err, status = simulator.answer(state, arguments)
            return Result(status, out, err)

        self.answer = answer

    def text(self, out: str, rc: int = 0) -> None:
        """A program that prints the same whatever it is asked."""
        self.answer = lambda arguments: Result(rc, out, "")

    def file(self, path: str, text: str = "", mode: int = 0o644) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def tool(self, path: str = TOOL) -> None:
        self.file(path, "#!/bin/false\n", 0o755)

    def nodes(self, *numbers: int) -> None:
        for name in [*(f"davinci{number}" for number in numbers), "davinci_manager", "hisi_hdc", "tty0"]:
            self.file(f"/dev/{name}")

    def pci(self, address: str, vendor: str, device_class: str) -> None:
        self.file(f"/sys/bus/pci/devices/{address}/vendor", f"{vendor}\n")
        self.file(f"/sys/bus/pci/devices/{address}/class", f"{device_class}\n")

    def _run(self, argv: Sequence[str], timeout: float | None, env: dict[str, str] | None, data: str | None) -> Result:
        self.calls.append([argv[0].removeprefix(str(self.root)), *argv[1:]])
        self.environment = env or {}
        self.timeouts.append(timeout or 0)
        return self.answer(list(argv[1:]))

    def read(self, **want: Any) -> dict[str, Any]:
        holders = want.pop("holders", tuple)
        clock = want.pop("clock", lambda: 0.0)
        return read(self.system(), want, holders, clock)

    def system(self) -> System:
        return System(str(self.root), self._run)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", "/opt/tools:/usr/bin")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return Host(tmp_path)


def ids(facts: dict[str, Any], key: str = "davinci_id") -> list[int | None]:
    return [npu[key] for npu in facts["npus"]]


def shown(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: npu[key] for key in npu if key not in ("davinci_id", "logic_id", "phy_id")} for npu in facts["npus"]]


def test_a_host_without_npus(host: Host) -> None:
    host.pci("0000:01:00.0", "0x19e5", "0x020000")  # network card of the vendor
    host.pci("0000:02:00.0", "0x19e5", "0x030000")  # graphics of its management controller
    host.pci("0000:03:00.0", "0x1af4", "0x120000")
    facts = host.read()
    assert list(facts) == KEYS
    assert facts["present"] is False
    assert facts["error"] is None
    assert facts["npus"] == []
    assert host.calls == []
    assert [one["check"] for one in findings(facts)] == ["npu-absent"]
    assert findings(facts, needed=False) == []


@pytest.mark.parametrize(
    ("card", "driver", "node", "check"),
    [
        (True, False, False, "npu-driver-missing"),
        (True, True, False, "npu-driver-reboot"),
        (False, False, True, "npu-tool-missing"),
        (True, True, True, "npu-tool-missing"),
    ],
)
def test_cards_without_tool(host: Host, card: bool, driver: bool, node: bool, check: str) -> None:
    if card:
        host.pci("0000:c1:00.0", "0x19e5", "0x120000")
    if driver:
        host.file("/usr/local/Ascend/driver/version.info", "Version=25.2.0\n")
    if node:
        host.nodes(0)
    facts = host.read()
    assert facts["present"] is True
    assert facts["error"]["check"] == check
    assert facts["total_count"] is None


@pytest.mark.parametrize(
    "places",
    [
        ["/usr/local/Ascend/driver/tools", "/usr/local/sbin", "/usr/local/bin", "/opt/tools"],
        ["/usr/local/sbin", "/usr/local/bin", "/opt/tools"],
        ["/usr/local/bin", "/opt/tools"],
        ["/opt/tools"],
    ],
)
def test_the_tool_is_searched_in_order(host: Host, places: list[str]) -> None:
    for place in places:
        host.tool(f"{place}/npu-smi")
    host.state(simulator.default_state("910B4", cards=1))
    assert host.read()["error"] is None
    assert host.calls[0] == [f"{places[0]}/npu-smi", "info"]


def test_the_libraries_of_the_driver_are_known_to_the_tool(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    host.tool()
    host.file("/etc/ascend_install.info", "Driver_Install_Path_Param=/data/Ascend\nDriver_Install_Status=complete\n")
    host.file("/data/Ascend/driver/version.info", "Version=24.1.0\npackage_version=24.1.0\n")
    host.file("/data/Ascend/firmware/version.info", "Version=7.5.0.3.220\n")
    host.state(simulator.default_state("910B4", cards=1))
    facts = host.read()
    folders = [folder.removeprefix(str(host.root)) for folder in host.environment["LD_LIBRARY_PATH"].split(":")]
    libraries = ["/data/Ascend/driver/lib64", "/data/Ascend/driver/lib64/common", "/data/Ascend/driver/lib64/driver"]
    assert folders == [*libraries, "/opt/lib"]
    assert (facts["driver_version"], facts["firmware_version"]) == ("24.1.0", "7.5.0.3.220")


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("ascend-toolkit/latest/aarch64-linux/ascend_toolkit_install.info", "8.2.RC1"),
        ("cann/x86_64-linux/ascend_toolkit_install.info", "8.5.0"),
        ("cann-9.0.0/aarch64-linux/ascend_toolkit_install.info", "9.0.0"),
        ("nnae/latest/ascend_nnae_install.info", "8.0.RC3"),
    ],
)
def test_version_of_cann(host: Host, path: str, version: str) -> None:
    host.file(f"/usr/local/Ascend/{path}", f"package_name=x\nversion={version}\n")
    assert host.read()["cann_version"] == version


@pytest.mark.parametrize(
    ("chip", "name", "calls"),
    [
        ("310", "Ascend310", 2),
        ("310P3-duo", "Ascend310P3", 2),
        ("310B4", "Ascend310B4", 2),
        ("910A", "Ascend910A", 3),
        ("910B", "Ascend910B", 3),
        ("910ProB", "Ascend910ProB", 3),
        ("910B3", "Ascend910B3", 3),
        ("910B4-1", "Ascend910B4-1", 3),
        ("A3", "Ascend910_9392", 3),
        ("950PR", "Ascend950PR", 3),
    ],
)
def test_every_family_on_a_host(host: Host, chip: str, name: str, calls: int) -> None:
    state = simulator.default_state(chip, cards=4)
    count = len(state["chips"])
    host.tool()
    host.nodes(*range(count))
    host.state(state)
    facts = host.read()
    assert list(facts) == KEYS
    assert all(list(npu) == CHIP_KEYS for npu in facts["npus"])
    expected = simulator.values_shown(state)["npus"]
    assert shown(facts) == [{key: npu[key] for key in npu if key not in ("logic_id", "phy_id")} for npu in expected]
    assert facts["error"] is None
    assert facts["soc"] == name
    assert facts["total_count"] == 4
    assert ids(facts) == list(range(count))
    assert len(host.calls) == calls
    assert findings(facts, count) == []


def test_a_program_that_always_prints_its_table(host: Host) -> None:
    state = simulator.default_state("A3", cards=2)
    host.text(simulator.render_info(state))
    facts = host.read(npu_smi="/opt/program")
    assert {call[0] for call in host.calls} == {"/opt/program"}
    assert facts["present"] is True
    assert facts["error"] is None
    assert facts["total_count"] == 2
    assert facts["soc"] == "Ascend910"
    assert ids(facts) == [0, 1, 2, 3]


@pytest.mark.parametrize("chip", ["310", "310B4", "910A"])
def test_a_table_cut_below_an_npu_is_refused_by_the_count(host: Host, chip: str) -> None:
    state = simulator.default_state(chip, cards=3)
    text = simulator.render_info(state)
    lines = text.splitlines(keepends=True)
    borders = [number for number, line in enumerate(lines) if line.startswith("+=")]
    cut = "".join(lines[: borders[2] + 1])

    def answer(arguments: list[str]) -> Result:
        return Result(0, cut if arguments == ["info"] else simulator.answer(state, arguments)[0], "")

    host.answer = answer
    facts = host.read(npu_smi=TOOL)
    assert facts["error"]["check"] == "npu-count"
    assert "counts 3 NPUs, its table shows 2" in facts["error"]["cause"]


def test_a_chip_that_the_tool_leaves_out(host: Host) -> None:
    state = simulator.default_state("310P3-duo", cards=2)
    state["chips"][1]["missing"] = True
    host.state(state)
    facts = host.read(npu_smi=TOOL)
    assert facts["error"]["check"] == "npu-count"
    assert len(facts["npus"]) == 3


@pytest.mark.parametrize(
    "fault",
    [{"kind": "cut", "bytes": 900}, {"kind": "cut", "lines": 8}, {"kind": "exit", "rc": 3}],
)
def test_half_a_table_is_no_table(host: Host, fault: dict[str, Any]) -> None:
    state = simulator.default_state("910B3", cards=2)
    state["faults"] = [fault]
    host.state(state)
    facts = host.read(npu_smi=TOOL)
    assert facts["error"]["check"] == "npu-output"
    assert len(host.calls) == 1


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"kind": "code", "code": -8005}, "npu-"),
        ({"kind": "code", "code": -8020}, "npu-held"),
        ({"kind": "library"}, "npu-library"),
        ({"kind": "not_found"}, "npu-tool-missing"),
        ({"kind": "text", "stdout": "There is no NPU card on this server.\n"}, "npu-driver-missing"),
    ],
)
def test_a_failing_tool_is_explained(host: Host, fault: dict[str, Any], check: str) -> None:
    state = simulator.default_state("910B3", cards=2)
    state["faults"] = [fault]
    host.state(state)
    host.nodes(0, 1)
    facts = host.read(npu_smi=TOOL, holders=lambda: ["notebook"])
    assert facts["error"]["check"].startswith(check)
    assert facts["present"] is True
    assert facts["npus"] == []
    if check == "npu-held":
        assert "notebook" in facts["error"]["cause"]
    assert findings(facts)[0]["message"] == facts["error"]["cause"]


@contextlib.contextmanager
def engine(path: Path, running: dict[str, bool]) -> Iterator[str]:
    """An engine at a socket of its own; each of its containers has a card."""

    class Handler(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.split("/")[2]
            body: Any = [{"Id": one} for one in running]
            if name in running:
                host = {"Devices": [{"PathOnHost": "/dev/davinci0"}]}
                body = {"Name": f"/{name}", "State": {"Running": running[name]}, "HostConfig": host, "Config": {}}
            raw = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield str(path)
        server.shutdown()


def test_the_engine_of_the_document_names_who_holds_the_cards(host: Host, tmp_path_factory: Any) -> None:
    state = simulator.default_state("910B3", cards=1)
    state["faults"] = [{"kind": "code", "code": -8020}]
    host.state(state)
    host.nodes(0)
    host.tool()
    with engine(tmp_path_factory.mktemp("run") / "own.sock", {"notebook": True, "ended": False}) as socket_path:
        npus = {"needed": True, "expected": None, "npu_smi": TOOL}
        document = {"host": {"npus": npus, "engine": {"socket": socket_path}}}
        facts = _node_npus.read(host.system(), document, {"services"})
    assert facts
    assert "notebook" in facts["error"]["cause"]
    assert "ended" not in facts["error"]["cause"]


def test_one_time_limit_for_all_calls(host: Host) -> None:
    now = [0.0]
    state = simulator.default_state("910B3", cards=1)

    def answer(arguments: list[str]) -> Result:
        now[0] += 6.0
        out, err, status = simulator.answer(state, arguments)
        return Result(status, out, err)

    host.answer = answer
    facts = host.read(npu_smi=TOOL, timeout=10, clock=lambda: now[0])
    assert host.timeouts == [10.0, 4.0]
    assert facts["error"]["check"] == "npu-hang"
    assert "info -m did not answer within 10 s" in facts["error"]["cause"]


def test_a_tool_that_hangs_after_half_its_output(host: Host) -> None:
    host.answer = lambda arguments: Result(-9, "| npu-smi", "", True)
    assert host.read(npu_smi=TOOL)["error"]["check"] == "npu-hang"


def chip(npu: int, logic: int | None = None, phy: int | None = None) -> dict[str, Any]:
    return {"npu_id": npu, "chip_id": 0, "logic_id": logic, "phy_id": phy, "name": "910B3"}


@pytest.mark.parametrize(
    ("npus", "device_column", "nodes", "expected"),
    [
        pytest.param([chip(0, 0), chip(1, 1)], False, [0, 1], [0, 1], id="host"),
        pytest.param([chip(1, 0), chip(4, 1)], False, [0, 1], [0, 1], id="host with holes in its NPU ids"),
        pytest.param([chip(4, 0), chip(5, 1)], False, [4, 5], [4, 5], id="container with the last cards"),
        pytest.param([chip(1, 0)], False, [1], [1], id="container with one card"),
        pytest.param([chip(0, 0), chip(1, 1), chip(2, 2)], False, [0, 2], [0, 1, 2], id="a node is gone"),
        pytest.param([chip(0, 0), chip(7, 1)], False, [3, 9], [None, None], id="nothing fits"),
        pytest.param([chip(0, 0), chip(1, 1)], False, [], [0, 1], id="no nodes, mapping"),
        pytest.param([chip(0), chip(1)], False, [], [0, 1], id="no nodes, no mapping, ids in series"),
        pytest.param([chip(1), chip(4)], False, [], [None, None], id="no nodes, no mapping, ids with holes"),
        pytest.param([chip(1), chip(4)], False, [0, 1], [0, 1], id="no mapping, nodes in series"),
        pytest.param([chip(2048, 0), chip(2048, 1)], True, [0, 1], [0, 1], id="310"),
        pytest.param([chip(2048, 0)], True, [5], [None], id="310 in a container"),
        pytest.param([chip(0, None, 8), chip(0, None, 9)], False, [8, 9], [8, 9], id="A3"),
        pytest.param([chip(0, None, 0), chip(0, None, 0)], False, [0], [0, None], id="A3, one die twice"),
        pytest.param([], False, [], [], id="none"),
    ],
)
def test_the_device_node_of_a_chip(
    npus: list[dict[str, Any]], device_column: bool, nodes: list[int], expected: list[int | None]
) -> None:
    assert davinci_ids(npus, device_column, nodes) == expected


@pytest.mark.parametrize(
    ("names", "board", "expected"),
    [
        (["910B3", "910B3"], {}, "Ascend910B3"),
        (["910B"], {}, "Ascend910B"),
        (["Ascend910"], {"NPU Name": "9392"}, "Ascend910_9392"),
        (["Ascend910"], {"NPU Name": "NA"}, "Ascend910"),
        (["910B3", "310P3"], {}, None),
        (["xxx"], {}, None),
        (["xxx"], {"Chip Name": "910B4"}, "Ascend910B4"),
        ([], {}, None),
    ],
)
def test_the_name_of_the_soc(names: list[str], board: dict[str, str], expected: str | None) -> None:
    assert soc([{"name": name} for name in names], board) == expected


def test_findings_about_counts_and_health(host: Host) -> None:
    state = simulator.default_state("910B3", cards=4)
    for number, health in enumerate(["OK", "Warning", "Alarm", "UNKNOWN"]):
        state["chips"][number]["health"] = health
    host.state(state)
    host.nodes(0, 1, 2)
    facts = host.read(npu_smi=TOOL)
    assert facts["error"] is None
    assert [(one["check"], one["severity"], one["value"]) for one in findings(facts, expected=8)] == [
        ("npu-count", "error", 3),
        ("npu-count", "error", 8),
        ("npu-unhealthy", "warning", "Warning"),
        ("npu-unhealthy", "error", "Alarm"),
        ("npu-unhealthy", "error", "UNKNOWN"),
    ]


def test_device_nodes_are_listed_in_order(host: Host) -> None:
    host.nodes(10, 2, 0)
    (host.root / "dev" / "davinci_folder").mkdir()
    assert host.read()["device_nodes"] == [
        "/dev/davinci0",
        "/dev/davinci2",
        "/dev/davinci10",
        "/dev/davinci_manager",
        "/dev/hisi_hdc",
    ]


def test_a_real_program_is_killed_when_it_hangs(tmp_path: Path) -> None:
    program = tmp_path / "npu-smi"
    program.write_text("#!/bin/sh\necho '| npu-smi 25.2.0   Version: 25.2.0 |'\nexec sleep 600\n")
    program.chmod(0o755)
    facts = read(System(), {"npu_smi": str(program), "timeout": 1})
    assert facts["error"]["check"] == "npu-hang"
