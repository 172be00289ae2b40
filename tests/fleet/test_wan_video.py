# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real video by a real WanPipeline, two processes and the vendor's way of installing, on a simulated server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _mp4
from tests.doubles import packages
from tests.doubles.wan import package
from tests.fleet.conftest import Ground, containers, exists
from tests.simfleet.fleet import Fleet
from tests.simfleet.spec import SHARED

pytestmark = pytest.mark.fleet

VIDEO = Path(__file__).parents[1] / "unit/plugins/module_utils/mp4/h264.mp4"


@pytest.fixture(scope="module")
def servers(gallery: Fleet) -> Fleet:
    return gallery


def film(ground: Ground, name: str, **keys: Any) -> dict[str, Any]:
    entry = {
        "name": name,
        "kind": "wan_video",
        "image": f"{ground.fleet.registry_address}/diffusers:1",
        "variant": "1.3B",
        "npus": 0,
        "processes": 2,
        "size": "16*16",
        "model": f"{SHARED}/wan",
        "ascendcloud": {"path": "/srv/ascendcloud", "src": "/srv/packages/AscendCloud-*.zip", "version": "6.5.902"},
        "diffusers": {"archive": str(package.diffusers_archive()), "dependencies": False},
        "shm_size": "256m",
    }
    return {**entry, **keys}


def test_a_package_becomes_an_image_and_the_image_a_video(ground: Ground, tmp_path: Path) -> None:
    node = ground.node()
    node.exec("mkdir", "-p", "/srv/packages", "/srv/lacking")
    content = package.package(tmp_path).read_bytes()
    node.put({f"/srv/packages/{packages.file_name()}": (0o644, content), "/srv/whole.mp4": (0o644, VIDEO.read_bytes())})
    node.exec("sh", "-c", f"cp -r {SHARED}/wan/. /srv/lacking/ && rm /srv/lacking/text_encoder/*.safetensors")
    good = [film(ground, "film", args=["--prompt", "a *red* cat"])]
    bad = [
        film(ground, "cut", args=["--cut", "/srv/whole.mp4"], mounts=["/srv/whole.mp4:/srv/whole.mp4:ro"]),
        film(ground, "lacking", model="/srv/lacking"),
        film(ground, "crowded", processes=4),
    ]
    common = {"fleet_registry": ground.fleet.registry_address}
    planned = ground.run("site", "--check", fleet_jobs=good, **common)
    assert planned.rc == 0, planned.out
    assert not exists(node, "/srv/ascendcloud")

    outcome = ground.run("site", fleet_jobs=[*good, *bad], **common)
    told = {item["service"]: item["message"] for item in outcome.verdict["failures"]}
    assert set(told) == {"cut", "lacking", "crowded"}, outcome.out
    assert "output.mp4 is cut off" in told["cut"]
    assert "/srv/lacking/text_encoder holds no weights" in told["lacking"]
    assert "2 attention heads cannot be divided among 4 processes" in told["crowded"]

    fetched = tmp_path / "report" / outcome.verdict["run_id"] / "jobs" / "n1" / "film"
    assert _mp4.read(str(fetched / "output.mp4")) == _mp4.Video(16, 16, 9, 9 / 16)
    notes = [(fetched / f"process-{rank}.txt").read_text() for rank in (0, 1)]
    assert notes == [f"{rank} of 2, threshold 0.03, a *red* cat\n" for rank in (0, 1)]
    # Only what is wanted of the package was unpacked, and nothing of it went into the job's mounts.
    assert node.exec("sh", "-c", "cd /srv/ascendcloud/AIGC && ls").out.split() == ["multimodal_algorithm"]
    assert containers(node) == set()

    again = ground.run("site", fleet_jobs=good, **common)
    assert again.verdict["ok"] is True, again.out
    assert again.changed == {"n1": 0}
