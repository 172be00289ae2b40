# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model directory that would fail at load time is refused before a card is taken."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _model_dir
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
CONFIG = {"num_attention_heads": 28, "max_position_embeddings": 32768}
GOOD = {"config.json": CONFIG, "model.safetensors": "weights"}
INDEX = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}


def make(tmp_path, files):
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text)
    return System(root="/")


@pytest.mark.parametrize(
    ("files", "want"),
    [
        (GOOD, {}),
        (GOOD, {"tensor_parallel_size": 4, "max_model_len": 32768}),
        ({**GOOD, "config.json": {**CONFIG, "rope_scaling": {"factor": 4.0}}}, {"max_model_len": 131072}),
        ({**GOOD, "config.json": {"text_config": CONFIG}}, {"tensor_parallel_size": 7}),
        ({**GOOD, _model_dir.QUANT_DESCRIPTION: "{}"}, {"quantization": "ascend"}),
        ({**GOOD, "config.json": {**CONFIG, "max_position_embeddings": None}}, {"max_model_len": 4096}),
    ],
)
def test_a_fitting_model_has_no_findings(tmp_path, files, want):
    system = make(tmp_path, files)
    assert _model_dir.check(system, {"path": str(tmp_path), **want}, "chat") == []


@pytest.mark.parametrize(
    ("files", "want", "key", "text"),
    [
        (GOOD, {"tensor_parallel_size": 8}, "tensor_parallel_size", "28 attention heads cannot be divided"),
        ({**GOOD, "config.json": {"llm_config": CONFIG}}, {"tensor_parallel_size": 3}, "tensor_parallel_size", "28"),
        (GOOD, {"max_model_len": 65536}, "max_model_len", "65536 is above the model's own limit of 32768"),
        ({**GOOD, "config.json": "<html>"}, {}, "model.path", "config.json is missing or is no JSON object"),
        ({"config.json": CONFIG}, {}, "model.path", "holds no weights"),
        ({**GOOD, "model.safetensors": POINTER}, {}, "model.path", "model.safetensors in"),
        ({**GOOD, "tokenizer.json": POINTER}, {}, "model.path", "tokenizer.json in"),
        ({**GOOD, "model.safetensors": ""}, {}, "model.path", "is empty"),
        (
            {"config.json": CONFIG, "model-1.safetensors": "w", "model.safetensors.index.json": INDEX},
            {},
            "model.path",
            "1 of the files that the index of",
        ),
        (GOOD, {"quantization": "ascend"}, "quantization", "needs weights made by ModelSlim"),
        ({**GOOD, _model_dir.QUANT_DESCRIPTION: "{}"}, {}, "quantization", "quantised by ModelSlim"),
    ],
)
def test_each_defect_is_one_finding_that_names_its_key(tmp_path, files, want, key, text):
    system = make(tmp_path, files)
    findings = _model_dir.check(system, {"path": str(tmp_path), **want}, "chat")
    assert [(item["key"], item["service"]) for item in findings] == [(key, "chat")]
    assert text in findings[0]["message"]
    assert findings[0]["remedy"]


def test_an_absent_directory_is_named(tmp_path):
    findings = _model_dir.check(System(), {"path": str(tmp_path / "none")}, "chat")
    assert [item["check"] for item in findings] == ["model-missing"]
