# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data files themselves: schemas and role variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data, _host_settings, _kinds, _options

SCHEMAS = _data.ROLES / "fleet" / "files" / "schema"
JSON_SCHEMAS = sorted(SCHEMAS.glob("*.json"))
# Of ansible-doc: C(code), O(option), V(value), P(plugin#type).
DOC_MARK = re.compile(r"\b[COVP]\(([^)#]*)(?:#[a-z]+)?\)")
OPTION_KEYS = {
    "type", "required", "default", "choices", "pattern", "expects", "min", "max", "above", "description", "options",
    "elements", "shorthand", "parse", "header_names", "printable", "least", "secret",
}  # fmt: skip


def load(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))


def options(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, option in table.items():
        yield f"{prefix}{name}", option
        yield from options(option.get("options") or {}, f"{prefix}{name}{'[]' * (option.get('type') == 'list')}.")
        elements = option.get("elements")
        if isinstance(elements, Mapping):
            yield from options(elements.get("options") or {}, f"{prefix}{name}[].")


def every_option() -> list[Any]:
    schema = _data.entry_schema()
    found = list(options(schema["common"]))
    for kind, keys in {**schema["families"], **schema["kinds"]}.items():
        found += options(keys["options"], f"{kind}:")
    return [pytest.param(option, id=name) for name, option in found]


@pytest.mark.parametrize("path", JSON_SCHEMAS, ids=lambda path: path.name)
def test_json_schemas_are_schemas(path: Path):
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_there_is_a_schema_of_each_document():
    assert {path.name for path in SCHEMAS.iterdir()} == {
        "entry-1.yml", "labels-1.json", "node-document-1.json", "record-1.json", "verdict-1.json",
    }  # fmt: skip


@pytest.mark.parametrize("option", every_option())
def test_every_option_is_described_and_typed(option):
    assert set(option) <= OPTION_KEYS
    assert option["description"].endswith(".")
    assert option.get("type", "str") in {*_options.TYPES, *_options.COMPOUND}
    if "pattern" in option:
        assert "expects" in option
    if "default" in option:
        assert not option.get("required")
        assert _options.parse(option, option["default"], "x")[1] == []


def test_kinds_add_keys_and_redefine_none():
    schema = _data.entry_schema()
    for kind, keys in schema["kinds"].items():
        assert not set(keys["options"]) & set(schema["common"]), kind
        assert set(keys.get("requires", [])) | set(keys.get("defaults", {})) <= set(schema["common"]), kind


def test_every_kind_of_the_schema_is_in_the_table():
    assert set(_kinds.table(_data.entry_schema())) == set(_data.entry_schema()["kinds"])


def test_role_variables_have_the_defaults_that_are_documented():
    documented = {name: option.get("default") for name, option in _data.specification().items()}
    assert documented == _data.defaults()


def test_refinements_name_variables_that_exist():
    known = _data.specification()
    assert set(_host_settings.REFINED) <= set(known)
    for name, parts in _host_settings.REFINED_PARTS.items():
        assert set(parts) <= set(known[name]["options"]), name


def test_labels():
    good = {
        "io.ascend.fleet.schema": "1",
        "io.ascend.fleet.service": "chat",
        "io.ascend.fleet.kind": "vllm",
        "io.ascend.fleet.npus": "0,1",
        "io.ascend.fleet.spec": "0" * 64,
        "io.ascend.fleet.run": "20260102T030405Z-a1b2c3",
        "com.example.other": "x",
    }
    validator = jsonschema.Draft202012Validator(load("labels-1.json"))
    validator.validate(good)
    validator.validate({**good, "io.ascend.fleet.npus": ""})
    for wrong in ({"io.ascend.fleet.npus": "0, 1"}, {"io.ascend.fleet.more": "x"}, {"io.ascend.fleet.schema": "2"}):
        assert not validator.is_valid({**good, **wrong}), wrong
    assert not validator.is_valid({key: value for key, value in good.items() if not key.endswith(".spec")})


def test_a_document_with_a_key_too_many_is_refused(compile_inventory, web):
    document = compile_inventory.document({"fleet_services": [web()]})
    for spoil in (
        lambda d: d.update(more=1),
        lambda d: d["host"].update(more=1),
        lambda d: d["services"][0].update(more=1),
        lambda d: d["services"][0]["container"].update(more=1),
        lambda d: d["services"][0]["container"].pop("env"),
        lambda d: d.update(schema=2),
    ):
        spoilt = json.loads(json.dumps(document))
        spoil(spoilt)
        assert not compile_inventory.validator.is_valid(spoilt)


# The documentation


def table_of_keys(table: Mapping[str, Any]) -> list[str]:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, option in options(table):
        default = option.get("default")
        shown = (
            "required" if option.get("required") else "" if default in (None, [], {}) else f"`{json.dumps(default)}`"
        )
        kind = ", ".join(f"`{choice}`" for choice in option.get("choices", [])) or option.get("type", "str")
        lines.append(f"| `{name}` | {kind} | {shown} | {option['description']} |")
    return lines


def test_the_readme_lists_every_key():
    schema = _data.entry_schema()
    readme = (_data.ROLES / "fleet" / "README.md").read_text(encoding="utf-8")
    keys = [*schema["families"].values(), *schema["kinds"].values()]
    for table in [schema["common"], *(one["options"] for one in keys if one["options"])]:
        lines = "\n".join(table_of_keys(table))
        assert lines in readme, lines


def table_of_variables(table: Mapping[str, Any]) -> list[str]:
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, option in options(table):
        default = option.get("default")
        shown = "required" if option.get("required") else "" if default in (None, {}) else f"`{json.dumps(default)}`"
        kind = ", ".join(f"`{choice}`" for choice in option.get("choices", [])) or option.get("type", "str")
        told = option["description"]
        text = DOC_MARK.sub(r"`\1`", told if isinstance(told, str) else " ".join(told))
        lines.append(f"| `{name}` | {kind} | {shown} | {text} |")
    return lines


def test_the_readme_lists_every_variable():
    readme = (_data.ROLES / "fleet" / "README.md").read_text(encoding="utf-8")
    lines = "\n".join(table_of_variables(_data.specification()))
    assert lines in readme, lines


@pytest.mark.parametrize("kind", sorted(_data.entry_schema()["kinds"]))
def test_every_kind_has_its_role(kind):
    role = _kinds.table(_data.entry_schema())[kind].role
    assert (_data.ROLES / role / "tasks" / "main.yml").is_file()
