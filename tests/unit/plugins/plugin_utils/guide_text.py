# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests out of the guide's text, where line breaks and indentation are lost.

The published schema of the kind says which field belongs where: a key goes to the innermost open object that has
such a field, and to an open map (labels, plugins, resources) only where no object wants it.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

KEY = re.compile(r"([A-Za-z0-9][A-Za-z0-9_./-]*):")
MAP = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = {"type": "object", "properties": {"name": {}, "namespace": {}, "labels": MAP}}
CONFIG_MAP = {"type": "object", "properties": {"apiVersion": {}, "kind": {}, "metadata": METADATA, "data": MAP}}


def manifests(text: str, job_schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Every ConfigMap and Job of a text, in its order."""
    starts = [m.start() for m in re.finditer(r"apiVersion: (v1 kind: ConfigMap|batch\.volcano)", text)]
    schema = {**job_schema, "properties": {**job_schema["properties"], "metadata": METADATA}}
    schema["properties"] = {k: v for k, v in schema["properties"].items() if k != "status"}
    pod = schema["properties"]["spec"]["properties"]["tasks"]["items"]["properties"]["template"]
    pod["properties"]["metadata"] = METADATA
    found = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        kind = CONFIG_MAP if "kind: ConfigMap" in part[:40] else schema
        found.append(Reader(part.split(" --- ")[0].split(), kind).read())
    return found


class Reader:
    """Puts the words of one manifest back where they were."""

    def __init__(self, words: list[str], schema: dict[str, Any]) -> None:
        self.words = words
        self.root: dict[str, Any] = {}
        self.stack: list[tuple[Any, dict[str, Any]]] = [(self.root, schema)]

    def read(self) -> dict[str, Any]:
        position = 0
        while position < len(self.words):
            word = self.words[position]
            if word.startswith("#"):
                position = self.after_comment(position)
            elif word == "-":
                position = self.item(position + 1)
            elif KEY.fullmatch(word):
                position = self.entry(word[:-1], position + 1)
            else:
                break
        return self.root

    def after_comment(self, position: int) -> int:
        position += 1
        while position < len(self.words) and not (self.words[position] == "-" or KEY.fullmatch(self.words[position])):
            position += 1
        return position

    def owner(self, key: str) -> int:
        """Which open object takes a key, as an index into the stack."""
        for index in range(len(self.stack) - 1, -1, -1):
            value, schema = self.stack[index]
            if isinstance(value, dict) and key in schema.get("properties", {}) and key not in value:
                return index
        for index in range(len(self.stack) - 1, -1, -1):
            value, schema = self.stack[index]
            if isinstance(value, dict) and "additionalProperties" in schema:
                return index
        raise ValueError(f"nothing takes the key {key}")

    def item(self, position: int) -> int:
        word = self.words[position]
        for index in range(len(self.stack) - 1, -1, -1):
            value, schema = self.stack[index]
            if not isinstance(value, list):
                continue
            items = schema["items"]
            if "properties" not in items:
                value.append(yaml.safe_load(word))
                del self.stack[index + 1 :]
                return position + 1
            if KEY.fullmatch(word) and word[:-1] in items["properties"]:
                value.append({})
                self.stack[index + 1 :] = [(value[-1], items)]
                return position
        raise ValueError(f"nothing takes the item {word}")

    def entry(self, key: str, position: int) -> int:
        index = self.owner(key)
        del self.stack[index + 1 :]
        value, schema = self.stack[index]
        inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties", {})
        if inner.get("type") == "object":
            value[key] = {}
        elif inner.get("type") == "array" and not self.words[position].startswith("["):
            value[key] = []
        else:
            value[key], position = self.scalar(position)
            return position
        self.stack.append((value[key], inner))
        return position

    def scalar(self, position: int) -> tuple[Any, int]:
        word = self.words[position]
        if word == "|":
            return " ".join(self.words[position + 1 :]), len(self.words)
        end = position + 1
        while word.startswith("[") and not word.endswith("]"):
            word = f"{word} {self.words[end]}"
            end += 1
        return yaml.safe_load(word), end
