# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images baked once for all nodes that need them. What happened is seen through engines and the registry."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.authority import certificates
from tests.fleet.conftest import Ground, answer, containers, docker, until
from tests.fleet.users import asked
from tests.playbook_run import Outcome
from tests.simfleet.fleet import Fleet
from tests.simfleet.node import Node
from tests.simfleet.spec import NodeSpec

pytestmark = pytest.mark.fleet

HERE = Path(__file__).parent
SECRET = "s3cret-of-joe"
REPOSITORY = "ascend-fleet/container"
COMMITS = "/run/commits"


class Bakery(Ground):
    """Two servers of one chip family and one of another."""

    base = ""

    @property
    def peer(self) -> str:
        return str(self.fleet.address("n2"))

    def page(self, text: str, **inputs: Any) -> dict[str, Any]:
        return {
            "name": "page",
            "kind": "container",
            "image": self.base,
            "npus": 2,
            "port": 8000,
            "container_port": 80,
            "command": ["python3", "-m", "http.server", "80", "--directory", "/srv"],
            "probe": {"steps": [{"path": "/", "expect": [{"contains": text}]}]},
            "bake": {"tasks": str(HERE / "tasks" / "bake_page.yml"), "inputs": {"text": text, **inputs}},
        }

    def variables(self, entry: dict[str, Any], **more: Any) -> dict[str, Any]:
        registry = self.fleet.registry_address
        common = {"fleet_registry": registry, "fleet_registries": [{"address": registry, "insecure": True}]}
        return {**common, "fleet_services": [entry], "fleet_batch": "100%", **more}

    def deploy(self, entry: dict[str, Any], *arguments: str, **more: Any) -> Outcome:
        return self.run("site", *arguments, **self.variables(entry, **more))

    def tags(self) -> set[str]:
        """What the registry has of baked images."""
        address = f"http://{self.fleet.registry_address}/v2/{REPOSITORY}/tags/list"
        try:
            with urllib.request.urlopen(address, timeout=10) as reply:
                return set(json.load(reply)["tags"] or [])
        except urllib.error.HTTPError:
            return set()


def image(node: Node) -> str:
    return docker(node, "inspect", "--format", "{{.Image}}", "page")


def baked(node: Node) -> set[str]:
    named = docker(node, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    return {name.rpartition(":")[2] for name in named if REPOSITORY in name}


def commits(node: Node) -> int:
    """How many images the engine has made of containers, told by itself as it makes them."""
    return len(node.exec("cat", COMMITS).out.splitlines())


def leftovers(node: Node) -> list[str]:
    """Whatever only a build that goes on may have."""
    found = [name for name in containers(node) if name.startswith("ascend-fleet-bake")]
    found += docker(node, "volume", "ls", "--quiet").split()
    listed = node.exec(
        "sh", "-c", "ls -d /var/lib/ascend-fleet/bakes/* /var/lib/ascend-fleet/images/* 2>/dev/null", check=False
    )
    return found + listed.out.split()


@pytest.fixture(scope="module")
def bakery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bakery]:
    specs = [NodeSpec("n1"), NodeSpec("n2", cards=4), NodeSpec("n3", soc="A3", cards=4)]
    with Fleet(f"bakery-{os.getpid()}", specs) as fleet:
        found = Bakery(fleet, tmp_path_factory.mktemp("bakery"))
        found.base = fleet.publish("workbench")
        yield found


@pytest.fixture(scope="module")
def networked(bakery: Bakery) -> dict[str, Any]:
    """Settings of a fleet behind a proxy with a login, and with an authority of its own."""
    authority, peer = certificates(bakery.folder, bakery.peer)
    server = (HERE / "bake_peer.py").read_bytes()
    node = bakery.node("n2")
    node.put({"/opt/peer.py": (0o644, server), "/opt/peer.pem": (0o600, peer.read_bytes())})
    node.exec("systemd-run", "--unit", "peer", "python3", "/opt/peer.py", "/opt/peer.pem")
    return {
        "fleet_proxy": {"http": f"http://joe:{SECRET}@{bakery.peer}:3128"},
        "fleet_ca_bundle": str(authority),
    }


@pytest.fixture(scope="module")
def first(bakery: Bakery, networked: dict[str, Any]) -> Outcome:
    # The engine itself remembers only a few hundred events, and none over the restart that tells it of the proxy.
    listen = f"while sleep 0.2; do docker events --filter event=commit --format '{{{{.ID}}}}'; done >> {COMMITS}"
    for node in bakery.fleet.nodes:
        node.exec("systemd-run", "--unit", "commits", "sh", "-c", listen)
    return bakery.deploy(bakery.page("one", peer=bakery.peer), **networked)


def test_the_service_runs_from_what_was_installed(bakery: Bakery, first: Outcome):
    """The tasks themselves fail where proxy, login or authority do not reach into the builder."""
    assert first.rc == 0, first.out
    assert [answer(node, 8000) for node in bakery.fleet.nodes] == ["one"] * 3


def test_each_chip_family_has_one_image_that_was_built_once(bakery: Bakery, first: Outcome):
    n1, n2, n3 = bakery.fleet.nodes
    assert sorted(tag.split("-")[1] for tag in bakery.tags()) == ["910_93", "910b"]
    assert image(n1) == image(n2) != image(n3)
    assert sorted(commits(node) for node in (n1, n2)) == [0, 1]
    assert commits(n3) == 1


def test_nothing_is_left_of_the_build(bakery: Bakery, first: Outcome):
    assert [leftovers(node) for node in bakery.fleet.nodes] == [[], [], []]


