# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator meets: orphans, foreign containers, one service of many, two runs at once, servers that go away."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.module_utils import _units
from ansible_collections.ascend.fleet.plugins.module_utils._document import LEASE_FILE as LEASE
from ansible_collections.ascend.fleet.plugins.module_utils._work import STATUS_FILE as STATUS
from tests import playbook_run
from tests.fleet.conftest import COLLECTIONS, Ground, answer, containers, docker, exists, inspect, until

pytestmark = pytest.mark.fleet

# Nothing of these tests is about host settings: without them a run is shorter.
BARE: dict[str, Any] = {"fleet_metadata_block": "unmanaged", "fleet_batch": "100%"}


def services(ground: Ground, *names: str, **keys: Any) -> dict[str, Any]:
    entries = [ground.service(name, port=8000 + number, **keys) for number, name in enumerate(names)]
    return {**BARE, "fleet_services": entries}


def test_orphan_is_reported_and_removed_only_when_asked(ground: Ground) -> None:
    assert ground.run("site", "--limit", "n1", **services(ground, "web", "old")).rc == 0
    reported = ground.run("site", "--limit", "n1", **services(ground, "web"))
    assert reported.rc == 0, reported.out
    assert containers(ground.node()) == {"web", "old"}
    assert [item["service"] for item in reported.verdict["hosts"]["n1"]["warnings"]] == ["old"]
    removed = ground.run("site", "--limit", "n1", **services(ground, "web"), fleet_prune="remove")
    assert removed.rc == 0, removed.out
    assert containers(ground.node()) == {"web"}


def test_foreign_container_keeps_its_cards_until_it_is_released(ground: Ground) -> None:
    node = ground.node("n2")
    devices = [part for card in range(4) for part in ("--device", f"/dev/davinci{card}")]
    assert ground.run("stage", "--limit", "n2", **services(ground, "web")).rc == 0
    docker(node, "run", "--detach", "--init", "--name", "theirs", *devices, ground.image, "sleep", "1000")
    refused = ground.run("site", "--limit", "n2", **services(ground, "web", npus=1))
    assert refused.rc != 0
    assert any("theirs" in item["message"] for item in refused.verdict["failures"])
    assert inspect(node, "theirs")["State"]["Running"] is True
    released = ground.run("site", "--limit", "n2", **services(ground, "web", npus=1), fleet_release=["theirs"])
    assert released.rc == 0, released.out
    assert inspect(node, "theirs")["State"]["Running"] is False
    assert answer(node, 8000) == "web"


def test_only_the_chosen_service_is_touched_and_goes_back(ground: Ground) -> None:
    node = ground.node()
    assert ground.run("site", "--limit", "n1", **services(ground, "front", "back")).rc == 0
    before = {name: inspect(node, name) for name in ("front", "back")}
    changed = services(ground, "front", "back", env={"COLOUR": "red"})
    chosen = ground.run("site", "--limit", "n1", **changed, fleet_only=["front"])
    assert chosen.rc == 0, chosen.out
    red = inspect(node, "front")
    assert "COLOUR=red" in red["Config"]["Env"]
    assert inspect(node, "back")["Id"] == before["back"]["Id"]
    # Since then the name of the image has got another content.
    docker(node, "commit", "--change", "ENV FLAVOUR=new", "back", ground.image)
    try:
        predicted = ground.run("rollback", "--check", "--limit", "n1", **changed)
        assert (predicted.rc, predicted.verdict["ok"]) == (0, None), predicted.out
        assert inspect(node, "front")["Id"] == red["Id"]
        planned = {(act["action"], act["target"]) for act in predicted.record("preflight", "n1")["plan"]}
        done = ground.run("rollback", "--limit", "n1", **changed)
        assert (done.rc, done.changed["n1"]) == (0, 1), done.out
        assert {(act["action"], act["target"]) for act in done.record("deploy", "n1")["plan"]} == planned
        assert planned == {("replace", "front")}
        found = inspect(node, "front")
        assert (found["Image"], found["Config"]["Env"]) == (before["front"]["Image"], before["front"]["Config"]["Env"])
        assert answer(node, 8000) == "front"
        assert inspect(node, "back")["Id"] == before["back"]["Id"]
        assert [item["service"] for item in done.verdict["hosts"]["n1"]["warnings"]] == ["back"]
        again = ground.run("rollback", "--limit", "n1", **changed, fleet_only=["front"])
        assert (again.rc, again.changed["n1"], again.verdict["ok"]) == (0, 0, True), again.out
    finally:
        docker(node, "tag", before["front"]["Image"], ground.image)


