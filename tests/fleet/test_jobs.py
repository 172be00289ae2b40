# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on simulated servers: what they leave, what fails, and what a killed run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.conftest import Background, Ground, containers, docker, exists, inspect, until
from tests.simfleet.node import Node

pytestmark = pytest.mark.fleet

STATUS = "/var/lib/ascend-fleet/status/work.json"
JOBS = "/var/lib/ascend-fleet/work/jobs"
# Notes when it ran and the cards it saw; the pause makes it plain whether two ran at the same time.
WORKS = "cat /proc/uptime > /outputs/began; ls /dev > /outputs/devices; sleep 2; cat /proc/uptime > /outputs/ended"


def job(ground: Ground, name: str, script: str = WORKS, **keys: Any) -> dict[str, Any]:
    command = ["/bin/sh", "-c", script]
    return {"name": name, "kind": "job", "image": ground.image, "nodes": "n1", "entrypoint": command, **keys}


def read(node: Node, path: str) -> str:
    return str(node.exec("cat", path).out)


def cards(listed: str) -> set[str]:
    return {name for name in listed.split() if name.startswith("davinci") and name[-1].isdigit()}


@pytest.fixture
def jobs(ground: Ground) -> Iterator[Ground]:
    """The servers, and nothing of any job on them afterwards."""
    yield ground
    for node in ground.fleet.nodes:
        node.exec("rm", "-rf", JOBS, "/var/lib/ascend-fleet/jobs", "/var/lib/ascend-fleet/secrets")


def test_jobs_queue_for_the_cards_that_services_leave_and_one_that_fails_stops_no_other(
    jobs: Ground, tmp_path: Path
) -> None:
    node = jobs.node("n1")
    token = tmp_path / "token"
    token.write_text("tell-nobody\n")
    token.chmod(0o600)
    service = jobs.service("web", port=8080, npus=2, nodes="n1")
    secret = {"name": "token", "file": str(token)}
    good = [
        job(jobs, "first", npus=4),
        job(jobs, "second", npus=3),
        job(jobs, "part", "echo $ASCEND_FLEET_PART of $ASCEND_FLEET_PARTS > /outputs/part", nodes="all", spread=True,
            instances=2),
    ]  # fmt: skip
    bad = [
        job(jobs, "breaks", "cat /run/secrets/token; echo it broke; exit 3", secrets=[secret]),
        job(jobs, "idle", "true", outputs=["*.png"]),
        job(jobs, "lies", "echo no > /outputs/a.png", outputs=[{"path": "*.png", "type": "png"}]),
        job(jobs, "endless", "echo half > /outputs/half; sleep 1000", timeout=2),
    ]
    everything = {"fleet_services": [service], "fleet_jobs": good, "fleet_jobs_bad": bad, "fleet_cpu_jobs": 8}

    planned = jobs.run("site", "--check", **everything)
    assert planned.rc == 0, planned.out
    assert {act["target"] for act in planned.record("jobs", "n1")["plan"]} == {
        "first", "second", "part-0", "part-1", "breaks", "idle", "lies", "endless",
    }  # fmt: skip
    assert containers(node) == set()

    # By a user with sudo, who gets the outputs of processes that ran as root.
    outcome = jobs.run("site", "-e", "ansible_user=ops", **everything)
    told = {item["service"]: item["message"] for item in outcome.verdict["failures"]}
    assert set(told) == {"breaks", "idle", "lies", "endless"}, outcome.out
    assert "exit code 3" in told["breaks"]
    assert "it broke" in told["breaks"]
    assert "0 files match *.png" in told["idle"]
    assert "a.png is no PNG picture" in told["lies"]
    assert "timeout of 2 s" in told["endless"]
    assert "tell-nobody" not in outcome.out
    records = tmp_path / "report" / outcome.verdict["run_id"] / "records"
    assert not [path for path in records.rglob("*.json") if "tell-nobody" in path.read_text()]

    # What failed left nothing, neither outputs nor containers nor secrets; the service kept its cards all along.
    assert containers(node) == {"web"}
    assert set(node.exec("ls", "-A", JOBS).out.split()) == {"first", "second", "part-0", "part-1"}
    assert not exists(node, "/var/lib/ascend-fleet/secrets/breaks")
    first, second = cards(read(node, f"{JOBS}/first/devices")), cards(read(node, f"{JOBS}/second/devices"))
    served = {f"davinci{card}" for card in inspect(node, "web")["Config"]["Labels"]["io.ascend.fleet.npus"].split(",")}
    assert (len(first), len(second)) == (4, 3)
    assert not (first | second) & served
    # Seven cards were wanted and six were free, so one waited for the other.
    times = sorted((float(read(node, f"{JOBS}/{name}/{edge}").split()[0]), name)
                   for name in ("first", "second") for edge in ("began", "ended"))  # fmt: skip
    assert times[0][1] == times[1][1]
    # Both nodes did their parts of one work, and all of it came back.
    fetched = tmp_path / "report" / outcome.verdict["run_id"] / "jobs"
    parts = [(fetched / host / f"part-{index}" / "part").read_text() for host in ("n1", "n2") for index in (0, 1)]
    assert parts == [f"{index} of 4\n" for index in range(4)]

    del everything["fleet_jobs_bad"]
    again = jobs.run("site", **everything)
    assert again.verdict["ok"] is True, again.out
    assert set(again.changed.values()) == {0}
    lines = {line["name"]: line["state"] for line in again.verdict["hosts"]["n1"]["services"]}
    assert lines == {"web": "running", "first": "done", "second": "done", "part-0": "done", "part-1": "done"}

    # An output that is not what its manifest says is no output.
    node.exec("sh", "-c", f"echo more >> {JOBS}/second/began")
    drifted = jobs.run("drift", **everything)
    assert [(item["service"], item["check"]) for item in drifted.verdict["failures"]] == [("second", "drift")]
    mended = jobs.run("jobs", "--limit", "n1", **everything)
    assert mended.verdict["ok"] is True, mended.out
    assert "more" not in read(node, f"{JOBS}/second/began")


