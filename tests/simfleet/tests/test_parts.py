# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the simulated fleet that need no engine."""

from __future__ import annotations

import http.server
import io
import ipaddress
import json
import os
import struct
import tarfile
import threading
from pathlib import Path

import docker
import pytest
import yaml
from docker.models.containers import Container

from tests.simfleet import artefacts, cache, cli, images, machine, node, oci, vendor
from tests.simfleet.errors import SimError
from tests.simfleet.soc import SOCS
from tests.simfleet.spec import SYSTEMS, NodeSpec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n1", NodeSpec("n1")),
        ("n1:cards=0", NodeSpec("n1", cards=0)),
        ("d:os=openeuler22.03,docker=no,soc=A3", NodeSpec("d", os="openeuler22.03", docker=False, soc="A3")),
        ("x:npu_smi=", NodeSpec("x", npu_smi=None)),
        ("x:driver=absent,docker=yes", NodeSpec("x", driver="absent")),
    ],
)
def test_a_node_is_described_in_one_word(text: str, expected: NodeSpec) -> None:
    assert NodeSpec.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [("n1:os=slackware", "debian12"), ("n1:soc=H100", "910B3"), ("n1:driver=x", "absent"), ("n1:ram=1", "cards=")],
)
def test_a_wrong_description_names_what_is_possible(text: str, named: str) -> None:
    with pytest.raises(SimError, match=named):
        NodeSpec.parse(text)


@pytest.mark.parametrize("soc", SOCS)
def test_every_server_shows_one_device_node_and_one_chip_per_card(soc: str) -> None:
    spec = NodeSpec("n1", soc=soc)
    listed = vendor.files(spec, major=240)[vendor.DEVICES][1].decode().splitlines()
    numbers = [line.split()[0] for line in listed if line.split()[0][12:].isdigit()]
    assert numbers == [f"/dev/davinci{number}" for number in range(spec.chips)]
    assert len(vendor.initial_state(spec)["chips"]) == spec.chips


@pytest.mark.parametrize(("driver", "tool", "devices"), [("absent", False, False), ("not-rebooted", True, False)])
def test_a_driver_that_is_not_ready_gives_no_device_nodes(driver: str, tool: bool, devices: bool) -> None:
    spec = NodeSpec("n1", driver=driver)
    files = vendor.files(spec, major=240)
    assert (spec.npu_smi in files) is tool
    assert (vendor.DEVICES in files) is devices
    assert any("/vendor" in path for path in files), "the bus shows the cards all the same"


def test_a_free_subnet_overlaps_nothing_that_is_taken() -> None:
    taken = [ipaddress.IPv4Network("10.213.0.0/23"), ipaddress.IPv4Network("10.213.2.128/25")]
    found = machine.free_subnet(taken)
    assert found.prefixlen == 24
    assert not any(found.overlaps(other) for other in taken)


def test_no_free_subnet_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"10\.213"):
        machine.free_subnet([ipaddress.IPv4Network("10.0.0.0/8")])


def test_a_digest_depends_on_where_one_part_ends() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")


def test_what_is_kept_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_FLEET_CACHE", str(tmp_path))
    made = []

    def make(partial: Path) -> None:
        made.append(partial)
        partial.write_text("heavy", encoding="utf-8")

    paths = [cache.kept(tmp_path / "x" / "thing", make) for _turn in range(2)]
    assert paths[0].read_text(encoding="utf-8") == "heavy"
    assert len(made) == 1


def test_what_fails_half_way_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_FLEET_CACHE", str(tmp_path))

    def make(partial: Path) -> None:
        partial.mkdir()
        (partial / "half").touch()
        raise SimError("no space")

    with pytest.raises(SimError):
        cache.kept(tmp_path / "x" / "thing", make)
    assert list((tmp_path / "x").iterdir()) == []


