# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle made where there is a way out, and a whole run on a server that has none."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker as sdk
import pytest

from tests.doubles import comfyui_tree
from tests.doubles.hub_server import HubServer
from tests.doubles.wheel_index import WheelIndex
from tests.fleet.conftest import Ground, answer, bring_up, docker, exists, inspect
from tests.simfleet import artefacts, images
from tests.simfleet.fleet import Fleet
from tests.simfleet.spec import NodeSpec

pytestmark = pytest.mark.fleet

REPO = "acme/tiny"
FILES = {"config.json": b'{"a": 1}', "a.safetensors": bytes(300_000), "README.md": b"read me"}
USER = "ops@example.com"
ALPACA = json.dumps([{"instruction": "Add 1 and 1.", "input": "", "output": "2"}]).encode()


@pytest.fixture(scope="module")
def servers() -> Iterator[Fleet]:
    """n1 for the registry's sake, and n2, which has no engine yet."""
    fleet = bring_up("bundle", [NodeSpec("n1"), NodeSpec("n2", docker=False)])
    yield fleet
    fleet.down()


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A key of gpg that signs, alone in a home of its own; its public half in a file."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    subprocess.run(["gpg", "--batch", "--passphrase", "", "--quick-gen-key", USER], check=True, capture_output=True)
    public = tmp_path / "key.asc"
    public.write_bytes(subprocess.run(["gpg", "--armor", "--export", USER], check=True, capture_output=True).stdout)
    yield public
    subprocess.run(["gpgconf", "--kill", "all"], check=True)


@pytest.fixture
def drawing(ground: Ground, tmp_path: Path) -> dict[str, Any]:
    """A service whose image is baked: its tree and its packages are where only this machine reaches them."""
    index = WheelIndex(tmp_path / "index")
    for wheel in artefacts.comfyui_wheels().iterdir():
        index.take(wheel)
    return {
        "name": "draw",
        "kind": "comfyui",
        "image": ground.fleet.publish("comfyui-base"),
        "npus": 0,
        "port": 9183,
        "shm_size": "64m",
        "source": f"file://{comfyui_tree.repository(tmp_path / 'ComfyUI.git')}",
        "pip": {"index_url": index.url},
    }


def data(hub: HubServer) -> list[dict[str, Any]]:
    """Training data as a file, and as an archive."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as packed:
        packed.writestr("set/alpaca.json", ALPACA)
    hub.repositories["acme/data"] = {"alpaca.json": ALPACA, "set.zip": memory.getvalue()}
    file = {"url": hub.plain("acme/data", "alpaca.json"), "sha256": hashlib.sha256(ALPACA).hexdigest()}
    archive = {"url": hub.plain("acme/data", "set.zip"), "folder": "set"}
    return [
        {"path": "/srv/data/one", "format": "alpaca", "files": [{"path": "alpaca.json", **file}]},
        {"path": "/srv/data/two", "format": "alpaca", "archive": archive},
    ]


@pytest.fixture
def cut_off(ground: Ground) -> Iterator[None]:
    """n2 reaches the machine that runs Ansible, and nothing else: neither outside nor the fleet's registry."""
    node, registry = ground.node("n2"), ground.fleet.registry_address.partition(":")[0]
    gateway = str(node.exec("sh", "-c", "ip -4 route show default | cut -d' ' -f3").out).strip()
    node.exec("ip", "route", "del", "default")
    node.exec("ip", "route", "add", "blackhole", f"{registry}/32")
    yield
    node.exec("ip", "route", "del", f"{registry}/32")
    node.exec("ip", "route", "add", "default", "via", gateway)


