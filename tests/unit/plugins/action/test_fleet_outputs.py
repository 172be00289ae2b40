# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs left is fetched until it has arrived once."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.action.fleet_outputs import ActionModule
from ansible_collections.ascend.fleet.plugins.module_utils import _job_manifest, _job_outputs
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.modules import fleet_outputs
from ansible_collections.ascend.fleet.plugins.plugin_utils import _records

PATH = "/srv/jobs/cats"
JOB = {"name": "cats", "spec": "a" * 64, "outputs": {"path": PATH, "expect": []}}


class Node:
    """A node with one finished job, and the fetch of a run over a connection that may break."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.system = System(str(root / "node"))
        self.reports = root / "report"
        self.fetch: Callable[[str, str], None] = self.copy
        self.asked: list[str] = []
        self.check_mode = False
        monkeypatch.setattr(ActionBase, "run", lambda *_args: {})

    def make(self, text: str) -> None:
        self.system.write(f"{_job_outputs.begin(self.system, PATH)}/cat.txt", text)
        _job_outputs.seal(self.system, JOB, {"run": "made"})
        _job_outputs.publish(self.system, PATH)

    def copy(self, archive: str, target: str) -> None:
        shutil.copy(self.system.path(archive), target)

    @property
    def manifest(self) -> dict[str, Any]:
        found = _job_manifest.read_manifest(self.system, PATH)
        assert found is not None
        return found

    def run(self, run_id: str) -> dict[str, Any]:
        """Look at the node and fetch, as a run does."""
        line = {"name": "cats", "outputs": PATH, "fresh": "fetched" not in self.manifest}
        _records.write_record(str(self.reports), run_id, "jobs", "n1", {"services": [line]})
        self.asked = []
        run = {"id": run_id, "report_dir": str(self.reports)}
        plugin: Any = ActionModule.__new__(ActionModule)
        plugin._task = SimpleNamespace(name="fetch", args={"run": run}, check_mode=self.check_mode)
        plugin._connection = self
        plugin._user = os.getuid
        plugin._module = self._module
        result: dict[str, Any] = plugin.run(None, {"inventory_hostname": "n1"})
        return result

    def fetch_file(self, archive: str, target: str) -> None:
        self.fetch(archive, target)

    def _module(self, args: dict[str, Any], _task_vars: dict[str, Any]) -> dict[str, Any]:
        self.asked.append("pack" if "jobs" in args else "end")
        return fleet_outputs._handle(self.system, {"jobs": None, "fetched": [], "reader": None, **args}, False)

    def arrived(self, run_id: str) -> str | None:
        path = self.reports / run_id / "jobs" / "n1" / "cats" / "cat.txt"
        return path.read_text() if path.exists() else None


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path, monkeypatch)
    node.make("miaow")
    return node


def lost(_archive: str, _target: str) -> None:
    raise AnsibleConnectionFailure("the cable is out.")


def full(_archive: str, target: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", target)


def cut(_archive: str, target: str) -> None:
    Path(target).write_bytes(b"half")


@pytest.mark.parametrize(
    ("fault", "told"),
    [(lost, "the cable is out. See"), (full, "No space left"), (cut, "cannot be read")],
    ids=["connection lost", "disk full", "archive damaged"],
)
def test_the_next_run_fetches_what_did_not_arrive_and_the_one_after_asks_the_node_nothing(
    node: Node, fault: Callable[[str, str], None], told: str
) -> None:
    node.fetch = fault
    failed = node.run("one")
    assert failed["failed"] is True
    assert told in failed["msg"]
    assert [item["check"] for item in failed["findings"]] == ["job-outputs"]
    assert node.arrived("one") is None

    node.fetch = node.copy
    fetched = node.run("two")
    assert (fetched["changed"], list(fetched["outputs"])) == (False, ["cats"])
    assert node.arrived("two") == "miaow"
    assert node.manifest["fetched"] == "two"
    assert _job_manifest.difference(node.system, PATH, node.manifest) is None
    assert node.asked == ["pack", "end"]

    assert node.run("three") == {"changed": False, "outputs": {}}
    assert node.asked == []


def test_other_outputs_that_came_meanwhile_are_still_to_be_fetched(node: Node) -> None:
    def slowly(archive: str, target: str) -> None:
        node.copy(archive, target)
        node.make("purr")

    node.fetch = slowly
    assert list(node.run("one")["outputs"]) == ["cats"]
    assert node.arrived("one") == "miaow"
    node.fetch = node.copy
    node.run("two")
    assert node.arrived("two") == "purr"


def test_check_mode_fetches_nothing(node: Node) -> None:
    node.check_mode = True
    assert node.run("one") == {"changed": False, "outputs": {}}
    assert (node.asked, node.arrived("one")) == ([], None)
