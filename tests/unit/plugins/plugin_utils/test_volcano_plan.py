# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned about a job, and what of a cluster is looked at for it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _volcano_api,
    _volcano_intent,
    _volcano_job,
    _volcano_nodes,
    _volcano_observe,
    _volcano_plan,
    _volcano_render,
    _volcano_values,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_intent import Answer, Question

Object = dict[str, Any]

VALUES: Object = {
    "name": "llama",
    "namespace": "research",
    "image": "train:1",
    "command": "python train.py",
    "nodes": 2,
    "pvc": "data",
    "requests": {"cpu": 1, "memory": "300Gi"},
    "limits": {"cpu": 2, "memory": "400Gi"},
}
NPU = "huawei.com/ascend-1980"
JOBS = "/apis/batch.volcano.sh/v1alpha1/namespaces/research/jobs"


def signed(**changes: Any) -> Object:
    outcome = _volcano_job.compile_job({**VALUES, **changes})
    assert outcome.rendered is not None, outcome.problems
    return _volcano_render.signed(outcome.rendered.job)


def live(phase: str | None = "Running", message: str = "", **changes: Any) -> Object:
    """A Job as the server would give it back: with defaults, numbers in another form and fields of its own."""
    job = copy.deepcopy(signed(**changes))
    job["metadata"].update(uid="1", resourceVersion="7", creationTimestamp="2026-01-01T00:00:00Z")
    for task in job["spec"]["tasks"]:
        task.update(maxRetry=3, minAvailable=task["replicas"])
        task["template"]["spec"]["containers"][0]["resources"]["requests"][NPU] = 8
    job["spec"]["queue"] = job["spec"].get("queue", "default")
    if phase:
        job["status"] = {"state": {"phase": phase, "message": message}}
    return job


def plan(wanted: Object, there: Object | None, recreate: bool = False, rerun: bool = False) -> _volcano_plan.Plan:
    return _volcano_plan.plan(wanted, there, recreate, rerun)


def test_a_job_that_is_not_there_is_created() -> None:
    assert plan(signed(), None).action == "create"


@pytest.mark.parametrize("phase", [None, "Pending", "Running", "Restarting", "Completed", "Aborted"])
def test_the_same_job_is_left_alone(phase: str | None) -> None:
    made = plan(signed(), live(phase))
    assert (made.action, made.changes, made.problems) == ("none", [], [])


@pytest.mark.parametrize("phase", ["Failed", "Terminated"])
def test_a_job_that_failed_before_is_an_error_until_it_shall_run_again(phase: str) -> None:
    there = live(phase, "out of memory.")
    assert [problem.check for problem in plan(signed(), there).problems] == ["job-ended"]
    assert "(out of memory)" in plan(signed(), there).problems[0].message
    assert plan(signed(), there, rerun=True).action == "replace"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"image": "train:2"}, "spec.tasks[0].template.spec.containers[0].image"),
        ({"max_retry": 6}, "spec.maxRetry"),
        ({"queue": "gold"}, "spec.queue"),
        ({"env": {"A": "1"}}, "spec.tasks[0].template.spec.containers[0].env"),
        ({"npus": 4}, f"spec.tasks[0].template.spec.containers[0].resources.requests.{NPU}"),
        ({"limits": {"cpu": 4, "memory": "400Gi"}}, "spec.tasks[0].template.spec.containers[0].resources.limits.cpu"),
        ({"nodes": 1}, "spec.tasks"),
        ({"ttl_seconds": 5}, "spec.ttlSecondsAfterFinished"),
        ({"policies": []}, "spec.policies"),
    ],
)
def test_what_may_not_change_is_refused_or_recreated(change: Object, path: str) -> None:
    made = plan(signed(**change), live())
    assert made.action == "none"
    assert made.problems[0].check == "immutable"
    assert path in [item.path for item in made.changes]
    assert plan(signed(**change), live(), recreate=True).action == "replace"


def test_a_field_that_was_taken_away_is_a_change() -> None:
    made = plan(signed(), live(ttl_seconds=60))
    assert [(item.path, item.before, item.after) for item in made.changes] == [
        ("spec.ttlSecondsAfterFinished", 60, None)
    ]


