# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook train.yml against a real API server; what it did is looked up there, not in its own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import NAMESPACE, Cluster, Play, Running

ACCOUNTS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
Train = Callable[..., Play]
Start = Callable[..., Running]


def test_create_and_unchanged(cluster: Cluster, train: Train, name: str) -> None:
    play = train().succeeded()
    play.says("Running, 2/2 pods ready", "Completed", "rank table: 2 servers, 16 devices", "step 1 loss 0.98")
    play.says("event: Normal Running Job")
    assert play.changed == 2
    job = cluster.job(name)
    assert job["status"]["state"]["phase"] == "Completed"
    assert job["spec"]["minAvailable"] == 2
    resources = job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["resources"]
    assert resources["limits"] == {"huawei.com/ascend-1980": "8", "cpu": "192", "memory": "1500Gi"}
    assert resources["requests"]["cpu"] == "153"

    version, table = job["metadata"]["resourceVersion"], cluster.config_map(name)["data"]
    assert train().succeeded().changed == 0
    assert cluster.job(name)["metadata"]["resourceVersion"] == version
    assert cluster.config_map(name)["data"] == table


def test_a_new_job_never_sees_the_table_of_an_old_one(cluster: Cluster, train: Train, name: str) -> None:
    stale = {
        "metadata": {"name": f"configmap1980-{name}"},
        "data": {"jobstart_hccl.json": json.dumps({"status": "completed", "server_list": []}), "other": "x"},
    }
    cluster.api.request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", stale)
    train(story="pending", wait=False).succeeded()
    data = cluster.config_map(name)["data"]
    assert list(data) == ["jobstart_hccl.json"]
    assert json.loads(data["jobstart_hccl.json"])["status"] == "initializing"


def test_change_of_what_may_change(cluster: Cluster, train: Train, name: str) -> None:
    train(story="forever", wait_for="running").succeeded()
    uid = cluster.job(name)["metadata"]["uid"]
    assert train(story="forever", wait=False, nodes=3, priority_class="high").succeeded().changed == 1
    job = cluster.job(name)
    assert job["metadata"]["uid"] == uid
    assert [task["replicas"] for task in job["spec"]["tasks"]] == [1, 2]
    assert (job["spec"]["minAvailable"], job["spec"]["priorityClassName"]) == (3, "high")
    assert train(story="forever", wait=False, nodes=3, priority_class="high").succeeded().changed == 0


def test_change_of_what_may_not_change(cluster: Cluster, train: Train, name: str) -> None:
    train(story="forever", wait_for="running").succeeded()
    uid, pod = cluster.job(name)["metadata"]["uid"], cluster.pods(name)[0]["metadata"]["uid"]
    play = train(story="forever", wait=False, max_retry=9).failed()
    play.says("spec.maxRetry changed, which a job that is there cannot take over", "volcano_job_recreate")
    assert cluster.job(name)["metadata"]["uid"] == uid

    train(story="forever", wait_for="running", max_retry=9, recreate=True).succeeded()
    job = cluster.job(name)
    assert job["metadata"]["uid"] != uid
    assert job["spec"]["maxRetry"] == 9
    assert pod not in {item["metadata"]["uid"] for item in cluster.pods(name)}


def test_failure_with_logs_and_rerun(cluster: Cluster, train: Train, name: str, tmp_path: Path) -> None:
    play = train(story="fail").failed()
    play.says("the job is Failed (the task main failed)", "HCCL timeout on rank 0", "event: Warning BackOff")
    folder = tmp_path / "logs" / NAMESPACE / name
    logs = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert "HCCL timeout" in logs[f"{name}-main-0.ascendspeed.log"]
    assert "rank 0 of" in logs[f"{name}-work-0.ascendspeed.log"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())

    train(story="fail").failed().says("the job is Failed since it was submitted before", "volcano_job_rerun")
    uid = cluster.job(name)["metadata"]["uid"]
    train(rerun=True).succeeded()
    assert cluster.job(name)["metadata"]["uid"] != uid
    assert cluster.phase(name) == "Completed"


def test_restart_keeps_the_log_of_the_broken_pod(cluster: Cluster, train: Train, name: str, tmp_path: Path) -> None:
    train(story="restart").succeeded().says("Restarting", "1 restart", "Completed")
    kept = tmp_path / "logs" / NAMESPACE / name / f"{name}-main-0.retry-0.log"
    assert "HCCL timeout" in kept.read_text(encoding="utf-8")
    assert cluster.job(name)["status"]["retryCount"] == 1


def test_eviction(cluster: Cluster, train: Train, name: str) -> None:
    train(story="evict").succeeded().says(f"event: Warning Evicted Pod {name}-work-0", "Restarting", "Completed")
    assert cluster.phase(name) == "Completed"


def test_logs_on_request(cluster: Cluster, train: Train, name: str, tmp_path: Path) -> None:
    train(story="forever", wait_for="running", logs="always").succeeded()
    assert {path.name for path in (tmp_path / "logs" / NAMESPACE / name).iterdir()} == {
        f"{name}-main-0.ascendspeed.log",
        f"{name}-work-0.ascendspeed.log",
    }


def test_suspend_and_resume(cluster: Cluster, train: Train, name: str) -> None:
    train(story="forever", wait_for="running").succeeded()
    assert train(state="suspended").succeeded().changed == 1
    assert cluster.phase(name) == "Aborted"
    assert cluster.pods(name) == []
    assert train(state="suspended").succeeded().changed == 0
    assert train(state="resumed").succeeded().changed == 1
    assert cluster.phase(name) == "Running"
    assert len(cluster.pods(name)) == 2


