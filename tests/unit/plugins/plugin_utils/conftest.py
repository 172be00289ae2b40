# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory in memory, compiled by the real compiler with Ansible's own host patterns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data
from ansible_collections.ascend.fleet.plugins.plugin_utils._compile import Compiled, compile_fleet
from ansible_collections.ascend.fleet.plugins.plugin_utils._inventory import Inventory

SCHEMAS = _data.ROLES / "fleet" / "files" / "schema"


class HostVars(dict[str, dict[str, Any]]):
    """Variables by host, with the inventory that Ansible keeps beside them; it knows no group here."""

    _inventory = InventoryManager(DataLoader())


class Compile:
    """Compiles an inventory given as host -> variables; every document is checked against the schema."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.validator = jsonschema.Draft202012Validator(
            json.loads((SCHEMAS / "node-document-1.json").read_text(encoding="utf-8"))
        )

    def __call__(
        self,
        hosts: Mapping[str, Mapping[str, Any]],
        groups: Mapping[str, list[str]] | None = None,
        limit: list[str] | None = None,
        entries: list[Any] | None = None,
        play: Mapping[str, Any] | None = None,
        kinds: Any = None,
    ) -> Compiled:
        names = list(hosts)
        hostvars = HostVars({name: {"inventory_dir": str(self.folder), **values} for name, values in hosts.items()})
        first = (limit or names)[0]
        inventory = Inventory(
            {
                "hostvars": hostvars,
                "groups": {"all": names, "fleet": names, **(groups or {})},
                "inventory_hostname": first,
                "ansible_play_hosts_all": limit or names,
                **hostvars[first],
                **(play or {}),
            },
            DataLoader(),
            lambda value: value,
        )
        compiled = compile_fleet(inventory.play_hosts(), inventory.world(), entries, kinds)
        for document in compiled.documents.values():
            self.validator.validate(document)
        return compiled

    def document(self, values: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """The document of a single node, whose inventory must be right."""
        compiled = self({"n1": values}, **more)
        assert compiled.errors == []
        return compiled.documents["n1"]

    def service(self, *entries: Mapping[str, Any], **values: Any) -> dict[str, Any]:
        """The first service of a node with these entries."""
        service: dict[str, Any] = self.document({"fleet_services": list(entries), **values})["services"][0]
        return service


@pytest.fixture
def compile_inventory(tmp_path: Path) -> Compile:
    return Compile(tmp_path)


@pytest.fixture
def web() -> Callable[..., dict[str, Any]]:
    """An entry of kind container that is right; keywords change it, None removes a key."""
    return lambda **changes: _entry(
        {"name": "web", "kind": "container", "image": "reg:5000/web:1", "port": 8080, "probe": {"path": "/"}}, changes
    )


@pytest.fixture
def chat() -> Callable[..., dict[str, Any]]:
    """An entry of kind vllm that is right; keywords change it, None removes a key."""
    return lambda **changes: _entry(
        {"name": "chat", "kind": "vllm", "image": "reg:5000/vllm:1", "model": "/mnt/models/tiny", "npus": 2}, changes
    )


def _entry(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**base, **changes}.items() if value is not None}