def test_limit_leaves_the_other_server_alone(ground: Ground) -> None:
    run = ground.run("site", "--limit", "n2", **services(ground, "web"))
    assert run.rc == 0, run.out
    assert (containers(ground.node("n1")), containers(ground.node("n2"))) == (set(), {"web"})


@pytest.fixture
def slow_run(ground: Ground) -> Any:
    """A run that holds the lease of n1: its service becomes ready only once a file says so."""
    command = "until [ -e /go/now ]; do sleep 0.2; done; echo slow > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    ground.node().exec("sh", "-c", "mkdir -p /srv/go && rm -f /srv/go/now")
    entry = ground.service("slow", port=8000, command=[command], mounts=[{"source": "/srv/go", "target": "/go"}])
    variables = {**BARE, "fleet_services": [entry]}
    run = ground.start("site", "--limit", "n1", **variables)
    try:
        until("the slow service's start", lambda: "slow" in containers(ground.node()))
        yield run, variables
    finally:
        ground.node().exec("touch", "/srv/go/now")
        run.kill()


def test_second_run_says_who_works_on_the_node(ground: Ground, slow_run: Any) -> None:
    run, variables = slow_run
    lease = json.loads(ground.node().exec("cat", LEASE).out)
    second = ground.run("site", "--limit", "n1", **{**variables, "fleet_services": [ground.service("web", port=8009)]})
    assert second.rc != 0
    [check] = {item["check"] for item in second.verdict["failures"]}
    assert check in ("lease-held", "lock-held")
    assert lease["run_id"] in second.verdict["failures"][0]["message"]
    assert "web" not in containers(ground.node())
    ground.node().exec("touch", "/srv/go/now")
    first = run.ended()
    assert first.rc == 0, first.out
    assert not exists(ground.node(), LEASE)


def test_killed_run_is_taken_over_by_the_next(ground: Ground, slow_run: Any) -> None:
    run, variables = slow_run
    lease = json.loads(ground.node().exec("cat", LEASE).out)
    run.kill()
    # Its work on the node goes on without it.
    ground.node().exec("touch", "/srv/go/now")
    until("the end of the work", lambda: json.loads(ground.node().exec("cat", STATUS).out)["done"])
    assert answer(ground.node(), 8000) == "slow"
    assert json.loads(ground.node().exec("cat", LEASE).out)["run_id"] == lease["run_id"]
    [entry] = variables["fleet_services"]
    following = ground.run("site", "--limit", "n1", **BARE, fleet_services=[{**entry, "env": {"COLOUR": "red"}}])
    assert following.rc == 0, following.out
    assert containers(ground.node()) == {"slow"}
    assert "COLOUR=red" in inspect(ground.node(), "slow")["Config"]["Env"]
    assert not exists(ground.node(), LEASE)


def test_server_that_is_cut_off(ground: Ground) -> None:
    ground.node("n2").cut()
    try:
        run = ground.run("site", **services(ground, "web"), fleet_on_node_failure="continue")
    finally:
        ground.node("n2").heal()
    assert run.rc != 0
    assert run.failed_checks() == [("n2", "host-unreachable")]
    assert run.verdict["hosts"]["n1"]["ok"] is True
    assert containers(ground.node("n1")) == {"web"}


def test_service_that_fails_stops_the_ramp(ground: Ground) -> None:
    entries = [ground.service("good", port=8001), ground.service("web", port=8000, command=["exit 3"])]
    run = ground.run("site", **{**BARE, "fleet_batch": 1, "fleet_services": entries})
    assert run.rc != 0
    assert [host for host, _check in run.failed_checks()] == ["n1", "n2"]
    assert run.failed_checks()[1] == ("n2", "no-result")
    record = run.record("deploy", "n1")
    assert record["changed"] is True
    assert ("create", "web") in {(act["action"], act["target"]) for act in record["plan"]}
    # Nothing of the service that failed stays, and what came before it is told.
    assert containers(ground.node("n1")) == {"good"}
    assert [(act["action"], act["target"]) for act in record["done"]] == [("create", "good")]
    assert "  - n1: create good" in run.out
    assert {line["name"]: line["state"] for line in record["services"]} == {"good": "running", "web": "absent"}
    assert containers(ground.node("n2")) == set()
    assert not exists(ground.node("n1"), LEASE)


