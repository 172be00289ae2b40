# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only looks at a node neither holds nor loads what changes it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
UTILS = ROOT / "plugins/module_utils"
PACKAGE = "ansible_collections.ascend.fleet.plugins.module_utils"
OBSERVING = ROOT / "plugins/modules/fleet_node_observe.py"
PROBING = ROOT / "plugins/modules/fleet_node_probe.py"
APPLYING = ROOT / "plugins/modules/fleet_node.py"


def imported(path: Path) -> set[str]:
    """As Ansible finds what to send along: imports anywhere in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            names |= {alias.name for alias in node.names} if node.module == PACKAGE else {node.module.split(".")[-1]}
    return names


def sent(module: Path) -> set[str]:
    found: set[str] = set()
    waiting = imported(module)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= imported(UTILS / f"{name}.py")
    return found


@pytest.mark.parametrize(
    "part",
    [
        "_bake_builder", "_bake_work", "_container_apply", "_engine_sdk", "_host_apply", "_host_engine_apply",
        "_image_bring", "_image_work", "_job_outputs", "_job_run", "_lock", "_node_apply", "_package",
        "_package_write", "_sdk_install", "_transfer", "_weights_sources", "_work",
    ],
)  # fmt: skip
def test_what_changes_a_node_is_not_sent_to_observe_it(part: str) -> None:
    assert part not in sent(OBSERVING)


def test_what_is_sent_to_observe_is_part_of_what_applies() -> None:
    assert sent(OBSERVING) < sent(APPLYING)


@pytest.mark.parametrize("part", ["_host", "_node", "_node_images", "_npu_facts", "_placement", "_sysctl"])
def test_what_plans_is_not_sent_to_probe_the_services(part: str) -> None:
    assert part in sent(OBSERVING)
    assert part not in sent(PROBING)
