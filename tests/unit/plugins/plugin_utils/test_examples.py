# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages and modules show can be copied: options exist, values are among the choices, entries compile."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data, _kinds, _problems

ROOT = Path(__file__).resolve().parents[4]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "roles").glob("*/README.md"))]
BLOCK = re.compile(r"```yaml\n(.*?)```|((?:^ {4}[^\n]*\n)+)", re.S | re.M)
YAML_AT_ALL = re.compile(r"\s*(---|- name:|fleet_\w+:|volcano_job_\w+:)")
OURS = "ascend.fleet."
# Files of the reader's controller.
ABSENT = ("cannot be read on the controller", "is no directory of the controller")
MODULES = sorted(path for path in (ROOT / "plugins/modules").glob("[!_]*.py"))


def examples() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            block = match[1] or match[2]
            if YAML_AT_ALL.match(block):
                line = text[: match.start()].count("\n") + 1
                yield pytest.param(yaml.safe_load(block), id=f"{page.relative_to(ROOT)}:{line}")


def roles(example: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for play in example if isinstance(example, list) else []:
        for role in play.get("roles", []):
            yield role["role"], role.get("vars", {})


def tasks(example: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in example if isinstance(example, list) else []:
        for key in ("tasks", "pre_tasks", "post_tasks", "block"):
            yield from tasks(item.get(key, []))
        yield from ((key, item[key] or {}) for key in item if key.startswith(OURS))


def specification(role: str) -> dict[str, Any]:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    return {name: option for spec in specs["argument_specs"].values() for name, option in spec["options"].items()}


def literal(path: Path, name: str) -> Any:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    return {}


def module_options(name: str) -> dict[str, Any]:
    documented = literal(ROOT / "plugins/modules" / f"{name}.py", "DOCUMENTATION")
    options = dict(documented.get("options", {}))
    for fragment in documented.get("extends_documentation_fragment", []):
        page, _dot, part = fragment.removeprefix(OURS).partition(".")
        path = ROOT / "plugins/doc_fragments" / f"{page}.py"
        if fragment.startswith(OURS):
            options.update(literal(path, part.upper() or "DOCUMENTATION").get("options", {}))
    return options


def wrong(where: str, options: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    known = {alias for option in options.values() for alias in option.get("aliases", [])} | options.keys()
    yield from (f"{where}{name}: no such option" for name in given if name not in known)
    for name, option in options.items():
        if option.get("required") and name not in given:
            yield f"{where}{name}: required, not given"
        value = given.get(name)
        templated = isinstance(value, str) and "{{" in value
        if value is None or templated:
            continue
        for row in value if isinstance(value, list) else [value]:
            if option.get("choices") and row not in option["choices"]:
                yield f"{where}{name}: {row!r} is not among the choices"
            if isinstance(row, dict) and option.get("options"):
                yield from wrong(f"{where}{name}.", option["options"], row)


def entry(role: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a role that stands for a kind is given."""
    kind = next((k.name for k in _kinds.table(_data.entry_schema()).values() if k.role == role), None)
    given = [value for value in variables.values() if isinstance(value, dict) and "image" in value]
    return {"kind": kind, **given[0]} if kind and given else None


def flaws(compiled: Any) -> list[str]:
    return [_problems.line(e) for e in compiled.errors if not any(absent in e["message"] for absent in ABSENT)]


@pytest.mark.parametrize("example", list(examples()))
def test_what_a_page_shows_is_right(compile_inventory, example):
    found: list[str] = []
    if isinstance(example, dict):
        variables = example.get("fleet", {}).get("vars", example)
        hosts = {"npu1": {k: v for k, v in variables.items() if k.startswith("fleet_")}}
        compiled = compile_inventory(hosts, groups={"npu_nodes": ["npu1"]})
        found += flaws(compiled)
        job = {name: value for name, value in variables.items() if name.startswith("volcano_job_")}
        found += wrong("", specification("volcano_job"), job) if job else []
    for name, variables in roles(example):
        role = name.removeprefix(OURS)
        options = {**specification("fleet"), **specification(role)}
        optional = {key: {**option, "required": False} for key, option in options.items()}
        found += wrong(f"{role}: ", optional, variables)
        wanted = entry(role, variables)
        if wanted:
            found += flaws(compile_inventory({"npu1": {}}, entries=[wanted]))
    for name, given in tasks(example):
        found += wrong(f"{name}: ", module_options(name.removeprefix(OURS)), given)
    assert found == []


def test_every_kind_of_page_has_examples():
    ids = [str(example.id) for example in examples()]
    assert len(ids) > 20
    assert {name.split("/")[0].split(":")[0] for name in ids} == {"README.md", "docs", "roles"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_a_module_shows_is_right(path):
    given = list(tasks(literal(path, "EXAMPLES")))
    assert given
    assert [line for name, args in given for line in wrong("", module_options(name.removeprefix(OURS)), args)] == []