def test_report_says_what_runs_where(ground: Ground) -> None:
    assert ground.run("site", "--limit", "n1", **services(ground, "web", npus=1)).rc == 0
    run = ground.run("report", "--limit", "n1", **services(ground, "web", npus=1))
    assert run.rc == 0, run.out
    [row] = json.loads((run.reports / "report.json").read_text())["services"]
    assert (row["service"], row["node"], row["state"], row["cards"]) == ("web", "n1", "running", [0])
    assert "| web | n1 | container | running |" in (run.reports / "report.md").read_text()


def test_plan_contacts_the_nodes_only_when_asked(ground: Ground) -> None:
    wanted = services(ground, "web", npus=6)
    run = ground.run("plan", **wanted)
    assert run.rc != 0
    rows = json.loads((run.reports / "plan.json").read_text())["plan"]
    assert [(row["node"], row["cards"], bool(row["problem"])) for row in rows] == [
        ("n1", [0, 1, 2, 3, 4, 5], False),
        ("n2", None, True),
    ]
    assert not (run.reports / run.verdict["run_id"] / "records").exists()
    observed = ground.run("plan", "--limit", "n1", "-e", "fleet_plan_observe=true", **wanted)
    assert observed.rc == 0, observed.out
    changes = json.loads((observed.reports / "plan.json").read_text())["changes"]
    assert ("create", "web") in {(change["action"], change["target"]) for change in changes}


def roles_alone(
    ground: Ground, *entries: dict[str, Any], check: bool = False, prepared: bool = False
) -> playbook_run.Outcome:
    """One play on n1 in which a role of its own brings each of the entries, after one for the host where asked."""
    brought = [{key: value for key, value in entry.items() if key != "kind"} for entry in entries]
    roles: list[dict[str, Any]] = [{"role": "ascend.fleet.host_prep"}] if prepared else []
    roles += [
        {"role": "ascend.fleet.container_service", "vars": {"container_service_entry": entry}} for entry in brought
    ]
    path = ground.folder / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "fleet", "gather_facts": False, "roles": roles}]))
    done = subprocess.run(
        [playbook_run.PROGRAM, "-i", str(ground.hosts(BARE)), str(path), "--limit", "n1", *["--check"] * check],
        cwd=ground.folder,
        env=playbook_run.environment(COLLECTIONS),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    run = playbook_run.Outcome(done.returncode, done.stdout + done.stderr, ground.folder / "report")
    assert run.rc == 0, run.out
    return run


@pytest.mark.parametrize("check", [True, False])
def test_role_brings_one_service_by_itself(ground: Ground, check: bool) -> None:
    for changed in (2, 0):
        run = roles_alone(ground, ground.service("alone", port=8000), check=check)
        if check:
            assert run.verdict["ok"] is None
            assert containers(ground.node()) == set()
            return
        assert (run.changed["n1"] > 0) is (changed > 0)
        assert run.verdict["ok"] is True
        assert answer(ground.node(), 8000) == "alone"


def test_roles_alone_and_chosen_services_leave_each_other_what_they_wait_for(ground: Ground) -> None:
    node = ground.node()
    node.exec("mkdir", "-p", "/srv/chat", "/srv/web")
    chat = ground.service("chat", port=8001, npus=2, mounts=["/srv/chat:/data"])
    web = ground.service("web", port=8000, mounts=["/srv/web:/data"])

    def order() -> tuple[list[str], bool]:
        text = str(node.exec("cat", _units.ORDER_DROPIN).out)
        return _units.awaited_mounts(text), _units.DRIVER in text and exists(node, _units.DRIVER_SCRIPT)

    roles_alone(ground, chat, web, prepared=True)
    mounts, cards = order()
    assert {"/srv/chat", "/srv/web"} <= set(mounts)
    assert cards
    assert roles_alone(ground, chat, web, prepared=True).changed["n1"] == 0

    both = {**BARE, "fleet_services": [chat, web]}
    assert ground.run("site", "--limit", "n1", **both).rc == 0
    chosen = ground.run("site", "--limit", "n1", **both, fleet_only=["web"])
    assert (chosen.rc, chosen.changed["n1"]) == (0, 0), chosen.out
    assert order() == (["/srv/chat", "/srv/web"], True)
    # A run of the whole inventory knows that nobody waits any more.
    alone = ground.run("site", "--limit", "n1", **{**BARE, "fleet_services": [web], "fleet_prune": "remove"})
    assert alone.rc == 0, alone.out
    assert order() == (["/srv/web"], False)