@pytest.fixture
def waiting(jobs: Ground) -> Iterator[tuple[Background, dict[str, Any]]]:
    """A run in which one job waits for a file and another is done; both on the processor."""
    script = "echo begun > /outputs/begun; until [ -e /go/on ]; do sleep 0.2; done; echo well > /outputs/well"
    node = jobs.node("n1")
    node.exec("mkdir", "-p", "/go")
    entries = {
        "fleet_jobs": [job(jobs, "waits", script, mounts=["/go:/go:ro"]), job(jobs, "quick", "echo 1 > /outputs/1")]
    }
    run = jobs.start("site", "--limit", "n1", **entries)
    until("that one job waits", lambda: exists(node, f"{JOBS}/.waits.next/begun") and exists(node, f"{JOBS}/quick/1"))
    yield run, entries
    run.kill()
    node.exec("rm", "-rf", "/go")


def test_the_next_run_goes_on_with_the_job_of_a_killed_worker(
    jobs: Ground, waiting: tuple[Background, dict[str, Any]]
) -> None:
    run, entries = waiting
    node = jobs.node("n1")
    before = inspect(node, "waits")["Id"]
    node.exec("kill", "-9", str(json.loads(read(node, STATUS))["pid"]))
    failed = run.ended()
    assert failed.rc != 0
    assert "ended without a result" in failed.out
    assert not exists(node, f"{JOBS}/waits")
    assert inspect(node, "waits")["Id"] == before
    node.exec("touch", "/go/on")
    outcome = jobs.run("site", "--limit", "n1", **entries)
    assert outcome.verdict["ok"] is True, outcome.out
    assert read(node, f"{JOBS}/waits/well") == "well\n"
    assert json.loads(read(node, f"{JOBS}/waits/.manifest.json"))["seconds"] > 0
    assert containers(node) == set()
    # The other one was done before the worker was killed, and nobody had fetched it.
    fetched = outcome.reports / outcome.verdict["run_id"] / "jobs" / "n1"
    assert (fetched / "quick" / "1").read_text() == "1\n"
    assert json.loads(read(node, f"{JOBS}/quick/.manifest.json"))["fetched"] == outcome.verdict["run_id"]


def test_a_killed_container_is_a_failed_job_and_runs_again(
    jobs: Ground, waiting: tuple[Background, dict[str, Any]]
) -> None:
    run, entries = waiting
    node = jobs.node("n1")
    docker(node, "kill", "waits")
    failed = run.ended()
    assert failed.rc != 0
    assert "Job waits: its process ended (exit code 137, killed)" in failed.out
    assert not exists(node, f"{JOBS}/.waits.next")
    planned = jobs.run("drift", "--limit", "n1", **entries)
    assert "it failed before" in planned.verdict["failures"][0]["message"]
    node.exec("touch", "/go/on")
    outcome = jobs.run("jobs", "--limit", "n1", **entries)
    assert outcome.verdict["ok"] is True, outcome.out
    assert read(node, f"{JOBS}/waits/well") == "well\n"