@pytest.mark.parametrize("strict", [True, False])
def test_a_job_made_by_hand_is_compared_by_its_fields(strict: bool) -> None:
    there = live()
    del there["metadata"]["annotations"]
    if strict:
        there["spec"]["maxRetry"] = 9
    made = plan(signed(), there)
    assert [item.path for item in made.changes] == (["spec.maxRetry"] if strict else [])


def test_nodes_minavailable_and_priority_are_patched() -> None:
    wanted = signed(nodes=3, priority_class="high")
    made = plan(wanted, live())
    assert made.action == "update"
    digest = wanted["metadata"]["annotations"]["ascend.fleet/digest"]
    assert made.patch() == [
        {"op": "add", "path": "/spec/minAvailable", "value": 3},
        {"op": "replace", "path": "/spec/tasks/1/minAvailable", "value": 2},
        {"op": "replace", "path": "/spec/tasks/1/replicas", "value": 2},
        {"op": "add", "path": "/spec/priorityClassName", "value": "high"},
        {"op": "add", "path": "/metadata/annotations/ascend.fleet~1digest", "value": digest},
    ]


def test_a_lost_label_is_put_back() -> None:
    there = live()
    there["metadata"]["labels"].pop("ring-controller.cce")
    made = plan(signed(), there)
    step = {"op": "add", "path": "/metadata/labels/ring-controller.cce", "value": "ascend-1980"}
    assert (made.action, made.patch()) == ("update", [step])


@pytest.mark.parametrize("labels", [None, {}])
def test_every_label_of_a_job_without_any_is_put_back(labels: Object | None) -> None:
    there, wanted = live(), signed()
    wanted["metadata"]["labels"] = {"a/b": "1", "c": "2", "d": "3"}
    there["metadata"].update(labels=labels)
    assert [step for step in plan(wanted, there).patch() if "labels" in step["path"]] == [
        {"op": "add", "path": "/metadata/labels", "value": {"a/b": "1"}},
        {"op": "add", "path": "/metadata/labels/c", "value": "2"},
        {"op": "add", "path": "/metadata/labels/d", "value": "3"},
    ]


def test_a_completed_job_takes_no_change() -> None:
    assert plan(signed(nodes=3), live("Completed")).problems[0].check == "immutable"
    assert plan(signed(nodes=3), live("Completed"), rerun=True).action == "replace"


def node(name: str = "n1", npus: int = 8, cpu: str = "192", memory: str = "1500Gi", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {"accelerator/huawei-npu": "ascend-1980"}},
        "spec": {key: value for key, value in spec.items() if key != "ready"},
        "status": {
            "allocatable": {NPU: str(npus), "cpu": cpu, "memory": memory},
            "conditions": [{"type": "Ready", "status": spec.get("ready", "True")}],
        },
    }


def values(**changes: Any) -> _volcano_values.Values:
    parsed, problems = _volcano_values.parse({**VALUES, **changes})
    assert parsed is not None, problems
    return parsed


