# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over simulated servers. What a run did is seen through the servers' own engine and files, past ssh."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import playbook_run
from tests.images import build_mini
from tests.playbook_run import ROOT, Outcome
from tests.simfleet import artefacts, engine, inventory
from tests.simfleet.fleet import Fleet
from tests.simfleet.node import Node
from tests.simfleet.spec import SHARED, NodeSpec

COLLECTIONS = str(ROOT / "collections")
Json = dict[str, Any]


def until(what: str, holds: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: did not happen within {seconds} s"
        time.sleep(0.1)


class Background:
    """A run that goes on while the test does something else."""

    def __init__(self, argv: list[str], folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                argv, cwd=folder, env=playbook_run.environment(COLLECTIONS), stdout=log, stderr=subprocess.STDOUT
            )
        self.pid = self.process.pid

    @property
    def said(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        """At once, and before it can tidy up."""
        self.process.kill()
        self.process.wait()

    def ended(self, seconds: float = 240) -> Outcome:
        return Outcome(self.process.wait(seconds), self.said, self.folder / "report")


class Ground:
    """Servers, an inventory over them, and the runs on it."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        self.image = f"{fleet.registry_address}/mini:1"

    def node(self, name: str = "n1") -> Node:
        return self.fleet.node(name)

    def service(self, name: str, **keys: Any) -> Json:
        """An entry that serves its own name over HTTP."""
        serve = f"echo {name} > /tmp/index.html && exec httpd -f -p 80 -h /tmp"
        probe = {"type": "http", "steps": [{"path": "/", "status": [200], "expect": [{"contains": name}]}]}
        entry = {"name": name, "kind": "container", "image": self.image, "container_port": 80, "probe": probe}
        return {**entry, "entrypoint": ["/bin/sh", "-c"], "command": [serve], **keys}

    def hosts(self, variables: Json, limit: int | None = None) -> Path:
        document: Json = yaml.safe_load(inventory.render(self.fleet))
        group = document["all"]["children"]["fleet"]
        group["hosts"] = dict(list(group["hosts"].items())[:limit])
        # The fleet's registry speaks plain HTTP, which a server without an engine cannot know.
        registries = [{"address": self.fleet.registry_address, "insecure": True}]
        group["vars"] = {"fleet_report_dir": str(self.folder / "report"), "fleet_registries": registries, **variables}
        path = self.folder / "hosts.yml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def run(self, playbook: str, *arguments: str, **variables: Any) -> Outcome:
        return playbook_run.run(playbook, self.hosts(variables), *arguments, collections=COLLECTIONS, seconds=600)

    def start(self, playbook: str, *arguments: str, **variables: Any) -> Background:
        """The same without waiting for its end, with a report directory of its own."""
        folder = Path(tempfile.mkdtemp(prefix="background-", dir=self.folder))
        path = folder / "hosts.yml"
        path.write_text(self.hosts({**variables, "fleet_report_dir": str(folder / "report")}).read_text())
        return Background(playbook_run.command(playbook, path, *arguments), folder)


def docker(node: Node, *arguments: str) -> str:
    return str(node.exec("docker", *arguments).out).strip()


def containers(node: Node) -> set[str]:
    return set(docker(node, "ps", "--all", "--format", "{{.Names}}").split())


def inspect(node: Node, name: str) -> Json:
    found: Json = json.loads(docker(node, "inspect", name))[0]
    return found


def answer(node: Node, port: int) -> str:
    return str(
        node.exec("curl", "--silent", "--show-error", "--max-time", "5", f"http://127.0.0.1:{port}/").out
    ).strip()


def exists(node: Node, path: str) -> bool:
    return bool(node.exec("test", "-e", path, check=False).rc == 0)


def bring_up(name: str, specs: list[NodeSpec]) -> Fleet:
    fleet = Fleet(f"{name}-{os.getpid()}", specs).up()
    try:
        _publish(fleet)
    except BaseException:
        fleet.down()
        raise
    return fleet


def _publish(fleet: Fleet) -> None:
    """Push the test image from a server, whose engine trusts the registry; nothing of it stays there."""
    node, image = fleet.nodes[0], f"{fleet.registry_address}/mini:1"
    inside = ["docker", "exec", "--interactive", node.container.name, "docker"]
    saved = subprocess.run(["docker", "save", build_mini()], check=True, capture_output=True).stdout
    subprocess.run([*inside, "load"], input=saved, check=True, capture_output=True)
    docker(node, "tag", build_mini(), image)
    docker(node, "push", "--quiet", image)
    docker(node, "rmi", build_mini(), image)


@pytest.fixture(scope="session")
def servers() -> Iterator[Fleet]:
    """Two servers, one with eight cards and one with four."""
    fleet = bring_up("play", [NodeSpec("n1"), NodeSpec("n2", cards=4)])
    yield fleet
    fleet.down()


@pytest.fixture(scope="session")
def gallery() -> Iterator[Fleet]:
    """One server with tiny pipelines of every family, and the image that runs them in its registry."""
    _image, pipelines = artefacts.diffusers(engine.ensure_engine())
    fleet = bring_up("gallery", [NodeSpec("n1", mounts={str(pipelines): SHARED})])
    try:
        fleet.publish("diffusers")
        yield fleet
    finally:
        fleet.down()


@pytest.fixture
def ground(servers: Fleet, tmp_path: Path) -> Iterator[Ground]:
    """The servers without any container; host settings stay from test to test."""
    yield Ground(servers, tmp_path)
    for node in servers.nodes:
        node.exec("sh", "-c", "docker ps -aq | xargs -r docker rm -f; rm -f /var/lib/ascend-fleet/lease.json")
