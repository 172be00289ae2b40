# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small stand-in for Volcano, its Huawei plugin, the scheduler and the garbage collector.

What a job does is said by its command, `simulate <story>`. The states, fields and orders are those of the real
controllers; nothing is placed and nothing is computed.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from .kubelet import KubeletDouble
from .server import ApiServer, ServerError

BATCH = "/apis/batch.volcano.sh/v1alpha1"
BUS = "/apis/bus.volcano.sh/v1alpha1"
MERGE = "application/merge-patch+json"
TABLE_PREFIX = "configmap1980-"
TABLE_KEY = "jobstart_hccl.json"
NPU = "huawei.com/ascend-1980"
BEAT = 0.1
STEP_SECONDS = 1.0

Object = dict[str, Any]
Steps = tuple[tuple[str, str], ...]

# The phase that a step writes, and what it does to the pods before.
BEGIN: Steps = (("Pending", "make"), ("Running", "start"))
AGAIN: Steps = (("Pending", "make"), ("Running", "start"), ("Completed", "succeed"))
STORIES: dict[str, Steps] = {
    "complete": (*BEGIN, ("Running", "speak"), ("Completing", ""), ("Completed", "succeed")),
    "fail": (*BEGIN, ("Running", "crash"), ("Failed", "")),
    "restart": (*BEGIN, ("Running", "crash"), ("Running", ""), ("Restarting", ""), ("Restarting", "clear"), *AGAIN),
    "evict": (*BEGIN, ("Running", "evict"), ("Restarting", ""), ("Restarting", "clear"), *AGAIN),
    "forever": BEGIN,
    "pending": (("Pending", "make"),),
    "half-table": (("Pending", "make"), ("Running", "half")),
    "long": (*BEGIN, *(("Running", "speak") for _step in range(12)), ("Completed", "succeed")),
}
ORDERS: dict[str, Steps] = {
    "AbortJob": (("Aborting", ""), ("Aborted", "clear")),
    # The job stays what it was until the order is carried out.
    "ResumeJob": (("Aborted", ""), ("Aborted", ""), ("Restarting", ""), *BEGIN),
}


@dataclass
class Story:
    """How far a job has come."""

    steps: Steps
    at: int = 0
    due: float = 0
    retries: int = 0
    words: int = 0


