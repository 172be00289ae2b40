# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for the baked images of a node."""

from __future__ import annotations

import hashlib
import json

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _bake, _bake_records, _bake_work, _node_bakes
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

RUN, OTHER = "20260102T030405Z-a1b2c3", "20260101T000000Z-ffffff"
BASE = {"Id": "sha256:" + "b" * 64, "Architecture": "arm64", "Config": {}}


def bake(**changes):
    return {
        "id": "comfyui-0123456789ab",
        "kind": "comfyui",
        "role": "comfyui",
        "base": "reg:5000/base:1",
        "inputs": {"version": 1},
        "files_digest": "f" * 64,
        "mounts": [],
        "manifests": [],
        "npus": True,
        "registry": "reg:5000",
        "services": ["draw"],
        **changes,
    }


def name_of(row, manifests=()):
    return _bake.reference(row, BASE["Id"], "arm64", "910b", manifests)


class Engine:
    def __init__(self, *images):
        self.images = {"reg:5000/base:1": BASE, **{name: {"Id": "sha256:1"} for name in images}}

    def image(self, reference):
        return self.images.get(reference)


class Registry:
    """In the place of all sources: one registry with these images, or one that refuses."""

    def __init__(self, *images, refusal="image-unknown"):
        self.images, self.refusal, self.asked = images, refusal, 0

    def ask(self, reference, question):
        self.asked += 1
        if reference.full in self.images:
            return "sha256:2"
        raise RegistryError(self.refusal, "The registry says no.")


def scope(tmp_path, row, engine=None, registry=None, ask=None):
    registry = registry or Registry()
    params = {"run": {"id": RUN}, "bake": ask}
    return _node_bakes.BakeScope(System(str(tmp_path)), [row], engine or Engine(), lambda: registry, params)


def planned(subject, in_scope=True, coming=None):
    if not coming:
        subject.look("Ascend910B3", in_scope)
    return [(act["action"], act["target"], act["predicted_because"]) for act in subject.plan(coming, None)]


def write(tmp_path, path, text):
    full = tmp_path / path.lstrip("/")
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_text(text)


def test_what_is_there_needs_no_registry(tmp_path):
    row, registry = bake(), Registry()
    subject = scope(tmp_path, row, Engine(name_of(row)), registry)
    assert planned(subject) == []
    assert registry.asked == 0
    assert subject.lines()[0]["present"]


def test_a_registry_is_asked_only_where_its_answer_matters(tmp_path):
    registry = Registry()
    subject = scope(tmp_path, bake(), registry=registry)
    subject.look("Ascend910B3", in_scope=False)
    assert registry.asked == 0


@pytest.mark.parametrize(
    ("where", "registry", "action"),
    [("nowhere", "reg:5000", "bake"), ("shared", "reg:5000", "pull"), ("nowhere", None, "bake")],
)
def test_what_is_missing_comes_from_the_registry_or_is_made(tmp_path, where, registry, action):
    row = bake(registry=registry)
    shared = Registry(name_of(row)) if where == "shared" else Registry()
    assert planned(scope(tmp_path, row, registry=shared)) == [(action, name_of(row), None)]
    assert shared.asked == (1 if registry else 0)


def test_an_archive_is_loaded(tmp_path):
    row = bake(registry=None)
    write(tmp_path, _bake_records.archive(name_of(row)), "an archive")
    assert planned(scope(tmp_path, row)) == [("load", name_of(row), None)]


@pytest.mark.parametrize("check", ["registry-unreachable", "registry-login"])
def test_a_registry_that_cannot_be_asked_is_no_reason_to_build(tmp_path, check):
    with pytest.raises(FleetError) as caught:
        planned(scope(tmp_path, bake(), registry=Registry(refusal=check)))
    assert caught.value.finding["check"] == check


def test_before_its_base_is_there_an_image_is_only_predicted(tmp_path):
    row, empty = bake(), Engine()
    empty.images.clear()
    because = "image reg:5000/base:1 is staged before"
    assert planned(scope(tmp_path, row, empty)) == [("bake", _bake.placeholder(row["id"]), because)]
    assert planned(scope(tmp_path, row, empty), coming="the engine comes") == [
        ("bake", _bake.placeholder(row["id"]), "the engine comes")
    ]


def test_a_package_counts_by_its_manifest(tmp_path):
    row = bake(manifests=["/srv/package/manifest.json"])
    assert planned(scope(tmp_path, row))[0][2] == "/srv/package/manifest.json is staged before"
    write(tmp_path, "/srv/package/manifest.json", "{}")
    (found,) = planned(scope(tmp_path, row))
    assert found == ("bake", name_of(row, [hashlib.sha256(b"{}").hexdigest()]), None)


