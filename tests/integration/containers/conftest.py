# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers on this machine's real engine, made by the module and observed through the engine's own command."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images import build_mini

ROOT = Path(__file__).resolve().parents[3]
MODULES = "ansible_collections.ascend.fleet.plugins.modules."
SECONDS = 180


class Outcome(dict[str, Any]):
    """What a module said."""

    @property
    def done(self) -> list[str]:
        return [action["action"] for action in self["actions"]]

    @property
    def checks(self) -> list[str]:
        return [finding["check"] for finding in self["findings"]]


def call_module(module: str, arguments: dict[str, Any], check: bool = False, python: str = sys.executable) -> Outcome:
    """Run a module in a process of its own with its arguments as JSON, as Ansible does."""
    full = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}}
    ended = subprocess.run(
        [python, "-m", MODULES + module],
        input=json.dumps(full),
        text=True,
        capture_output=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        check=False,
    )
    assert ended.stdout.strip(), ended.stderr
    return Outcome({"failed": False, **json.loads(ended.stdout.strip().splitlines()[-1])})


class Docker:
    """The observer: the engine's own command, which shares nothing with the module."""

    def __init__(self, socket_path: str = "/var/run/docker.sock") -> None:
        self.command = ["docker", "-H", f"unix://{socket_path}"]

    def __call__(self, *arguments: str, check: bool = True) -> str:
        ended = subprocess.run(
            [*self.command, *arguments], text=True, capture_output=True, timeout=SECONDS, check=False
        )
        if check and ended.returncode != 0:
            raise AssertionError(f"docker {' '.join(arguments)}: {ended.stderr}")
        return ended.stdout.strip()

    def inspect(self, name: str) -> dict[str, Any] | None:
        found = self("container", "inspect", name, check=False)
        return json.loads(found)[0] if found and found != "[]" else None

    def names(self, prefix: str) -> list[str]:
        listed = self("ps", "-a", "--filter", f"name={prefix}", "--format", "{{.Names}}")
        return sorted(listed.splitlines())

    def env(self, name: str) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.inspect(name)["Config"]["Env"] or [])

    def devices(self, name: str) -> set[str]:
        return {device["PathOnHost"] for device in self.inspect(name)["HostConfig"]["Devices"] or []}


class Subject:
    """One container under test and its usual options."""

    def __init__(self, name: str, image: str, docker: Docker, folder: Path) -> None:
        self.name = name
        self.docker = docker
        self.folder = folder
        # Ends at once when asked to, so that tests need not wait for the engine's patience.
        self.options: dict[str, Any] = {
            "name": name,
            "image": image,
            "stop_timeout": 1,
            "probe": {"type": "command", "command": ["true"], "timeout": 60},
        }

    def run(self, check: bool = False, **options: Any) -> Outcome:
        return call_module("ascend_container", {**self.options, **options}, check)

    def ok(self, check: bool = False, **options: Any) -> Outcome:
        outcome = self.run(check, **options)
        assert not outcome["failed"], outcome.get("msg")
        return outcome

    def refused(self, check: bool = False, **options: Any) -> Outcome:
        outcome = self.run(check, **options)
        assert outcome["failed"], outcome["actions"]
        return outcome

    @property
    def seen(self) -> dict[str, Any]:
        found = self.docker.inspect(self.name)
        assert found is not None, f"there is no container {self.name}"
        return found

    @property
    def id(self) -> str:
        return self.seen["Id"]

    @property
    def running(self) -> bool:
        return self.seen["State"]["Running"] and not self.seen["State"]["Restarting"]

    @property
    def policy(self) -> str:
        return self.seen["HostConfig"]["RestartPolicy"]["Name"] or "no"

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.docker.inspect(self.name)
            time.sleep(0.1)

    @property
    def all_names(self) -> list[str]:
        return [name for name in self.docker.names(self.name) if name.startswith(self.name)]


@pytest.fixture(scope="session")
def docker() -> Docker:
    if shutil.which("docker") is None:
        pytest.skip("the docker command is not on this machine")
    observer = Docker()
    if not observer("version", "--format", "{{.Server.Version}}", check=False):
        pytest.skip("no Docker Engine answers on this machine")
    if os.geteuid() != 0:
        pytest.skip("device nodes can only be made by root")
    return observer


@pytest.fixture(scope="session")
def mini(docker: Docker) -> str:
    return build_mini(docker=docker.command)


@pytest.fixture
def subject(docker: Docker, mini: str, tmp_path: Path) -> Iterator[Subject]:
    subject = Subject(f"ct-{uuid.uuid4().hex[:10]}", mini, docker, tmp_path)
    yield subject
    left = docker.names(subject.name)
    if left:
        docker("rm", "--force", "--volumes", *left)


@pytest.fixture
def foreign(subject: Subject, mini: str) -> Any:
    """Makes containers that the fleet did not make; their names tell that they belong to the test."""

    def make(*options: str, name: str = "", command: str = "sleep 1000000") -> str:
        name = name or f"foreign-{subject.name}"
        subject.docker("run", "--detach", "--init", "--name", name, *options, mini, *command.split())
        return name

    return make


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """A folder of device nodes like those of eight cards; the numbers belong to no driver."""
    folder = tmp_path / "dev"
    folder.mkdir()
    names = [f"davinci{number}" for number in range(8)] + ["davinci_manager", "devmm_svm", "hisi_hdc"]
    for minor, name in enumerate(names):
        os.mknod(folder / name, 0o660 | 0o020000, os.makedev(236, minor))
    return folder


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
