# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's one-node and two-node manifests come out of its values, field for field."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_job, _volcano_render

PLACEHOLDERS = {
    "${image_name}": "swr.cn-southwest-2.myhuaweicloud.com/atelier/training:1",
    "${container_name}": "ascendspeed",
    "${command}": "bash /mnt/sfs_turbo/train.sh",
    "${requests_memory}": "3200Mi",
    "${requests_cpu}": "2650m",
    "${limits_memory}": "1500Gi",
    "${limits_cpu}": "192",
    "${pvc_name}": "sfs-turbo",
}
VALUES: dict[str, Any] = {
    "name": "vcjob",
    "image": PLACEHOLDERS["${image_name}"],
    "command": PLACEHOLDERS["${command}"],
    "requests": {"cpu": "2650m", "memory": "3200Mi"},
    "limits": {"cpu": 192, "memory": "1500Gi"},
    "pvc": "sfs-turbo",
}
ONE_NODE = VALUES
TWO_NODES = {**VALUES, "nodes": 2, "gang": False}

spec = importlib.util.spec_from_file_location("guide_text", Path(__file__).parent / "guide_text.py")
assert spec is not None
assert spec.loader is not None
guide_text = importlib.util.module_from_spec(spec)
spec.loader.exec_module(guide_text)


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    outcome = _volcano_job.compile_job(values)
    assert outcome.rendered is not None, [problem.line() for problem in outcome.problems]
    assert not outcome.problems, [problem.line() for problem in outcome.problems]
    return outcome.rendered.all()


def comparable(manifest: dict[str, Any]) -> dict[str, Any]:
    """The rank table as data, since the guide's text lost the blanks in it."""
    if manifest["kind"] != "ConfigMap":
        return manifest
    return {**manifest, "data": {key: json.loads(text) for key, text in manifest["data"].items()}}


def filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    found = PLACEHOLDERS.get(value, value) if isinstance(value, str) else value
    return int(found) if found == "192" else found