def record(tmp_path, run, reference="reg:5000/ascend-fleet/comfyui:arm64-910b-1"):
    builder = f"ascend-fleet-bake.{run}.arm64-910b-1"
    content = {"run": run, "reference": reference, "container": builder}
    write(tmp_path, f"{_bake_records.RECORDS}/{builder}.json", json.dumps(content))
    return builder


def test_what_another_run_left_is_removed(tmp_path):
    row = bake()
    builder = record(tmp_path, OTHER)
    record(tmp_path, RUN)
    assert planned(scope(tmp_path, row, Engine(name_of(row)))) == [("discard", builder, None)]


@pytest.mark.parametrize(
    ("registry", "shared", "then"), [("reg:5000", True, "pull"), ("reg:5000", False, "bake"), (None, False, "bake")]
)
def test_an_image_that_goes_with_what_another_run_left_comes_again(tmp_path, registry, shared, then):
    row = bake(registry=registry)
    builder = record(tmp_path, OTHER, name_of(row))
    write(tmp_path, _bake_records.archive(name_of(row)), "an archive")
    known = Registry(name_of(row)) if shared else Registry()
    found = planned(scope(tmp_path, row, Engine(name_of(row)), known))
    assert found == [("discard", builder, None), (then, name_of(row), None)]


@pytest.mark.parametrize("phase", _node_bakes.PHASES)
def test_the_run_asks_for_one_thing_at_a_time(tmp_path, phase):
    row = bake()
    mine = scope(tmp_path, row, ask={"id": row["id"], "phase": phase})
    # There is nothing to discard before something was started.
    assert [act for act, _target, _because in planned(mine)] == ([] if phase == "discard" else [phase])


def test_what_was_built_nowhere_is_told_when_it_should_be_brought(tmp_path):
    subject = scope(tmp_path, bake())
    subject.look("Ascend910B3", in_scope=True)
    with pytest.raises(FleetError, match="was built on no node") as caught:
        _bake_work.BakeWork(subject).apply(subject.plan(None, None), {}, print)
    assert caught.value.finding["check"] == "bake-missing"


class Lists:
    """An engine that lists what it has, beside the base."""

    def __init__(self, there, used=()):
        self.there, self.used = there, used

    def image(self, reference):
        names = {name: {"Id": identity} for identity, names in self.there.items() for name in names}
        return {"reg:5000/base:1": BASE, **names}.get(reference)

    def images(self):
        return [{"Id": identity, "RepoTags": names, "Size": 1} for identity, names in self.there.items()]

    def containers(self):
        return [{"Names": [f"/{identity}"], "ImageID": identity} for identity in self.used]


def old(digit, kind="comfyui", host="reg:5000/"):
    return f"{host}ascend-fleet/{kind}:arm64-910b-{digit * 20}"


@pytest.mark.parametrize(
    ("there", "used", "back", "goes"),
    [
        ({"1": [old("a")]}, (), set(), [old("a")]),
        ({"1": [old("a")], "2": [old("b", host="")]}, (), set(), [old("a"), old("b", host="")]),
        ({"1": [old("a")]}, ("1",), set(), []),
        ({"1": [old("a")]}, (), {"1"}, []),
        ({"1": [old("a", kind="vllm")]}, (), set(), []),
        ({"1": [old("a"), "mine:1"]}, (), set(), []),
        ({"1": ["ascend-fleet/comfyui:mine"], "2": []}, (), set(), []),
    ],
    ids=["old", "where from", "in use", "way back", "another kind", "has another name", "not baked"],
)
@pytest.mark.parametrize("present", [True, False])
def test_an_older_bake_goes_unless_somebody_needs_it(tmp_path, there, used, back, goes, present):
    row = bake()
    engine = Lists({**there, **({"9": [name_of(row)]} if present else {})}, used)
    subject, asked = scope(tmp_path, row, engine), []
    subject.look("Ascend910B3", True)
    removals = subject.removals(lambda changing: asked.append(changing) or back)
    assert [act["target"] for act in removals] == goes
    assert asked == [set() if present else {"draw"}]


def test_nothing_goes_while_the_wanted_name_is_not_known(tmp_path):
    subject = scope(tmp_path, bake(base="reg:5000/none:1"), Lists({"1": [old("a")]}))
    subject.look("Ascend910B3", True)
    assert subject.removals(lambda changing: set()) == []
