# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a job: phases, progress, lost connections, rank table and logs; with a clock of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _volcano_api,
    _volcano_follow,
    _volcano_logs,
    _volcano_progress,
    _volcano_ranktable,
)

Object = dict[str, Any]
BASE = "/api/v1/namespaces/research"
JOB = "/apis/batch.volcano.sh/v1alpha1/namespaces/research/jobs/llama"
COLUMNS = [{"name": name} for name in ("Name", "Ready", "Status", "Restarts", "Age")]


def table(*pods: tuple[str, str, str, Any]) -> Object:
    return {"columnDefinitions": COLUMNS, "rows": [{"cells": [*pod, "1m"]} for pod in pods]}


def running(count: int = 2) -> Object:
    return table(*((f"llama-main-{index}", "1/1", "Running", 0) for index in range(count)))


class World:
    """A cluster that goes through a list of states, one for each look at the job, and a clock that follows."""

    def __init__(self, *states: Any) -> None:
        self.states = list(states)
        self.time = 0.0
        self.calls: list[list[str]] = []
        self.shown: list[str] = []
        self.log = ""
        self.now: Object = {}

    def get(self, path: str, query: Mapping[str, Any] | None = None, accept: str = "") -> Any:
        if path == JOB:
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            self.calls.append([])
            if isinstance(state, Exception):
                raise state
            self.now = state if isinstance(state, dict) else {"phase": state}
        self.calls[-1].append(path)
        if path == JOB:
            gone = self.now.get("phase") is None
            return None if gone else {"status": {"state": self.now, "retryCount": self.now.get("retries", 0)}}
        found = {
            f"{BASE}/pods": self.now.get("pods", running()),
            f"{BASE}/events": {"items": self.now.get("events", [])},
            f"{BASE}/configmaps/configmap1980-llama": {"data": {"jobstart_hccl.json": self.now.get("table", "")}},
        }[path]
        if isinstance(found, Exception):
            raise found
        return found

    def text(self, path: str, query: Mapping[str, Any] | None = None) -> str | None:
        self.calls[-1].append(path)
        said = self.now.get("log", self.log)
        if isinstance(said, Exception):
            raise said
        return said

    def follow(self, **wish: Any) -> _volcano_follow.Result:
        def pause(seconds: float) -> None:
            self.time += max(seconds, 0.01)

        asked = {"name": "llama", "namespace": "research", "task": "main", "nodes": 2, "npus": 2, **wish}
        return _volcano_follow.Follower(
            self, _volcano_follow.Wish(**asked), self.shown.append, lambda: self.time, pause
        ).run()


LOST = _volcano_api.UnreachableError("https://c does not answer (refused)")
REFUSED = _volcano_api.RefusedError("https://c refuses the credentials (401)")


@pytest.mark.parametrize(
    ("states", "wish", "message"),
    [
        (["Pending", "Running", "Completed"], {}, ""),
        (["Pending", "Running"], {"goal": "running"}, ""),
        (["Running", "Aborting", "Aborted"], {"goal": "suspended"}, ""),
        (["Running", {"phase": "Failed", "message": "main failed."}], {}, "the job is Failed (main failed)."),
        (["Running", "Terminated"], {}, "the job is Terminated."),
        (["Running", "Aborted"], {}, "the job is Aborted; volcano_job_state: resumed starts it again."),
        (["Running", "Completed"], {"goal": "suspended"}, "the job is Completed."),
        (["Aborted", "Aborted", "Restarting", "Pending", "Running"], {"goal": "resumed"}, ""),
        (["Aborting", "Aborted", "Pending", "Running"], {"goal": "resumed"}, ""),
        (["Running"], {"goal": "resumed"}, ""),
        (["Aborted", "Failed"], {"goal": "resumed"}, "the job is Failed."),
        (
            ["Aborted", "Restarting", "Aborted"],
            {"goal": "resumed"},
            "the job is Aborted; volcano_job_state: resumed starts it again.",
        ),
        (
            ["Aborted", "Running"],
            {"goal": "running"},
            "the job is Aborted; volcano_job_state: resumed starts it again.",
        ),
        (
            ["Aborted"],
            {"goal": "resumed", "lost_timeout": 60},
            (
                "the job is still Aborted: Volcano has not resumed it in 1 min; look at the log of Volcano's "
                "controllers, or raise volcano_job_lost_timeout, and run again."
            ),
        ),
        (["Restarting", "Pending", "Running", "Completed"], {}, ""),
        (
            ["Running", {"phase": None}],
            {},
            "the job is gone: it was deleted, or its volcano_job_ttl_seconds have passed.",
        ),
        (["Running", {"phase": None}, "Running", "Completed"], {}, ""),
        (["Running", LOST, LOST, "Completed"], {}, ""),
    ],
)
def test_how_a_wait_ends(states: list[Any], wish: Object, message: str) -> None:
    assert World(*states).follow(**wish).message == message


