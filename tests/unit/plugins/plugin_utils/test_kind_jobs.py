# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds job and diffusers: what people write becomes jobs that know their part of the work."""

from __future__ import annotations

import json

import pytest

IMAGE = "reg:5000/tools:1"
SDXL = "/mnt/models/stable-diffusion-xl-base-1.0"


def job(**changes):
    return {"name": "convert", "kind": "job", "image": IMAGE, **changes}


def pictures(**changes):
    return {"name": "cats", "kind": "diffusers", "image": IMAGE, "model": SDXL, "prompts": ["a cat"], **changes}


@pytest.fixture
def jobs(compile_inventory):
    def compiled(*entries, **values):
        return compile_inventory.document({"fleet_jobs": list(entries), **values})["jobs"]

    return compiled


@pytest.fixture
def errors(compile_inventory):
    def told(*entries, **values):
        compiled = compile_inventory({"n1": {"fleet_jobs": list(entries), **values}})
        return {error["key"]: error["message"] for error in compiled.errors}

    return told


def request(one):
    return json.loads(one["files"]["request.json"])


def test_a_job_writes_beside_its_published_outputs(jobs):
    (one,) = jobs(job(command="run --to /outputs", outputs=["*.csv", {"path": "*.png", "type": "png", "least": 2}]))
    assert one["outputs"] == {
        "path": "/var/lib/ascend-fleet/work/jobs/convert",
        "target": "/outputs",
        "expect": [
            {"path": "*.csv", "type": "any", "least": 1},
            {"path": "*.png", "type": "png", "least": 2},
        ],
    }
    (mount,) = one["container"]["mounts"]
    assert (mount["source"], mount["target"]) == ("/var/lib/ascend-fleet/work/jobs/.convert.next", "/outputs")
    assert one["container"]["restart"] == "no"
    (elsewhere,) = jobs(job(output_dir="/mnt/own"))
    assert elsewhere["outputs"]["path"] == "/mnt/own/convert"


def test_work_is_shared_by_instances_and_by_nodes_where_asked(compile_inventory):
    def parts(**keys):
        compiled = compile_inventory({host: {"fleet_jobs": [job(**keys)]} for host in ("n1", "n2")})
        return {
            (host, one["name"]): (
                one["container"]["env"]["ASCEND_FLEET_PART"],
                one["container"]["env"]["ASCEND_FLEET_PARTS"],
            )
            for host, document in compiled.documents.items()
            for one in document["jobs"]
        }

    assert parts() == {("n1", "convert"): ("0", "1"), ("n2", "convert"): ("0", "1")}
    assert parts(spread=True) == {("n1", "convert"): ("0", "2"), ("n2", "convert"): ("1", "2")}
    assert parts(spread=True, instances=2) == {
        ("n1", "convert-0"): ("0", "4"),
        ("n1", "convert-1"): ("1", "4"),
        ("n2", "convert-0"): ("2", "4"),
        ("n2", "convert-1"): ("3", "4"),
    }


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"timeout": 5}, True),
        ({"rerun": True}, True),
        ({"command": "other"}, False),
        ({"env": {"A": "1"}}, False),
        ({"npus": 1}, False),
        ({"outputs": ["b"]}, False),
        ({"image": {"reference": IMAGE, "digest": f"sha256:{'0' * 64}"}}, False),
        ({"model": {"path": "/m", "source": "huggingface:a/b", "revision": "x"}}, False),
    ],
)
def test_a_job_is_another_one_when_its_outputs_could_differ(jobs, changes, same):
    before, after = jobs(job(model="/m")), jobs(job(**{"model": "/m", **changes}))
    assert (before[0]["spec"] == after[0]["spec"]) is same


def test_the_runner_may_get_better_without_making_every_picture_again(jobs, monkeypatch):
    from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import diffusers

    (before,) = jobs(pictures())
    monkeypatch.setattr(diffusers, "_runner", lambda: "# better\n")
    (after,) = jobs(pictures())
    assert after["files"]["run.py"] != before["files"]["run.py"]
    assert after["spec"] == before["spec"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"port": 80}, "port"),
        ({"probe": "none"}, "probe"),
        ({"on_change": "report"}, "on_change"),
        ({"state": "stopped"}, "state"),
        ({"timeout": 0}, "timeout"),
        ({"outputs": ["/etc/passwd"]}, "outputs[0]"),
        ({"outputs": ["../x"]}, "outputs[0]"),
        ({"output_target": "/"}, "output_target"),
        ({"output_target": "/proc/x"}, "output_target"),
        ({"output_target": "/home/ma-user/x"}, "output_target"),
        ({"output_dir": "/"}, "output_dir"),
        ({"output_dir": "/etc"}, "output_dir"),
        ({"mounts": ["/a:/outputs"]}, "mounts"),
        ({"ulimits": {"memlok": -1}}, "ulimits.memlok"),
        ({"outputs": ["a/.."]}, "outputs[0]"),
        ({"outputs": [{"path": "a", "type": "gif"}]}, "outputs[0].type"),
    ],
)
def test_what_a_job_cannot_be(errors, changes, key):
    assert set(errors(job(**changes))) == {key}


