# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One bake over servers of two architectures and two chip families, from what their engines say to who builds what."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.ascend.fleet.plugins.filter.bake_shares import bake_shares
from ansible_collections.ascend.fleet.plugins.module_utils import _bake
from ansible_collections.ascend.fleet.plugins.module_utils._node_bakes import BakeScope
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

BASE = "reg:5000/pytorch:1"
BAKE: dict[str, Any] = {
    "id": "comfyui-0123456789ab",
    "kind": "comfyui",
    "role": "comfyui",
    "base": BASE,
    "inputs": {"version": "v0.3.7"},
    "files_digest": "f" * 64,
    "mounts": [],
    "manifests": [],
    "npus": True,
    "registry": None,
    "services": ["draw"],
}


class Server(NamedTuple):
    name: str
    architecture: str
    soc: str


FLEET = (
    Server("arm-1", "arm64", "Ascend910B3"),
    Server("arm-2", "arm64", "Ascend910B3"),
    Server("intel-1", "amd64", "Ascend910B3"),
    Server("intel-2", "amd64", "Ascend910B4"),
    Server("pair-1", "arm64", "Ascend910_9391"),
)


class Engine:
    """What an engine says when the tag of a list of images was pulled: the image of its own architecture."""

    def __init__(self, architecture: str, has: set[str]) -> None:
        self.architecture, self.has = architecture, has

    def image(self, reference: str) -> dict[str, Any] | None:
        if reference == BASE:
            return {"Id": f"sha256:{self.architecture}", "Architecture": self.architecture, "Config": {}}
        return {"Id": "sha256:baked"} if reference in self.has else None


def looked_at(folder: Path, bake: dict[str, Any], has: dict[str, set[str]]) -> dict[str, Any]:
    """The variables of the hosts after the look."""
    hostvars = {}
    for server in FLEET:
        engine: Any = Engine(server.architecture, has.get(server.name, set()))
        no_registry: Any = None
        scope = BakeScope(System(str(folder)), [bake], engine, no_registry, {"run": {"id": "x"}})
        scope.look(server.soc, True)
        hostvars[server.name] = {"__fleet_seen": {"bakes": scope.lines(), "plan": scope.plan(None, None)}}
    return hostvars


def names(hostvars: dict[str, Any]) -> dict[str, str]:
    """The image of the service on each host, as the document has it there."""
    document = {"bakes": [BAKE], "services": [{"name": "draw", "container": {"image": "?"}}], "jobs": []}
    found = {}
    for host, variables in hostvars.items():
        (line,) = variables["__fleet_seen"]["bakes"]
        (service,) = _bake.with_images(document, {line["id"]: line["reference"]})["services"]
        found[host] = service["container"]["image"]
    return found


def work(hostvars: dict[str, Any]) -> dict[str, list[tuple[str, bool]]]:
    shared = bake_shares([server.name for server in FLEET], hostvars)
    return {host: [(row["work"], row["others"]) for row in rows] for host, rows in shared.items()}


def test_each_architecture_and_chip_family_has_an_image_and_one_server_that_builds_it(tmp_path: Path) -> None:
    hostvars = looked_at(tmp_path, BAKE, {})
    image = names(hostvars)
    assert [name.partition(":")[2].rpartition("-")[0] for name in image.values()] == [
        "arm64-910b", "arm64-910b", "amd64-910b", "amd64-910b", "arm64-910_93",
    ]  # fmt: skip
    assert image["arm-1"] == image["arm-2"]
    assert len(set(image.values())) == 3
    assert work(hostvars) == {
        "arm-1": [("build", True)],
        "intel-1": [("build", True)],
        "pair-1": [("build", False)],
    }


@pytest.mark.parametrize("holder", ["arm-2", "intel-2"])
def test_what_one_architecture_has_is_shared_among_its_own(tmp_path: Path, holder: str) -> None:
    image = names(looked_at(tmp_path, BAKE, {}))
    hostvars = looked_at(tmp_path, BAKE, {holder: {image[holder]}})
    other = {"arm-2": "intel-1", "intel-2": "arm-1"}[holder]
    assert work(hostvars) == {holder: [("share", True)], other: [("build", True)], "pair-1": [("build", False)]}


def test_without_cards_only_the_architecture_counts(tmp_path: Path) -> None:
    hostvars = looked_at(tmp_path, {**BAKE, "npus": False}, {})
    tags = {host: name.partition(":")[2].rpartition("-")[0] for host, name in names(hostvars).items()}
    assert set(tags.values()) == {"arm64-cpu", "amd64-cpu"}
    assert work(hostvars) == {"arm-1": [("build", True)], "intel-1": [("build", True)]}
