# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From compile to verdict with the real ansible-playbook, really unreachable nodes and stand-ins for work on nodes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from .conftest import DEAD, ROOT, Fleet

UNTOUCHED = {"before": None, "after": None, "interrupts": False, "predicted_because": None}
FRESH = {
    "plan": [
        {"scope": scope, "action": name, "target": target, "reason": "it is not there", **UNTOUCHED}
        for scope, name, target in (
            ("host", "write", "/etc/sysctl.d/99-fleet.conf"),
            ("images", "pull", "mini:1"),
            ("services", "create", "chat"),
        )
    ]
}
FULL_RUN = ["preflight", "prepare", "stage", "deploy", "verify", "release"]
CONVERGED_RUN = ["preflight", "verify"]


def node(**steps: Any) -> dict[str, Any]:
    return {"stub": {"preflight": FRESH, **steps}}


def error(check: str = "step-failed", message: str = "The cards are gone.", **where: Any) -> dict[str, Any]:
    empty = {"service": None, "key": None, "value": None, "remedy": "Bring them back."}
    return {"check": check, "severity": "error", "message": message, **empty, **where}


def test_converged_nodes_are_contacted_twice(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {}, "n2": {}}
    run = fleet.run("site")
    assert run.rc == 0, run.out
    assert run.verdict["ok"] is True
    assert {host: state["ok"] for host, state in run.verdict["hosts"].items()} == {"n1": True, "n2": True}
    assert run.steps("n1") == run.steps("n2") == CONVERGED_RUN


def test_fresh_node_passes_every_step_and_gives_its_lease_back(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node()}
    run = fleet.run("site")
    assert run.rc == 0, run.out
    assert run.steps("n1") == FULL_RUN
    assert run.verdict["hosts"]["n1"]["changed"] is True


def test_one_dead_node_stops_the_run_before_anything_changes(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node(), "n2": DEAD}
    run = fleet.run("site")
    assert run.rc != 0
    assert run.steps("n1") == ["preflight"]
    assert run.failed_checks() == [("n2", "host-unreachable"), ("n1", "no-result")]
    assert run.verdict["ok"] is False
    assert "stopped after n2 had failed" in run.verdict["failures"][1]["message"]


def test_one_dead_node_and_continue(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node(), "n2": DEAD}
    fleet.group = {"fleet_on_node_failure": "continue"}
    run = fleet.run("site")
    assert run.rc != 0
    assert run.steps("n1") == FULL_RUN
    assert run.steps("n2") == ["preflight"]
    assert run.failed_checks() == [("n2", "host-unreachable")]
    assert (run.verdict["hosts"]["n1"]["ok"], run.verdict["hosts"]["n2"]["unreachable"]) == (True, True)


def test_all_dead(fleet: Fleet) -> None:
    fleet.hosts = {"n1": DEAD, "n2": DEAD}
    run = fleet.run("site")
    assert run.rc != 0
    assert run.failed_checks() == [("n1", "host-unreachable"), ("n2", "host-unreachable")]


@pytest.mark.parametrize(("limit", "ok"), [("n1", True), ("n2", False), ("!n2", True)])
def test_limit_decides_what_the_verdict_is_about(fleet: Fleet, limit: str, ok: bool) -> None:
    fleet.hosts = {"n1": {}, "n2": DEAD, "n3": {}}
    run = fleet.run("site", "--limit", limit)
    assert (run.rc == 0, run.verdict["ok"]) == (ok, ok), run.out
    assert set(run.verdict["hosts"]) == ({"n1", "n3"} if limit == "!n2" else {limit})


@pytest.mark.parametrize(
    "arguments", [["--limit", "web1"], ["-e", "fleet_hosts=nobody"]], ids=["limit elsewhere", "no such group"]
)
def test_a_run_without_nodes_is_no_success(fleet: Fleet, arguments: list[str]) -> None:
    fleet.hosts = {"n1": {}}
    fleet.others = {"web1": {"ansible_connection": "local"}}
    run = fleet.run("site", *arguments)
    assert run.rc != 0
    assert "No host matches fleet_hosts" in run.out
    assert run.calls == []


def test_check_mode_predicts_and_proves_nothing(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node()}
    run = fleet.run("site", "--check")
    assert run.rc == 0, run.out
    assert run.steps("n1") == ["preflight", "prepare", "stage", "deploy"]
    assert (run.verdict["ok"], run.verdict["check_mode"]) == (None, True)
    assert run.verdict["hosts"]["n1"]["ok"] is None


