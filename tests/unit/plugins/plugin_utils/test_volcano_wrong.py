# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong job definitions: each is refused by the check that is about it, in one sentence with a remedy."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_checks, _volcano_data, _volcano_job

Manifest = dict[str, Any]

VALUES: Manifest = {
    "name": "llama",
    "image": "registry.example.com/train:1",
    "command": "python train.py",
    "nodes": 2,
    "npus": 8,
    "pvc": "data",
    "requests": {"cpu": 4, "memory": "300Gi"},
    "limits": {"cpu": 8, "memory": "400Gi"},
}

WRONG_VALUES: list[tuple[str, str, str, Manifest]] = [
    ("a job without a name", "field-missing", "volcano_job_name", {"name": None}),
    ("a misspelt option", "field-unknown", "volcano_job_comand", {"comand": "python train.py"}),
    ("no image", "field-missing", "volcano_job_image", {"image": None}),
    ("no command", "command-missing", "volcano_job_command", {"command": None}),
    ("an empty command", "command-missing", "volcano_job_command", {"command": "  "}),
    ("a command of numbers", "field-type", "volcano_job_command", {"command": [1, 2]}),
    ("the template's ${command}", "placeholder", "volcano_job_command", {"command": "${command}"}),
    ("no nodes", "field-value", "volcano_job_nodes", {"nodes": 0}),
    ("nodes in words", "field-type", "volcano_job_nodes", {"nodes": "two"}),
    ("half an NPU", "field-type", "volcano_job_npus", {"npus": 8.5}),
    ("an unknown layout", "field-value", "volcano_job_layout", {"layout": "ring"}),
    ("an unknown platform", "dialect-unknown", "volcano_job_dialect", {"dialect": "eks"}),
    ("memory with a blank", "field-value", "volcano_job_limits.memory", {"limits": {"cpu": 8, "memory": "400 Gi"}}),
    ("memory in GB", "field-value", "volcano_job_requests.memory", {"requests": {"cpu": 1, "memory": "3GB"}}),
    ("an unknown resource", "field-unknown", "volcano_job_limits.gpu", {"limits": {"gpu": 1}}),
    ("an unknown pull policy", "field-value", "volcano_job_image_pull_policy", {"image_pull_policy": "Maybe"}),
    ("a user by name", "field-type", "volcano_job_run_as_user", {"run_as_user": "root"}),
    ("a variable of the template set again", "env-reserved", "volcano_job_env.ip", {"env": {"ip": "1.2.3.4"}}),
    ("a variable without a value", "field-type", "volcano_job_env.A", {"env": {"A": None}}),
    ("a variable without a value in the second task", "field-type", "volcano_job_work.env.A",
     {"work": {"env": {"A": None}}}),
    ("a mount without a target", "field-missing", "volcano_job_mounts[0].mount_path",
     {"mounts": [{"host_path": "/a"}]}),
    ("a second template for one node", "work-alone", "volcano_job_work", {"nodes": 1, "work": {"command": "sleep 1"}}),
    ("storage without a claim", "pvc-missing", "volcano_job_pvc",
     {"pvc": None, "storage": {"size": "1Ti", "volume_id": "x", "location": "192.0.2.1:/"}}),
    ("storage without its file system", "field-missing", "volcano_job_storage.volume_id",
     {"storage": {"size": "1Ti", "location": "192.0.2.1:/"}}),
    ("negative retries", "field-value", "volcano_job_max_retry", {"max_retry": -1}),
    ("a policy for an unknown event", "field-value", "volcano_job_policies[0].event",
     {"policies": [{"event": "PodLost", "action": "RestartJob"}]}),
    ("a policy with an unknown action", "field-value", "volcano_job_policies[0].action",
     {"policies": [{"event": "PodFailed", "action": "Restart"}]}),
    ("a capital letter in the name", "job-name", "volcano_job_name", {"name": "Llama"}),
    ("a name that begins with a digit", "job-name", "volcano_job_name", {"name": "7b"}),
    ("a name too long for pods", "pod-name-length", "spec.tasks[0].name", {"name": "a" * 60}),
    ("a namespace with a dot", "namespace-name", "volcano_job_namespace", {"namespace": "a.b"}),
    ("the template's ${image_name}", "placeholder", ".image", {"image": "${image_name}"}),
    ("an image with a capital letter", "image-reference", ".image", {"image": "registry.example.com/Train:1"}),
    ("an image with a blank", "image-reference", ".image", {"image": "train 1"}),
    ("the template's ${pvc_name}", "field-value", "claimName", {"pvc": "${pvc_name}"}),
    ("a variable with a bad name", "env-name", ".env", {"env": {"1 2": "x"}}),
    ("a label with a bad value", "label-syntax", "labels.team", {"labels": {"team": "a b"}}),
    ("a label with a bad key", "label-syntax", "labels", {"labels": {"-team": "a"}}),
    ("a selector with a bad value", "label-syntax", "nodeSelector.zone", {"node_selector": {"zone": "a/b"}}),
    ("a mount over another one", "mount-path", "volumeMounts",
     {"mounts": [{"host_path": "/data", "mount_path": "/mnt/sfs_turbo/"}]}),
    ("a relative host path", "host-path", "hostPath.path", {"mounts": [{"host_path": "data", "mount_path": "/data"}]}),
    ("a host path with '..'", "host-path", "hostPath.path",
     {"mounts": [{"host_path": "/data/../etc", "mount_path": "/data"}]}),
    ("a relative mount path", "mount-path", "volumeMounts", {"mounts": [{"host_path": "/data", "mount_path": "data"}]}),
    ("two volumes of one name", "volume-duplicate", "volumes",
     {"volumes": [{"name": "log", "mount_path": "/l", "source": {"emptyDir": {}}}]}),
    ("a volume without a source", "volume-source", "volumes[9]",
     {"volumes": [{"name": "extra", "mount_path": "/x", "source": {}}]}),
    ("a volume with two sources", "volume-source", "volumes[9]",
     {"volumes": [{"name": "extra", "mount_path": "/x", "source": {"emptyDir": {}, "hostPath": {"path": "/x"}}}]}),
    ("a volume of an unknown kind", "field-unknown", "volumes[9].hostPaht",
     {"volumes": [{"name": "extra", "mount_path": "/x", "source": {"hostPaht": {"path": "/x"}}}]}),
    ("a request above its limit", "request-over-limit", "requests.memory",
     {"requests": {"cpu": 1, "memory": "500Gi"}}),
    ("more shared memory than memory", "shm-over-limit", "volumeMounts", {"shm_size": "500Gi"}),
    ("a training that is always restarted", "restart-always", "restartPolicy", {"restart_policy": "Always"}),
    ("two policies for one event", "policy-duplicate", "spec.policies",
     {"policies": [{"event": "PodFailed", "action": "RestartJob"}, {"event": "PodFailed", "action": "AbortJob"}]}),
    ("a policy with event and exit code", "policy-trigger", "spec.policies[0]",
     {"policies": [{"event": "PodFailed", "exitCode": 3, "action": "RestartJob"}]}),
    ("a policy without a trigger", "policy-trigger", "spec.policies[0]", {"policies": [{"action": "RestartJob"}]}),
    ("a policy without an action", "policy-action", "spec.policies[0]", {"policies": [{"event": "PodFailed"}]}),
    ("a policy for exit code 0", "policy-exit-code", "spec.policies[0].exitCode",
     {"policies": [{"exitCode": 0, "action": "RestartJob"}]}),
    ("a policy for everything beside another", "policy-any", "spec.policies",
     {"policies": [{"event": "*", "action": "RestartJob"}, {"event": "PodFailed", "action": "AbortJob"}]}),
    ("a plugin that nobody has", "plugin-unknown", "spec.plugins.nccl", {"plugins": {"nccl": []}}),
    ("mpi without its master", "plugin-master", "spec.plugins.mpi", {"plugins": {"mpi": ["--master=boss"]}}),
    ("the guide's plugin on upstream Volcano", "plugin-unknown", "spec.plugins.configmap1980",
     {"dialect": "upstream", "plugins": {"configmap1980": []}}),
    ("the root queue", "queue-root", "spec.queue", {"queue": "root"}),
    ("plugin arguments that are no list", "field-type", "volcano_job_plugins.env", {"plugins": {"env": "x"}}),
    ("a misspelt field of the job", "field-unknown", "spec.minAvailabel", {"override": {"spec": {"minAvailabel": 2}}}),
    ("another API version", "field-value", "apiVersion", {"override": {"apiVersion": "batch/v1"}}),
    ("no tasks", "field-value", "spec.tasks", {"override": {"spec": {"tasks": []}}}),
    ("more pods to wait for than there are", "min-available", "spec.minAvailable",
     {"override": {"spec": {"minAvailable": 3}}}),
    ("fewer nodes to wait for than asked", "coupling-gang", "spec.minAvailable",
     {"override": {"spec": {"minAvailable": 1}}}),
    ("more successes than pods", "min-success", "spec.minSuccess", {"override": {"spec": {"minSuccess": 3}}}),
    ("a topology with two tiers", "topology-tier", "spec.networkTopology",
     {"override": {"spec": {"networkTopology": {"highestTierAllowed": 1, "highestTierName": "rack"}}}}),
    ("a volume of the job without a claim", "job-volume", "spec.volumes[0]",
     {"override": {"spec": {"volumes": [{"mountPath": "/x"}]}}}),
    ("a label of the platform taken away", "coupling-label", "metadata.labels",
     {"override": {"metadata": {"labels": {"ring-controller.cce": "other"}}}}),
    ("another name for the job alone", "rank-table-name", "metadata.name", {"override": {"metadata": {"name": "b"}}}),
    ("another namespace for the job alone", "rank-table-name", "metadata.namespace",
     {"override": {"metadata": {"namespace": "other"}}}),
]  # fmt: skip


