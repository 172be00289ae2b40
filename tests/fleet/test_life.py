# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fleet from its first run to its teardown: what is predicted, done, done again, changed by hand and removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.conftest import Ground, answer, bring_up, containers, docker, exists, inspect
from tests.playbook_run import Outcome
from tests.simfleet.spec import NodeSpec

pytestmark = pytest.mark.fleet

PACKAGES = ("install_packages", "docker.service")
SYSCTL = "/etc/sysctl.d/99-zz-ascend-fleet.conf"
BLOCK = "/usr/local/lib/ascend-fleet/metadata-block"
OWN_FOLDERS = ("/usr/local/lib/ascend-fleet", "/etc/ascend-fleet")
BLOCK_UNIT = "/etc/systemd/system/ascend-fleet-metadata-block.service"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    fleet = bring_up("life", [NodeSpec("n1"), NodeSpec("n2", cards=4, docker=False)])
    yield Ground(fleet, tmp_path_factory.mktemp("life"))
    fleet.down()


def wanted(life: Ground) -> dict[str, Any]:
    return {
        "fleet_services": [
            life.service("web", npus=2, port=8000),
            life.service("small", port=8001, env={"COLOUR": "blue"}),
        ]
    }


@pytest.fixture(scope="module")
def predicted(life: Ground) -> Outcome:
    return life.run("site", "--check", **wanted(life))


@pytest.fixture(scope="module")
def untouched(life: Ground, predicted: Outcome) -> dict[str, bool]:
    """What of ours is on the node after the check, before the first real run."""
    node = life.node()
    return {
        "containers": bool(containers(node)),
        "images": bool(docker(node, "images", "--quiet")),
        "engine of n2": exists(life.node("n2"), "/usr/bin/dockerd"),
        **{path: exists(node, path) for path in (SYSCTL, BLOCK, BLOCK_UNIT, "/var/lib/ascend-fleet/lease.json")},
    }


@pytest.fixture(scope="module")
def first(life: Ground, untouched: dict[str, bool]) -> Outcome:
    return life.run("site", **wanted(life))


@pytest.fixture(scope="module")
def second(life: Ground, first: Outcome) -> Outcome:
    return life.run("site", **wanted(life))


def actions(outcome: Outcome, host: str, *steps: str) -> set[tuple[str, str]]:
    return {(act["action"], act["target"]) for step in steps for act in outcome.record(step, host)["plan"]}


def test_check_mode_changes_nothing_and_proves_nothing(predicted: Outcome, untouched: dict[str, bool]) -> None:
    assert predicted.rc == 0, predicted.out
    assert predicted.verdict["ok"] is None
    assert not any(untouched.values()), untouched


@pytest.mark.parametrize("name", ["n1", "n2"])
def test_check_mode_predicts_what_the_run_does(
    life: Ground, predictions: dict[str, set[tuple[str, str]]], first: Outcome, name: str
) -> None:
    assert first.rc == 0, first.out
    # Packages are installed by tasks of their own, before fleet_node looks at the node again.
    assert predictions[name] - {PACKAGES} == actions(first, name, "prepare", "stage", "deploy")
    assert predictions[name] >= {("pull", life.image), ("create", "web"), ("create", "small"), ("write", SYSCTL)}
    assert (PACKAGES in predictions[name]) is (name == "n2")


@pytest.fixture(scope="module")
def predictions(predicted: Outcome, untouched: dict[str, bool]) -> dict[str, set[tuple[str, str]]]:
    """Read before the next run replaces the verdict that leads to the records."""
    return {host: actions(predicted, host, "preflight") for host in ("n1", "n2")}


def test_first_run_brings_the_services_up(life: Ground, first: Outcome) -> None:
    assert first.rc == 0, first.out
    for name in ("n1", "n2"):
        node = life.node(name)
        assert containers(node) == {"web", "small"}
        assert (answer(node, 8000), answer(node, 8001)) == ("web", "small")
        devices = {device["PathOnHost"] for device in inspect(node, "web")["HostConfig"]["Devices"]}
        assert {"/dev/davinci0", "/dev/davinci1"} <= devices
        assert "/dev/davinci2" not in devices


def test_summary_says_where_the_services_are(first: Outcome) -> None:
    assert "site: ok (2 nodes" in first.out
    assert [line.split()[:3] for line in first.out.splitlines() if line.startswith("web ")] == [
        ["web", "n1", "0,1"],
        ["web", "n2", "0,1"],
    ]


def test_second_run_changes_nothing(second: Outcome) -> None:
    assert second.rc == 0, second.out
    assert second.changed == {"n1": 0, "n2": 0}
    assert second.verdict["ok"] is True


def test_drift_is_clean_after_a_run(life: Ground, second: Outcome) -> None:
    drift = life.run("drift", **wanted(life))
    assert drift.rc == 0, drift.out
    assert drift.verdict["ok"] is True