def test_the_image_is_its_base_and_what_was_installed(bakery: Bakery, first: Outcome):
    node = bakery.node("n2")
    made = json.loads(docker(node, "image", "inspect", image(node)))[0]["Config"]
    base = json.loads(docker(node, "image", "inspect", bakery.base))[0]["Config"]
    same = ("Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Volumes", "ExposedPorts")
    assert [made.get(key) or None for key in same] == [base.get(key) or None for key in same]
    added = {key.removeprefix("io.ascend.fleet-bake.") for key in made["Labels"]} - set(base["Labels"] or {})
    assert added == {"kind", "base", "base-name", "files", "inputs", "family"}
    # Only what changed is in the topmost layer: the page and its folder.
    script = (
        "cd $(mktemp -d) && docker save $0 | tar x && for layer in $(find . -name layer.tar); do "
        "if tar tf $layer | grep -q srv/index.html; then tar tf $layer; fi; done"
    )
    assert set(node.exec("sh", "-c", script, image(node)).out.split()) == {"srv/", "srv/index.html"}


def test_neither_image_nor_history_nor_reports_know_a_secret(bakery: Bakery, first: Outcome):
    node = bakery.node("n1")
    for word in (SECRET, "Our own authority", f"{bakery.peer}:3128"):
        found = node.exec("sh", "-c", f"docker save {image(node)} | grep -ac '{word}'", check=False).out.strip()
        assert found == "0", word
    assert SECRET not in docker(node, "history", "--no-trunc", image(node))
    reports = "".join(path.read_text() for path in first.reports.rglob("*.json"))
    assert SECRET not in reports + first.out


def test_unchanged_inputs_cost_nothing_more_than_the_look_that_happens_anyway(
    bakery: Bakery, first: Outcome, networked: dict[str, Any]
):
    again = bakery.deploy(bakery.page("one", peer=bakery.peer), **networked)
    assert again.changed == {"n1": 0, "n2": 0, "n3": 0}
    for task in ("See which baked images", "Bring the baked images", "Make the container"):
        assert f": {task}" not in again.out


def test_check_mode_predicts_the_image_and_its_service(bakery: Bakery, first: Outcome, networked: dict[str, Any]):
    before = bakery.tags()
    done = bakery.deploy(bakery.page("two", peer=bakery.peer), "--limit", "n1", "--check", "--diff", **networked)
    assert done.rc == 0, done.out
    plan = [(act["scope"], act["action"]) for act in done.record("preflight", "n1")["plan"]]
    assert plan == [("bakes", "bake"), ("services", "replace")]
    assert bakery.tags() == before


def test_a_build_that_fails_leaves_no_trace_and_the_service_alone(
    bakery: Bakery, first: Outcome, networked: dict[str, Any]
):
    images, tags = [baked(node) for node in bakery.fleet.nodes], bakery.tags()
    done = bakery.deploy(bakery.page("two", broken=True), "--limit", "n1", **networked)
    assert done.rc != 0
    told = {item["host"]: item["message"] for item in done.verdict["failures"]}
    assert "page (kind container" in told["n1"]
    assert 'task "Finish the work" failed' in told["n1"]
    assert "the disk of the vendor is full" in told["n1"]
    assert [leftovers(node) for node in bakery.fleet.nodes] == [[], [], []]
    assert [baked(node) for node in bakery.fleet.nodes] == images
    assert bakery.tags() == tags
    assert answer(bakery.node("n1"), 8000) == "one"


def test_what_a_killed_run_left_is_removed_by_the_next(bakery: Bakery, first: Outcome, networked: dict[str, Any]):
    tags = bakery.tags()
    killed = bakery.start("stage", "--limit", "n1", **bakery.variables(bakery.page("two", wait=True), **networked))
    until("that the build waits", lambda: "sleep 600" in bakery.node().exec("ps", "-ef").out)
    children = subprocess.run(["pgrep", "-P", str(killed.pid)], capture_output=True, text=True, check=True).stdout
    for process in (killed.pid, *map(int, children.split())):
        os.kill(process, signal.SIGKILL)
    killed.kill()
    assert leftovers(bakery.node())
    done = bakery.deploy(bakery.page("one", peer=bakery.peer), "--limit", "n1", **networked)
    assert done.rc == 0, done.out
    assert leftovers(bakery.node()) == []
    assert bakery.tags() == tags


def test_without_a_registry_the_image_travels_by_way_of_the_controller_where_it_must(
    bakery: Bakery, first: Outcome, networked: dict[str, Any]
):
    networked = {**networked, "fleet_registry": None}
    old = {node.name: image(node) for node in (bakery.node("n1"), bakery.node("n2"))}
    before = [commits(node) for node in bakery.fleet.nodes]
    with asked(bakery.node("n1")) as user:
        alone = bakery.deploy(bakery.page("three"), "--limit", "n1", "-e", json.dumps(user), **networked)
    assert alone.rc == 0, alone.out
    assert "Bring the archive to the controller" not in alone.out, "nobody else needs it"

    # By a user with sudo, who has to be able to fetch the archive.
    done = bakery.deploy(bakery.page("three"), "--limit", "n1,n2", "-e", "ansible_user=ops", **networked)
    assert done.rc == 0, done.out
    n1, n2 = bakery.node("n1"), bakery.node("n2")
    assert [answer(node, 8000) for node in (n1, n2)] == ["three"] * 2
    assert image(n1) == image(n2)
    assert sum(commits(node) for node in bakery.fleet.nodes) == sum(before) + 1, "a late node gets it, and none builds"
    assert [leftovers(node) for node in bakery.fleet.nodes] == [[], [], []]
    assert not list(done.reports.rglob("*.tar"))
    for node in (n1, n2):
        assert old[node.name] in docker(node, "images", "--quiet", "--no-trunc"), "the way back stays"