def task(job: Manifest, index: int = 0) -> Manifest:
    return job["spec"]["tasks"][index]


def pod(job: Manifest) -> Manifest:
    return task(job)["template"]["spec"]


def container(job: Manifest) -> Manifest:
    return pod(job)["containers"][0]


def anti_affinity(job: Manifest) -> Manifest:
    return pod(job)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]


def put(place: Callable[[Manifest], Manifest], **changes: Any) -> Callable[[Manifest, Manifest], None]:
    return lambda job, _config_map: place(job).update(changes)


def drop(place: Callable[[Manifest], Manifest], *keys: str) -> Callable[[Manifest, Manifest], None]:
    def change(job: Manifest, _config_map: Manifest) -> None:
        for key in keys:
            del place(job)[key]

    return change


def spec(job: Manifest) -> Manifest:
    return job["spec"]


def resources(job: Manifest) -> Manifest:
    return container(job)["resources"]


NPU = "huawei.com/ascend-1980"
WRONG_MANIFESTS: list[tuple[str, str, str, Callable[[Manifest, Manifest], None]]] = [
    ("two tasks of one name", "task-duplicate", "spec.tasks", put(lambda job: task(job, 1), name="main")),
    ("a task with a capital letter", "field-value", "spec.tasks[0].name", put(task, name="Main")),
    ("a task that waits for more pods than it has", "task-min-available", "spec.tasks[0].minAvailable",
     put(task, minAvailable=2)),
    ("a task without replicas", "field-missing", "spec.tasks[0].replicas", drop(task, "replicas")),
    ("replicas in words", "field-type", "spec.tasks[0].replicas", put(task, replicas="two")),
    ("a task without a template", "field-missing", "spec.tasks[0].template", drop(task, "template")),
    ("tasks that wait for each other", "depends-on", "spec.tasks",
     lambda job, _map: (task(job).update(dependsOn={"name": ["work"]}),
                        task(job, 1).update(dependsOn={"name": ["main"]}))),
    ("a task that waits for nobody", "depends-on", "spec.tasks", put(task, dependsOn={"name": ["boss"]})),
    ("partitions that do not add up", "partition", "spec.tasks[0].partitionPolicy",
     put(task, partitionPolicy={"totalPartitions": 2, "partitionSize": 2})),
    ("containers misspelt", "field-unknown", "spec.tasks[0].template.spec.contianers", put(pod, contianers=[])),
    ("a pod without containers", "field-value", "spec.tasks[0].template.spec.containers", put(pod, containers=[])),
    ("two containers of one name", "container-name", "containers",
     lambda job, _map: pod(job)["containers"].append(copy.deepcopy(container(job)))),
    ("a container without an image", "container-image", "containers[ascendspeed]", drop(container, "image")),
    ("a container without a command", "command-missing", "command", drop(container, "command", "args")),
    ("a shell without a command line", "command-missing", "command", put(container, args=[""])),
    ("a null command", "field-type", "containers[0].command", put(container, command=None)),
    ("a variable set twice", "env-name", ".env", put(container, env=[{"name": "A"}, {"name": "A"}])),
    ("a variable with value and reference", "env-value", ".env.A",
     put(container, env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])),
    ("a number as the value of a variable", "field-type", "env[0].value",
     put(container, env=[{"name": "A", "value": 1}])),
    ("a mount of no volume", "mount-volume", "volumeMounts",
     put(container, volumeMounts=[{"name": "nothing", "mountPath": "/x"}])),
    ("a port that cannot be", "field-value", "ports[0].containerPort",
     put(container, ports=[{"containerPort": 70000}])),
    ("no network of the host", "coupling-network", "hostNetwork", drop(pod, "hostNetwork")),
    ("an anti-affinity of another job", "coupling-affinity", "podAntiAffinity",
     put(anti_affinity, labelSelector={"matchLabels": {"volcano.sh/job-name": "other"}})),
    ("an anti-affinity by zone", "coupling-affinity", "podAntiAffinity",
     put(anti_affinity, topologyKey="topology.kubernetes.io/zone")),
    ("no node selector", "coupling-selector", "nodeSelector", drop(pod, "nodeSelector")),
    ("pods without the platform's label", "coupling-label", "template.metadata.labels",
     put(lambda job: task(job)["template"], metadata={})),
    ("the platform's plugin taken out", "coupling-plugin", "spec.plugins",
     lambda job, _map: job["spec"]["plugins"].pop("configmap1980")),
    ("more NPUs as a limit than requested", "coupling-npu", "resources",
     lambda job, _map: resources(job)["limits"].update({NPU: "16"})),
    ("no NPUs at all", "coupling-npu", "resources", lambda job, _map: resources(job)["requests"].pop(NPU)),
    ("half an NPU in the manifest", "coupling-npu", "resources",
     lambda job, _map: [resources(job)[key].update({NPU: "500m"}) for key in ("requests", "limits")]),
    ("8.5 NPUs as a number", "field-type", NPU, lambda job, _map: resources(job)["limits"].update({NPU: 8.5})),
    ("a ConfigMap of another job", "rank-table-name", "metadata.name",
     lambda _job, config_map: config_map["metadata"].update(name="configmap1980-other")),
    ("a rank table of an earlier job", "rank-table-content", "configmap.data",
     lambda _job, config_map: config_map.update(data={"jobstart_hccl.json": '{"status": "completed"}'})),
    ("a rank table under another key", "rank-table-content", "configmap.data",
     lambda _job, config_map: config_map.update(data={"hccl.json": '{"status": "initializing"}'})),
    ("a ConfigMap without the platform's label", "coupling-label", "configmap.metadata.labels",
     lambda _job, config_map: config_map["metadata"].pop("labels")),
    ("a ConfigMap without data", "field-missing", "configmap.data", lambda _job, config_map: config_map.pop("data")),
]  # fmt: skip


