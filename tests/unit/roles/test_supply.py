# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever applies a plan of the host has first supplied what fleet_node cannot get by itself."""

from __future__ import annotations

import functools
import re
from typing import Any

import jinja2
import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils._data import ROLES

VARIABLES = (ROLES / "host_prep" / "vars" / "main.yml").read_text()
SUPPLIED = sorted(set(re.findall(r"selectattr\('action', 'equalto', '(\w+)'\)", VARIABLES)))


def value(expression: str, **variables: Any) -> Any:
    templates = jinja2.Environment()
    inner = templates.filters["selectattr"]
    # As with Ansible, where a filter gives a list.
    templates.filters["selectattr"] = functools.wraps(inner)(lambda *arguments: list(inner(*arguments)))
    return templates.compile_expression(expression)(**variables)


def gate(role: str, tasks: str) -> str:
    """The condition under which the tasks go on to what is supplied."""
    found = yaml.safe_load((ROLES / role / "tasks" / tasks).read_text())
    flat = [inner for task in found for inner in task.get("block", [task])]
    return str(next(task["when"] for task in flat if task["name"].startswith("Supply ")))


def host_prep(plan: list[dict[str, Any]]) -> bool:
    return bool(value(gate("host_prep", "main.yml"), __host_prep_seen={"plan": plan}))


def shared_storage(plan: list[dict[str, Any]]) -> bool:
    return bool(value(gate("shared_storage", "mount.yml"), __shared_storage_seen={"plan": plan}))


def fleet(plan: list[dict[str, Any]]) -> bool:
    variables = yaml.safe_load((ROLES / "fleet" / "vars" / "main.yml").read_text())
    chosen = value(variables["__fleet_package_plan"].strip("{} "), __fleet_plan=plan)
    return bool(value(gate("fleet", "prepare_node.yml"), __fleet_package_plan=chosen))


def test_what_is_supplied():
    assert SUPPLIED == ["install_mount_client", "install_packages", "install_sdk"]


@pytest.mark.parametrize("action", SUPPLIED)
@pytest.mark.parametrize("asked", [host_prep, fleet])
def test_each_is_supplied_where_the_host_is_prepared(asked, action):
    assert asked([{"action": "write"}, {"action": action}])


def test_clients_are_supplied_where_storage_is_mounted():
    assert shared_storage([{"action": "mount"}, {"action": "install_mount_client"}])


@pytest.mark.parametrize("asked", [host_prep, fleet, shared_storage])
def test_nothing_is_supplied_to_a_node_that_is_as_it_should_be(asked):
    assert not asked([])