def test_a_wait_that_takes_too_long_says_what_it_waited_for() -> None:
    result = World("Pending").follow(timeout=60, poll=10)
    assert result.message.startswith("the job is Pending and not Completed after 1 min; it goes on")
    assert (result.polls, result.seconds) == (7, 60.0)


def test_a_connection_that_stays_lost_ends_the_wait() -> None:
    world = World("Running", LOST)
    result = world.follow(lost_timeout=120, poll=10)
    assert "does not answer (refused), for 2 min now; the job goes on" in result.message
    assert sum("trying again" in line for line in world.shown) == 1


@pytest.mark.parametrize("error", [REFUSED, _volcano_api.ForbiddenError("jobs is forbidden (403)")])
def test_bad_credentials_end_the_wait_at_once(error: Exception) -> None:
    result = World("Running", error, "Completed").follow()
    assert result.message == f"{error}; the job goes on: renew the credentials and run again to follow it."


def test_only_changes_are_shown() -> None:
    world = World("Pending", "Pending", "Running", "Running", "Completed")
    world.follow()
    assert [line.split(" (")[0] for line in world.shown] == [
        f"research/llama: {phase}, 2/2 pods ready" for phase in ("Pending", "Running", "Completed")
    ]


def test_new_lines_of_rank_0_are_shown_once() -> None:
    logs = ["a\nb\n", "a\nb\n", "b\nc\n", "x\ny\n"]
    world = World(*({"phase": "Running", "log": log} for log in logs), "Completed")
    world.log = "x\ny\n"
    world.follow(log_lines=2)
    assert [line.strip() for line in world.shown if "llama-main-0:" in line] == [
        f"llama-main-0: {letter}" for letter in "abcxy"
    ]


def test_no_log_is_no_fault() -> None:
    world = World({"phase": "Running", "log": LOST}, {"phase": "Running", "log": None}, "Completed")
    assert world.follow().message == ""


def event(uid: str, name: str, count: int = 1) -> Object:
    return {
        "metadata": {"uid": uid}, "type": "Warning", "reason": "FailedScheduling", "message": "no\nnode",
        "count": count, "involvedObject": {"kind": "Pod", "name": name}, "lastTimestamp": uid,
    }  # fmt: skip


def test_events_of_the_job_and_its_pods_are_shown_once() -> None:
    listed = [event("2", "llama-main-0"), event("1", "llama"), event("3", "llama2-main-0")]
    again = [event("2", "llama-main-0", 5), event("1", "llama")]
    world = World({"phase": "Pending", "events": listed}, {"phase": "Pending", "events": again}, "Completed")
    assert world.follow().events == [
        "Warning FailedScheduling Pod llama: no node",
        "Warning FailedScheduling Pod llama-main-0: no node",
        "Warning FailedScheduling Pod llama-main-0: no node",
    ]


def test_a_broken_pods_log_is_kept_before_a_restart_takes_it(tmp_path: Path) -> None:
    broken = table(("llama-main-0", "0/1", "Error", 0), ("llama-main-1", "0/1", "OOMKilled", 0))
    state = {"phase": "Running", "pods": broken, "log": "bang\n"}
    world = World("Running", state, state, state, "Restarting", "Running", "Completed")
    result = world.follow(logs_dir=str(tmp_path))
    assert [Path(path).name for path in result.logs] == ["llama-main-0.retry-0.log", "llama-main-1.retry-0.log"]
    assert (tmp_path / "llama-main-0.retry-0.log").read_text(encoding="utf-8") == "bang\n"
    assert result.message == ""


def test_restarts_are_counted_for_job_and_containers() -> None:
    pods = table(("llama-main-0", "1/1", "Running", "2 (5m ago)"), ("llama-main-1", "1/1", "Running", 1))
    world = World({"phase": "Running", "pods": pods, "retries": 3}, "Completed")
    world.follow()
    assert "6 restarts" in world.shown[0]


@pytest.mark.parametrize("count", [2, 1000])
def test_a_poll_costs_the_same_however_many_pods_there_are(count: int) -> None:
    pods = table(*((f"llama-main-{index}", "1/1", "Running", 0) for index in range(count)))
    world = World(*[{"phase": "Running", "pods": pods}] * 5, {"phase": "Completed", "pods": pods})
    world.follow(nodes=count, rank_table="configmap1980-llama", rank_table_key="jobstart_hccl.json")
    assert {len(calls) for calls in world.calls} == {6}


def test_broken_pods_cost_one_call_each_poll(tmp_path: Path) -> None:
    pods = table(*((f"llama-main-{index}", "0/1", "Error", 0) for index in range(50)))
    world = World(*[{"phase": "Running", "pods": pods}] * 5, "Completed")
    world.follow(logs_dir=str(tmp_path))
    assert max(len(calls) for calls in world.calls) <= 7


def test_what_may_not_be_read_is_a_warning() -> None:
    class Shy(World):
        def get(self, path: str, query: Mapping[str, Any] | None = None, accept: str = "") -> Any:
            if path.endswith("/events"):
                raise _volcano_api.ForbiddenError("events is forbidden (403)")
            return super().get(path, query, accept)

    result = Shy("Running", "Completed").follow()
    assert (result.message, result.warnings) == ("", ["events is forbidden (403)"])