def test_old_versions_of_a_thing_make_room(tmp_path: Path) -> None:
    names = [f"node-{number:016x}.tar" for number in range(4)]
    others = ["node-fresh-0000000000000000.tar", "node-x"]
    for age, name in enumerate([*names, *others]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    cache.keep_newest(tmp_path, "node")
    assert {path.name for path in tmp_path.iterdir()} == {*names[2:], *others}


def test_torch_for_cpu_is_never_replaced_by_the_cuda_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "pip_settings", lambda: {"find-links": str(tmp_path), "cert": "/x"})
    monkeypatch.delenv(artefacts.TORCH_INDEX, raising=False)
    with pytest.raises(SimError, match=artefacts.TORCH_INDEX):
        artefacts.pip_settings()
    monkeypatch.setenv(artefacts.TORCH_INDEX, "https://wheels.example/cpu")
    assert artefacts.pip_settings()["extra-index-url"] == "https://wheels.example/cpu"


def test_torch_for_cpu_comes_from_the_wheel_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"torch-{artefacts.torch_version()}-cp311-cp311-linux_x86_64.whl").touch()
    monkeypatch.setattr(machine, "pip_settings", lambda: {"find-links": f"file://{tmp_path}"})
    monkeypatch.delenv(artefacts.TORCH_INDEX, raising=False)
    assert "extra-index-url" not in artefacts.pip_settings()


def test_the_image_of_every_system_has_a_recipe() -> None:
    assert {name for names in SYSTEMS.values() for name in names} <= set(images.RECIPES)


def test_a_layout_names_every_blob_by_its_digest(tmp_path: Path) -> None:
    layer = oci.tar_of([("bin/tool", 0o755, b"x" * 5000), ("bin/link", 0o777, "tool")])
    oci.write(tmp_path / "image", [layer], {"Cmd": ["tool"]})
    manifest = yaml.safe_load((tmp_path / "image" / "manifest.json").read_text(encoding="utf-8"))
    layer_blob = tmp_path / "image" / "blobs" / manifest["layers"][0]["digest"]
    assert layer_blob.stat().st_size == manifest["layers"][0]["size"]
    with tarfile.open(fileobj=io.BytesIO(layer_blob.read_bytes()), mode="r:gz") as tar:
        assert tar.getmember("bin/link").linkname == "tool"
        assert tar.getmember("bin/tool").mode == 0o755


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hang", {"kind": "hang"}),
        ("code:code=-8020", {"kind": "code", "code": -8020}),
        ("library:name=libmmpa.so", {"kind": "library", "name": "libmmpa.so"}),
    ],
)
def test_a_fault_is_described_in_one_word(text: str, expected: dict[str, object]) -> None:
    assert cli.parse_fault(text) == expected


def test_an_unknown_fleet_is_an_error_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--fleet", "never-started", "status"]) == 1
    assert "never-started" in capsys.readouterr().err


def test_an_empty_cache_finds_no_image_of_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASCEND_FLEET_CACHE", raising=False)
    usual = images.tag("node")
    monkeypatch.setenv("ASCEND_FLEET_CACHE", str(cache.root()))
    assert images.tag("node") == usual
    monkeypatch.setenv("ASCEND_FLEET_CACHE", str(tmp_path))
    moved = images.tag("node")
    assert moved.rpartition(":")[2] == usual.rpartition(":")[2]
    assert moved.rpartition(":")[0] != usual.rpartition(":")[0]


class _Engine(http.server.BaseHTTPRequestHandler):
    """Answers like an engine that runs a command in a container, and sends what it has to say in one piece."""

    protocol_version = "HTTP/1.1"
    said = b"".join(struct.pack(">BxxxL", kind, len(text)) + text for kind, text in ((1, b"out\n"), (2, b"error\n")))

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/start"):
            upgraded = self.headers.get("Upgrade")
            status = "101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp" if upgraded else "200 OK"
            self.connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode() + self.said)
            self.close_connection = True
        else:
            self._answer({"Id": "e1"})

    def do_GET(self) -> None:
        self._answer({"ExitCode": 3})

    def _answer(self, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_all_that_a_command_says_is_heard_though_it_comes_at_once() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        client = docker.DockerClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41")
        container = Container(attrs={"Id": "c1"}, client=client)
        assert node.run_in(container, "make", "noise") == (3, "out\nerror\n")
        server.shutdown()
