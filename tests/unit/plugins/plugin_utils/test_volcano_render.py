# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each option of a job puts where, for every dialect; and how long a job of 1,000 nodes takes."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_data, _volcano_job, _volcano_render
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_render import Rendered

VALUES: dict[str, Any] = {
    "name": "llama",
    "namespace": "research",
    "image": "train:1",
    "command": "python train.py",
    "requests": {"cpu": 1, "memory": "300Gi"},
    "limits": {"cpu": 2, "memory": "400Gi"},
}


def render(**changes: Any) -> Rendered:
    outcome = _volcano_job.compile_job({**VALUES, **changes})
    assert outcome.problems == [], [problem.line() for problem in outcome.problems]
    assert outcome.rendered is not None
    return outcome.rendered


def pods(rendered: Rendered) -> list[dict[str, Any]]:
    return [task["template"]["spec"] for task in rendered.job["spec"]["tasks"]]


def container(rendered: Rendered, task: int = 0) -> dict[str, Any]:
    return pods(rendered)[task]["containers"][0]


def volume(rendered: Rendered, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    source = next(item for item in pods(rendered)[0]["volumes"] if item["name"] == name)
    mount = next(item for item in container(rendered)["volumeMounts"] if item["name"] == name)
    return source, mount


@pytest.mark.parametrize(
    ("nodes", "layout", "tasks"),
    [
        (1, "main_work", [("main", 1)]),
        (1, "replicas", [("main", 1)]),
        (2, "main_work", [("main", 1), ("work", 1)]),
        (16, "main_work", [("main", 1), ("work", 15)]),
        (16, "replicas", [("main", 16)]),
    ],
)
def test_layouts(nodes: int, layout: str, tasks: list[tuple[str, int]]) -> None:
    spec = render(nodes=nodes, layout=layout).job["spec"]
    assert [(task["name"], task["replicas"]) for task in spec["tasks"]] == tasks
    assert spec["minAvailable"] == nodes


@pytest.mark.parametrize(
    ("dialect", "config_map", "npu", "plugins", "tasks", "labels"),
    [
        ("cce", "configmap1980-llama", "huawei.com/ascend-1980", {"configmap1980", "env", "svc"}, ["main", "work"],
         {"ring-controller.cce": "ascend-1980"}),
        ("mindcluster", "rings-config-llama", "huawei.com/Ascend910", {"env", "ssh", "svc"}, ["main", "work"],
         {"ring-controller.atlas": "ascend-910"}),
        ("upstream", None, "huawei.com/Ascend910", {"env", "hcclrank", "svc"}, ["master", "worker"], {}),
    ],
)  # fmt: skip
def test_dialects(
    dialect: str, config_map: str | None, npu: str, plugins: set[str], tasks: list[str], labels: dict[str, str]
) -> None:
    rendered = render(dialect=dialect, nodes=2, npus=4)
    assert (rendered.config_map or {"metadata": {"name": None}})["metadata"]["name"] == config_map
    resources = container(rendered)["resources"]
    assert resources["requests"][npu] == resources["limits"][npu] == "4"
    assert set(rendered.job["spec"]["plugins"]) == plugins
    assert [task["name"] for task in rendered.job["spec"]["tasks"]] == tasks
    for task in rendered.job["spec"]["tasks"]:
        assert labels.items() <= task["template"]["metadata"]["labels"].items()


def test_mindcluster_pods_read_the_rank_table_from_its_map() -> None:
    source, mount = volume(render(dialect="mindcluster"), "rank-table")
    assert source["configMap"] == {"name": "rings-config-llama"}
    assert mount["mountPath"] == "/user/serverid/devindex/config"


def test_a_cluster_may_call_its_npus_otherwise() -> None:
    rendered = render(
        dialect_override={"npu_resource": "huawei.com/ascend-310", "node_selector": {"npu": "310"}, "labels": {}}
    )
    assert container(rendered)["resources"]["requests"]["huawei.com/ascend-310"] == "8"
    assert pods(rendered)[0]["nodeSelector"] == {"npu": "310"}


@pytest.mark.parametrize(
    ("command", "program", "args"),
    [
        ("cd /code && python train.py ${RANK}", ["/bin/sh", "-c"], ["cd /code && python train.py ${RANK}"]),
        (["python", "train.py"], ["python", "train.py"], None),
    ],
)
def test_commands(command: Any, program: list[str], args: list[str] | None) -> None:
    made = container(render(command=command))
    assert (made["command"], made.get("args")) == (program, args)


def test_environment_values_and_references() -> None:
    reference = {"secretKeyRef": {"name": "hub", "key": "token"}}
    env = container(render(env={"STEPS": 100, "DEBUG": True, "TOKEN": reference}))["env"]
    assert env[3:] == [
        {"name": "STEPS", "value": "100"},
        {"name": "DEBUG", "value": "true"},
        {"name": "TOKEN", "valueFrom": reference},
    ]


def test_the_second_task_has_its_own_template() -> None:
    policy = {"event": "TaskCompleted", "action": "CompleteJob"}
    work = {"command": "python worker.py", "env": {"ROLE": "worker"}, "limits": {"cpu": 8, "memory": "400Gi"},
            "policies": [policy]}  # fmt: skip
    rendered = render(nodes=3, work=work, env={"A": "1"})
    assert [container(rendered, index)["args"] for index in (0, 1)] == [["python train.py"], ["python worker.py"]]
    assert container(rendered, 1)["image"] == "train:1"
    assert {"name": "ROLE", "value": "worker"} in container(rendered, 1)["env"]
    assert container(rendered, 1)["resources"]["limits"]["cpu"] == 8
    assert "policies" not in rendered.job["spec"]["tasks"][0]
    assert rendered.job["spec"]["tasks"][1]["policies"] == [policy]


def test_mounts_volumes_and_paths() -> None:
    rendered = render(
        mounts=[{"host_path": "/data", "mount_path": "/in", "read_only": True}],
        volumes=[{"name": "cfg", "mount_path": "/cfg", "source": {"configMap": {"name": "c"}}, "sub_path": "a"}],
        pvc="data",
        pvc_mount_path="/mnt/data",
        npu_smi="/usr/local/bin/npu-smi",
        shm_size="64Gi",
    )
    assert volume(rendered, "host-0") == (
        {"name": "host-0", "hostPath": {"path": "/data"}},
        {"name": "host-0", "mountPath": "/in", "readOnly": True},
    )
    assert volume(rendered, "cfg")[1] == {"name": "cfg", "mountPath": "/cfg", "subPath": "a"}
    assert volume(rendered, "sfs-volume")[1]["mountPath"] == "/mnt/data"
    assert volume(rendered, "npu-smi")[0]["hostPath"]["path"] == "/usr/local/bin/npu-smi"
    assert volume(rendered, "npu-smi")[1]["mountPath"] == "/usr/local/bin/npu-smi"
    assert volume(rendered, "shared-memory-volume")[0]["emptyDir"]["sizeLimit"] == "64Gi"


@pytest.mark.parametrize(
    ("values", "place", "expected"),
    [
        ({"max_retry": 0}, ("spec", "maxRetry"), 0),
        ({"queue": "gold"}, ("spec", "queue"), "gold"),
        ({"priority_class": "high"}, ("spec", "priorityClassName"), "high"),
        ({"ttl_seconds": 60}, ("spec", "ttlSecondsAfterFinished"), 60),
        ({"policies": []}, ("spec", "policies"), []),
        ({"override": {"spec": {"minSuccess": 1}}}, ("spec", "minSuccess"), 1),
        ({"override": {"metadata": {"labels": {"a": "b"}}}}, ("metadata", "labels", "fault-scheduling"), "force"),
        ({"namespace": "n"}, ("metadata", "namespace"), "n"),
    ],
)
def test_options_of_the_job(values: dict[str, Any], place: tuple[str, ...], expected: Any) -> None:
    found: Any = render(**values).job
    for key in place:
        found = found[key]
    assert found == expected


@pytest.mark.parametrize(
    ("values", "key", "expected"),
    [
        ({"image_pull_secrets": ["swr"]}, "imagePullSecrets", [{"name": "swr"}]),
        (
            {"tolerations": [{"key": "npu", "operator": "Exists"}]},
            "tolerations",
            [{"key": "npu", "operator": "Exists"}],
        ),
        ({"restart_policy": "Never"}, "restartPolicy", "Never"),
        ({"node_selector": {"zone": "a"}}, "nodeSelector", {"accelerator/huawei-npu": "ascend-1980", "zone": "a"}),
    ],
)
def test_options_of_the_pods(values: dict[str, Any], key: str, expected: Any) -> None:
    assert [pod[key] for pod in pods(render(nodes=2, **values))] == [expected, expected]


def test_storage_becomes_a_volume_and_its_claim() -> None:
    storage = {"size": "1Ti", "volume_id": "8962a2a2", "location": "192.0.2.9:/", "mount_options": ["nolock"]}
    volume_, claim = render(pvc="data", storage=storage).storage
    assert (volume_["kind"], claim["kind"]) == ("PersistentVolume", "PersistentVolumeClaim")
    assert claim["spec"]["volumeName"] == volume_["metadata"]["name"] == "research-data"
    assert claim["metadata"]["namespace"] == "research"
    assert volume_["spec"]["csi"]["volumeHandle"] == "8962a2a2"
    assert volume_["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume_["spec"]["mountOptions"] == ["nolock"]
    for key in ("accessModes", "storageClassName"):
        assert volume_["spec"][key] == claim["spec"][key]


@given(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"\A[a-z][a-z0-9]{0,20}\Z"),
            "namespace": st.from_regex(r"\A[a-z][a-z0-9]{0,20}\Z"),
            "dialect": st.sampled_from(_volcano_data.dialect_names()),
            "nodes": st.integers(1, 64),
            "npus": st.integers(1, 16),
            "layout": st.sampled_from(["main_work", "replicas"]),
        }
    )
)
def test_couplings_hold_by_construction(values: dict[str, Any]) -> None:
    rendered = render(**values)
    name, spec = values["name"], rendered.job["spec"]
    assert spec["minAvailable"] == values["nodes"] == sum(task["replicas"] for task in spec["tasks"])
    for pod in pods(rendered):
        term = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
        assert term["labelSelector"]["matchExpressions"][0]["values"] == [name]
        resources = pod["containers"][0]["resources"]
        npus = {key: value for key, value in resources["requests"].items() if key.startswith("huawei.com/")}
        assert npus == {key: resources["limits"][key] for key in npus}
        assert list(npus.values()) == [str(values["npus"])]
        assert pod["hostNetwork"] is True
    if rendered.config_map:
        assert rendered.config_map["metadata"]["name"].endswith(f"-{name}")
        assert rendered.config_map["metadata"]["namespace"] == rendered.job["metadata"]["namespace"]
        assert list(map(json.loads, rendered.config_map["data"].values())) == [{"status": "initializing"}]


def test_a_digest_knows_every_change_and_no_order() -> None:
    job = render().job
    shuffled = {**job, "spec": dict(reversed(job["spec"].items()))}
    assert _volcano_render.digest(job) == _volcano_render.digest(shuffled)
    assert _volcano_render.digest(job) != _volcano_render.digest(render(max_retry=6).job)


@pytest.mark.parametrize("layout", ["main_work", "replicas"])
def test_1000_nodes_take_two_seconds_at_most(layout: str) -> None:
    started = time.process_time()
    render(nodes=1000, layout=layout)
    assert time.process_time() - started < 2


def test_1000_tasks_are_validated_in_two_seconds() -> None:
    rendered = render()
    job = copy.deepcopy(rendered.job)
    task = job["spec"]["tasks"][0]
    job["spec"]["tasks"] = [{**copy.deepcopy(task), "name": f"rank-{index}"} for index in range(1000)]
    job["spec"]["minAvailable"] = 1000
    started = time.process_time()
    problems = _volcano_job.validate(job, rendered.config_map, _volcano_data.dialect("cce"))
    assert time.process_time() - started < 2
    assert problems == []
