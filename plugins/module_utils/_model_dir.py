# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a language model say before a card is taken. Private to the collection."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

LFS_HEAD = "version https://git-lfs.github.com/spec/"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
QUANT_DESCRIPTION = "quant_model_description.json"


def check(system: System, want: dict[str, Any], service: str) -> list[dict[str, Any]]:
    """Findings of one ``llm_model`` check: files complete, and in agreement with the options."""
    path = str(want["path"])
    if not system.isdir(path):
        return [
            finding(
                "model-missing",
                f"The model directory {path} is not on the node.",
                service=service,
                key="model.path",
                value=path,
            )
        ]
    names = system.listdir(path)
    problems = _files(system, path, names)
    config = _json(system, path + "/config.json")
    if not isinstance(config, dict):
        problems.append(
            ("model.path", path, f"{path}/config.json is missing or is no JSON object", "Complete the model directory.")
        )
    else:
        problems += _heads(want, config) + _length(want, config) + _quantisation(want, names, config)
    return [
        finding("model-invalid", message + ".", remedy=remedy, service=service, key=key, value=value)
        for key, value, message, remedy in problems
    ]


def _files(system: System, path: str, names: list[str]) -> list[tuple[str, Any, str, str]]:
    weights = [name for name in names if name.endswith(WEIGHTS)]
    wanted = set(weights)
    for index in INDEXES:
        content = _json(system, f"{path}/{index}") if index in names else None
        if isinstance(content, dict) and isinstance(content.get("weight_map"), dict):
            wanted |= {str(name) for name in content["weight_map"].values()}
    problems = []
    missing = sorted(wanted - set(names))
    if missing:
        message = f"{len(missing)} of the files that the index of {path} names are missing, {missing[0]} first"
        problems.append(("model.path", path, message, "Fetch the missing files of the model."))
    if not wanted:
        problems.append(("model.path", path, f"{path} holds no weights", "Fetch the weights of the model."))
    pointers = [name for name in names if _is_pointer(system, f"{path}/{name}")]
    if pointers:
        message = f"{pointers[0]} in {path} is a git-lfs pointer, not the file itself"
        problems.append(
            ("model.path", path, message, "Run git lfs pull in the model's repository, or fetch the files again.")
        )
    empty = [name for name in weights if _size(system, f"{path}/{name}") == 0]
    if empty:
        problems.append(("model.path", path, f"{empty[0]} in {path} is empty", "Fetch the file again."))
    return problems


def _heads(want: dict[str, Any], config: dict[str, Any]) -> list[tuple[str, Any, str, str]]:
    size = want.get("tensor_parallel_size") or 1
    heads = _value(config, "num_attention_heads")
    if not isinstance(heads, int) or heads % size == 0:
        return []
    fitting = [n for n in range(1, heads + 1) if heads % n == 0 and n <= 64]
    return [
        (
            "tensor_parallel_size",
            size,
            f"The model's {heads} attention heads cannot be divided by tensor_parallel_size {size}",
            "Use one of {}.".format(", ".join(str(n) for n in fitting)),
        )
    ]


def _length(want: dict[str, Any], config: dict[str, Any]) -> list[tuple[str, Any, str, str]]:
    wanted = want.get("max_model_len")
    limit = _value(config, "max_position_embeddings")
    if not isinstance(wanted, int) or not isinstance(limit, int):
        return []
    scaling = _value(config, "rope_scaling")
    if isinstance(scaling, dict) and isinstance(scaling.get("factor"), (int, float)):
        limit = int(limit * scaling["factor"])
    if wanted <= limit:
        return []
    return [
        (
            "max_model_len",
            wanted,
            f"max_model_len {wanted} is above the model's own limit of {limit}",
            f"Set max_model_len to {limit} or less.",
        )
    ]


def _quantisation(want: dict[str, Any], names: list[str], config: dict[str, Any]) -> list[tuple[str, Any, str, str]]:
    """ModelSlim weights carry a description file; the flag and the file go together."""
    asked = want.get("quantization")
    described = QUANT_DESCRIPTION in names
    if asked == "ascend" and not described:
        message = f"quantization ascend needs weights made by ModelSlim, but {QUANT_DESCRIPTION} is not in the model"
        return [("quantization", asked, message, "Use ModelSlim weights, or leave quantization out.")]
    if described and asked != "ascend" and "quantization_config" not in config:
        message = (
            f"The weights were quantised by ModelSlim ({QUANT_DESCRIPTION} is there), but quantization is not ascend"
        )
        return [("quantization", asked, message, "Set quantization: ascend.")]
    return []


def _value(config: dict[str, Any], key: str) -> Any:
    """Multimodal models keep the language model's numbers in a nested section."""
    if key in config:
        return config[key]
    for section in ("text_config", "llm_config"):
        nested = config.get(section)
        if isinstance(nested, dict) and key in nested:
            return nested[key]
    return None


def _json(system: System, path: str) -> Any:
    text = system.read(path)
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _size(system: System, path: str) -> int | None:
    stat = system.stat(path)
    return None if stat is None else stat.st_size


def _is_pointer(system: System, path: str) -> bool:
    size = _size(system, path)
    if size is None or not 0 < size < 1024:
        return False
    return (system.read(path) or "").startswith(LFS_HEAD)