def sentence(problem: _volcano_checks.Problem) -> None:
    """One line that names the place, says what is wrong and what to do."""
    line = problem.line()
    assert "\n" not in line
    assert re.fullmatch(r".+: .+\. .+\. \[[a-z-]+\]", line), line
    assert len(line) < 420, line


def named(problems: list[_volcano_checks.Problem], check: str, place: str) -> None:
    found = [problem for problem in problems if problem.check == check and place in problem.key]
    assert found, [problem.line() for problem in problems]
    for problem in problems:
        sentence(problem)


@pytest.mark.parametrize(("check", "place", "change"), [w[1:] for w in WRONG_VALUES], ids=[w[0] for w in WRONG_VALUES])
def test_wrong_values_are_refused(check: str, place: str, change: Manifest) -> None:
    outcome = _volcano_job.compile_job({**VALUES, **change})
    named(_volcano_checks.errors(outcome.problems), check, place)


@pytest.mark.parametrize(
    ("check", "place", "change"), [w[1:] for w in WRONG_MANIFESTS], ids=[w[0] for w in WRONG_MANIFESTS]
)
def test_wrong_manifests_are_refused(check: str, place: str, change: Callable[[Manifest, Manifest], None]) -> None:
    rendered = _volcano_job.compile_job(VALUES).rendered
    assert rendered is not None
    assert rendered.config_map is not None
    job, config_map = copy.deepcopy(rendered.job), copy.deepcopy(rendered.config_map)
    dialect = _volcano_data.dialect("cce")
    assert _volcano_job.validate(job, config_map, dialect) == []
    change(job, config_map)
    named(_volcano_job.validate(job, config_map, dialect), check, place)


