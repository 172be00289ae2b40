# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict validation by a schema: a field that the schema does not list is refused. Pure; private to the collection.

Schemas come in two ways: from the cluster's CRD (OpenAPI v3, as Kubernetes uses it) and from the collection's own
compact notation in C(roles/volcano_job/files/schema.yml), which `from_notation` turns into the same form.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem

Schema = Mapping[str, Any]

KEEP_UNKNOWN = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
_CONTAINER = re.compile(r"(list\+|list|map)\((.*)\)")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (Mapping,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class SchemaError(Exception):
    """A schema that cannot be used, and the remedy."""


def from_notation(notation: Mapping[str, Any], section: str, name: str) -> Schema:
    """The schema of one type of the compact notation; the types it refers to are taken in."""

    @functools.cache
    def named(word: str) -> Schema:
        for place in (section, "types"):
            if word in notation[place]:
                return fields(notation[place][word])
        if word in notation["scalars"]:
            scalar: Schema = notation["scalars"][word]
            return scalar
        raise SchemaError(f"The type {word} is not defined in the schema notation.")

    def expression(text: str) -> Schema:
        wrapped = _CONTAINER.fullmatch(text)
        if wrapped:
            inner = expression(wrapped.group(2))
            if wrapped.group(1) == "map":
                return {"type": "object", "additionalProperties": inner}
            least = {"minItems": 1} if wrapped.group(1) == "list+" else {}
            return {"type": "array", "items": inner, **least}
        if "|" in text:
            return {"type": "string", "enum": text.split("|")}
        return named(text)

    def fields(listed: Mapping[str, str]) -> Schema:
        return {
            "type": "object",
            "properties": {key.rstrip("!"): expression(text) for key, text in listed.items()},
            "required": [key[:-1] for key in listed if key.endswith("!")],
        }

    return named(name)


def from_crd(crd: Mapping[str, Any], version: str, metadata: Schema) -> Schema:
    """The schema of a custom resource; a CRD leaves metadata open, since the server checks it by itself."""
    try:
        found = next(item for item in crd["spec"]["versions"] if item["name"] == version)
        schema = found["schema"]["openAPIV3Schema"]
        properties = schema["properties"]
    except (KeyError, TypeError, StopIteration):
        raise SchemaError(
            f"This is no CustomResourceDefinition with a schema of the version {version}: "
            "use the output of 'kubectl get crd jobs.batch.volcano.sh -o yaml'."
        ) from None
    required = {"apiVersion", "kind", "metadata", "spec"} | set(schema.get("required", ()))
    return {**schema, "properties": {**properties, "metadata": metadata}, "required": sorted(required)}


def violations(value: Any, schema: Schema, path: str = "") -> Iterator[Problem]:
    """Everything about a value that its schema does not allow."""
    if value is None:
        if schema and not schema.get("nullable"):
            yield Problem("field-type", path, "is null.", value)
        return
    if schema.get(INT_OR_STRING):
        yield from _int_or_string(value, schema, path)
        return
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        yield Problem("field-type", path, f"must be {_article(kind)}, not {_describe(value)}.", value)
        return
    yield from _facets(value, schema, path)
    if isinstance(value, Mapping):
        yield from _fields(value, schema, path)
    elif isinstance(value, (list, tuple)) and "items" in schema:
        for index, item in enumerate(value):
            yield from violations(item, schema["items"], f"{path}[{index}]")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _TYPES.get(kind, (object,)))


def _int_or_string(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        yield Problem("field-type", path, f"must be a whole number or a string, not {_describe(value)}.", value)
        return
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, str(value)):
        yield Problem("field-value", path, f"{value!r} is no quantity such as 2650m, 3200Mi or 8.", value)


def _fields(value: Mapping[str, Any], schema: Schema, path: str) -> Iterator[Problem]:
    known = schema.get("properties")
    rest = schema.get("additionalProperties")
    open_ended = (known is None and rest is None) or rest is True or schema.get(KEEP_UNKNOWN)
    for key in schema.get("required", ()):
        if key not in value:
            yield Problem("field-missing", join(path, key), "is required.")
    for key, item in value.items():
        where = join(path, str(key))
        if known and key in known:
            yield from violations(item, known[key], where)
        elif isinstance(rest, Mapping):
            yield from violations(item, rest, where)
        elif not open_ended:
            yield Problem("field-unknown", where, f"is not a field{_meant(str(key), known or {})}.", item)


def _facets(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(map(str, schema["enum"]))
        yield Problem("field-value", path, f"{value!r} is none of {allowed}.", value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            yield Problem("field-value", path, f"{value} is less than {schema['minimum']}.", value)
        if value > schema.get("maximum", value):
            yield Problem("field-value", path, f"{value} is more than {schema['maximum']}.", value)
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            yield Problem("field-value", path, "is empty.", value)
        if len(value) > schema.get("maxLength", len(value)):
            yield Problem("field-value", path, f"is longer than {schema['maxLength']} characters.", value)
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield Problem("field-value", path, f"{value!r} is not in the form that the API wants.", value)
    if isinstance(value, (list, tuple)) and len(value) < schema.get("minItems", 0):
        yield Problem("field-value", path, f"must hold at least {schema['minItems']} entry.", list(value))


def join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _meant(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, list(known), 1)
    return f"; {near[0]} is one" if near else ""


def _article(kind: str) -> str:
    return {"integer": "a whole number", "array": "a list", "object": "a dictionary", "boolean": "true or false"}.get(
        kind, f"a {kind}"
    )


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"{type(value).__name__} {value!r}"
