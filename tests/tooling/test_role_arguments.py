# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role's defaults and argument_specs say the same: names, values and sub-options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(
    path.name
    for path in (ROOT / "roles").glob("*")
    if (path / "defaults/main.yml").exists() or (path / "meta/argument_specs.yml").exists()
)


def read(role: Path, *names: str) -> dict[str, Any]:
    for name in names:
        if (role / name).exists():
            return yaml.safe_load((role / name).read_text()) or {}
    return {}


def differences(where: str, options: dict[str, Any], defaults: dict[str, Any]) -> list[str]:
    """What one level of options says otherwise than one level of defaults."""
    found = [f"{where}{name}: in defaults, not in the specs" for name in defaults.keys() - options]
    for name, option in options.items():
        path = f"{where}{name}"
        if name not in defaults:
            if not option.get("required") and (not where or "default" in option):
                found.append(f"{path}: in the specs and not required, not in defaults")
            continue
        value, said = defaults[name], option.get("default")
        if option.get("required"):
            found.append(f"{path}: required in the specs, yet it has a default")
        if isinstance(value, dict) and "options" in option:
            found += differences(f"{path}.", option["options"], value)
            said = value if said is None else said
        if value != said:
            found.append(f"{path}: defaults say {value!r}, the specs {said!r}")
    return found


def compare(role: str, specs: dict[str, Any], defaults: dict[str, Any]) -> list[str]:
    options: dict[str, Any] = {}
    for entry in specs.get("argument_specs", {}).values():
        options.update(entry.get("options") or {})
    found = differences("", options, defaults)
    return found + [
        f"{name}: does not start with {role}_"
        for name in options.keys() | defaults.keys()
        if not name.startswith(f"{role}_")
    ]


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_agree(role: str) -> None:
    folder = ROOT / "roles" / role
    specs = read(folder, "meta/argument_specs.yml", "meta/argument_specs.yaml")
    assert specs, f"roles/{role}/meta/argument_specs.yml is not there"
    found = compare(role, specs, read(folder, "defaults/main.yml"))
    assert not found, "\n".join(sorted(found))


SPECS = {
    "argument_specs": {
        "main": {
            "options": {
                "demo_needed": {"required": True},
                "demo_size": {"default": 3},
                "demo_log": {"options": {"level": {"default": "info"}, "file": {}}},
            }
        }
    }
}
DEFAULTS = {"demo_size": 3, "demo_log": {"level": "info"}}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"demo_size": 4}, "demo_size: defaults say 4"),
        ({"demo_more": 1}, "demo_more: in defaults, not in the specs"),
        ({"demo_log": {"level": "debug"}}, "demo_log.level: defaults say 'debug'"),
        ({"demo_log": {"level": "info", "x": 1}}, "demo_log.x: in defaults, not in the specs"),
        ({"demo_log": {}}, "demo_log.level: in the specs and not required, not in defaults"),
        ({"demo_needed": 1}, "demo_needed: required in the specs, yet it has a default"),
        ({"other_size": 1}, "other_size: does not start with demo_"),
    ],
)
def test_the_comparison_names_each_difference(changed: dict[str, Any], says: str) -> None:
    assert not compare("demo", SPECS, DEFAULTS)
    found = compare("demo", SPECS, {**DEFAULTS, **changed})
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_needs_the_core_that_the_collection_needs(role: str) -> None:
    wanted = read(ROOT, "meta/runtime.yml")["requires_ansible"]
    told = read(ROOT / "roles" / role, "meta/main.yml")["galaxy_info"]["min_ansible_version"]
    assert wanted == f">={told}.0"


def test_an_option_without_a_default_is_named() -> None:
    found = compare("demo", SPECS, {"demo_log": DEFAULTS["demo_log"]})
    assert found == ["demo_size: in the specs and not required, not in defaults"]
