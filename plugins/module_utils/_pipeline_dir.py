# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of an image or video pipeline say before a card is taken. Private to the collection."""

from __future__ import annotations

import json
import struct
from typing import Any, Iterator, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.module_utils._model_dir import LFS_HEAD
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

INDEX = "model_index.json"
WEIGHTS = (".safetensors", ".bin")
INDEX_END = (".safetensors.index.json", ".bin.index.json")
# Parts of a pipeline that are code and small files only.
WITHOUT_WEIGHTS = ("Tokenizer", "Scheduler", "FeatureExtractor", "ImageProcessor", "Processor")
TRANSFORMER = "transformer"
_POINTER_LIMIT = 1024
_HEADER_LIMIT = 100 << 20
FETCH = "Fetch the files of the model again."


class Problem(NamedTuple):
    key: str
    value: Any
    message: str
    remedy: str


def check(system: System, want: dict[str, Any], service: str) -> list[dict[str, Any]]:
    """Findings of one ``pipeline`` check: the right class, all of its files, and heads that processes can share."""
    path = str(want["path"])
    if not system.isdir(path):
        message = f"The model directory {path} is not on the node."
        return [finding("model-missing", message, service=service, key="model.path", value=path)]
    return [
        finding("model-invalid", one.message + ".", remedy=one.remedy, service=service, key=one.key, value=one.value)
        for one in _problems(system, path, want)
    ]


def _problems(system: System, path: str, want: dict[str, Any]) -> Iterator[Problem]:
    index = _json(system, f"{path}/{INDEX}")
    if not isinstance(index, dict):
        yield Problem("model.path", path, f"{path}/{INDEX} is missing or is no JSON object", FETCH)
        return
    name = index.get("_class_name")
    if name != want["class_name"]:
        message = f"{path} holds a {name}, where a {want['class_name']} is needed"
        yield Problem("model.path", path, message, "Name the directory of the right model, in the format of Diffusers.")
        return
    for part, about in sorted(index.items()):
        if not part.startswith("_") and isinstance(about, list) and any(about):
            yield from _part(system, f"{path}/{part}", str(about[-1]))
    yield from _heads(system, path, want)


def _part(system: System, folder: str, name: str) -> Iterator[Problem]:
    names = system.listdir(folder)
    if not names:
        yield Problem("model.path", folder, f"{folder} is missing", FETCH)
        return
    pointers = [file for file in names if _is_pointer(system, f"{folder}/{file}")]
    if pointers:
        message = f"{folder}/{pointers[0]} is a git-lfs pointer, not the file itself"
        yield Problem("model.path", folder, message, "Run git lfs pull in the model's repository, or fetch it again.")
        return
    if any(word in name for word in WITHOUT_WEIGHTS):
        return
    wanted = {file for file in names if file.endswith(WEIGHTS)}
    for file in names:
        if file.endswith(INDEX_END):
            listed = (_json(system, f"{folder}/{file}") or {}).get("weight_map")
            wanted |= set(listed.values()) if isinstance(listed, dict) else set()
    missing = sorted(wanted - set(names))
    if missing:
        message = f"{len(missing)} of the files that the index of {folder} names are missing, {missing[0]} first"
        yield Problem("model.path", folder, message, FETCH)
    elif not wanted:
        yield Problem("model.path", folder, f"{folder} holds no weights", FETCH)
    for file in sorted(wanted - set(missing)):
        flaw = _cut(system.path(f"{folder}/{file}")) if file.endswith(WEIGHTS[0]) else None
        if flaw:
            yield Problem("model.path", f"{folder}/{file}", f"{folder}/{file} {flaw}", FETCH)


def _heads(system: System, path: str, want: dict[str, Any]) -> Iterator[Problem]:
    config = _json(system, f"{path}/{TRANSFORMER}/config.json")
    heads = config.get("num_attention_heads") if isinstance(config, dict) else None
    processes = want["processes"]
    if not isinstance(heads, int) or not processes:
        return
    known = want["variants"]
    if heads in known.values() and known.get(want["variant"]) != heads:
        there = {number: name for name, number in known.items()}[heads]
        message = f"{path} is the model {there}, and variant says {want['variant']}"
        yield Problem("variant", want["variant"], message, f"Write variant: {there}, or name the other model.")
    elif heads % processes:
        fitting = ", ".join(str(count) for count in range(1, heads + 1) if heads % count == 0)
        message = f"The model's {heads} attention heads cannot be divided among {processes} processes"
        yield Problem("npus", processes, message, f"Use one of {fitting} cards.")


def _cut(path: str) -> str | None:
    """Whether a safetensors file is shorter or longer than its own header says."""
    with open(path, "rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else _HEADER_LIMIT
        if length >= _HEADER_LIMIT:
            return "is no safetensors file"
        try:
            tensors = json.loads(stream.read(length))
            ends = [about["data_offsets"][1] for name, about in tensors.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return "has a damaged header"
        size = stream.seek(0, 2)
    expected = 8 + length + max(ends, default=0)
    return None if size == expected else f"has {size} bytes and should have {expected}"


def _json(system: System, path: str) -> Any:
    try:
        return json.loads(system.read(path) or "null")
    except ValueError:
        return None


def _is_pointer(system: System, path: str) -> bool:
    found = system.stat(path)
    if found is None or not 0 < found.st_size < _POINTER_LIMIT:
        return False
    return (system.read(path) or "").startswith(LFS_HEAD)