TAINT = {"key": "npu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("second", "obstacle"),
    [
        (node("n2", npus=4), "4 NPUs"),
        (node("n2", cpu="500m"), "too little cpu"),
        (node("n2", memory="200Gi"), "too little memory"),
        (node("n2", unschedulable=True), "cordoned"),
        (node("n2", ready="Unknown"), "not ready"),
        (node("n2", taints=[TAINT]), "taint npu"),
    ],
)
def test_nodes_that_do_not_fit(second: Object, obstacle: str) -> None:
    found = _volcano_nodes.offers([node(), second], values())
    assert [offer.obstacle for offer in found] == [None, obstacle]
    problem = next(iter(_volcano_nodes.check(found, values())))
    assert problem.message == f"2 are asked for and 1 fit (n2: {obstacle})."
    assert list(_volcano_nodes.check(found, values(nodes=1))) == []


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "npu", "operator": "Exists"}, True),
        ({"key": "npu", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "npu", "value": "no"}, False),
        ({"key": "npu", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerated_taints(toleration: Object, fits: bool) -> None:
    found = _volcano_nodes.offers([node(taints=[TAINT])], values(tolerations=[toleration]))
    assert (found[0].obstacle is None) is fits


def test_nodes_of_another_kind_are_not_asked() -> None:
    other = node("cpu-only")
    other["metadata"]["labels"] = {}
    assert _volcano_nodes.offers([other], values()) == []


@pytest.mark.parametrize(
    ("npus", "requests", "limits"), [(8, ("153", "1200Gi"), ("192", "1500Gi")), (2, ("38", "300Gi"), ("48", "375Gi"))]
)
def test_proposals_follow_the_share_of_npus(npus: int, requests: tuple[str, str], limits: tuple[str, str]) -> None:
    job = values(npus=npus, requests={}, limits={})
    made = _volcano_nodes.propose(_volcano_nodes.offers([node(), node("n2", cpu="400")], job), job)
    assert [(compute.cpu, compute.memory) for compute in made] == [requests, limits]


def test_a_proposed_request_is_never_above_a_given_limit() -> None:
    job = values(requests={}, limits={"cpu": 16})
    requests, _limits = _volcano_nodes.propose(_volcano_nodes.offers([node()], job), job)
    assert requests.cpu == 16


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"npus": 4}, ("95", "740Gi")),
        ({"npus": 4, "requests": {"cpu": 150}}, (150, "740Gi")),
        ({"npus": 4, "requests": {"memory": "900Gi"}}, ("95", "900Gi")),
        ({"npus": 4, "work": {"requests": {"cpu": "120500m"}}}, ("120500m", "740Gi")),
        ({"npus": 1}, ("23", "200Gi")),
        ({"npus": 1, "shm_size": "2000Gi"}, ("23", "1480Gi")),
    ],
)
def test_a_proposed_limit_holds_what_the_job_asks_for(changes: Object, limits: tuple[Any, str]) -> None:
    job = values(**{"requests": {}, "limits": {}, **changes})
    found = _volcano_nodes.offers([node(cpu="190", memory="1480Gi")], job)
    made = _volcano_nodes.propose(found, job)[1]
    assert (made.cpu, made.memory) == limits


@pytest.mark.parametrize("changes", [{"npus": 4, "requests": {"cpu": 150}}, {"npus": 1}])
def test_a_job_is_not_refused_for_what_was_proposed(changes: Object) -> None:
    nodes = {"items": [node(name, cpu="190", memory="1480Gi") for name in ("n1", "n2")]}
    answer = ask(FakeCluster(**{"/api/v1/nodes": nodes}), **{"requests": {}, "limits": {}, **changes})
    assert (answer.action, checks(answer)) == ("create", [])


class FakeCluster:
    """Answers from a dictionary of paths."""

    def __init__(self, **changes: Any) -> None:
        group = "/apis/scheduling.volcano.sh/v1beta1/queues"
        self.answers: dict[str, Any] = {
            "/api/v1/namespaces/research": {},
            "/api/v1/namespaces/research/persistentvolumeclaims/data": {"status": {"phase": "Bound"}},
            _volcano_observe.CRD: {},
            group: {"items": [{"metadata": {"name": "default"}, "status": {"state": "Open"}}]},
            "/api/v1/nodes": {"items": [node("n1"), node("n2"), node("n3")]},
        }
        for path, answer in changes.items():
            self.answers[{"queues": group, "crd": _volcano_observe.CRD, "job": f"{JOBS}/llama"}.get(path, path)] = (
                answer
            )
        self.asked: list[str] = []

    def get(self, path: str, query: Mapping[str, Any] | None = None, accept: str = "") -> Any:
        self.asked.append(path)
        found = self.answers.get(path)
        if isinstance(found, Exception):
            raise found
        return found

    def text(self, path: str, query: Mapping[str, Any] | None = None) -> str | None:
        raise AssertionError(path)


def ask(cluster: FakeCluster | None, state: str = "present", **changes: Any) -> Answer:
    flags = {key: changes.pop(key) for key in ("recreate", "rerun") if key in changes}
    return _volcano_intent.answer(Question({**VALUES, **changes}, state, **flags), cluster)


def checks(answer: Answer) -> list[str]:
    return [problem.check for problem in answer.problems]


def queue(name: str, state: str = "Open", parent: str = "root") -> Object:
    return {"metadata": {"name": name}, "spec": {"parent": parent}, "status": {"state": state}}


CLAIM = "/api/v1/namespaces/research/persistentvolumeclaims/data"
FORBIDDEN = _volcano_api.ForbiddenError("nodes is forbidden (403)")