def test_check_mode_still_fails_on_a_failure(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {"stub": {"preflight": {"failed": True, "msg": "no", "findings": [error()]}}}}
    run = fleet.run("site", "--check")
    assert run.rc != 0
    assert run.verdict["ok"] is False


def test_ramp_from_group_vars(fleet: Fleet) -> None:
    fleet.hosts = {name: node() for name in ("n1", "n2", "n3", "n4")}
    fleet.group = {"fleet_batch": [1, 2]}
    run = fleet.run("site")
    assert run.rc == 0, run.out
    in_batches = [(step, host) for step, host in run.calls if step in ("deploy", "verify")]
    groups = [in_batches[:2], in_batches[2:6], in_batches[6:]]
    assert [sorted({host for _step, host in group}) for group in groups] == [["n1"], ["n2", "n3"], ["n4"]]
    for group in groups:
        half = len(group) // 2
        assert {step for step, _host in group[:half]} == {"deploy"}
        assert {step for step, _host in group[half:]} == {"verify"}


def test_converged_nodes_are_verified_in_one_batch(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {}, "n2": {}}
    fleet.group = {"fleet_batch": 1}
    run = fleet.run("site")
    assert run.rc == 0, run.out
    assert run.out.count("PLAY [Deploy and verify batch by batch]") == 1


def test_a_failed_batch_ends_the_later_ones(fleet: Fleet) -> None:
    broken = {"failed": True, "msg": "chat exits at once", "findings": [error("step-failed", service="chat")]}
    fleet.hosts = {"n1": node(), "n2": node(deploy=broken), "n3": node(), "n4": node()}
    fleet.group = {"fleet_batch": [1, 2]}
    run = fleet.run("site")
    assert run.rc != 0
    assert run.steps("n1") == FULL_RUN
    assert run.steps("n2") == ["preflight", "prepare", "stage", "deploy", "release"]
    assert run.steps("n3") == FULL_RUN
    assert run.steps("n4") == ["preflight", "prepare", "stage", "release"]
    assert run.failed_checks() == [("n2", "step-failed"), ("n4", "no-result")]
    assert run.verdict["failures"][0]["service"] == "chat"


def test_a_failed_batch_and_continue(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node(verify={"failed": True, "msg": "silent"}), "n2": node(), "n3": node()}
    fleet.group = {"fleet_batch": 1, "fleet_on_node_failure": "continue"}
    run = fleet.run("site")
    assert run.rc != 0
    assert run.steps("n2") == run.steps("n3") == FULL_RUN
    assert run.failed_checks() == [("n1", "step-failed")]


@pytest.mark.parametrize(
    ("fault", "check", "word"),
    [({"crash": "out of cheese"}, "step-failed", "out of cheese"), ({"lost": "cable"}, "no-result", "no result")],
    ids=["crash", "lost"],
)
def test_what_writes_no_record_is_no_success(fleet: Fleet, fault: dict[str, str], check: str, word: str) -> None:
    steps = [step for step in FULL_RUN if step != "release"]
    fleet.hosts = {f"in-{step}": node(**{step: {**FRESH, **fault}}) for step in steps}
    fleet.group = {"fleet_on_node_failure": "continue"}
    run = fleet.run("site")
    assert run.rc != 0, run.out
    assert sorted(run.failed_checks()) == sorted((f"in-{step}", check) for step in steps)
    assert all(word in item["message"] for item in run.verdict["failures"])
    for number, step in enumerate(steps):
        assert [name for name in run.steps(f"in-{step}") if name != "release"] == steps[: number + 1]


def test_an_error_that_fails_no_task_fails_the_run(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {"stub": {"preflight": {"findings": [error("hbm-free", service="chat")]}}}}
    run = fleet.run("site")
    assert run.rc != 0
    assert run.failed_checks() == [("n1", "hbm-free")]
    assert run.steps("n1") == ["preflight"]


def test_a_warning_is_said_and_fails_nothing(fleet: Fleet) -> None:
    odd = error("hbm-free", "Unknown OS.", severity="warning")
    fleet.hosts = {"n1": {"stub": {"preflight": {"findings": [odd]}}}}
    run = fleet.run("site")
    assert run.rc == 0
    assert run.verdict["failures"] == []
    assert run.verdict["hosts"]["n1"]["warnings"][0]["message"] == "Unknown OS."
    assert "Unknown OS." in run.out


