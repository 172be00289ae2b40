# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of a node with an engine in memory: every way in which a job can end, and what is left of it."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _job_manifest,
    _job_outputs,
    _job_run,
    _node_jobs,
    _node_secrets,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.unit.plugins.module_utils.node_documents import document, npus

OUTPUTS = "/srv/jobs"


def moment(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class Engine:
    """Containers that do what their job's name says, as soon as they are started."""

    def __init__(self, system):
        self.system = system
        self.containers = {}
        self.log = ""
        self.order = []

    def behave(self, container):
        name = container["Name"][1:]
        state = container["State"]
        how = container["Config"]["Env"][0] if container["Config"]["Env"] else ""
        deed = how.partition("=")[2]
        folder = f"{OUTPUTS}/.{name}.next"
        if deed == "write":
            self.system.write(f"{folder}/a.txt", name)
        if deed in ("write", "nothing"):
            state.update(Running=False, ExitCode=0)
        if deed.isdigit():
            self.system.write(f"{folder}/half", "half")
            state.update(Running=False, ExitCode=int(deed))
        if deed == "memory":
            state.update(Running=False, ExitCode=137, OOMKilled=True)
        state["FinishedAt"] = moment(time.time() + 2)

    # As the client

    def create(self, name, body):
        if name in self.containers:
            raise FleetError("engine-refused", "The name is in use.")
        self.containers[name] = {
            "Name": f"/{name}",
            "Id": "0" * 64,
            "Image": "sha256:1",
            "Config": {"Labels": body["Labels"], "Env": body["Env"], "User": body["User"]},
            "HostConfig": {"Devices": body["HostConfig"]["Devices"]},
            "State": {"Running": False, "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z"},
        }

    def start(self, name):
        container = self.containers[name]
        container["State"].update(Running=True, StartedAt=moment(time.time()))
        self.order.append(name)
        self.behave(container)

    def stop(self, name, _timeout):
        self.containers[name]["State"].update(Running=False, ExitCode=137)

    def remove(self, name):
        del self.containers[name]

    # As the reader

    def inspect(self, name):
        return self.containers.get(name)

    def logs(self, _name, _lines):
        return self.log


def job(name, deed="write", **more):
    container = {
        "name": name,
        "image": "registry:5000/tools:1",
        "user": str(os.getuid()),
        "env": {"DEED": deed},
        "restart": "no",
        "secret_files": [],
    }
    return {
        "name": name,
        "entry": name,
        "kind": "job",
        "state": "present",
        "npus": {"count": 0, "cards": None, "profile": "plain"},
        "container": container,
        "checks": [],
        "files": {},
        "outputs": {
            "path": f"{OUTPUTS}/{name}",
            "target": "/outputs",
            "expect": [{"path": "*", "type": "any", "least": 1}],
        },
        "timeout": 60,
        "rerun": False,
        "spec": "a" * 64,
        **more,
    }


class Node:
    def __init__(self, root):
        self.system = System(str(root))
        self.engine = Engine(self.system)
        self.told = []
        self.released = []

    def plan(self, *jobs):
        wanted = {**document(), "jobs": list(jobs), "cpu_jobs": 2}
        containers = dict(self.engine.containers)
        self.document = wanted
        return _node_jobs.plan(self.system, wanted, npus(), containers, [], None, set(), set(), [])

    def run(self, *jobs, against=()):
        plan = self.plan(*jobs)
        plan = plan._replace(findings=[*plan.findings, *against])
        tools = _job_run.Tools(
            self.system, self.engine, self.engine, self.document, npus(), {"secret/key": "tell-nobody"},
            self.released.append, "run-1",
        )  # fmt: skip
        lines, failures = _job_run.run(tools, plan, self.told.append)
        return {line["name"]: line for line in lines}, {item["service"]: item for item in failures}

    def left(self):
        return set(os.listdir(self.system.path(OUTPUTS)))


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setattr(_job_run, "FIRST_PAUSE", 0.001)
    return Node(tmp_path)


def test_a_job_is_done_once(node):
    lines, failures = node.run(job("aa"), job("bb"))
    assert failures == {}
    assert {name: (line["state"], line["fresh"]) for name, line in lines.items()} == {
        "aa": ("done", True),
        "bb": ("done", True),
    }
    assert node.left() == {"aa", "bb"}
    assert node.engine.containers == {}
    manifest = _job_manifest.digest(node.system.path(f"{OUTPUTS}/aa/{_job_manifest.MANIFEST}"))
    _job_outputs.mark_fetched(node.system, f"{OUTPUTS}/aa", manifest, "run-1")
    again = node.plan(job("aa"), job("bb"))
    assert again.actions == []
    assert {line["name"]: (line["state"], line["fresh"]) for line in again.lines()} == {
        "aa": ("done", False),
        "bb": ("done", True),
    }
    assert [act["target"] for act in node.plan(job("aa", rerun=True), job("bb", spec="b" * 64)).actions] == ["aa", "bb"]


@pytest.mark.parametrize(
    ("deed", "check", "told"),
    [
        ("3", "job-failed", "exit code 3"),
        ("137", "job-failed", "exit code 137, killed"),
        ("memory", "job-failed", "exit code 137, killed for lack of memory"),
        ("nothing", "job-outputs", "0 files match *"),
        ("hang", "job-failed", "timeout of 0 s"),
    ],
)
def test_a_job_that_fails_leaves_its_reason_and_nothing_else(node, deed, check, told):
    node.engine.log = "the last words"
    lines, failures = node.run(job("bad", deed, timeout=0 if deed == "hang" else 60), job("good"))
    assert failures["bad"]["check"] == check
    assert told in failures["bad"]["message"]
    assert ("the last words" in failures["bad"]["message"]) is (check == "job-failed")
    assert (lines["bad"]["state"], lines["good"]["state"]) == ("failed", "done")
    assert node.left() == {"good"}
    assert node.engine.containers == {}
    again = node.plan(job("bad", deed), job("good"))
    assert [(act["target"], "it failed before" in act["reason"]) for act in again.actions] == [("bad", True)]
    assert json.loads(node.system.read("/var/lib/ascend-fleet/jobs/bad/failure.json"))["log"] == "the last words"
    # A job that was changed begins anew.
    assert "has not run yet" in node.plan(job("bad", spec="b" * 64)).actions[0]["reason"]


def test_a_secret_is_on_the_node_only_while_its_job_runs_and_in_no_log(node):
    secret = {"id": "secret/key", "target": "/run/secrets/key", "mode": "0400", "source": "/k"}
    with_secret = job("secret", "3")
    with_secret["container"]["secret_files"] = [secret]
    node.engine.log = "I was given tell-nobody"
    seen = []
    start = node.engine.start
    node.engine.start = lambda name: (seen.append(node.system.read(_node_secrets.path_of("secret/key"))), start(name))
    _lines, failures = node.run(with_secret)
    assert seen == ["tell-nobody"]
    assert "tell-nobody" not in failures["secret"]["message"]
    assert "tell-nobody" not in node.system.read("/var/lib/ascend-fleet/jobs/secret/failure.json")
    assert node.system.read(_node_secrets.path_of("secret/key")) is None


def test_a_running_container_of_the_same_job_is_waited_for(node):
    node.plan(job("aa", "hang"))
    spec = {"Labels": _labels("aa", "a" * 64), "Env": ["DEED=hang"], "User": ""}
    node.engine.create("aa", {**spec, "HostConfig": {"Devices": []}})
    node.engine.start("aa")
    (action,) = node.plan(job("aa")).actions
    assert "waited for" in action["reason"]
    node.system.write(f"{OUTPUTS}/.aa.next/a.txt", "it was nearly done")
    node.engine.containers["aa"]["State"].update(Running=False, ExitCode=0)
    lines, failures = node.run(job("aa"))
    assert failures == {}
    assert node.engine.order == ["aa"]
    assert node.system.read(f"{OUTPUTS}/aa/a.txt") == "it was nearly done"
    assert lines["aa"]["state"] == "done"


@pytest.mark.parametrize(
    ("label", "state"),
    [("b" * 64, {"Running": True}), ("a" * 64, {"Running": False, "ExitCode": 255}), ("a" * 64, {"Running": False})],
    ids=["another job", "died while nobody looked", "was never started"],
)
def test_what_cannot_be_gone_on_with_is_removed_and_made_anew(node, label, state):
    node.engine.create("aa", {"Labels": _labels("aa", label), "Env": [], "User": "", "HostConfig": {"Devices": []}})
    node.engine.containers["aa"]["State"].update(state)
    lines, failures = node.run(job("aa"))
    assert failures == {}
    assert lines["aa"]["state"] == "done"
    assert node.engine.containers == {}


def test_a_foreign_container_of_that_name_is_left_alone(node):
    node.engine.create("aa", {"Labels": {}, "Env": [], "User": "", "HostConfig": {"Devices": []}})
    _lines, failures = node.run(job("aa"), job("bb"))
    assert failures["aa"]["check"] == "container-foreign"
    assert list(node.engine.containers) == ["aa"]
    assert node.left() == {"bb"}


def test_what_was_seen_to_stand_against_a_job_stops_it_alone(node):
    against = [finding("model-invalid", "The model is for something else.", service="aa")]
    lines, failures = node.run(job("aa"), job("bb"), against=against)
    assert failures["aa"]["check"] == "model-invalid"
    assert node.engine.order == ["bb"]
    assert (lines["aa"]["state"], lines["bb"]["state"]) == ("failed", "done")


def test_a_job_that_is_not_wanted_any_more_goes_and_its_outputs_stay(node):
    node.run(job("aa"))
    node.engine.create("bb", {"Labels": _labels("bb", "a" * 64), "Env": [], "User": "", "HostConfig": {"Devices": []}})
    node.run(job("aa", state="absent"), job("bb", state="absent"))
    assert node.engine.containers == {}
    assert node.left() == {"aa"}


def test_progress_tells_how_many_have_ended(node):
    node.run(job("aa"), job("bb", "3"), job("cc"))
    assert node.told[0].startswith("jobs: 0 of 3 ended; ")
    assert "1 failed" in node.told[-1] or "of 3 ended" in node.told[-1]


def _labels(name, spec):
    prefix = "io.ascend.fleet."
    return {f"{prefix}schema": "1", f"{prefix}service": name, f"{prefix}kind": "job", f"{prefix}job": spec}