@dataclass
class Controller:
    """Runs in a thread until the tests are over, and outlives an API server that is away for a while."""

    api: ApiServer
    kubelet: KubeletDouble
    nodes: list[str]
    stories: dict[str, Story] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Controller:
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        self.thread.join(30)

    def work(self) -> None:
        while not self.over.wait(BEAT):
            with contextlib.suppress(ServerError, requests.RequestException):
                self.obey()
                for job in self.listed(f"{BATCH}/jobs"):
                    self.drive(job)

    def listed(self, path: str) -> list[Object]:
        return (self.api.get(path) or {}).get("items") or []

    def obey(self) -> None:
        for command in self.listed(f"{BUS}/commands"):
            story = self.stories.get(command["target"]["uid"])
            if story:
                story.steps, story.at, story.due = ORDERS[command["action"]], 0, 0
            self.api.request("DELETE", path_of(BUS, "commands", command["metadata"]))

    def drive(self, job: Object) -> None:
        metadata = job["metadata"]
        path = path_of(BATCH, "jobs", metadata)
        if metadata.get("deletionTimestamp"):
            self.clear(job)
            self.api.request("PATCH", path, {"metadata": {"finalizers": None}}, MERGE)
            return
        story = self.stories.setdefault(metadata["uid"], Story(STORIES[told(job)]))
        if story.at >= len(story.steps) or time.monotonic() < story.due:
            return
        phase, deed = story.steps[story.at]
        if deed:
            getattr(self, deed)(job)
        if phase == "Restarting" and phase_of(job) != phase:
            story.retries += 1
        message = "the task main failed" if phase == "Failed" else ""
        state = {"phase": phase, "message": message, "lastTransitionTime": now()}
        status = {"state": state, "retryCount": story.retries, "version": story.retries + 1}
        self.api.request("PATCH", f"{path}/status", {"status": status}, MERGE)
        self.event(job, "Job", metadata["name"], "Normal", phase, f"the job is {phase}")
        story.at += 1
        story.due = time.monotonic() + STEP_SECONDS

    def make(self, job: Object) -> None:
        """Pods as the job controller makes them, on the nodes in turn."""
        metadata = job["metadata"]
        owner = {key: job[key] for key in ("apiVersion", "kind")} | {key: metadata[key] for key in ("name", "uid")}
        for number, (name, task, index) in enumerate(pods_of(job)):
            labels = {
                **task["template"]["metadata"].get("labels", {}),
                "volcano.sh/job-name": metadata["name"],
                "volcano.sh/task-spec": task["name"],
                "volcano.sh/task-index": str(index),
            }
            place = {} if told(job) == "pending" else {"nodeName": self.nodes[number % len(self.nodes)]}
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": labels, "ownerReferences": [{**owner, "controller": True}]},
                "spec": {**task["template"]["spec"], **place},
            }
            self.kubelet.logs.pop((name, "now"), None)
            if self.api.get(pod_path(job, name)) is None:
                self.api.request("POST", pod_path(job), pod)
        if told(job) == "pending":
            message = "0/3 nodes are available: 3 Insufficient huawei.com/ascend-1980."
            self.event(job, "Pod", next(pods_of(job))[0], "Warning", "FailedScheduling", message)
        self.table(job, "initializing", [])

    def start(self, job: Object) -> None:
        for name, _task, index in pods_of(job):
            self.kubelet.write(name, f"rank {index} of {name} starts")
            self.pod_state(job, name, "Running", {"running": {"startedAt": now()}})
        self.table(job, "completed", self.nodes[: len(list(pods_of(job)))])

    def half(self, job: Object) -> None:
        """The platform wrote a rank table without the last server."""
        self.start(job)
        self.table(job, "completed", self.nodes[: len(list(pods_of(job))) - 1])

    def speak(self, job: Object) -> None:
        story = self.stories[job["metadata"]["uid"]]
        story.words += 1
        self.kubelet.write(next(pods_of(job))[0], f"step {story.words} loss 0.{99 - story.words}")

    def crash(self, job: Object) -> None:
        name = next(pods_of(job))[0]
        self.kubelet.write(name, "RuntimeError: HCCL timeout on rank 0")
        self.pod_state(job, name, "Failed", {"terminated": {"exitCode": 1, "reason": "Error"}})
        self.event(job, "Pod", name, "Warning", "BackOff", "Back-off restarting failed container")

    def evict(self, job: Object) -> None:
        name = list(pods_of(job))[-1][0]
        self.event(job, "Pod", name, "Warning", "Evicted", "the node was low on memory")
        self.remove_pod(job, name)

    def succeed(self, job: Object) -> None:
        for name, _task, _index in pods_of(job):
            self.kubelet.write(name, "training is done")
            self.pod_state(job, name, "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}})

    def clear(self, job: Object) -> None:
        for name, _task, _index in pods_of(job):
            self.remove_pod(job, name)

    def remove_pod(self, job: Object, name: str) -> None:
        if self.api.get(pod_path(job, name)):
            self.api.request("DELETE", pod_path(job, name), {"gracePeriodSeconds": 0})

    def pod_state(self, job: Object, name: str, phase: str, state: Object) -> None:
        container = first_container(job)
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "restartCount": 0,
            "ready": phase == "Running",
            "state": state,
        }
        self.api.put_status(pod_path(job, name), {"phase": phase, "containerStatuses": [status]})

    def table(self, job: Object, status: str, servers: list[str]) -> None:
        """The rank table, as the plugin configmap1980 writes it; only into a map that is there."""
        metadata = job["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/configmaps/{TABLE_PREFIX}{metadata['name']}"
        npus = int(first_container(job)["resources"]["requests"][NPU])
        content = {
            "status": status,
            "version": "1.0",
            "server_count": str(len(servers)),
            "server_list": [
                {
                    "server_id": f"192.0.2.{number + 1}",
                    "device": [
                        {"device_id": str(n), "device_ip": f"198.51.100.{n}", "rank_id": str(number * npus + n)}
                        for n in range(npus)
                    ],
                }
                for number in range(len(servers))
            ],
        }
        if self.api.get(path):
            self.api.request("PATCH", path, {"data": {TABLE_KEY: json.dumps(content)}}, MERGE)

    def event(self, job: Object, kind: str, name: str, severity: str, reason: str, message: str) -> None:
        namespace = job["metadata"]["namespace"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}."},
            "involvedObject": {"kind": kind, "name": name, "namespace": namespace},
            "type": severity,
            "reason": reason,
            "message": message,
            "count": 1,
            "lastTimestamp": now(),
        }
        self.api.request("POST", f"/api/v1/namespaces/{namespace}/events", event)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def path_of(group: str, kind: str, metadata: Object) -> str:
    return f"{group}/namespaces/{metadata['namespace']}/{kind}/{metadata['name']}"


def pod_path(job: Object, name: str = "") -> str:
    return f"/api/v1/namespaces/{job['metadata']['namespace']}/pods" + (f"/{name}" if name else "")


def first_container(job: Object) -> Object:
    container: Object = job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]
    return container


def told(job: Object) -> str:
    story: str = first_container(job)["args"][0].removeprefix("simulate ")
    return story


def phase_of(job: Object) -> str:
    return ((job.get("status") or {}).get("state") or {}).get("phase") or ""


def pods_of(job: Object) -> Iterator[tuple[str, Object, int]]:
    """Every pod's name with its task and its index."""
    for task in job["spec"]["tasks"]:
        for index in range(task["replicas"]):
            yield f"{job['metadata']['name']}-{task['name']}-{index}", task, index
