# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real pictures by real pipelines: every family of the guide, tiny and with random weights, on a simulated server."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.conftest import Ground, containers
from tests.simfleet.fleet import Fleet
from tests.simfleet.spec import SHARED

pytestmark = pytest.mark.fleet

SMALL = {"steps": 2, "width": 64, "height": 64}
# Folder -> its class, and what a pipeline of this size wants to be told.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "sd15": ("StableDiffusionPipeline", SMALL),
    "sdxl": ("StableDiffusionXLPipeline", SMALL),
    "sd3": ("StableDiffusion3Pipeline", {**SMALL, "width": 32, "height": 32}),
    "flux": ("FluxPipeline", {"steps": 2, "width": 8, "height": 8, "arguments": {"max_sequence_length": 48}}),
    "hunyuandit": (
        "HunyuanDiTPipeline",
        {"steps": 2, "width": 16, "height": 16, "arguments": {"use_resolution_binning": False}},
    ),
}


@pytest.fixture(scope="module")
def servers(gallery: Fleet) -> Fleet:
    return gallery


def job(ground: Ground, name: str, family: str, **keys: Any) -> dict[str, Any]:
    kind, size = FAMILIES[family]
    image = f"{ground.fleet.registry_address}/diffusers:1"
    common = {"image": image, "install": False, "npus": 0, "model": f"{SHARED}/{family}", "pipeline": kind}
    return {"name": name, "kind": "diffusers", "prompts": ["a cat"], **common, **size, **keys}


def size_of(picture: Path) -> tuple[int, int]:
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_every_family_makes_pictures_and_what_cannot_work_is_told_before_it_is_tried(
    ground: Ground, tmp_path: Path
) -> None:
    node = ground.node()
    node.exec("sh", "-c", f"mkdir -p /srv/cut && cp -r {SHARED}/sd15/. /srv/cut/")
    weights = "/srv/cut/unet/diffusion_pytorch_model.safetensors"
    node.exec("truncate", "--size=-1", weights)
    jobs = [job(ground, family, family) for family in FAMILIES]
    jobs += [
        job(ground, "many", "sd15", instances=2, prompts=["A red Cat!", "a dog", "a bird"], seed=7),
        job(ground, "wrong", "sd15", pipeline="FluxPipeline"),
        job(ground, "broken", "sd15", model="/srv/cut"),
        job(ground, "confused", "sd3", arguments={"no_such_argument": 1}),
    ]
    outcome = ground.run("site", fleet_jobs=jobs)
    told = {item["service"]: item["message"] for item in outcome.verdict["failures"]}
    assert set(told) == {"wrong", "broken", "confused"}, outcome.out
    assert "holds a StableDiffusionPipeline, where a FluxPipeline is needed" in told["wrong"]
    assert f"{weights} has " in told["broken"]
    assert "no_such_argument" in told["confused"]

    fetched = tmp_path / "report" / outcome.verdict["run_id"] / "jobs" / "n1"
    for family, (kind, size) in FAMILIES.items():
        (picture,) = (fetched / family).glob("*.png")
        record = json.loads(picture.with_suffix(".json").read_text())
        assert size_of(picture) == (size["width"], size["height"])
        assert (record["pipeline"], record["device"], record["seed"]) == (kind, "cpu", 42)
        assert record["seconds"] > 0
        assert record["peak_memory_mb"] > 50
    # Three prompts over two containers: each its own part, and one picture of several where there are several.
    names = {path.name for path in fetched.glob("many-*/*.png")}
    assert names == {"0000-a-red-cat.png", "0001-a-dog.png", "0002-a-bird.png", "contact-sheet.png"}
    assert json.loads((fetched / "many-1" / "0001-a-dog.json").read_text())["seed"] == 8
    assert size_of(fetched / "many-0" / "contact-sheet.png") == (128, 64)
    assert containers(node) == set()

    again = ground.run("site", fleet_jobs=[entry for entry in jobs if entry["name"] not in told])
    assert again.verdict["ok"] is True, again.out
    assert again.changed == {"n1": 0}


LIBRARY = """from setuptools import setup
setup(name="{name}", version="1.0", py_modules=["{module}"])
"""


@pytest.mark.exhaustive
def test_the_vendors_libraries_are_installed_once_and_used(ground: Ground, tmp_path: Path) -> None:
    """Folders named and laid out as the guide says; what is in them is ours."""
    node = ground.node()
    package = "/srv/package"
    for folder, module in (("ascend_diffusers", "ascend_diffusers"), ("AscendX-MM", "ascendx_mm")):
        place = f"{package}/aigc_inference/torch_npu/utils/{folder}"
        setup = LIBRARY.format(name=module, module=module)
        node.exec("mkdir", "-p", place)
        node.exec("sh", "-c", f"cat > {place}/setup.py <<'EOF'\n{setup}EOF")
        node.exec("sh", "-c", f"echo 'print(\"{module} at work\", flush=True)' > {place}/{module}.py")
    node.exec("sh", "-c", f"echo '{{}}' > {package}/.ascend-package.json")
    vendor = {"install": True, "ascendcloud": package, "imports": ["ascend_diffusers", "ascendx_mm"]}
    spoils = {"arguments": {"no_such_argument": 1}}
    entries = [job(ground, "good", "sd3", **vendor), job(ground, "bad", "sd3", **vendor, **spoils)]
    outcome = ground.run("site", fleet_jobs=entries)
    (failure,) = outcome.verdict["failures"]
    assert failure["service"] == "bad", outcome.out
    # It failed in the pipeline's call, long after both libraries were there.
    assert "no_such_argument" in failure["message"]
    log = json.loads(node.exec("cat", "/var/lib/ascend-fleet/jobs/bad/failure.json").out)["log"]
    assert "ascend_diffusers at work\nascendx_mm at work" in log
    fetched = tmp_path / "report" / outcome.verdict["run_id"] / "jobs" / "n1" / "good"
    assert len(list(fetched.glob("*.png"))) == 1
    manifest = json.loads((fetched / ".manifest.json").read_text())
    assert manifest["image"].startswith("ascend-fleet/diffusers:")
    assert containers(node) == set()
    again = ground.run("site", fleet_jobs=entries[:1])
    assert again.verdict["ok"] is True, again.out
    assert again.changed == {"n1": 0}
