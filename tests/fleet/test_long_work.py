# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a node outlives the run that started it, and a run that follows goes on with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fleet.conftest import Background, Ground, answer, containers, inspect, until
from tests.simfleet.node import Node

pytestmark = pytest.mark.fleet

LOCK = "/var/lib/ascend-fleet/lock"
STATUS = "/var/lib/ascend-fleet/status/work.json"
GO = "/srv/go/now"
# What a run shows of work that it has left to the node in the background.
LOADING = "n1: slow: "


def status(node: Node) -> dict[str, Any]:
    ran = node.exec("cat", STATUS, check=False)
    return dict(json.loads(ran.out)) if ran.rc == 0 else {}


@pytest.fixture
def entries(ground: Ground) -> Iterator[dict[str, Any]]:
    """A service that takes its time before it answers, as a model does that is loaded: until a file says so."""
    node = ground.node()
    node.exec("sh", "-c", f"mkdir -p /srv/go; rm -f {GO} {STATUS}")
    serve = "until [ -e /go/now ]; do sleep 0.2; done; echo slow > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    mounts = [{"source": "/srv/go", "target": "/go"}]
    slow = ground.service("slow", command=[serve], mounts=mounts, port=8080, nodes="n1")
    yield {"fleet_services": [slow], "fleet_metadata_block": "unmanaged"}
    node.exec("touch", GO)
    until("the end of the work", lambda: node.exec("flock", "--nonblock", LOCK, "true", check=False).rc == 0)


@pytest.fixture
def loading(ground: Ground, entries: dict[str, Any]) -> Iterator[Background]:
    """A run that has started the service and waits for it."""
    run = ground.start("site", "--limit", "n1", **entries)
    try:
        until("that the run waits", lambda: LOADING in run.said or run.process.poll() is not None)
        assert LOADING in run.said, run.said
        yield run
    finally:
        run.kill()


def test_a_killed_run_leaves_the_work_going_and_the_next_one_joins_it(
    ground: Ground, entries: dict[str, Any], loading: Background
) -> None:
    loading.kill()
    node = ground.node()
    first, worker = inspect(node, "slow")["Id"], status(node)["pid"]
    following = ground.start("site", "--limit", "n1", **entries)
    try:
        until("that it joins", lambda: LOADING in following.said or following.process.poll() is not None)
        assert status(node)["pid"] == worker, following.said
        node.exec("touch", GO)
        outcome = following.ended()
    finally:
        following.kill()
    assert outcome.verdict["ok"] is True, outcome.out
    assert ("create", "slow") in {(act["action"], act["target"]) for act in outcome.record("deploy", "n1")["plan"]}
    assert answer(node, 8080) == "slow"
    assert containers(node) == {"slow"}
    assert inspect(node, "slow")["Id"] == first
    assert inspect(node, "slow")["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_a_run_survives_a_network_that_goes_away_for_a_while(ground: Ground, loading: Background) -> None:
    node = ground.node()
    node.cut()
    try:
        node.exec("touch", GO)
        until("the end of the work", lambda: status(node).get("done") is True)
    finally:
        node.heal()
    outcome = loading.ended()
    assert outcome.rc == 0, outcome.out
    assert answer(node, 8080) == "slow"


def test_a_killed_worker_is_named_and_the_next_run_mends_what_it_left(
    ground: Ground, entries: dict[str, Any], loading: Background
) -> None:
    node = ground.node()
    node.exec("kill", "-9", str(status(node)["pid"]))
    failed = loading.ended()
    assert failed.rc != 0
    assert "ended without a result" in failed.out
    node.exec("touch", GO)
    outcome = ground.run("site", "--limit", "n1", **entries)
    assert outcome.verdict["ok"] is True, outcome.out
    assert containers(node) == {"slow"}
    assert inspect(node, "slow")["HostConfig"]["RestartPolicy"]["Name"] == "always"
