# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ComfyUI double on simulated servers, from a tag and a zip, with cards and without, through the site playbook."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import comfyui_tree
from tests.fleet.conftest import Ground, containers, docker, inspect
from tests.simfleet import artefacts
from tests.simfleet.fleet import Fleet
from tests.simfleet.node import Node

pytestmark = pytest.mark.fleet

PACKAGE = "/srv/ascendcloud"
WORK = "/var/lib/ascend-fleet/work"


@pytest.fixture(scope="module")
def base(servers: Fleet) -> str:
    return servers.publish("comfyui-base")


@pytest.fixture
def mirror(servers: Fleet, tmp_path: Path) -> Iterator[str]:
    """A git server on this machine that the servers reach."""
    comfyui_tree.repository(tmp_path / "mirror" / "ComfyUI.git")
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    listen = [f"--listen={servers.subnet[1]}", f"--port={port}", "--reuseaddr", "--export-all"]
    daemon = subprocess.Popen(
        ["git", "daemon", *listen, f"--base-path={tmp_path / 'mirror'}"], stderr=subprocess.DEVNULL
    )
    yield f"git://{servers.subnet[1]}:{port}/ComfyUI.git"
    daemon.terminate()
    daemon.wait(10)


def ask(node: Node, port: int, path: str, *more: str) -> Any:
    url = f"http://127.0.0.1:{port}{path}"
    return json.loads(node.exec("curl", "--silent", "--show-error", "--fail", "--max-time", "5", *more, url).out)


def put_package(node: Node, folder: Path) -> None:
    """The vendor's package as the role ascendcloud leaves it: the parts and a manifest."""
    packed = subprocess.run(
        ["tar", "-C", str(comfyui_tree.package(folder)), "-c", "."], check=True, capture_output=True
    )
    node.exec("sh", "-c", f"mkdir -p {PACKAGE} && echo '{{}}' > {PACKAGE}/.ascend-package.json")
    inside = ["docker", "exec", "--interactive", node.container.name, "tar", "-C", PACKAGE, "-x"]
    subprocess.run(inside, input=packed.stdout, check=True, capture_output=True)


def test_it_is_installed_once_proven_by_pictures_and_then_left_alone(
    ground: Ground, base: str, mirror: str, tmp_path: Path
) -> None:
    node = ground.node()
    put_package(node, tmp_path / "package")
    archive = comfyui_tree.archive(tmp_path / "ComfyUI-0.3.7.zip")
    flow = tmp_path / "portrait.json"
    flow.write_text('{"nodes": []}')
    node.exec("sh", "-c", "mkdir -p /mnt/m/checkpoints && touch /mnt/m/checkpoints/v1-5-pruned-emaonly.safetensors")
    common = {"kind": "comfyui", "image": base, "pip": {"wheels": str(artefacts.comfyui_wheels())}, "shm_size": "64m"}
    entries = [
        {
            **common,
            "name": "paint",
            "nodes": "n1",
            "npus": 1,
            "instances": 2,
            "source": mirror,
            "ascendcloud": PACKAGE,
            "matmul_workaround": True,
        },
        {
            **common,
            "name": "draw",
            "npus": 0,
            "port": 9183,
            "source": {"archive": str(archive)},
            "workflows": [{"file": str(flow)}],
            "models_dir": "/mnt/m",
            "model_sets": ["sd15"],
            "fetch_models": False,
            "nodes": "n1",
        },
    ]
    variables = {"fleet_services": entries, "fleet_registry": f"{ground.fleet.registry_address}/own"}
    outcome = ground.run("site", **variables)
    assert outcome.verdict["ok"] is True, outcome.out
    assert containers(node) == {"paint-0", "paint-1", "draw"}

    for number in (0, 1):
        stats = ask(node, 8183 + number, "/system_stats")
        assert stats["devices"][0]["type"] == "npu"
        mine = inspect(node, f"paint-{number}")
        assert [device["PathOnHost"] for device in mine["HostConfig"]["Devices"]].count(f"/dev/davinci{number}") == 1
        assert any(line.startswith("ASCEND_RT_VISIBLE_DEVICES=") for line in mine["Config"]["Env"])
        assert mine["HostConfig"]["PortBindings"]["8183/tcp"][0]["HostIp"] == "127.0.0.1"
    assert ask(node, 9183, "/system_stats")["devices"][0]["type"] == "cpu"
    assert ask(node, 9183, "/models/checkpoints") == ["v1-5-pruned-emaonly.safetensors"]
    assert ask(node, 9183, "/userdata?dir=workflows") == ["portrait.json"]

    # What the installation left in the image.
    inside = docker(
        node, "exec", "paint-0", "cat", "/home/ma-user/ComfyUI/custom_nodes/comfyui_ascend_node/prestartup_script.py"
    )
    assert "pass  # torch_npu.npu.set_compile_mode" in inside
    listed = docker(node, "exec", "paint-0", "python3", "-m", "pip", "list", "--format", "freeze")
    for wanted in (
        "torch==2.1.0",
        "torch_npu==2.1.0.post8",
        "ascend-diffusers==",
        "AscendX-MM==",
        "ascend_cloud_ops_custom==",
    ):
        assert wanted in listed, listed
    environments = docker(node, "exec", "paint-0", "sh", "-c", "cat /proc/[0-9]*/environ | tr '\\0' '\\n'")
    assert "ASCEND_CUSTOM_OPP_PATH=/home/ma-user/vendors/customize" in environments

    # The proof took its pictures away; the folders are the user's.
    assert node.exec("find", WORK, "-name", "*.png").out == ""
    owner = docker(node, "exec", "draw", "id", "-u")
    assert owner != "0"
    for folder in ("draw/output", "draw/user", "draw/input", "paint/output/paint-0"):
        assert node.exec("stat", "-c", "%u", f"{WORK}/{folder}").out.strip() == owner

    # A picture of somebody else stays, and a second run finds nothing to do.
    graph = {"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 9}}}
    graph["2"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "mine"}}
    ask(node, 9183, "/prompt", "--json", json.dumps({"prompt": graph}))
    again = ground.run("site", **variables)
    assert again.verdict["ok"] is True, again.out
    assert again.changed == {"n1": 0, "n2": 0}
    assert node.exec("find", WORK, "-name", "*.png").out.split("/")[-1].strip() == "mine_00001_.png"

    # What is up and cannot draw is no service: told at once, with ComfyUI's own reason; the one that worked is back.
    broken = [{**entries[1], "env": {"COMFYUI_DOUBLE_FAULTS": "no-numpy"}}]
    failed = ground.run("deploy", **{**variables, "fleet_services": broken})
    assert failed.verdict["ok"] is False
    (failure,) = [item for item in failed.verdict["failures"] if item["check"] == "container-not-ready"]
    assert "Numpy is not available" in failure["message"]
    assert ask(node, 9183, "/system_stats")["devices"][0]["type"] == "cpu"
