# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights on simulated servers: one copy from the source, from server to server, and on a folder they share."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import playbook_run
from tests.doubles.hub_server import HubServer
from tests.fleet.conftest import COLLECTIONS, Background, Ground, bring_up, until
from tests.simfleet.fleet import Fleet
from tests.simfleet.node import Node
from tests.simfleet.spec import NodeSpec

pytestmark = pytest.mark.fleet

REPO = "acme/tiny"
FILES = {f"model-{number}.safetensors": random.Random(number).randbytes(6_000_000) for number in range(3)}
FILES["config.json"] = b"{}"
TOTAL = sum(map(len, FILES.values()))
SHARED = "/mnt/models"
WORK = "/srv/weights"
NAMES = ("n1", "n2", "n3")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def trio(shared: Path) -> Iterator[Fleet]:
    """Three servers without cards that share a folder."""
    fleet = bring_up(
        "weights", [NodeSpec(name, cards=0, mounts={str(shared): SHARED}, writable=True) for name in NAMES]
    )
    yield fleet
    fleet.down()


@pytest.fixture
def hub(trio: Fleet) -> Iterator[HubServer]:
    with HubServer({REPO: dict(FILES)}, host=str(trio.subnet[1])) as server:
        yield server


class Weights(Ground):
    """The servers, the hub they reach, and the role on them."""

    hub: HubServer

    def playbook(self, **variables: Any) -> list[str]:
        roles = [{"role": "ascend.fleet.model_weights"}]
        play = {"name": "Weights", "hosts": "fleet", "gather_facts": False, "roles": roles}
        path = self.folder / "weights.yml"
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        hosts = self.hosts(self.common(**variables))
        return [playbook_run.PROGRAM, "-i", str(hosts), str(path)]

    def common(self, **variables: Any) -> dict[str, Any]:
        endpoints = dict.fromkeys(("huggingface", "modelscope"), self.hub.url)
        return {"fleet_work_dir": WORK, "model_weights_endpoints": endpoints, **variables}

    def bring(self, *arguments: str, **variables: Any) -> playbook_run.Outcome:
        done = subprocess.run(
            [*self.playbook(**variables), *arguments],
            cwd=self.folder,
            env=playbook_run.environment(COLLECTIONS),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return playbook_run.Outcome(done.returncode, done.stdout + done.stderr, self.folder / "report")

    def begin(self, **variables: Any) -> Background:
        return Background(self.playbook(**variables), self.folder)


@pytest.fixture
def weights(trio: Fleet, hub: HubServer, tmp_path: Path) -> Iterator[Weights]:
    made = Weights(trio, tmp_path)
    made.hub = hub
    yield made
    for node in trio.nodes:
        clean = f"docker ps -aq | xargs -r docker rm -f; rm -rf {WORK} {SHARED}/* {SHARED}/.[a-z]*"
        node.exec("sh", "-c", f"{clean}; cd /var/lib/ascend-fleet && rm -rf lease.json status/weights")


def content(node: Node, path: str) -> dict[str, str]:
    """Digests of the files as the server's own tool finds them."""
    listed = node.exec(
        "sh", "-c", f"cd {path} 2>/dev/null && find . -type f ! -name '.*' -exec sha256sum {{}} +", check=False
    )
    return {line[66:].lstrip("./"): line[:64] for line in listed.out.splitlines()}


def digests(hub: HubServer) -> dict[str, str]:
    return {path: hub.sha256(REPO, path) for path in FILES}


def worker(node: Node) -> int | None:
    """The process on a server that brings a model now."""
    found = node.exec("sh", "-c", "cat /var/lib/ascend-fleet/status/weights/*.json", check=False)
    status = json.loads(found.out) if found.rc == 0 else {"done": True}
    return None if status["done"] else status["pid"]


def model(**keys: Any) -> list[dict[str, Any]]:
    return [{"source": f"huggingface:{REPO}", **keys}]


def test_stage_brings_a_model_once_for_all_and_drift_sees_what_is_missing(weights: Weights) -> None:
    hub, path = weights.hub, f"{WORK}/models/tiny"
    entry = weights.service("web", port=8080, model={"source": f"huggingface:{REPO}"})
    variables = weights.common(fleet_services=[entry])
    checked = weights.run("stage", "--check", **variables)
    assert checked.rc == 0, checked.out
    assert hub.bytes_sent == 0
    assert [act["target"] for act in checked.record("preflight", "n1")["plan"] if act["scope"] == "models"] == [path]
    first = weights.run("stage", **variables)
    assert first.rc == 0, first.out
    assert all(content(node, path) == digests(hub) for node in weights.fleet.nodes)
    assert hub.bytes_sent == TOTAL
    weights.node("n1").exec("rm", f"{path}/model-1.safetensors")
    drift = weights.run("drift", **variables)
    assert ("n1", "drift") in drift.failed_checks()
    assert "model-1.safetensors is missing" in drift.out
    mended = weights.run("stage", **variables)
    assert mended.rc == 0, mended.out
    assert (mended.changed["n2"], mended.changed["n3"]) == (0, 0)
    assert content(weights.node("n1"), path) == digests(hub)
    assert hub.bytes_sent == TOTAL


def test_when_a_server_is_killed_the_next_goes_on_and_gives_it_back_what_it_lacks(weights: Weights) -> None:
    hub = weights.hub
    hub.faults.bytes_per_second = 2_000_000
    run = weights.begin(model_weights_models=model(), model_weights_patience=5)
    first = weights.node("n1")
    until("the beginning of the download", lambda: hub.bytes_sent > 5_000_000)
    first.exec("kill", "-9", str(worker(first)))
    hub.faults.bytes_per_second = None
    assert run.ended().rc != 0
    assert content(first, f"{WORK}/models/tiny") == {}
    assert content(weights.node("n2"), f"{WORK}/models/tiny") == digests(hub)
    sent = hub.bytes_sent
    done = weights.bring(model_weights_models=model())
    assert done.rc == 0, done.out
    assert content(first, f"{WORK}/models/tiny") == digests(hub)
    assert hub.bytes_sent == sent


def test_on_a_shared_folder_one_server_downloads(weights: Weights) -> None:
    hub = weights.hub
    hub.faults.bytes_per_second = 5_000_000
    done = weights.bring(model_weights_models=model(path=f"{SHARED}/tiny", shared=True))
    assert done.rc == 0, done.out
    assert hub.bytes_sent == TOTAL
    assert sorted(done.changed.values()) == [0, 0, 1]
    assert content(weights.node("n3"), f"{SHARED}/tiny") == digests(hub)


@pytest.mark.exhaustive
def test_a_server_that_dies_on_a_shared_folder_is_succeeded(weights: Weights) -> None:
    hub = weights.hub
    hub.faults.bytes_per_second = 2_000_000
    run = weights.begin(model_weights_models=model(path=f"{SHARED}/tiny", shared=True), model_weights_takeover_after=6)
    until("the beginning of the download", lambda: hub.bytes_sent > 4_000_000)
    for node in weights.fleet.nodes:
        leases = node.exec("sh", "-c", f"cat {SHARED}/.tiny.ascend-fleet/lease-*", check=False).out
        if f'"host": "{node.exec("hostname").out.strip()}"' in leases:
            node.exec("kill", "-9", str(worker(node)))
    run.ended()
    assert content(weights.node("n1"), f"{SHARED}/tiny") == digests(hub)
    assert hub.bytes_sent < 2 * TOTAL


def test_directories_of_the_controller_go_over_once_and_continue(weights: Weights, tmp_path: Path) -> None:
    """One is named as the source, the other stands for a hub that need not be reached."""
    for folder in (tmp_path / "mine", tmp_path / "mirror" / "huggingface" / REPO):
        folder.mkdir(parents=True)
        for path, body in FILES.items():
            (folder / path).write_bytes(body)
    models = [{"source": f"controller:{tmp_path}/mine"}, *model()]
    variables = {"model_weights_models": models, "model_weights_mirror": str(tmp_path / "mirror")}
    run = weights.begin(**variables)
    first = weights.node("n1")
    parts = f"ls {WORK}/models/.mine.ascend-fleet/parts {WORK}/models/.mine.ascend-fleet/tree 2>/dev/null | grep -c ."

    def begun() -> bool:
        """Some of it is there; or, on a fast machine, all of it."""
        there = int(first.exec("sh", "-c", parts, check=False).out or 0) > 2
        return there or bool(content(first, f"{WORK}/models/mine"))

    until("the beginning of the copy", begun)
    run.kill()
    done = weights.bring(**variables)
    assert done.rc == 0, done.out
    for name in ("mine", "tiny"):
        assert all(content(node, f"{WORK}/models/{name}") == digests(weights.hub) for node in weights.fleet.nodes)
    assert weights.hub.asked == []


@pytest.mark.exhaustive
def test_the_next_server_is_sent_what_one_that_died_was_being_sent(weights: Weights, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for path, body in FILES.items():
        (folder / path).write_bytes(body)
    run = weights.begin(model_weights_models=[{"source": f"controller:{folder}"}], model_weights_patience=5)
    first = weights.node("n1")
    until("the beginning of the copy", lambda: worker(first) is not None)
    first.exec("kill", "-9", str(worker(first)))
    assert run.ended().rc != 0
    assert all(content(weights.node(name), f"{WORK}/models/mine") == digests(weights.hub) for name in ("n2", "n3"))


@pytest.mark.exhaustive
def test_a_gated_model_is_refused_in_one_sentence_and_nothing_is_left(weights: Weights) -> None:
    weights.hub.faults.gated = True
    entry = weights.service("web", port=8080, model={"source": f"huggingface:{REPO}"})
    done = weights.run("stage", **weights.common(fleet_services=[entry]))
    assert done.rc != 0
    assert ("n1", "model-gated") in done.failed_checks()
    assert "Accept the licence" in done.out
    assert all(content(node, f"{WORK}/models/tiny") == {} for node in weights.fleet.nodes)