def ranks(nodes: int = 2, npus: int = 2, status: str = "completed") -> Object:
    servers = [
        {
            "server_id": f"10.0.0.{server}",
            "device": [
                {"device_id": str(n), "device_ip": "1.1.1.1", "rank_id": str(server * npus + n)} for n in range(npus)
            ],
        }
        for server in range(nodes)
    ]
    return {"status": status, "version": "1.0", "server_count": str(nodes), "server_list": servers}


def broken(change: Callable[[Object], Any]) -> str:
    made = ranks()
    change(made)
    return json.dumps(made)


def device(made: Object, server: int = 0, index: int = 0) -> Object:
    return made["server_list"][server]["device"][index]


OLDER = {
    "status": "completed",
    "group_count": "1",
    "group_list": [
        {
            "instance_list": [
                {"server_id": server, "devices": [{"device_id": str(n), "device_ip": "x"} for n in range(2)]}
                for server in ("a", "b")
            ]
        }
    ],
}


@pytest.mark.parametrize(
    ("text", "state", "fault"),
    [
        (None, "initializing", ""),
        ('{"status": "initializing"}', "initializing", ""),
        (json.dumps(ranks()), "completed", ""),
        (json.dumps(OLDER), "completed", ""),
        ("H4sIAAAA", "unknown", "no JSON"),
        ("[]", "unknown", "no object"),
        ('{"status": "completed", "servers": []}', "unknown", "form"),
        (json.dumps(ranks(nodes=1)), "broken", "lists 1 of 2 servers"),
        (json.dumps(ranks(npus=1)), "broken", "has 1 of 2 devices"),
        (broken(lambda t: t.update(server_count="3")), "broken", "server_count is 3 with 2"),
        (broken(lambda t: device(t, 1).update(rank_id="0")), "broken", "rank 0 is given twice"),
        (broken(lambda t: device(t, 1).update(rank_id="9")), "broken", "rank 2 is missing"),
        (broken(lambda t: device(t, 0, 1).update(device_id="0")), "broken", "listed 2 times"),
    ],
)
def test_rank_tables(text: str | None, state: str, fault: str) -> None:
    verdict = _volcano_ranktable.judge(text, 2, 2)
    assert verdict.state == state
    assert fault in "; ".join(verdict.faults)
    assert bool(fault) == bool(verdict.faults)


@given(st.integers(1, 20), st.integers(1, 16))
def test_every_complete_rank_table_is_accepted(nodes: int, npus: int) -> None:
    assert _volcano_ranktable.judge(json.dumps(ranks(nodes, npus)), nodes, npus).state == "completed"


def test_a_broken_rank_table_ends_the_wait() -> None:
    state = {"phase": "Running", "table": json.dumps(ranks(nodes=1))}
    wish = {"rank_table": "configmap1980-llama", "rank_table_key": "jobstart_hccl.json"}
    result = World("Pending", state).follow(**wish)
    assert result.message.startswith("the rank table is broken: it lists 1 of 2 servers;")
    assert result.rank_table == "broken"


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc"), min_size=1, max_size=5))
def test_new_lines_complete_what_was_seen(before: list[str], added: list[str]) -> None:
    """Whatever is called new, the end of the log ends with it."""
    now = (before + added)[-5:]
    new = _volcano_progress.new_lines(before[-5:], now)
    assert now[len(now) - len(new) :] == new


class Pods:
    """Pods with logs, one of them restarted, one that never started."""

    def get(self, path: str, query: Mapping[str, Any] | None = None, accept: str = "") -> Any:
        def pod(name: str, restarts: int) -> Object:
            status = {"containerStatuses": [{"name": "train", "restartCount": restarts}]}
            return {"metadata": {"name": name}, "spec": {"containers": [{"name": "train"}]}, "status": status}

        assert query is not None
        if "continue" in query:
            return {"items": [pod("llama-work-0", 0)], "metadata": {}}
        return {"items": [pod("llama-main-0", 1), pod("llama-main-1", 0)], "metadata": {"continue": "x"}}

    def text(self, path: str, query: Mapping[str, Any] | None = None) -> str | None:
        assert query is not None
        if "llama-work-0" in path:
            raise _volcano_api.UnreachableError("container is waiting to start")
        return "before" if query.get("previous") else "now"


def test_logs_of_every_pod_and_of_its_run_before(tmp_path: Path) -> None:
    paths = _volcano_logs.fetch_all(Pods(), "research", "llama", str(tmp_path), 10)
    assert {Path(path).name: Path(path).read_text(encoding="utf-8") for path in paths} == {
        "llama-main-0.train.log": "now",
        "llama-main-0.train.previous.log": "before",
        "llama-main-1.train.log": "now",
        "llama-work-0.train.log": "(no log: the node does not give one)\n",
    }