@pytest.fixture(scope="module")
def guide(shared: Path) -> list[dict[str, Any]]:
    crd = yaml.safe_load((shared / "crds" / "batch.volcano.sh_jobs.yaml").read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path in sorted((shared / "seeds").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "kind: ConfigMap" in line and "batch.volcano.sh" in line:
                return [filled(item) for item in guide_text.manifests(line, schema)]
    pytest.skip("the guide's page about config.yaml is not there")


def test_the_one_node_manifest_is_the_guides(guide: list[dict[str, Any]]) -> None:
    assert [item["kind"] for item in guide] == ["ConfigMap", "Job", "ConfigMap", "Job"]
    assert list(map(comparable, rendered(ONE_NODE))) == list(map(comparable, guide[:2]))


def test_the_two_node_manifest_is_the_guides(guide: list[dict[str, Any]]) -> None:
    assert list(map(comparable, rendered(TWO_NODES))) == list(map(comparable, guide[2:]))


def test_waiting_for_all_nodes_is_the_one_correction(guide: list[dict[str, Any]]) -> None:
    corrected = copy.deepcopy(guide[3])
    corrected["spec"]["minAvailable"] = 2
    assert rendered({**TWO_NODES, "gang": True})[1] == corrected


GOLDEN_HOST_FILES = [
    ("shared-memory-volume", "/dev/shm", {"emptyDir": {"medium": "Memory", "sizeLimit": "200Gi"}}),
    *(
        (name, mount, {"hostPath": {"path": host}})
        for name, mount, host in [
            ("ascend-driver", "/usr/local/Ascend/driver", "/usr/local/Ascend/driver"),
            ("ascend-add-ons", "/usr/local/Ascend/add-ons", "/usr/local/Ascend/add-ons"),
            ("localtime", "/etc/localtime", "/etc/localtime"),
            ("hccn", "/etc/hccn.conf", "/etc/hccn.conf"),
            ("npu-smi", "/usr/local/sbin/npu-smi", "/usr/local/sbin/npu-smi"),
            ("ascend-install", "/etc/ascend_install.info", "/etc/ascend_install.info"),
            ("log", "/var/log/npu/", "/usr/slog"),
        ]
    ),
    ("sfs-volume", "/mnt/sfs_turbo", {"persistentVolumeClaim": {"claimName": "sfs-turbo"}}),
]


def golden_task(name: str) -> dict[str, Any]:
    resources = {"huawei.com/ascend-1980": "8"}
    return {
        "name": name,
        "replicas": 1,
        "template": {
            "metadata": {"name": "training", "labels": {"app": "ascendspeed", "ring-controller.cce": "ascend-1980"}},
            "spec": {
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "labelSelector": {
                                    "matchExpressions": [
                                        {"key": "volcano.sh/job-name", "operator": "In", "values": ["vcjob"]}
                                    ]
                                },
                                "topologyKey": "kubernetes.io/hostname",
                            }
                        ]
                    }
                },
                "hostNetwork": True,
                "nodeSelector": {"accelerator/huawei-npu": "ascend-1980"},
                "restartPolicy": "OnFailure",
                "volumes": [{"name": volume, **source} for volume, _mount, source in GOLDEN_HOST_FILES],
                "containers": [
                    {
                        "name": "ascendspeed",
                        "image": VALUES["image"],
                        "imagePullPolicy": "IfNotPresent",
                        "securityContext": {"allowPrivilegeEscalation": False, "runAsUser": 0},
                        "env": [
                            {"name": "name", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                            {"name": "ip", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                            {"name": "framework", "value": "PyTorch"},
                        ],
                        "command": ["/bin/sh", "-c"],
                        "args": [VALUES["command"]],
                        "resources": {
                            "requests": {**resources, "memory": "3200Mi", "cpu": "2650m"},
                            "limits": {**resources, "memory": "1500Gi", "cpu": 192},
                        },
                        "volumeMounts": [
                            {"name": volume, "mountPath": mount} for volume, mount, _source in GOLDEN_HOST_FILES
                        ],
                    }
                ],
            },
        },
    }


def golden_job(nodes: int, tasks: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": {
            "name": "vcjob",
            "namespace": "default",
            "labels": {"ring-controller.cce": "ascend-1980", "fault-scheduling": "force"},
        },
        "spec": {
            "minAvailable": nodes,
            "schedulerName": "volcano",
            "policies": [{"event": "PodEvicted", "action": "RestartJob"}],
            "plugins": {
                "configmap1980": ["--rank-table-version=v2"],
                "env": [],
                "svc": ["--publish-not-ready-addresses=true"],
            },
            "maxRetry": 5,
            "queue": "default",
            "tasks": [golden_task(name) for name in tasks],
        },
    }


@pytest.mark.parametrize(
    ("values", "nodes", "tasks"),
    [(ONE_NODE, 1, ["main"]), ({**TWO_NODES, "gang": True}, 2, ["main", "work"]), (TWO_NODES, 1, ["main", "work"])],
)
def test_the_manifest_is_the_golden_one(values: dict[str, Any], nodes: int, tasks: list[str]) -> None:
    config_map, job = rendered(values)
    assert job == golden_job(nodes, tasks)
    assert config_map == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "configmap1980-vcjob",
            "namespace": "default",
            "labels": {"ring-controller.cce": "ascend-1980"},
        },
        "data": {"jobstart_hccl.json": '{"status": "initializing"}\n'},
    }


def test_the_digest_stands_beside_the_job_and_follows_its_spec() -> None:
    one = _volcano_render.signed(rendered(ONE_NODE)[1])
    two = _volcano_render.signed(rendered(TWO_NODES)[1])
    assert one["spec"] == golden_job(1, ["main"])["spec"]
    assert one["metadata"]["annotations"] != two["metadata"]["annotations"]