def test_the_rank_plugin_knows_the_tasks_of_upstream() -> None:
    outcome = _volcano_job.compile_job({**VALUES, "dialect": "upstream", "npus": 4})
    assert outcome.rendered is not None
    assert outcome.problems == []
    job = copy.deepcopy(outcome.rendered.job)
    task(job)["name"] = "main"
    named(_volcano_job.validate(job, None, _volcano_data.dialect("upstream")), "coupling-task-name", "spec.tasks[0]")


def test_a_dialect_with_a_rank_table_misses_its_config_map() -> None:
    rendered = _volcano_job.compile_job(VALUES).rendered
    assert rendered is not None
    named(_volcano_job.validate(rendered.job, None, _volcano_data.dialect("cce")), "rank-table-name", "metadata.name")


def test_every_error_comes_at_once() -> None:
    problems = _volcano_job.compile_job({"name": "x", "nodes": 0, "npus": "all", "comand": "y"}).problems
    assert {problem.key.removeprefix("volcano_job_") for problem in problems} == {
        "nodes", "npus", "comand", "image", "command",
    }  # fmt: skip
    message = _volcano_checks.failure("x", problems)
    assert message.splitlines()[0] == "5 problems with the job x; nothing was sent:"
    assert len(message.splitlines()) == 6


def test_a_misspelt_field_is_answered_with_the_right_one() -> None:
    problems = _volcano_job.compile_job({**VALUES, "override": {"spec": {"minAvailabel": 2}}}).problems
    assert "minAvailable is one" in problems[0].message


def test_missing_requests_are_a_warning_without_a_cluster() -> None:
    outcome = _volcano_job.compile_job({key: value for key, value in VALUES.items() if key != "limits"})
    assert [problem.check for problem in outcome.problems] == ["requests-unknown"]
    assert _volcano_checks.errors(outcome.problems) == []


CLUSTER = {
    "cluster-refused", "cluster-forbidden", "cluster-unreachable", "cluster-volcano", "namespace-absent",
    "queue-absent", "queue-closed", "queue-parent", "pvc-absent", "pvc-unbound", "pvc-lost", "nodes-few",
    "unchecked", "immutable", "job-ended", "job-absent",
}  # fmt: skip


def test_every_check_has_a_wrong_definition() -> None:
    shown = {w[1] for w in WRONG_VALUES} | {w[1] for w in WRONG_MANIFESTS} | {"coupling-task-name", "requests-unknown"}
    assert shown == set(_volcano_checks.CHECKS) - CLUSTER
