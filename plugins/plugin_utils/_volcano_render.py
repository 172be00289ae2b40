# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the ConfigMap, the Job and the storage of a training from its values. Pure; private to the collection.

Whatever must agree between the objects comes from one place here, so that it cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_values import (
    MAIN_WORK,
    Template,
    Values,
)

Manifest = dict[str, Any]

API_VERSION = "batch.volcano.sh/v1alpha1"
POD_NAME = "training"
SHARED_MEMORY = "shared-memory-volume"
CLAIM_VOLUME = "sfs-volume"
RANK_TABLE_VOLUME = "rank-table"
INITIALIZING = {"status": "initializing"}
DIGEST = "ascend.fleet/digest"
PROVISIONER = "everest-csi-provisioner"


@dataclass(frozen=True)
class Rendered:
    job: Manifest
    config_map: Manifest | None
    storage: tuple[Manifest, ...]

    def all(self) -> list[Manifest]:
        return [*self.storage, *([self.config_map] if self.config_map else []), self.job]


def render(values: Values) -> Rendered:
    job = {
        "apiVersion": API_VERSION,
        "kind": "Job",
        "metadata": _metadata(values, values.name, {**values.dialect.labels, **values.dialect.job_labels}),
        "spec": _spec(values),
    }
    return Rendered(job=merged(job, values.override), config_map=_config_map(values), storage=tuple(_storage(values)))