@pytest.mark.parametrize(
    ("cluster", "found"),
    [
        ({}, []),
        ({"crd": None}, ["cluster-volcano"]),
        ({"/api/v1/namespaces/research": None}, ["namespace-absent"]),
        ({"queues": {"items": [queue("gold")]}}, ["queue-absent"]),
        ({"queues": {"items": [queue("default", "Closed")]}}, ["queue-closed"]),
        ({"queues": {"items": [queue("default"), queue("gold", parent="default")]}}, ["queue-parent"]),
        ({CLAIM: None}, ["pvc-absent"]),
        ({CLAIM: {"status": {"phase": "Pending"}}}, ["pvc-unbound"]),
        ({CLAIM: {"status": {"phase": "Lost"}}}, ["pvc-lost"]),
        ({"/api/v1/nodes": {"items": [node()]}}, ["nodes-few"]),
        ({"/api/v1/nodes": FORBIDDEN}, ["unchecked"]),
        ({"crd": FORBIDDEN, "queues": FORBIDDEN, "/api/v1/namespaces/research": FORBIDDEN}, ["unchecked"] * 3),
    ],
)
def test_what_a_cluster_lacks(cluster: Object, found: list[str]) -> None:
    answer = ask(FakeCluster(**cluster))
    assert checks(answer) == found
    for problem in answer.problems:
        assert problem.line().endswith(f"[{problem.check}]")


def test_a_job_that_runs_is_not_held_against_a_closed_queue() -> None:
    answer = ask(FakeCluster(job=live(), queues={"items": [queue("default", "Closed")]}))
    assert (answer.action, checks(answer)) == ("none", [])


def test_no_permission_for_the_job_itself_is_an_error() -> None:
    with pytest.raises(_volcano_api.ForbiddenError):
        ask(FakeCluster(job=FORBIDDEN))


def test_requests_are_proposed_and_kept() -> None:
    first = ask(FakeCluster(), requests={}, limits={})
    assert first.job is not None
    resources = first.job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["resources"]
    assert resources["limits"]["memory"] == "1500Gi"
    there = {**copy.deepcopy(first.job), "status": {"state": {"phase": "Running"}}}
    smaller = {"items": [node(cpu="64"), node("n2", cpu="64")]}
    again = ask(FakeCluster(job=there, **{"/api/v1/nodes": smaller}), requests={}, limits={})
    assert (again.action, again.changes) == ("none", [])


def test_without_a_cluster_nothing_is_asked_and_nothing_done() -> None:
    answer = ask(None)
    assert (answer.action, checks(answer)) == ("none", [])
    assert answer.job is not None
    assert answer.config_map is not None


def test_a_wrong_definition_is_refused_before_the_cluster_is_asked() -> None:
    cluster = FakeCluster()
    assert checks(ask(cluster, queue="root")) == ["queue-root"]
    assert cluster.asked == []


@pytest.mark.parametrize(
    ("state", "there", "action", "order", "found"),
    [
        ("absent", None, "delete", None, []),
        ("absent", "Running", "delete", None, []),
        ("suspended", None, "none", None, ["job-absent"]),
        ("suspended", "Running", "command", "AbortJob", []),
        ("suspended", "Aborted", "none", None, []),
        ("suspended", "Aborting", "none", None, []),
        ("suspended", "Completed", "none", None, ["job-ended"]),
        ("resumed", "Aborted", "command", "ResumeJob", []),
        ("resumed", "Running", "none", None, []),
        ("resumed", "Failed", "none", None, ["job-ended"]),
    ],
)
def test_other_states_need_only_the_name(
    state: str, there: str | None, action: str, order: str | None, found: list[str]
) -> None:
    cluster = FakeCluster(job=live(there) if there else None)
    identity = {"name": "llama", "namespace": "research"}
    answer = _volcano_intent.answer(Question(identity, state), cluster)
    assert (answer.action, checks(answer)) == (action, found)
    assert (answer.command or {}).get("action") == order
    assert answer.config_map is not None
    assert answer.config_map["metadata"]["name"] == "configmap1980-llama"


def test_a_job_without_a_name_cannot_be_deleted() -> None:
    assert checks(_volcano_intent.answer(Question({}, "absent"), FakeCluster())) == ["field-missing"]
