# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of pipelines: whole, of the right class, and dividable among processes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _pipeline_dir
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

WANT = {
    "type": "pipeline",
    "class_name": "WanPipeline",
    "processes": 8,
    "variant": "14B",
    "variants": {"14B": 40, "1.3B": 12},
}
PARTS = {
    "scheduler": "UniPCMultistepScheduler",
    "text_encoder": "UMT5EncoderModel",
    "tokenizer": "T5TokenizerFast",
    "transformer": "WanTransformer3DModel",
    "vae": "AutoencoderKLWan",
}


def tensors(size: int) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Shaped as Wan-AI/Wan2.1-T2V-14B-Diffusers."""
    index: dict[str, Any] = {"_class_name": "WanPipeline", "image_encoder": [None, None]}
    for part, name in PARTS.items():
        index[part] = ["diffusers", name]
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps({"num_attention_heads": 40}))
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    for part, stem in (("text_encoder", "model"), ("transformer", "diffusion_pytorch_model")):
        names = [f"{stem}-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
        for name in names:
            (tmp_path / part / name).write_bytes(tensors(100))
        listed = {"weight_map": {f"w{number}": name for number, name in enumerate(names)}}
        (tmp_path / part / f"{stem}.safetensors.index.json").write_text(json.dumps(listed))
    (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(tensors(10))
    return tmp_path


def found(model: Path, **changes: Any) -> list[tuple[str, str]]:
    want = {**WANT, "path": str(model), **changes}
    return [(item["check"], item["message"]) for item in _pipeline_dir.check(System(), want, "film")]


def test_a_whole_model_is_found_right(model):
    assert found(model) == []
    assert found(model, processes=None) == []


SHARD = "transformer/diffusion_pytorch_model-00002-of-00003.safetensors"


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def point(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


@pytest.mark.parametrize(
    ("name", "how", "says"),
    [
        (SHARD, Path.unlink, "1 of the files that the index of"),
        (SHARD, shorten, "bytes and should have"),
        (SHARD, point, "is a git-lfs pointer"),
        (SHARD, lambda path: path.write_bytes(b"<html>"), "is no safetensors file"),
        (SHARD, lambda path: path.write_bytes(struct.pack("<Q", 4) + b"\0\0\0\0"), "has a damaged header"),
        ("vae/diffusion_pytorch_model.safetensors", Path.unlink, "vae holds no weights"),
        ("tokenizer/config.json", Path.unlink, "tokenizer is missing"),
        ("model_index.json", Path.unlink, "model_index.json is missing"),
        ("model_index.json", lambda path: path.write_text('{"_class_name": "FluxPipeline"}'), "holds a FluxPipeline"),
    ],
)
def test_what_is_wrong_is_told_before_a_card_is_taken(model, name, how, says):
    how(model / name)
    [(check, message)] = found(model)
    assert check == "model-invalid"
    assert says in message


def test_a_missing_directory(tmp_path):
    assert [check for check, _message in found(tmp_path / "none")] == ["model-missing"]


@pytest.mark.parametrize(
    ("heads", "changes", "says"),
    [
        (12, {}, "is the model 1.3B, and variant says 14B"),
        (12, {"variant": "1.3B", "processes": 8}, "12 attention heads cannot be divided among 8 processes"),
        (2, {"processes": 4}, "2 attention heads cannot be divided among 4 processes"),
    ],
)
def test_heads_decide_about_variant_and_processes(model, heads, changes, says):
    (model / "transformer" / "config.json").write_text(json.dumps({"num_attention_heads": heads}))
    [(_check, message)] = found(model, **changes)
    assert says in message
