"""Drives the real playbooks with a collection tree in which only what contacts nodes is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = str(Path(sys.executable).parent / "ansible-playbook")
STUBS = Path(__file__).parent / "stubs"
DEAD = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0}


@dataclass
class Outcome:
    rc: int
    out: str
    verdict: dict[str, Any] | None
    calls: list[tuple[str, str]]

    def steps(self, host: str) -> list[str]:
        return [step for step, name in self.calls if name == host]

    def failed_checks(self) -> list[tuple[str | None, str]]:
        assert self.verdict is not None
        return [(item["host"], item["check"]) for item in self.verdict["failures"]]


@dataclass
class Fleet:
    """An inventory of stand-in nodes and a way to run a playbook over it."""

    folder: Path
    collections: Path
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    group: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)

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
        groups = {"fleet": {"hosts": self.hosts}, "others": {"hosts": self.others}}
        (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
        done = subprocess.run(
            [PROGRAM, "-i", str(inventory), f"ascend.fleet.{playbook}", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_COLLECTIONS_PATH": f"{self.collections}:{os.environ.get('ANSIBLE_COLLECTIONS_PATH', '')}",
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_SSH_RETRIES": "0",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        file = self.reports / "verdict.json"
        verdict = json.loads(file.read_text()) if file.exists() else None
        calls = [tuple(line.split(" ", 1)) for line in log.read_text().splitlines()] if log.exists() else []
        return Outcome(done.returncode, done.stdout + done.stderr, verdict, calls)


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