def test_an_inventory_that_does_not_compile_contacts_nobody(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {}}
    assert fleet.run("site").verdict["ok"] is True
    fleet.group = {"stub_compile": [error(message="chat: port 0 is no port.", service="chat")]}
    run = fleet.run("site")
    assert run.rc != 0
    assert run.calls == []
    assert run.verdict["ok"] is False
    assert run.verdict["failures"][0]["message"] == "chat: port 0 is no port."
    assert "chat: port 0 is no port." in run.out[run.out.index("Failures:") :]
    assert run.out.count("chat: port 0 is no port.") == 1


def test_the_verdict_is_published_even_when_it_fails(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "true")
    fleet.hosts = {"n1": DEAD}
    run = fleet.run("site")
    stats = run.out[run.out.index("CUSTOM STATS") :]
    assert re.search(r"host-unreachable", stats)


def test_tags_leave_the_verdict_open(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node()}
    run = fleet.run("site", "--tags", "prepare")
    assert run.rc == 0, run.out
    assert run.steps("n1") == ["preflight", "prepare", "release"]
    assert run.verdict["ok"] is None


def test_a_tag_that_no_step_has_is_refused(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node()}
    run = fleet.run("site", "--tags", "prepare,depoly")
    assert run.rc != 0
    assert "No step has the tag depoly; there are prepare, stage" in run.out
    assert "add --skip-tags always" in run.out
    assert run.calls == []


ONE_STEP = sorted(
    path.stem
    for path in (ROOT / "playbooks").glob("*.yml")
    if path.stem not in ("site", "train") and "nodes.yml" in path.read_text()
)


@pytest.mark.parametrize("playbook", ONE_STEP)
def test_a_tag_is_refused_where_it_would_skip_everything(fleet: Fleet, playbook: str) -> None:
    fleet.hosts = {"n1": node()}
    run = fleet.run(playbook, "--tags", "deploy")
    assert run.rc != 0
    assert "this playbook is one step and runs without tags" in run.out
    assert run.calls == []


def test_every_playbook_of_nodes_looks_for_them_first() -> None:
    assert {path.stem for path in (ROOT / "playbooks").glob("*.yml")} == {*ONE_STEP, "site", "train"}


def test_every_tag_of_a_playbook_may_be_asked_for() -> None:
    site, *_plays = yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    tagged = yaml.safe_load_all("---\n".join(path.read_text() for path in (ROOT / "roles/fleet/tasks/plays").glob("*")))
    used = {tag for tasks in tagged for task in tasks or [] for tag in task.get("tags", [])}
    assert used - {"always"} == set(site["vars"]["__fleet_tags"])


def test_hosts_may_be_named_for_all(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {}, "n2": {}}
    fleet.everybody = {"fleet_hosts": "n1"}
    run = fleet.run("drift")
    assert (run.rc, set(run.verdict["hosts"])) == (0, {"n1"}), run.out
    given = fleet.run("drift", "-e", "fleet_hosts=n2")
    assert (given.rc, set(given.verdict["hosts"])) == (0, {"n2"}), given.out


def test_hosts_that_only_some_name_are_refused(fleet: Fleet) -> None:
    fleet.others = {"web1": {"ansible_connection": "local", "fleet_hosts": "others"}}
    run = fleet.run("drift", "--limit", "web1")
    assert run.rc != 0
    assert 'No host matches fleet_hosts "fleet"' in run.out


def test_a_limit_within_an_inventory_that_could_not_be_read_is_no_success(fleet: Fleet) -> None:
    fleet.hosts = fleet.others = {}
    run = fleet.run("site", "--limit", "n1")
    assert run.rc != 0
    assert "The inventory holds no host" in run.out


