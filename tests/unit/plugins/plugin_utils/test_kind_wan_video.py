# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind wan_video: the guide's rules, and what reaches the job, the bake and the package."""

from __future__ import annotations

from typing import Any

import pytest

MODEL = "/mnt/models/Wan2.1-T2V-14B-Diffusers"
FOURTEEN = {"variant": "14B", "npus": 8}
SMALL = {"variant": "1.3B", "npus": 4}


def film(**changes: Any) -> dict[str, Any]:
    entry = {"name": "film", "kind": "wan_video", "image": "reg:5000/wan:1", "model": MODEL, "ascendcloud": "/mnt/ac"}
    return {key: value for key, value in {**entry, **FOURTEEN, **changes}.items() if value is not None}


def job(compile_inventory, **changes: Any) -> dict[str, Any]:
    return compile_inventory.document({"fleet_jobs": [film(**changes)]})["jobs"][0]


def problems(compile_inventory, **changes: Any) -> list[tuple[str, str]]:
    compiled = compile_inventory({"n1": {"fleet_jobs": [film(**changes)]}})
    return [(error["key"], error["message"]) for error in compiled.errors]


@pytest.mark.parametrize(
    ("given", "processes", "size", "threshold", "frame"),
    [
        (FOURTEEN, 8, "720*1280", "0.04", [720, 1280]),
        (SMALL, 4, "480*832", "0.03", [480, 832]),
        ({**FOURTEEN, "size": "1280*720"}, 8, "1280*720", "0.04", [1280, 720]),
        ({**SMALL, "residual_diff_threshold": 0.05}, 4, "480*832", "0.05", [480, 832]),
        ({**FOURTEEN, "npus": [0, 2, 4, 6]}, 4, "720*1280", "0.04", [720, 1280]),
        ({**SMALL, "npus": 0, "processes": 2, "size": "16*32"}, 2, "16*32", "0.03", [16, 32]),
        ({**SMALL, "npus": 0}, 1, "480*832", "0.03", [480, 832]),
    ],
)
def test_the_guides_rules_are_the_defaults(compile_inventory, given, processes, size, threshold, frame):
    made = job(compile_inventory, **given)
    assert made["container"]["command"] == [
        "torchrun", f"--nproc_per_node={processes}", "infer.py",
        "--ckpt_dir", MODEL, "--output_path", "/outputs/output.mp4", "--size", size,
    ]  # fmt: skip
    assert made["container"]["env"]["RESIDUAL_DIFF_THRESHOLD"] == threshold
    assert made["container"]["working_dir"] == "/home/ma-user/Wan2_1"
    assert made["outputs"]["expect"] == [{"path": "output.mp4", "type": "mp4", "least": 1, "frame": frame}]
    [check] = made["checks"]
    assert (check["type"], check["class_name"], check["processes"]) == ("pipeline", "WanPipeline", processes)


def test_further_arguments_are_passed_on_and_none_is_made_up(compile_inventory):
    made = job(compile_inventory, args="--prompt 'a cat on *' --seed 1")
    assert made["container"]["command"][9:] == ["--prompt", "a cat on *", "--seed", "1"]


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({**SMALL, "npus": 8}, "npus", "cannot share the 12 attention heads of 1.3B"),
        ({**FOURTEEN, "npus": 3}, "npus", "cannot share the 40 attention heads of 14B"),
        ({**SMALL, "size": "720*1280"}, "size", "is no size of 1.3B"),
        ({**FOURTEEN, "size": "720x1280"}, "size", "is not height*width"),
        ({**SMALL, "npus": 0, "size": "15*32"}, "size", "no multiple of 16"),
        ({**SMALL, "npus": 0, "size": "0*32"}, "size", "no multiple of 16"),
        ({"processes": 8}, "processes", "stands beside npus"),
        ({"args": ["--size=1*1"]}, "args", "is written by the collection"),
        ({"args": ["--ckpt_dir", "/x"]}, "args", "is written by the collection"),
        ({"variant": "7B"}, "variant", "is not among the choices"),
        ({"variant": None}, "variant", "is missing"),
        ({"model": None}, "model", "is missing"),
        ({"ascendcloud": None}, "ascendcloud", "is missing"),
        ({"diffusers": {"url": "https://mirror/d.zip"}}, "diffusers.sha256", "is missing"),
        ({"diffusers": {"git": "https://me:secret@mirror/d"}}, "diffusers.git", "would be written into the image"),
        ({"diffusers": {"commit": "v0.33.0"}}, "diffusers.commit", "is not 40 hexadecimal digits"),
        ({"env": {"ASCEND_RT_VISIBLE_DEVICES": "0"}}, "env.ASCEND_RT_VISIBLE_DEVICES", "is set by the collection"),
        ({"port": 8000}, "port", "has no meaning for a job"),
    ],
)
def test_what_cannot_work_is_refused_with_key_and_reason(compile_inventory, changes, key, says):
    found = problems(compile_inventory, **changes)
    assert [name for name, _message in found] == [key], found
    assert says in found[0][1]


def test_other_numbers_of_cards_than_the_guides_are_noted(compile_inventory):
    compiled = compile_inventory({"n1": {"fleet_jobs": [film(npus=4)]}})
    assert compiled.errors == []
    assert [note["check"] for note in compiled.findings] == ["wan-cards"]


def test_an_entry_that_is_absent_says_no_more_than_its_name(compile_inventory):
    entry = {"name": "film", "kind": "wan_video", "state": "absent"}
    assert compile_inventory.document({"fleet_jobs": [entry]})["artefacts"]["packages"] == []


def test_the_package_is_unpacked_and_baked_at_the_pinned_commit(compile_inventory):
    package = {"path": "/mnt/ac", "src": "/mnt/AscendCloud-*.zip", "version": "6.5.902"}
    document = compile_inventory.document({"fleet_jobs": [film(ascendcloud=package), film(name="second")]})
    [row] = document["artefacts"]["packages"]
    assert row["parts"] == [{"name": "AIGC", "match": "*", "include": ["multimodal_algorithm/Wan2_1"], "sha256": None}]
    assert row["services"] == ["film"]
    [bake] = document["bakes"]
    assert bake["services"] == ["film", "second"]
    assert bake["inputs"]["diffusers"]["commit"] == "d55f41102a93e7fa7736516e06e023b2baf73f54"
    assert bake["inputs"]["diffusers"]["git"] == "https://github.com/huggingface/diffusers"
    assert bake["mounts"] == [{"source": "/mnt/ac", "target": "/opt/ascend-fleet/ascendcloud"}]
    assert bake["manifests"] == ["/mnt/ac/.ascend-package.json"]


def test_two_packages_cannot_share_a_folder(compile_inventory):
    first = {"path": "/mnt/ac", "src": "/mnt/AscendCloud-*.zip", "version": "6.5.902"}
    entries = [film(ascendcloud=first), film(name="second", ascendcloud={**first, "version": "6.5.906"})]
    compiled = compile_inventory({"n1": {"fleet_jobs": entries}})
    assert [error["key"] for error in compiled.errors] == ["ascendcloud.version"]


def test_an_image_that_has_it_all_is_taken_as_it_is(compile_inventory):
    document = compile_inventory.document({"fleet_jobs": [film(install=False, ascendcloud=None)]})
    assert document["bakes"] == []
    assert document["jobs"][0]["container"]["image"] == "reg:5000/wan:1"
