# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server for the tests of this folder, and a way to run the playbook against it."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import build, crds
from .controller import BATCH, NPU, Controller
from .kubelet import KubeletDouble
from .server import ApiServer

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
FOLDER = Path(__file__).resolve().parent
NODES = ("n1", "n2", "n3")
NAMESPACE = "research"
PLAY_SECONDS = 180
QUEUES = {"default": "Open", "closed": "Closed", "root": "Open"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker("kube")


@dataclass
class Cluster:
    api: ApiServer
    kubelet: KubeletDouble
    kubeconfig: Path
    folder: Path

    def job(self, name: str) -> Any:
        return self.api.get(f"{BATCH}/namespaces/{NAMESPACE}/jobs/{name}")

    def config_map(self, name: str) -> Any:
        return self.api.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/configmap1980-{name}")

    def phase(self, name: str) -> str:
        job = self.job(name) or {}
        return job.get("status", {}).get("state", {}).get("phase", "")

    def pods(self, name: str) -> list[Any]:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=volcano.sh/job-name={name}"
        return self.api.get(path)["items"]


@dataclass
class Play:
    status: int
    output: str

    @property
    def changed(self) -> int:
        found = re.search(r"^localhost .*changed=(\d+)", self.output, re.MULTILINE)
        assert found, self.output
        return int(found.group(1))

    def succeeded(self) -> Play:
        assert self.status == 0, self.output
        return self

    def failed(self) -> Play:
        assert self.status == 2, self.output
        return self

    def says(self, *texts: str) -> Play:
        for text in texts:
            assert text in self.output, f"{text!r} is not in:\n{self.output}"
        return self


class Running:
    """A playbook under way."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def wait_for(self, text: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while text not in self.log.read_text(encoding="utf-8"):
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < end, f"{text!r} did not come:\n{self.log.read_text(encoding='utf-8')}"
            time.sleep(0.1)

    def finish(self) -> Play:
        try:
            status = self.process.wait(PLAY_SECONDS)
        except BaseException:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            raise
        return Play(status, self.log.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    binaries = build.cached()
    if binaries is None:
        pytest.skip("NOT RUN: kube-apiserver is not built yet; `make test-kube` builds it (some 10 minutes, once)")
    folder = tmp_path_factory.mktemp("kube")
    with ApiServer(binaries, folder) as api, KubeletDouble(folder) as kubelet, Controller(api, kubelet, list(NODES)):
        furnish(api, kubelet)
        yield Cluster(api, kubelet, api.kubeconfig(folder / "kubeconfig"), folder)


def furnish(api: ApiServer, kubelet: KubeletDouble) -> None:
    """What an administrator and an installed Volcano leave in a cluster."""
    for definition in crds.definitions(SHARED):
        api.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    while api.get(f"{BATCH}/jobs") is None or api.get("/apis/scheduling.volcano.sh/v1beta1/queues") is None:
        time.sleep(0.1)
    while api.get("/apis/bus.volcano.sh/v1alpha1/commands") is None:
        time.sleep(0.1)
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    for name, state in QUEUES.items():
        group = "scheduling.volcano.sh/v1beta1"
        queue = {"apiVersion": group, "kind": "Queue", "metadata": {"name": name}, "spec": {"weight": 1}}
        api.request("POST", f"/apis/{group}/queues", queue)
        api.put_status(f"/apis/{group}/queues/{name}", {"state": state})
    for name in NODES:
        labels = {"accelerator/huawei-npu": "ascend-1980", "kubernetes.io/hostname": name}
        api.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        amounts = {"cpu": "192", "memory": "1500Gi", NPU: "8", "pods": "110"}
        status = {
            "allocatable": amounts,
            "capacity": amounts,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}},
        }
        api.put_status(f"/api/v1/nodes/{name}", status)
        taints = {"spec": {"taints": None}}
        api.request("PATCH", f"/api/v1/nodes/{name}", taints, "application/merge-patch+json")
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
    api.request("POST", path, claim)
    api.put_status(f"{path}/data", {"phase": "Bound"})


NUMBERS = itertools.count(1)


@pytest.fixture
def name() -> str:
    return f"job{next(NUMBERS)}"


@pytest.fixture
def start(cluster: Cluster, name: str, tmp_path: Path) -> Callable[..., Running]:
    """Starts the playbook with variables of the role; `story` says what the job does."""

    def started(*options: str, story: str = "complete", **values: Any) -> Running:
        given = {
            "name": name,
            "namespace": NAMESPACE,
            "image": "registry.example.com/train:1",
            "command": f"simulate {story}",
            "nodes": 2,
            "pvc": "data",
            "kubeconfig": str(cluster.kubeconfig),
            "poll": 0.5,
            "wait_timeout": 60,
            "lost_timeout": 60,
            "logs_dir": str(tmp_path / "logs"),
            **values,
        }
        number = next(NUMBERS)
        extra = tmp_path / f"vars-{number}.json"
        variables = {f"volcano_job_{key}": value for key, value in given.items()}
        extra.write_text(json.dumps(variables), encoding="utf-8")
        log = tmp_path / f"play-{number}.log"
        argv = [
            os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", "localhost,",
            "ascend.fleet.train", "-e", f"@{extra}", *options,
        ]  # fmt: skip
        env = {**os.environ, "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
        env["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "collections")
        for key in ("KUBECONFIG", "ANSIBLE_CONFIG"):
            env.pop(key, None)
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                argv, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, text=True,
                process_group=0,
            )  # fmt: skip
        return Running(process, log)

    return started


@pytest.fixture
def train(start: Callable[..., Running]) -> Callable[..., Play]:
    """Runs the playbook to its end."""

    def run(*options: str, **values: Any) -> Play:
        return start(*options, **values).finish()

    return run