def test_jobs_share_cards_one_after_the_other_and_never_with_a_service(compile_inventory, web):
    both = [job(name="one", npus=[0, 1]), job(name="two", npus=[1, 2])]
    document = compile_inventory.document({"fleet_jobs": both, "fleet_npus_expected": 8})
    assert [one["npus"]["cards"] for one in document["jobs"]] == [[0, 1], [1, 2]]
    compiled = compile_inventory({"n1": {"fleet_jobs": both, "fleet_services": [web(npus=[2])]}})
    assert ["names card 2, which web has too" in error["message"] for error in compiled.errors] == [True]
    large = {"fleet_jobs": [job(npus=8)], "fleet_services": [web(npus=1)], "fleet_npus_expected": 8}
    told = compile_inventory({"n1": large}).findings
    assert [(item["check"], item["service"]) for item in told] == [("placement", "convert")]


@pytest.mark.parametrize(
    ("folder", "pipeline", "dtype"),
    [
        ("stable-diffusion-v1-5", "StableDiffusionPipeline", "float16"),
        ("stable-diffusion-xl-base-1.0", "StableDiffusionXLPipeline", "float16"),
        ("stable-diffusion-3-medium-diffusers", "StableDiffusion3Pipeline", "float16"),
        ("stable-diffusion-3.5-medium", "StableDiffusion3Pipeline", "float16"),
        ("stable-diffusion-3.5-large", "StableDiffusion3Pipeline", "float16"),
        ("FLUX.1-dev", "FluxPipeline", "bfloat16"),
        ("HunyuanDiT-Diffusers", "HunyuanDiTPipeline", "float16"),
    ],
)
def test_the_models_of_the_guide_are_known_by_their_folder(jobs, folder, pipeline, dtype):
    (one,) = jobs(pictures(model=f"/mnt/models/{folder}"))
    assert request(one)["pipeline"] == pipeline
    assert (request(one)["device"], request(one)["dtype"]) == ("npu", dtype)
    (check,) = one["checks"]
    assert (check["type"], check["class_name"]) == ("pipeline", pipeline)
    (on_cpu,) = jobs(pictures(model=f"/mnt/models/{folder}", npus=0))
    assert (request(on_cpu)["device"], request(on_cpu)["dtype"]) == ("cpu", "float32")


def test_prompts_become_pictures_with_seeds_and_names(jobs):
    given = ["A red Cat!", {"prompt": "a dog", "seed": 7, "negative_prompt": "fur"}, "a bird"]
    first, second = jobs(pictures(prompts=given, pictures=2, instances=2, negative_prompt="text", seed=100))
    items = sorted(request(first)["items"] + request(second)["items"], key=lambda item: item["name"])
    assert [(item["name"], item["seed"], item["negative_prompt"]) for item in items] == [
        ("0000-00-a-red-cat", 100, "text"),
        ("0000-01-a-red-cat", 101, "text"),
        ("0001-00-a-dog", 7, "fur"),
        ("0001-01-a-dog", 8, "fur"),
        ("0002-00-a-bird", 104, "text"),
        ("0002-01-a-bird", 105, "text"),
    ]
    # Three pictures and one of all three, each picture with its record.
    assert first["outputs"]["expect"] == [
        {"path": "*.png", "type": "png", "least": 4},
        {"path": "*.json", "type": "json", "least": 3},
    ]


def test_what_is_left_open_is_left_to_the_pipeline(jobs):
    assert request(jobs(pictures())[0])["arguments"] == {}
    given = {"steps": 30, "width": 1024, "guidance_scale": 0, "arguments": {"max_sequence_length": 256}}
    assert request(jobs(pictures(**given))[0])["arguments"] == {
        "num_inference_steps": 30,
        "width": 1024,
        "guidance_scale": 0,
        "max_sequence_length": 256,
    }


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model": "/mnt/models/my-own"}, "pipeline"),
        ({"npus": 2}, "npus"),
        ({"prompts": []}, "prompts"),
        ({"instances": 2}, "instances"),
        ({"width": 500}, "width"),
        ({"arguments": {"generator": 1}}, "arguments.generator"),
        ({"install": False, "ascendcloud": "/mnt/package"}, "ascendcloud"),
        ({"pipeline": "sdxl"}, "pipeline"),
        ({"model": None}, "model"),
    ],
)
def test_what_cannot_make_pictures(errors, changes, key):
    entry = {name: value for name, value in pictures(**changes).items() if value is not None}
    assert set(errors(entry)) == {key}


def test_diffusers_is_installed_once_and_not_where_the_image_has_it(compile_inventory):
    plain = compile_inventory.document({"fleet_jobs": [pictures(), pictures(name="dogs")]})
    (bake,) = plain["bakes"]
    assert (bake["role"], bake["services"], bake["mounts"]) == ("diffusers", ["cats", "dogs"], [])
    assert plain["jobs"][0]["container"]["image"] == plain["jobs"][1]["container"]["image"] != IMAGE
    vendor = compile_inventory.document({"fleet_jobs": [pictures(ascendcloud="/mnt/package")]})
    (bake,) = vendor["bakes"]
    assert bake["inputs"]["libraries"] == ["ascend_diffusers", "AscendX-MM"]
    assert bake["manifests"] == ["/mnt/package/.ascend-package.json"]
    ready = compile_inventory.document({"fleet_jobs": [pictures(install=False)]})
    assert ready["bakes"] == []
    assert ready["jobs"][0]["container"]["image"] == IMAGE
