# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives the real playbooks with a collection tree in which only what contacts nodes is a stand-in."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import playbook_run
from tests.playbook_run import ROOT

STUBS = Path(__file__).parent / "stubs"
DEAD = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0}


@dataclass
class Outcome(playbook_run.Outcome):
    calls: list[tuple[str, str]]

    def steps(self, host: str) -> list[str]:
        return [step for step, name in self.calls if name == host]


@dataclass
class Fleet:
    """An inventory of stand-in nodes and a way to run a playbook over it."""

    folder: Path
    collections: Path
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    group: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    everybody: dict[str, Any] = field(default_factory=dict)

    @property
    def reports(self) -> Path:
        return self.folder / "report"

    def run(self, playbook: str, *arguments: str) -> Outcome:
        log = self.folder / "calls"
        log.unlink(missing_ok=True)
        inventory = self.folder / "inventory"
        (inventory / "group_vars").mkdir(parents=True, exist_ok=True)
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "fleet_batch": "100%",
            "fleet_report_dir": str(self.reports),
            "stub_log": str(log),
        }
        (inventory / "group_vars" / "fleet.yml").write_text(yaml.safe_dump({**common, **self.group}))
        (inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(self.everybody))
        groups = {"fleet": {"hosts": self.hosts}, "others": {"hosts": self.others}}
        (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
        collections = f"{self.collections}:{os.environ.get('ANSIBLE_COLLECTIONS_PATH', '')}"
        done = playbook_run.run(playbook, inventory, *arguments, collections=collections)
        calls = list(map(str.split, log.read_text().splitlines())) if log.exists() else []
        return Outcome(done.rc, done.out, self.reports, calls)


@pytest.fixture(scope="session")
def stubbed_collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("collections")
    target = base / "ansible_collections" / "ascend" / "fleet"
    _link(ROOT, target, only={"galaxy.yml", "meta", "playbooks", "roles", "plugins"})
    return base


def _link(source: Path, target: Path, only: set[str] | None = None) -> None:
    """Mirror the collection by links, but with real folders on the way to the stand-ins."""
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if only is not None and entry.name not in only:
            continue
        if entry.name in ("plugins", "action"):
            _link(entry, target / entry.name)
        elif not (target.name == "action" and (STUBS / entry.name).exists()):
            (target / entry.name).symlink_to(entry)
    if target.name == "action":
        for stub in STUBS.glob("*.py"):
            (target / stub.name).symlink_to(stub)


@pytest.fixture
def fleet(tmp_path: Path, stubbed_collection: Path) -> Fleet:
    return Fleet(tmp_path, stubbed_collection)