def test_delete(cluster: Cluster, train: Train, name: str) -> None:
    train(story="forever", wait_for="running").succeeded()
    assert train("--check", state="absent").succeeded().changed == 2
    assert cluster.job(name) is not None
    assert train(state="absent").succeeded().changed == 2
    assert (cluster.job(name), cluster.config_map(name), cluster.pods(name)) == (None, None, [])
    assert train(state="absent").succeeded().changed == 0


def test_check_mode_sends_a_dry_run(cluster: Cluster, train: Train, name: str) -> None:
    play = train("--check", "--diff", override={"spec": {"runningEstimate": "5m"}}).succeeded()
    assert play.changed == 2
    # uid is the server's word: it went through the dry run and was not stored.
    play.says('"runningEstimate": "5m"', '"uid"')
    assert (cluster.job(name), cluster.config_map(name)) == (None, None)
    train(story="forever", wait=False).succeeded()
    play = train("--check", "--diff", story="forever", nodes=3).succeeded()
    assert play.changed == 1
    play.says('-        "minAvailable": 2', '+        "minAvailable": 3')
    assert cluster.job(name)["spec"]["minAvailable"] == 2


def test_storage_is_made(cluster: Cluster, train: Train, name: str) -> None:
    storage = {"size": "1Ti", "volume_id": "8962a2a2", "location": "192.0.2.9:/", "mount_options": ["nolock"]}
    values: dict[str, Any] = {"story": "pending", "pvc": f"{name}-data", "storage": storage, "wait": False}
    assert train(**values).succeeded().changed == 3
    volume = cluster.api.get(f"/api/v1/persistentvolumes/{NAMESPACE}-{name}-data")
    claim = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{name}-data")
    assert volume["spec"]["csi"]["driver"] == "sfsturbo.csi.everest.io"
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert train(**values).succeeded().changed == 0


def test_everything_the_cluster_lacks_is_said_at_once(cluster: Cluster, train: Train, name: str) -> None:
    play = train(queue="closed", pvc="nothing", nodes=4).failed()
    play.says("3 problems with the job", "[queue-closed]", "[pvc-absent]", "4 are asked for and 3 fit", "[nodes-few]")
    assert cluster.job(name) is None


def test_the_clusters_own_schema_judges(cluster: Cluster, train: Train, name: str) -> None:
    train(override={"spec": {"minAvailabel": 2}}).failed().says("[field-unknown]", "minAvailable is one")
    assert cluster.job(name) is None


def test_validation_needs_no_cluster(train: Train) -> None:
    values = {"validate_only": True, "kubeconfig": "/nowhere"}
    play = train(**values).succeeded()
    play.says("configmap1980-", "RestartJob")
    train(**values, hosts="localhost").succeeded().says("Bring image and data")
    train(**values, npus=0).failed().says("volcano_job_npus", "nothing was sent")


def test_a_broken_rank_table_ends_the_wait(train: Train) -> None:
    train(story="half-table").failed().says("the rank table is broken: it lists 1 of 2 servers")


def test_a_wait_ends_in_time_and_is_taken_up_again(cluster: Cluster, train: Train, name: str) -> None:
    play = train(story="pending", wait_timeout=3).failed()
    play.says("the job is Pending and not Completed after 3 s; it goes on", "FailedScheduling")
    assert cluster.phase(name) == "Pending"


def test_a_lost_connection_does_not_end_the_wait(cluster: Cluster, start: Start, name: str) -> None:
    running = start(story="long")
    running.wait_for("Running, 2/2 pods ready")
    cluster.api.kill()
    running.wait_for("no answer")
    cluster.api.restart()
    running.finish().succeeded().says("trying again", "Completed")
    assert cluster.phase(name) == "Completed"


def account(cluster: Cluster) -> str:
    """A service account that may do everything; its uid, which its tokens carry."""
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    binding = {
        "metadata": {"name": "trainer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "trainer", "namespace": NAMESPACE}],
    }
    if cluster.api.get(f"{bindings}/trainer") is None:
        cluster.api.request("POST", bindings, binding)
    made = cluster.api.request("POST", ACCOUNTS, {"metadata": {"name": "trainer"}})
    uid: str = made["metadata"]["uid"]
    return uid


def test_a_token_that_is_revoked_or_has_expired_is_one_sentence(cluster: Cluster, start: Start, tmp_path: Path) -> None:
    token = cluster.api.account_token(NAMESPACE, "trainer", account(cluster), 3600)
    running = start(story="forever", kubeconfig=str(cluster.api.kubeconfig(tmp_path / "kubeconfig", token)))
    running.wait_for("Running, 2/2 pods ready")
    cluster.api.request("DELETE", f"{ACCOUNTS}/trainer")
    play = running.finish().failed()
    play.says("refuses the credentials (401)", "the job goes on: renew the credentials and run again to follow it")

    expired = cluster.api.account_token(NAMESPACE, "trainer", account(cluster), -120)
    kubeconfig = cluster.api.kubeconfig(tmp_path / "kubeconfig", expired)
    again = start(story="forever", kubeconfig=str(kubeconfig)).finish().failed()
    again.says("refuses the credentials (401); the token has expired", "[cluster-refused]")
    assert token not in play.output
    assert expired not in again.output
    assert "Traceback" not in play.output + again.output


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kubeconfig": "/nowhere/kubeconfig"}, "no usable credentials for a cluster"),
        ({"kubeconfig": None, "host": "https://127.0.0.1:1", "api_key": "x"}, "does not answer"),
    ],
)
def test_no_cluster_is_one_sentence(train: Train, values: dict[str, Any], text: str) -> None:
    play = train(**values).failed()
    play.says(text, "[cluster-unreachable]")
    assert "Traceback" not in play.output
