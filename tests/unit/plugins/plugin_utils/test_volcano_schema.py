# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's own description of a Job agrees with the CRD that Volcano publishes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_data, _volcano_job, _volcano_schema

Schema = Mapping[str, Any]

WHOLE_TYPES = ("JobSpec", "Task", "Policy", "NetworkTopology", "PartitionPolicy", "DependsOn", "JobVolume")
WHERE = {
    "JobSpec": "",
    "Task": "tasks[]",
    "Policy": "policies[]",
    "NetworkTopology": "networkTopology",
    "PartitionPolicy": "tasks[].partitionPolicy",
    "DependsOn": "tasks[].dependsOn",
    "JobVolume": "volumes[]",
}


@pytest.fixture(scope="module")
def crd(shared: Path) -> dict[str, Any]:
    text = (shared / "crds" / "batch.volcano.sh_jobs.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def spec_of(crd: Schema) -> Schema:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def follow(schema: Schema, path: str) -> Schema:
    for word in filter(None, path.split(".")):
        schema = schema["properties"][word.removesuffix("[]")]
        schema = schema["items"] if word.endswith("[]") else schema
    return schema


def differences(own: Schema, theirs: Schema, path: str) -> Iterator[str]:
    """Where a value could pass the one and be refused by the other."""
    integral = "x-kubernetes-int-or-string"
    if bool(own.get(integral)) != bool(theirs.get(integral)):
        yield f"{path}: int-or-string in one of the two only"
    if own.get("type") and theirs.get("type") and own["type"] != theirs["type"]:
        yield f"{path}: {own['type']} here, {theirs['type']} there"
    if theirs.get("enum") and set(own.get("enum", ())) != set(theirs["enum"]):
        yield f"{path}: {own.get('enum')} here, {theirs['enum']} there"
    for bound, stricter in (("minimum", max), ("minLength", max), ("minItems", max), ("maxLength", min)):
        said = theirs.get(bound)
        if said is not None and (own.get(bound) is None or stricter(own[bound], said) != own[bound]):
            yield f"{path}: {bound} {own.get(bound)} here, {said} there"
    for key in set(theirs.get("required", ())) - set(own.get("required", ())):
        yield f"{path}.{key}: required there only"
    for key, inner in own.get("properties", {}).items():
        if key not in theirs.get("properties", {}):
            yield f"{path}.{key}: no such field there"
        else:
            yield from differences(inner, theirs["properties"][key], f"{path}.{key}")
    for part in ("items", "additionalProperties"):
        if part in own:
            if part not in theirs:
                yield f"{path}: no {part} there"
            else:
                yield from differences(own[part], theirs[part], f"{path}[]")


def test_nothing_is_accepted_that_the_crd_refuses(crd: dict[str, Any]) -> None:
    own = _volcano_data.schema("types", "JobSpec")
    assert list(differences(own, spec_of(crd), "spec")) == []


@pytest.mark.parametrize("name", WHOLE_TYPES)
def test_every_field_of_volcano_itself_is_accepted(crd: dict[str, Any], name: str) -> None:
    own = _volcano_data.schema("types", name)
    assert set(own["properties"]) == set(follow(spec_of(crd), WHERE[name])["properties"])


def test_patterns_refuse_what_the_crds_refuse(crd: dict[str, Any]) -> None:
    spec = spec_of(crd)
    own = _volcano_data.schema("types", "JobSpec")
    for path, good, bad in [
        ("queue", "a-b.c", "A"),
        ("priorityClassName", "high", "high_"),
    ]:
        for schema in (follow(own, path), follow(spec, path)):
            assert re.search(schema["pattern"], good)
            assert not re.search(schema["pattern"], bad)
    task = (follow(own, "tasks[]")["properties"]["name"], follow(spec, "tasks[]")["properties"]["name"])
    assert all(re.search(schema["pattern"], "main") and not re.search(schema["pattern"], "a.b") for schema in task)


VALUES = {
    "name": "llama",
    "image": "train:1",
    "command": "python train.py",
    "nodes": 2,
    "requests": {"cpu": 1, "memory": "300Gi"},
    "limits": {"cpu": 2, "memory": "400Gi"},
}


@pytest.mark.parametrize("dialect", _volcano_data.dialect_names())
def test_what_is_rendered_passes_the_crd(crd: dict[str, Any], dialect: str) -> None:
    outcome = _volcano_job.compile_job({**VALUES, "dialect": dialect, "priority_class": "high"}, crd)
    assert outcome.problems == []


def test_the_crd_refuses_unknown_fields_by_name(crd: dict[str, Any]) -> None:
    override = {"spec": {"minAvailabel": 2, "maxRetry": "three"}}
    problems = _volcano_job.compile_job({**VALUES, "override": override}, crd).problems
    assert {(problem.check, problem.key) for problem in problems} == {
        ("field-unknown", "spec.minAvailabel"),
        ("field-type", "spec.maxRetry"),
    }


def test_a_newer_volcano_may_have_fields_that_the_collection_does_not_know() -> None:
    crd = tiny_crd({"type": "object", "properties": {"spec": {"x-kubernetes-preserve-unknown-fields": True}}})
    override = {"spec": {"shiny": True}}
    assert _volcano_job.compile_job({**VALUES, "override": override}, crd).problems == []
    assert _volcano_job.compile_job({**VALUES, "override": override}).problems[0].check == "field-unknown"


def tiny_crd(schema: dict[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    schema = {**schema, "properties": {**named, **schema["properties"]}}
    return {"spec": {"versions": [{"name": "v1alpha1", "schema": {"openAPIV3Schema": schema}}]}}


@pytest.mark.parametrize(
    "wrong", [{}, {"spec": {"versions": []}}, {"spec": None}, tiny_crd({"properties": {}}) | {"spec": 1}]
)
def test_a_file_that_is_no_crd_is_named_as_such(wrong: dict[str, Any]) -> None:
    with pytest.raises(_volcano_schema.SchemaError, match="no CustomResourceDefinition"):
        _volcano_job.job_schema(wrong)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [0, -1], [True, 1.5, "1", None]),
        ({"type": "boolean"}, [True], [0, "yes"]),
        ({"type": "string", "minLength": 1}, ["a"], ["", 1]),
        ({"type": "integer", "minimum": 1, "maximum": 3}, [1, 3], [0, 4]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], [1], "a"]),
        ({"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+m?$"}, [1, "1", "1m"], [1.5, "x", True]),
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, [{}, {"a": "b"}], [{"a": 1}]),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({"type": "object", "properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": True}, [{"b": 1}], [[]]),
        ({"type": "object"}, [{"anything": 1}], ["x"]),
    ],
)
def test_the_validator_knows_what_crds_use(schema: Schema, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if list(_volcano_schema.violations(value, schema))] == []
    assert [value for value in bad if not list(_volcano_schema.violations(value, schema))] == []
