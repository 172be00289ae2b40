# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the catalogue: well formed, complete for the guide, and what is made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.module_utils import _soc
from ansible_collections.ascend.fleet.plugins.plugin_utils import _catalogue, _data, _options

FILES = _data.ROLES / "catalogue" / "files"
TABLES = sorted(FILES.glob("*.yml"))
GUIDE = Path(__file__).resolve().parents[5] / "shared" / "seeds"
COLUMNS = ("bf16", "w4a16", "w8a8", "w8a16", "kv_cache_int8", "reasoning")

GUIDES_IMAGE = (
    "swr.cn-southwest-2.myhuaweicloud.com/atelier/pytorch_2_1_ascend:"
    "pytorch_2.1.0-cann_8.0.0-py_3.10-hce_2.0.2412-aarch64-snt9b-20250207103006-97ebd68"
)
# What the guide names beside its two tables.
FURTHER = ["Qwen2-7B", "Llama2-70B", "SD1.5", "SDXL", "SD3", "SD3.5-medium", "SD3.5-large", "FLUX.1-dev", "HunyuanDiT"]
FURTHER += ["Wan2.1-T2V-14B", "Wan2.1-T2V-1.3B"]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_a_table_is_as_its_schema_says(path):
    schema = json.loads((FILES / "schema" / f"{path.stem}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(_data.read(path))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_no_key_stands_twice(path):
    """YAML would silently take the last one."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        keys = [loader.construct_object(key) for key, _value in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), node.start_mark
        loader.flatten_mapping(node)
        return dict(loader.construct_pairs(node))

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    yaml.load(path.read_text(encoding="utf-8"), Loader=Strict)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_every_source_is_named_and_used(path):
    table = _data.read(path)
    used = set(re.findall(r"[\w.-]+", " ".join(_sources(table))))
    assert used == set(table["sources"])


def _sources(value):
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if key in ("source", "sources") and not isinstance(inner, dict):
            yield from [inner] if isinstance(inner, str) else inner
        elif isinstance(inner, dict | list):
            yield from _sources(inner)


def test_the_readme_names_every_table():
    readme = (FILES.parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in TABLES if f"files/{path.name}" not in readme] == []


# Images


def test_images_belong_to_a_release_a_chip_and_a_profile():
    table = _data.catalogue("images")
    releases = [release["name"] for release in table["releases"]]
    assert len(set(releases)) == len(releases)
    for row in [*table["images"], *table["drivers"]]:
        assert row["release"] in releases
        assert row["family"] in _soc.FAMILIES
    for row in table["images"]:
        assert row["profile"] in _soc.IMAGE_PROFILES
        image = _data.entry_schema()["common"]["image"]["options"]["reference"]
        assert _options.parse(image, row["reference"], "x")[1] == []
    references = [row["reference"].rpartition("/")[2] for row in table["images"]]
    assert len(set(references)) == len(references)


@pytest.mark.parametrize(
    ("reference", "family", "cann", "arch"),
    [
        ("quay.io/ascend/vllm-ascend:v0.18.0", "910B", "8.5.1", ["aarch64", "x86_64"]),
        ("quay.io/ascend/vllm-ascend:v0.18.0-a3-openeuler", "910_93", "8.5.1", ["aarch64", "x86_64"]),
        ("m.daocloud.io/quay.io/ascend/vllm-ascend:v0.23.0-310p", "310P", "9.1.0", ["aarch64", "x86_64"]),
        ("registry.example:5000/team/vllm-ascend:v0.23.0-950dt", "950", "9.1.0", ["aarch64", "x86_64"]),
        ("quay.io/ascend/vllm-ascend:v0.18.0@sha256:" + 64 * "0", "910B", "8.5.1", ["aarch64", "x86_64"]),
        (GUIDES_IMAGE, "910B", "8.0.0", ["aarch64"]),
    ],
)
def test_an_image_is_known_wherever_it_comes_from(reference, family, cann, arch):
    image = _catalogue.image(reference)
    assert (image.family, image.cann, image.arch) == (family, cann, arch)


@pytest.mark.parametrize("reference", ["quay.io/ascend/vllm-ascend:latest", "reg:5000/vllm:1", "vllm-ascend"])
def test_an_image_of_ones_own_is_not_known(reference):
    assert _catalogue.image(reference) is None


# Models


def test_model_names_are_unambiguous():
    names = [name.lower() for row in _data.catalogue("models")["models"] for name in (row["name"], *row["aliases"])]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", FURTHER)
def test_models_of_the_guides_pages_are_there(name):
    assert _catalogue.model(name)


@pytest.mark.skipif(not GUIDE.is_dir(), reason="the guide is not beside the repository")
def test_models_and_columns_are_those_of_the_guides_tables():
    text = " ".join(path.read_text(encoding="utf-8") for path in GUIDE.iterdir())
    tables = text[text.index("表1 支持的大语言模型列表和权重") :].partition("父主题")[0]
    rows = re.findall(r" \d+ (\S+) ((?:[√x] ?){5,6})", tables)
    assert len(rows) == 11
    for name, marks in rows:
        supports = [mark == "√" for mark in marks.split()]
        known = _catalogue.model(name)["supports"]
        assert [known[column] for column in COLUMNS[: len(supports)]] == supports, name
        assert len(supports) == 6 or known["reasoning"] is None


@pytest.mark.skipif(not GUIDE.is_dir(), reason="the guide is not beside the repository")
def test_repositories_are_those_of_the_guide_unless_corrected():
    text = " ".join(path.read_text(encoding="utf-8") for path in GUIDE.iterdir())
    for row in _data.catalogue("models")["models"]:
        named = row["repository"] in text or row["name"] in text or any(alias in text for alias in row["aliases"])
        assert named, row["name"]
    assert _catalogue.model("SD1.5")["repository"] != "runwayml/stable-diffusion-v1-5"


@pytest.mark.parametrize(
    ("path", "npus", "length", "checks"),
    [
        ("/m/QwQ-32B", 1, None, ["model-needs-cards"]),
        ("/m/qwq-32b/", 1, None, ["model-needs-cards"]),
        ("/m/InternVL2.5-38B", 1, None, ["model-needs-cards"]),
        ("/m/QwQ-32B", 2, 65536, []),
        ("/m/QwQ-32B", 2, 65537, ["model-length"]),
        ("/m/QwQ-32B", 4, 131072, []),
        ("/m/QwQ-32B", 0, None, []),
        ("/m/Qwen2-7B", 1, 131072, []),
        ("/m/own", 1, None, []),
    ],
)
def test_a_model_that_needs_more_than_it_gets_is_a_warning(compile_inventory, chat, path, npus, length, checks):
    compiled = compile_inventory({"n1": {"fleet_services": [chat(model=path, npus=npus, max_model_len=length)]}})
    assert compiled.errors == []
    assert [finding["check"] for finding in compiled.findings] == checks
    assert all(finding["severity"] == "warning" for finding in compiled.findings)


def test_an_entry_may_name_a_model_of_the_catalogue(compile_inventory, chat):
    (row,) = compile_inventory.document({"fleet_services": [chat(model={"name": "qwq-32b"})]})["artefacts"]["models"]
    assert row["path"] == "/var/lib/ascend-fleet/work/models/QwQ-32B"
    assert row["source"] == "huggingface:Qwen/QwQ-32B"
    assert "*.safetensors" in row["include"]
    own = {"name": "SD1.5", "path": "/mnt/sd", "include": ["*.json"]}
    (row,) = compile_inventory.document({"fleet_services": [chat(model=own)]})["artefacts"]["models"]
    assert (row["path"], row["include"], row["exclude"]) == ("/mnt/sd", ["*.json"], [])


@pytest.mark.parametrize(
    ("model", "message", "remedy"),
    [
        ({"name": "QwQ-32"}, "is no model of the catalogue", "Did you mean QwQ-32B?"),
        ({"name": "QwQ-32B", "source": "huggingface:a/b"}, "stands beside a source of its own", "Give the name or"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(compile_inventory, chat, model, message, remedy):
    (error,) = compile_inventory({"n1": {"fleet_services": [chat(model=model)]}}).errors
    assert (error["key"], error["message"]) == ("model.name", message)
    assert remedy in error["remedy"]