def digest(manifest: Mapping[str, Any]) -> str:
    """What a Job was made from, in a form that fits into an annotation."""
    content = {"labels": manifest["metadata"].get("labels"), "spec": manifest["spec"]}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def signed(manifest: Manifest) -> Manifest:
    """The Job with its digest, by which the next run knows whether something changed."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), DIGEST: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def merged(base: Any, changes: Any) -> Any:
    """Dictionaries are merged, everything else is replaced."""
    if isinstance(base, Mapping) and isinstance(changes, Mapping):
        both = {key: merged(base[key], changes[key]) for key in base if key in changes}
        return {**base, **changes, **both}
    return changes


def _metadata(values: Values, name: str, labels: Mapping[str, str]) -> Manifest:
    return {"name": name, "namespace": values.namespace, **({"labels": dict(labels)} if labels else {})}


def _config_map(values: Values) -> Manifest | None:
    table = values.dialect.rank_table
    if table is None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(values, table.prefix + values.name, values.dialect.labels),
        "data": {table.key: json.dumps(INITIALIZING) + "\n"},
    }


def _spec(values: Values) -> Manifest:
    spec: Manifest = {
        "minAvailable": values.nodes if values.gang else 1,
        "schedulerName": "volcano",
        "policies": [dict(policy) for policy in values.policies],
        "plugins": {**values.dialect.plugins, **values.plugins},
        "maxRetry": values.max_retry,
        "queue": values.queue,
        "tasks": list(_tasks(values)),
    }
    if values.priority_class:
        spec["priorityClassName"] = values.priority_class
    if values.ttl_seconds is not None:
        spec["ttlSecondsAfterFinished"] = values.ttl_seconds
    return spec


def _tasks(values: Values) -> Iterator[Manifest]:
    two = values.layout == MAIN_WORK and values.nodes > 1
    yield _task(values, values.dialect.main_task, 1 if two else values.nodes, values.main)
    if two:
        yield _task(values, values.dialect.work_task, values.nodes - 1, values.work)


def _task(values: Values, name: str, replicas: int, template: Template) -> Manifest:
    policies = {"policies": [dict(policy) for policy in template.policies]} if template.policies else {}
    labels = {**template.labels, **values.dialect.labels}
    annotations = {"annotations": dict(template.annotations)} if template.annotations else {}
    return {
        "name": name,
        "replicas": replicas,
        **policies,
        "template": {
            "metadata": {"name": POD_NAME, "labels": labels, **annotations},
            "spec": _pod(values, template),
        },
    }


def _pod(values: Values, template: Template) -> Manifest:
    pod: Manifest = {
        "affinity": {"podAntiAffinity": _apart(values.name)},
        "hostNetwork": True,
        "containers": [_container(values, template)],
    }
    selector = {**values.dialect.node_selector, **values.node_selector}
    if selector:
        pod["nodeSelector"] = selector
    if values.tolerations:
        pod["tolerations"] = [dict(toleration) for toleration in values.tolerations]
    if values.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in values.image_pull_secrets]
    pod["volumes"] = [volume for volume, _mount in _volumes(values)]
    pod["restartPolicy"] = values.restart_policy
    return pod


def _apart(job: str) -> Manifest:
    """Pods of the job are never two on one node."""
    expression = {"key": "volcano.sh/job-name", "operator": "In", "values": [job]}
    term = {"labelSelector": {"matchExpressions": [expression]}, "topologyKey": "kubernetes.io/hostname"}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def _container(values: Values, template: Template) -> Manifest:
    command = template.command
    shell = isinstance(command, str)
    npus = {values.dialect.npu_resource: str(values.npus)}
    return {
        "image": template.image,
        "imagePullPolicy": values.image_pull_policy,
        "name": template.container_name,
        "securityContext": {"allowPrivilegeEscalation": False, "runAsUser": values.run_as_user},
        "env": [*_given_env(values), *map(_env, template.env.items())],
        "command": ["/bin/sh", "-c"] if shell else list(command),
        **({"args": [command]} if shell else {}),
        "resources": {
            "requests": {**npus, **template.requests.known()},
            "limits": {**npus, **template.limits.known()},
        },
        "volumeMounts": [mount for _volume, mount in _volumes(values)],
    }


def _given_env(values: Values) -> Iterator[Manifest]:
    yield {"name": "name", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    yield {"name": "ip", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    yield {"name": "framework", "value": values.framework}


def _env(item: tuple[str, Any]) -> Manifest:
    name, value = item
    if isinstance(value, Mapping):
        return {"name": name, "valueFrom": dict(value)}
    return {"name": name, "value": str(value).lower() if isinstance(value, bool) else str(value)}


def _volumes(values: Values) -> Iterator[tuple[Manifest, Manifest]]:
    """Each volume of a pod with its mount."""
    yield _pair(SHARED_MEMORY, {"emptyDir": {"medium": "Memory", "sizeLimit": values.shm_size}}, "/dev/shm")
    for file in values.dialect.host_files:
        path = values.npu_smi if file.name == "npu-smi" and values.npu_smi else file.host_path
        target = values.npu_smi if file.name == "npu-smi" and values.npu_smi else file.mount_path
        yield _pair(file.name, {"hostPath": {"path": path}}, target)
    table = values.dialect.rank_table
    if table and table.mount_path:
        yield _pair(RANK_TABLE_VOLUME, {"configMap": {"name": table.prefix + values.name}}, table.mount_path)
    if values.pvc:
        yield _pair(CLAIM_VOLUME, {"persistentVolumeClaim": {"claimName": values.pvc}}, values.pvc_mount_path)
    for mount in values.mounts:
        yield _pair(mount.name, {"hostPath": {"path": mount.host_path}}, mount.mount_path, mount.read_only)
    for volume in values.volumes:
        yield _pair(volume.name, volume.source, volume.mount_path, volume.read_only, volume.sub_path)


def _pair(
    name: str, source: Mapping[str, Any], mount_path: str, read_only: bool = False, sub_path: str | None = None
) -> tuple[Manifest, Manifest]:
    mount: Manifest = {"name": name, "mountPath": mount_path}
    if read_only:
        mount["readOnly"] = True
    if sub_path:
        mount["subPath"] = sub_path
    return {"name": name, **source}, mount


def _storage(values: Values) -> Iterator[Manifest]:
    """The volume of an SFS Turbo file system and the claim that binds it."""
    storage = values.storage
    if storage is None or values.pvc is None:
        return
    volume_name = f"{values.namespace}-{values.pvc}"
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": storage.storage_class}
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            **common,
            "capacity": {"storage": storage.size},
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {
                "driver": storage.driver,
                "fsType": "nfs",
                "volumeHandle": storage.volume_id,
                "volumeAttributes": {
                    "everest.io/share-export-location": storage.location,
                    "storage.kubernetes.io/csiProvisionerIdentity": PROVISIONER,
                },
            },
            **({"mountOptions": list(storage.mount_options)} if storage.mount_options else {}),
        },
    }
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": values.pvc,
            "namespace": values.namespace,
            "annotations": {"volume.beta.kubernetes.io/storage-provisioner": PROVISIONER},
        },
        "spec": {**common, "resources": {"requests": {"storage": storage.size}}, "volumeName": volume_name},
    }
