# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a baked image is called: the same for the same content, another for anything else that goes in."""

from __future__ import annotations

import re

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _bake

BASE = "sha256:" + "b" * 64
BAKE = {
    "id": "comfyui-0123456789ab",
    "kind": "comfyui",
    "inputs": {"version": "v0.3.7", "nodes": ["a", "b"]},
    "files_digest": "f" * 64,
    "base": "registry:5000/base:1",
    "mounts": [],
    "registry": None,
    "npus": True,
    "services": ["draw"],
}


def named(base=BASE, architecture="arm64", family="910b", manifests=(), **changes):
    return _bake.reference({**BAKE, **changes}, base, architecture, family, manifests)


def test_the_name_is_one_that_engines_and_people_read():
    assert re.fullmatch(r"ascend-fleet/comfyui:arm64-910b-[0-9a-f]{20}", named())
    assert named(registry="reg:5000/ai").startswith("reg:5000/ai/ascend-fleet/comfyui:arm64-910b-")


@pytest.mark.parametrize(
    "other",
    [
        {"base": "sha256:" + "c" * 64},
        {"architecture": "amd64"},
        {"family": "910_93"},
        {"manifests": ["1" * 64]},
        {"inputs": {**BAKE["inputs"], "version": "v0.3.8"}},
        {"inputs": {**BAKE["inputs"], "nodes": ["b", "a"]}},
        {"files_digest": "e" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_goes_in_changes_the_tag(other):
    assert named(**other).rpartition(":")[2] != named().rpartition(":")[2]


@pytest.mark.parametrize(
    "other",
    [
        {"services": ["draw", "paint"]},
        {"registry": "reg:5000"},
        {"mounts": [{"source": "/elsewhere", "target": "/packages"}]},
        {"base": BASE, "id": "comfyui-ba9876543210"},
        {"inputs": dict(reversed(BAKE["inputs"].items()))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nothing_else_does(other):
    assert named(**other).rpartition(":")[2] == named().rpartition(":")[2]


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ({"path": "/a/w", "sha256": "1"}, {"path": "/b/w", "sha256": "1"}, True),
        ({"url": "https://x/w", "path": None, "sha256": "1"}, {"url": None, "path": "/b/w", "sha256": "1"}, True),
        ({"path": "/a/w", "sha256": "1"}, {"path": "/a/w", "sha256": "2"}, False),
        ({"path": "/a/w"}, {"path": "/b/w"}, False),
        ({"url": "https://x/w", "sha256": None}, {"url": "https://y/w", "sha256": None}, False),
    ],
)
def test_what_has_a_digest_may_lie_anywhere(here, there, same):
    tags = [named(inputs={"wheels": [place]}) for place in (here, there)]
    ids = [_bake.identity("comfyui", BASE, {"wheels": [place]}, "", True) for place in (here, there)]
    assert (tags[0] == tags[1]) is same
    assert (ids[0] == ids[1]) is same


@pytest.mark.parametrize(
    ("npus", "soc", "family"),
    [
        (True, "Ascend910B3", "910b"),
        (True, "910B4", "910b"),
        (True, "Ascend910_9382", "910_93"),
        (True, "Ascend 777-X", "ascend777x"),
        (True, None, "unknown"),
        (False, "Ascend910B3", "cpu"),
        (False, None, "cpu"),
    ],
)
def test_the_family_is_that_of_the_chips_in_use(npus, soc, family):
    assert _bake.chip_family({**BAKE, "npus": npus}, soc) == family


def test_services_get_the_images_of_their_bakes_and_others_keep_theirs():
    services = [{"name": name, "container": {"image": f"{name}:1", "user": None}} for name in ("draw", "web")]
    document = {"bakes": [BAKE], "services": services, "jobs": []}
    changed = _bake.with_images(document, {BAKE["id"]: "baked:1"})
    assert [service["container"]["image"] for service in changed["services"]] == ["baked:1", "web:1"]
    assert document["services"][0]["container"]["image"] == "draw:1", "the document itself is not touched"
    assert _bake.with_images(document, {}) is document
