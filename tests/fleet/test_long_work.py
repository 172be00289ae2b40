# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a node outlives the run that started it, and a run that follows goes on with it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fleet.conftest import Ground, answer, containers, inspect
from tests.simfleet.node import Node

pytestmark = pytest.mark.fleet

LOCK = "/var/lib/ascend-fleet/lock"
STATUS = "/var/lib/ascend-fleet/status/work.json"
# Longer than the module waits before it leaves the work running in the background.
LOADING = 12
# Long enough for another run to get as far as the work.
LOADING_FOR_ANOTHER = 25


def slow(ground: Ground, seconds: int, **keys: Any) -> dict[str, Any]:
    """A service that takes its time before it answers, as a model does that is loaded."""
    serve = f"sleep {seconds}; echo slow > /tmp/index.html && exec httpd -f -p 80 -h /tmp"
    return ground.service("slow", command=[serve], port=8080, **keys)


def status(node: Node) -> dict[str, Any]:
    ran = node.exec("cat", STATUS, check=False)
    return dict(json.loads(ran.out)) if ran.rc == 0 else {}


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.3)


def loads(node: Node) -> bool:
    """Whether the container runs and the worker waits for it."""
    return "slow" in containers(node) and status(node).get("done") is False


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> int:
    return int(getattr(request, "param", LOADING))


@pytest.fixture
def entries(ground: Ground, seconds: int) -> dict[str, Any]:
    return {"fleet_services": [slow(ground, seconds, nodes="n1")]}


@pytest.fixture
def loading(ground: Ground, entries: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A run that has started the service and waits for it."""
    node = ground.node("n1")
    node.exec("rm", "-f", STATUS)
    run = ground.start("site", "--limit", "n1", **entries)
    until(lambda: loads(node))
    yield run
    run.kill()
    run.wait()
    until(lambda: node.exec("flock", "--nonblock", LOCK, "true", check=False).rc == 0)


@pytest.mark.parametrize("seconds", [LOADING_FOR_ANOTHER], indirect=True)
def test_a_killed_run_leaves_the_work_going_and_the_next_one_joins_it(
    ground: Ground, entries: dict[str, Any], loading: subprocess.Popen[str]
) -> None:
    loading.kill()
    loading.wait()
    node = ground.node("n1")
    first = inspect(node, "slow")["Id"]
    outcome = ground.run("site", "--limit", "n1", **entries)
    assert outcome.verdict["ok"] is True, outcome.out
    assert answer(node, 8080) == "slow"
    assert containers(node) == {"slow"}
    assert inspect(node, "slow")["Id"] == first
    assert inspect(node, "slow")["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_a_run_survives_a_network_that_goes_away_for_a_while(ground: Ground, loading: subprocess.Popen[str]) -> None:
    node = ground.node("n1")
    node.cut()
    try:
        until(lambda: status(node).get("done") is True)
    finally:
        node.heal()
    out, _err = loading.communicate(timeout=240)
    assert loading.returncode == 0, out
    assert answer(node, 8080) == "slow"


def test_a_killed_worker_is_named_and_the_next_run_mends_what_it_left(
    ground: Ground, entries: dict[str, Any], loading: subprocess.Popen[str]
) -> None:
    node = ground.node("n1")
    node.exec("kill", "-9", str(status(node)["pid"]))
    out, _err = loading.communicate(timeout=240)
    assert loading.returncode != 0, out
    assert "ended without a result" in out
    outcome = ground.run("site", "--limit", "n1", **entries)
    assert outcome.verdict["ok"] is True, outcome.out
    assert containers(node) == {"slow"}
    assert inspect(node, "slow")["HostConfig"]["RestartPolicy"]["Name"] == "always"


@pytest.mark.parametrize("seconds", [LOADING_FOR_ANOTHER], indirect=True)
def test_a_second_run_is_told_who_holds_the_node(ground: Ground, loading: subprocess.Popen[str]) -> None:
    node = ground.node("n1")
    holder = status(node)["run"]["id"]
    other = {"fleet_services": [slow(ground, LOADING, nodes="n1", env={"OTHER": "1"})]}
    refused = ground.run("deploy", "--limit", "n1", **other)
    assert refused.verdict["ok"] is False
    # The lock is held while the node is worked on, the lease until the run ends.
    assert {check for _host, check in refused.failed_checks()} <= {"lock-held", "lease-held"}
    assert holder in refused.out
    out, _err = loading.communicate(timeout=240)
    assert loading.returncode == 0, out
    assert "OTHER=1" not in inspect(node, "slow")["Config"]["Env"]