BY_HAND = {
    "container stopped": (["docker", "stop", "-t", "1", "web"], "web"),
    "container replaced": (
        ["sh", "-c", "docker rm -f small && docker run -d --name small $(docker images -q | head -n 1) sleep 1000"],
        "small",
    ),
    "forwarding off": (["sysctl", "-w", "net.ipv4.ip_forward=0"], "net/ipv4/ip_forward"),
    "forwarding forgotten": (["rm", SYSCTL], SYSCTL),
    "script changed": (["sh", "-c", f"echo true >> {BLOCK}"], BLOCK),
    "unit removed": (["rm", BLOCK_UNIT], BLOCK_UNIT),
    "rules flushed": (["iptables", "-F", "DOCKER-USER"], "ascend-fleet-metadata-block.service"),
    "directory removed": (["rm", "-r", "/var/lib/ascend-fleet/work"], "/var/lib/ascend-fleet/work"),
    "engine disabled": (["systemctl", "disable", "docker.service"], "docker.service"),
    "log rotation off": (
        ["sed", "-i", "s/100m/900m/", "/etc/docker/daemon.json"],
        "/etc/docker/daemon.json",
    ),
}


@pytest.fixture(scope="module")
def drifted(life: Ground, second: Outcome) -> Outcome:
    for command, _target in BY_HAND.values():
        life.node().exec(*command)
    return life.run("drift", **wanted(life))


@pytest.mark.parametrize("change", BY_HAND)
def test_drift_names_what_was_changed_by_hand(drifted: Outcome, change: str) -> None:
    assert drifted.rc != 0
    named = {str(item["value"]) for item in drifted.verdict["failures"] if item["host"] == "n1"}
    assert BY_HAND[change][1] in named
    assert drifted.verdict["hosts"]["n2"]["ok"] is True


def test_the_next_run_mends_the_drift(life: Ground, drifted: Outcome) -> None:
    # The container under a service's name is not ours any more: nobody but its owner may remove it.
    refused = life.run("site", **wanted(life))
    assert refused.rc != 0
    assert {item["service"] for item in refused.verdict["failures"] if item["host"] == "n1"} == {"small"}
    docker(life.node(), "rm", "-f", "small")
    mended = life.run("site", **wanted(life))
    assert mended.rc == 0, mended.out
    assert (answer(life.node(), 8000), answer(life.node(), 8001)) == ("web", "small")


def test_host_settings_stay_while_services_need_them(life: Ground, drifted: Outcome) -> None:
    refused = life.run("teardown", "-e", "fleet_teardown_host=true", **wanted(life), fleet_only=["small"])
    assert refused.rc != 0
    assert {item["check"] for item in refused.verdict["failures"]} == {"teardown-partial"}


def test_teardown_of_one_service_leaves_the_others(life: Ground, drifted: Outcome) -> None:
    done = life.run("teardown", **wanted(life), fleet_only=["small"])
    assert done.rc == 0, done.out
    for name in ("n1", "n2"):
        assert actions(done, name, "teardown") == {("remove", "small")}
        assert containers(life.node(name)) == {"web"}
    assert answer(life.node(), 8000) == "web"


@pytest.fixture(scope="module")
def torn_down(life: Ground, drifted: Outcome) -> Outcome:
    for name in ("n1", "n2"):
        docker(life.node(name), "run", "-d", "--name", "foreign", life.image, "sleep", "1000")
    life.node().exec("sh", "-c", "echo vm.swappiness=10 > /etc/sysctl.d/50-theirs.conf")
    return life.run("teardown", "-e", "fleet_teardown_host=true", **wanted(life))


def test_teardown_removes_ours_and_nothing_else(life: Ground, torn_down: Outcome) -> None:
    assert torn_down.rc == 0, torn_down.out
    for name in ("n1", "n2"):
        node = life.node(name)
        assert containers(node) == {"foreign"}
        assert not any(exists(node, path) for path in (SYSCTL, BLOCK, BLOCK_UNIT, *OWN_FOLDERS))
        assert "169.254.169.254" not in node.exec("iptables-save").out
        assert node.exec("systemctl", "is-active", "docker.service").out.strip() == "active"
    assert exists(life.node(), "/etc/sysctl.d/50-theirs.conf")


def test_teardown_again_changes_nothing(life: Ground, torn_down: Outcome) -> None:
    again = life.run("teardown", "-e", "fleet_teardown_host=true", **wanted(life))
    assert (again.rc, again.changed) == (0, {"n1": 0, "n2": 0}), again.out


def test_reports_stay_readable_files(life: Ground, torn_down: Outcome) -> None:
    assert all(Path(path).stat().st_mode & 0o777 == 0o644 for path in (life.folder / "report").rglob("*.json"))