def test_drift_names_every_difference(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {"stub": {"drift": FRESH}}, "n2": {}}
    run = fleet.run("drift")
    assert run.rc != 0
    assert run.failed_checks() == [("n1", "drift")] * 3
    assert [item["value"] for item in run.verdict["failures"]] == ["/etc/sysctl.d/99-fleet.conf", "mini:1", "chat"]
    assert len(run.calls) == 2
    assert {step for step, _host in run.calls} == {"drift"}
    fleet.hosts = {"n1": {}, "n2": {}}
    again = fleet.run("drift", "--check")
    assert (again.rc, again.verdict["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("playbook", "steps"),
    [
        ("preflight", ["preflight"]),
        ("prepare", ["preflight", "prepare", "release"]),
        ("stage", ["preflight", "stage", "release"]),
        ("deploy", ["preflight", "deploy", "verify", "release"]),
        ("verify", ["verify"]),
        ("teardown", ["teardown", "release"]),
        ("plan", []),
    ],
)
def test_step_playbooks(fleet: Fleet, playbook: str, steps: list[str]) -> None:
    fleet.hosts = {"n1": node()}
    run = fleet.run(playbook)
    assert run.rc == 0, run.out
    assert run.steps("n1") == steps
    assert (run.verdict["step"], run.verdict["ok"]) == (playbook, True)
    assert json.loads((fleet.reports / run.verdict["run_id"] / f"{playbook}.json").read_text()) == run.verdict


@pytest.mark.parametrize("playbook", ["prepare", "verify", "drift", "teardown"])
def test_a_dead_node_fails_every_step_playbook(fleet: Fleet, playbook: str) -> None:
    fleet.hosts = {"n1": {}, "n2": DEAD}
    run = fleet.run(playbook)
    assert run.rc != 0
    assert ("n2", "host-unreachable") in run.failed_checks()


def test_verdicts_and_records_follow_their_schema(fleet: Fleet) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    folder = ROOT / "roles/fleet/files/schema"
    fleet.hosts = {"n1": node(), "n2": DEAD}
    fleet.group = {"fleet_on_node_failure": "continue"}
    run = fleet.run("site")
    jsonschema.validate(run.verdict, json.loads((folder / "verdict-1.json").read_text()))
    records = list((fleet.reports / run.verdict["run_id"] / "records").rglob("*.json"))
    assert len(records) == len(FULL_RUN) + 1
    for record in records:
        jsonschema.validate(json.loads(record.read_text()), json.loads((folder / "record-1.json").read_text()))


def test_a_rollback_prepares_no_node_and_proves_what_it_brings_back(fleet: Fleet) -> None:
    fleet.hosts = {"n1": node(), "n2": {}}
    run = fleet.run("rollback")
    assert (run.rc, run.verdict["ok"]) == (0, True), run.out
    assert run.steps("n1") == ["preflight", "stage", "deploy", "verify", "release"]
    assert run.steps("n2") == CONVERGED_RUN


LINE = {"name": "cats", "kind": "job", "wanted": "done", "state": "done", "ready": True, "outputs": "/srv/cats"}
JOB = {"scope": "jobs", "action": "run", "target": "cats", "reason": "it has not run yet", **UNTOUCHED}


@pytest.mark.parametrize(
    ("preflight", "arguments", "steps"),
    [
        ({"services": [{**LINE, "fresh": False}]}, [], CONVERGED_RUN),
        ({"services": [{**LINE, "fresh": True}]}, [], [*CONVERGED_RUN, "fetch:preflight"]),
        ({"services": [{**LINE, "fresh": True}]}, ["--check"], ["preflight"]),
        ({"plan": [JOB]}, [], ["preflight", "verify", "jobs", "fetch:jobs", "release"]),
        ({"plan": [JOB]}, ["--check"], ["preflight", "jobs"]),
    ],
    ids=["all fetched", "one not fetched", "one not fetched, check mode", "one to run", "one to run, check mode"],
)
def test_what_jobs_left_is_fetched_also_where_none_is_to_run(
    fleet: Fleet, preflight: dict[str, Any], arguments: list[str], steps: list[str]
) -> None:
    fleet.hosts = {"n1": {"stub": {"preflight": preflight}}}
    run = fleet.run("site", *arguments)
    assert run.rc == 0, run.out
    assert run.steps("n1") == steps
    assert run.changed["n1"] == ("jobs" in steps)


def test_a_strategy_of_the_users_configuration_makes_no_false_verdict(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
    fleet.hosts = {"n1": node(), "n2": node(), "n3": {}}
    run = fleet.run("site")
    assert (run.rc, run.verdict["ok"]) == (0, True), run.out
    assert "run_once" not in run.out
    assert run.out.count("site: ok") == 1


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").rglob("*.yml")), ids=lambda path: path.stem)
def test_every_play_over_nodes_keeps_them_together(path: Any) -> None:
    plays = [play for play in yaml.safe_load(path.read_text()) if "hosts" in play]
    assert [play["name"] for play in plays if play.get("strategy") != "linear"] == []