def test_a_site_runs_from_a_bundle_without_any_way_out(
    ground: Ground, keyring: Path, drawing: dict[str, Any], request: Any
) -> None:
    node, folder = ground.node("n2"), ground.folder / "bundle"
    path = "/srv/models/tiny"
    web = ground.service("web", port=8000, model={"path": path, "source": f"huggingface:{REPO}", "exclude": ["*.md"]})
    registry = {"address": ground.fleet.registry_address, "insecure": True}
    variables: dict[str, Any] = {
        "fleet_services": [web, drawing],
        "fleet_registries": [registry],
        "fleet_metadata_block": "unmanaged",
        "fleet_bundle_dir": str(folder),
        "fleet_bundle_arch": "x86_64",
        "fleet_bundle_controller": False,
        # The system of the server that has no engine yet.
        "fleet_bundle_os": {"image": images.ensure(sdk.from_env(), "node-fresh")},
    }
    with HubServer({REPO: FILES}) as hub:
        variables["training_dataset_items"] = data(hub)
        online = {**variables, "model_weights_endpoints": {"huggingface": hub.url}, "fleet_bundle_sign": USER}
        made = ground.run("bundle", "--limit", "n2", **online)
        assert made.rc == 0, made.out
        sent = hub.bytes_sent
        again = ground.run("bundle", "--limit", "n2", **online)
        assert (again.rc, again.changed) == (0, {"n2": 0}), again.out
        assert "0.00 Bytes of it fetched now, signed" in again.out
        assert hub.bytes_sent == sent
    assert f"image {ground.image} for x86_64" in (folder / "INDEX.md").read_text()
    assert "cosign sign-blob" in (folder / "INDEX.md").read_text()
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)

    request.getfixturevalue("cut_off")
    reach = node.exec("curl", "--max-time", "3", f"http://{ground.fleet.registry_address}/v2/", check=False)
    assert reach.rc != 0
    offline = {**variables, "fleet_bundle": str(folder), "fleet_bundle_key": str(keyring)}
    first = ground.run("site", "--limit", "n2", **offline)
    assert first.rc == 0, first.out
    assert docker(node, "version", "--format", "{{.Server.Os}}") == "linux"
    assert answer(node, 8000) == "web"
    assert inspect(node, "web")["Config"]["Image"] == ground.image
    assert '"cpu"' in node.exec("curl", "--silent", "--fail", "http://127.0.0.1:9183/system_stats").out
    assert "aiohttp" in docker(node, "exec", "draw", "python3", "-m", "pip", "list")
    assert exists(node, f"{path}/a.safetensors")
    assert not exists(node, f"{path}/README.md")
    second = ground.run("site", "--limit", "n2", **offline)
    assert (second.rc, second.changed) == (0, {"n2": 0}), second.out

    # The data of a training come out of it before the job is handed to a cluster.
    job = {"hosts": "n2", "image": ground.image, "name": "t", "namespace": "x", "command": "true", "pvc": "data"}
    job = {f"volcano_job_{key}": value for key, value in {**job, "kubeconfig": "/nowhere"}.items()}
    trained = ground.run("train", "-e", json.dumps(job), **offline)
    assert "no usable credentials for a cluster" in trained.out
    for name in ("one", "two"):
        assert node.read(f"/srv/data/{name}/alpaca.json") == ALPACA
    assert ground.run("train", "-e", json.dumps(job), **offline).changed["n2"] == 0

    # What is not in it is refused before a node is contacted, and so is what was touched.
    other = {**web, "name": "other", "port": 8001, "image": "registry.example:5000/other:1"}
    lacking = ground.run("preflight", "--limit", "n2", **{**offline, "fleet_services": [web, drawing, other]})
    assert "does not hold image registry.example:5000/other:1 for x86_64" in lacking.out
    archive = next((folder / "images").glob("mini*.tar"))
    with archive.open("r+b") as stream:
        stream.seek(-5000, 2)
        stream.write(b"X")
    assert "has the sha256" in ground.run("preflight", "--limit", "n2", **offline).out
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = [one for one in manifest["files"] if not one["path"].startswith("images/")]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    forged = ground.run("preflight", "--limit", "n2", **offline)
    assert forged.rc != 0
    assert "gpg refuses the bundle" in forged.out
