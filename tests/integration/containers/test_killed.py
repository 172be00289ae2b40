# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replacement that is cut off at any step: by the death of the module, or of the engine itself.

Whatever happened, there are never two that run, and the next run leaves one container, the right one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images import build_mini
from tests.integration.containers.conftest import ROOT, Docker, call_module
from tests.integration.containers.engine import OwnEngine

STEPS = [
    "move the old container aside",
    "keep the old container from coming back",
    "stop the old container",
    "create the container",
    "start the container",
    "set restart policy always",
    "remove the old container",
]
DEFAULTS: dict[str, Any] = {
    "state": "present",
    "npus": 0,
    "soc": None,
    "image_profile": "plain",
    "npu_smi": None,
    "dev": "/dev",
    "sysfs": "/sys",
    "ascend_root": "/usr/local/Ascend",
    "release": None,
    "on_change": "recreate",
    "sdk_folder": None,
    "stop_timeout": 1,
    "probe": {"type": "command", "command": ["true"], "timeout": 30, "interval": 0.2},
}


class Place:
    """An engine and the one service in it."""

    def __init__(self, docker: Docker, socket: str, root: Path, name: str, image: str) -> None:
        self.docker = docker
        self.root = root
        self.name = name
        self.params = {**DEFAULTS, "name": name, "image": image, "docker_host": f"unix://{socket}"}

    def begin(self, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.containers.stepwise"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'collections'}:{ROOT}"},
        )
        self._say(process, json.dumps({"params": {**self.params, **options}, "root": str(self.root)}))
        return process

    def until(self, process: subprocess.Popen[str], wanted: str) -> None:
        """Let it go on until it is about to take the wanted step."""
        while True:
            told = self._hear(process)
            assert "step" in told, f"it ended before it came to {wanted!r}: {told}"
            if told["step"] == f"{self.name}: {wanted}":
                return
            self._say(process, "go on")

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        while True:
            told = self._hear(process)
            if "result" in told:
                process.communicate()
                return dict(told["result"])
            self._say(process, "go on")

    def run(self, **options: Any) -> dict[str, Any]:
        result = self.finish(self.begin(**options))
        assert not result.get("failed"), result
        return result

    def running(self) -> list[str]:
        return sorted(self.docker("ps", "--filter", f"name={self.name}", "--format", "{{.Names}}").splitlines())

    def holds(self, version: str) -> None:
        """Exactly one container, the right one, as it shall be."""
        assert self.docker.names(self.name) == [self.name]
        seen = self.docker.inspect(self.name)
        assert seen is not None
        assert f"V={version}" in seen["Config"]["Env"]
        assert seen["State"]["Running"]
        assert seen["HostConfig"]["RestartPolicy"]["Name"] == "always"

    @staticmethod
    def _say(process: subprocess.Popen[str], text: str) -> None:
        assert process.stdin is not None
        process.stdin.write(text + "\n")
        process.stdin.flush()

    @staticmethod
    def _hear(process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        return dict(json.loads(process.stdout.readline()))


def version(number: str) -> dict[str, Any]:
    return {"env": {"V": number}}


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def place(subject: Any, tmp_path: Path) -> Place:
    return Place(subject.docker, "/var/run/docker.sock", tmp_path, subject.name, subject.options["image"])


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("1", id="old wanted again", marks=pytest.mark.exhaustive),
        pytest.param("2", id="same again"),
        pytest.param("3", id="another", marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.parametrize("step", STEPS)
def test_module_killed(place: Place, step: str, then: str) -> None:
    place.run(**version("1"))
    process = place.begin(**version("2"))
    place.until(process, step)
    kill(process)
    assert len(place.running()) <= 1

    predicted = call_module(
        "ascend_container", {k: v for k, v in {**place.params, **version(then)}.items() if v is not None}, check=True
    )
    result = place.run(**version(then))

    place.holds(then)
    assert [a["action"] for a in predicted["actions"]] == [a["action"] for a in result["actions"]]
    assert place.run(**version(then))["changed"] is False


@pytest.mark.parametrize("step", STEPS)
def test_module_killed_and_the_next_run_is_refused(place: Place, step: str) -> None:
    """The service must not stay down because the next run finds something wrong."""
    place.run(**version("1"))
    process = place.begin(**version("2"))
    place.until(process, step)
    kill(process)

    result = place.finish(place.begin(**version("3"), devices=["/dev/no-such-device"]))

    assert result["failed"]
    # Once the new one is proven, the old one is of no use any more.
    place.holds("2" if step == STEPS[-1] else "1")


@pytest.mark.exhaustive
@pytest.mark.parametrize("step", STEPS)
def test_module_killed_and_the_service_not_wanted_any_more(place: Place, step: str) -> None:
    place.run(**version("1"))
    process = place.begin(**version("2"))
    place.until(process, step)
    kill(process)
    place.run(state="absent")
    assert place.docker.names(place.name) == []


def test_module_killed_while_it_undoes(place: Place) -> None:
    place.run(**version("1"))
    process = place.begin(**version("2"), command=["false"])
    place.until(process, "failed, put everything back as it was")
    kill(process)
    place.run(**version("1"))
    place.holds("1")


def test_module_killed_while_it_creates_the_first(place: Place) -> None:
    for step in ("start the container", "set restart policy always"):
        process = place.begin(**version("1"))
        place.until(process, step)
        kill(process)
        place.run(**version("1"))
        place.holds("1")
        place.run(state="absent")


# The engine itself ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_engine(docker: Docker) -> Iterator[OwnEngine]:
    # A socket's path may not be long.
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix="own-engine-")))
    try:
        engine.open()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def own_place(own_engine: OwnEngine, tmp_path: Path) -> Iterator[Place]:
    docker = Docker(own_engine.socket)
    place = Place(docker, own_engine.socket, tmp_path, "ct-killed", build_mini(docker=docker.command))
    yield place
    for name in docker.names(place.name):
        docker("rm", "--force", name)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_engine_killed(own_engine: OwnEngine, own_place: Place, step: str) -> None:
    own_place.run(**version("1"))
    process = own_place.begin(**version("2"))
    own_place.until(process, step)
    own_engine.kill()
    result = own_place.finish(_told_to_go_on(process))
    assert result["failed"]
    own_engine.start()
    assert len(own_place.running()) <= 1, "a restarted engine must never bring up both"

    own_place.run(**version("2"))

    own_place.holds("2")


@pytest.mark.slow
def test_a_stopped_container_stays_stopped_and_a_running_one_comes_back(
    own_engine: OwnEngine, own_place: Place
) -> None:
    own_place.run(state="stopped")
    own_place.run(name="ct-killed-too")
    own_engine.restart()
    assert own_place.running() == ["ct-killed-too"]
    assert own_place.run(state="stopped")["changed"] is False
    own_place.run()
    own_place.run(state="stopped")
    own_engine.restart()
    assert own_place.running() == ["ct-killed-too"]


def _told_to_go_on(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    Place._say(process, "go on")
    return process
