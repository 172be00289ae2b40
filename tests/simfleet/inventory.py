# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a fleet that is up, as Ansible reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from . import vendor
from .fleet import Fleet
from .spec import SHARED, NodeSpec


def render(fleet: Fleet, more: Mapping[str, str] | None = None) -> str:
    """YAML with every server in group `fleet`; ssh checks the servers' keys."""
    ssh = f"-o UserKnownHostsFile={fleet.known_hosts} -o StrictHostKeyChecking=yes"
    document: dict[str, Any] = {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(fleet.private_key),
                "ansible_ssh_common_args": ssh,
                "ansible_python_interpreter": "/usr/bin/python3",
                "sim_fleet": fleet.name,
                "sim_registry": fleet.registry_address,
                "sim_models": SHARED,
                **(more or {}),
            },
            "children": {"fleet": {"hosts": {spec.name: _host(fleet, spec) for spec in fleet.specs}}},
        }
    }
    heading = f"---\n# Written by tests/simfleet for the running fleet {fleet.name}; not for editing.\n"
    return heading + str(yaml.safe_dump(document, sort_keys=False, width=1000))


def _host(fleet: Fleet, spec: NodeSpec) -> dict[str, Any]:
    values: dict[str, Any] = {
        "ansible_host": fleet.address(spec.name),
        "fleet_sysfs": vendor.SYSFS,
        "fleet_npus_expected": spec.chips,
    }
    if spec.npu_smi and spec.chips:
        values["fleet_npu_smi"] = spec.npu_smi
    return values


def write(fleet: Fleet, path: Path, more: Mapping[str, str] | None = None) -> None:
    """The inventory as a file, replaced in one go; with `more` variables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(render(fleet, more), encoding="utf-8")
    partial.replace(path)


def as_json(fleet: Fleet) -> str:
    """What a program wants to know about the fleet."""
    return json.dumps(
        {
            "name": fleet.name,
            "registry": fleet.registry_address,
            "private_key": str(fleet.private_key),
            "known_hosts": str(fleet.known_hosts),
            "nodes": {node.name: {"address": node.address, "running": node.running()} for node in fleet.nodes},
        },
        indent=1,
    )
