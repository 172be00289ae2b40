from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.ascend.fleet.plugins.plugin_utils import _records, _summary, _verdict
from ansible_collections.ascend.fleet.plugins.plugin_utils._verdict import CONTINUE, STOP, Question

TIME = "2026-01-31T12:00:00Z"
ERROR = {"check": "hbm-free", "severity": "error", "message": "no memory", "remedy": "free it", "service": "chat"}


def records(**steps: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        step: {host: _records.make(host, step, result, TIME) for host, result in results.items()}
        for step, results in steps.items()
    }


def judge(found: dict[str, dict[str, Any]], **question: Any) -> dict[str, Any]:
    asked = {"run_id": "r", "step": "site", "hosts": ["n1", "n2"], "required": ["verify"], **question}
    return _verdict.judge(Question(**asked), found, TIME)


WELL = {"n1": {}, "n2": {}}


@pytest.mark.parametrize(
    ("found", "question", "ok", "failures"),
    [
        ({"verify": WELL}, {}, True, []),
        ({"verify": {"n1": {}}}, {}, False, [("n2", "no-result")]),
        ({"preflight": WELL}, {}, False, [("n1", "no-result"), ("n2", "no-result")]),
        ({}, {}, False, [("n1", "no-result"), ("n2", "no-result")]),
        ({"verify": WELL}, {"hosts": []}, None, []),
        ({"verify": WELL}, {"final": False}, None, []),
        ({"verify": {"n1": {}}}, {"final": False}, None, []),
        ({"verify": WELL}, {"proves": False, "check_mode": True}, None, []),
        ({"verify": {"n1": {"failed": True}, "n2": {}}}, {"proves": False}, False, [("n1", "step-failed")]),
        ({"verify": {"n1": {"findings": [ERROR]}, "n2": {}}}, {}, False, [("n1", "hbm-free")]),
        ({"preflight": {"n1": {"findings": [ERROR]}}, "verify": WELL}, {}, False, [("n1", "hbm-free")]),
        ({"verify": {"n1": {"findings": [{**ERROR, "severity": "warning"}]}, "n2": {}}}, {}, True, []),
        ({"verify": {"n1": {"unreachable": True}, "n2": {}}}, {}, False, [("n1", "host-unreachable")]),
        ({"verify": {"n1": {}, "n2": {}, "left": {"failed": True}}}, {}, True, []),
        ({"verify": WELL}, {"findings": [{**ERROR, "host": "n2"}]}, False, [("n2", "hbm-free")]),
        ({"verify": WELL}, {"findings": [{**ERROR, "severity": "warning"}]}, True, []),
        ({"verify": WELL}, {"findings": [ERROR]}, False, [(None, "hbm-free")]),
        ({}, {"hosts": [], "findings": [{**ERROR, "host": "n2"}]}, False, [("n2", "hbm-free")]),
        ({"verify": {"n1": {}, "n2": {"failed": True}}, "x": {"n1": {"unreachable": True}}}, {}, False,
         [("n1", "host-unreachable"), ("n2", "step-failed")]),
    ],
)  # fmt: skip
def test_ok_and_failures(
    found: dict[str, Any], question: dict[str, Any], ok: bool | None, failures: list[tuple[str | None, str]]
) -> None:
    verdict = judge(records(**found), **question)
    assert verdict["ok"] is ok
    assert [(item["host"], item["check"]) for item in verdict["failures"]] == failures


def test_a_node_that_was_not_reached_points_at_the_one_that_failed() -> None:
    failed = judge(records(preflight={"n1": {"failed": True}, "n2": {}}))["failures"]
    assert {item["host"]: item["remedy"] for item in failed}["n2"] == "Mend what failed on n1 and run again."


IMAGE = {"reference": "mini:1", "state": "missing", "seconds": None}


@pytest.mark.parametrize(
    ("n1", "policy", "failures"),
    [
        ({}, STOP, [("n1", "image-missing"), ("n2", "image-missing")]),
        ({"findings": [ERROR]}, STOP, [("n1", "hbm-free"), ("n2", "no-result")]),
        ({"findings": [ERROR]}, CONTINUE, [("n1", "hbm-free"), ("n2", "image-missing")]),
    ],
    ids=["nobody knows why", "the run stopped before", "another node's failure is no reason"],
)
def test_an_image_is_said_to_be_missing_only_where_nothing_else_tells_why(
    n1: dict[str, Any], policy: str, failures: list[tuple[str, str]]
) -> None:
    seen = {"n1": {**n1, "images": [IMAGE]}, "n2": {"images": [IMAGE]}}
    verdict = judge(records(preflight=seen), step="stage", required=["preflight"], policy=policy)
    assert [(item["host"], item["check"]) for item in verdict["failures"]] == failures


def test_a_folder_that_takes_no_report_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(AnsibleError, match=r"taken/r/records/.*cannot be written .*fleet_report_dir"):
        _records.write_record(str(tmp_path / "taken"), "r", "preflight", "n1", {})


def test_the_same_finding_of_two_steps_is_one_failure() -> None:
    seen = {"n1": {"findings": [ERROR]}, "n2": {}}
    assert len(judge(records(preflight=seen, verify=seen))["failures"]) == 1


@pytest.mark.parametrize(
    ("policy", "found", "hosts"),
    [
        (STOP, {"preflight": WELL}, ["n1", "n2"]),
        (STOP, {"preflight": {"n1": {"failed": True}, "n2": {}}}, []),
        (CONTINUE, {"preflight": {"n1": {"failed": True}, "n2": {}}}, ["n2"]),
        (CONTINUE, {"preflight": {"n1": {"failed": True}, "n2": {"unreachable": True}}}, []),
    ],
)
def test_who_may_proceed(policy: str, found: dict[str, Any], hosts: list[str]) -> None:
    assert _verdict.proceed(judge(records(**found), final=False), policy) == hosts


def test_the_node_has_the_last_word_on_what_the_controller_predicts() -> None:
    def short(message: str, service: str = "chat") -> dict[str, Any]:
        return {**ERROR, "check": "placement", "service": service, "key": "npus", "value": 9, "message": message}

    predicted = [{**short("of 8"), "host": "n1"}, {**short("of 8"), "host": "n2"}, {**short("no", "web"), "host": "n1"}]
    verdict = judge(records(preflight={"n1": {"findings": [short("of 4")]}, "n2": {}}), findings=predicted)
    assert [(item["host"], item["service"], item["message"]) for item in verdict["failures"]] == [
        ("n1", "chat", "of 4"),
        ("n1", "web", "no"),
        ("n2", "chat", "of 8"),
    ]


SECRET = "/var/lib/ascend-fleet/secrets/chat/api_key"


def test_drift_turns_each_action_into_a_failure() -> None:
    plan = [
        {"scope": "services", "action": "replace", "target": "chat", "reason": "its image differs"},
        {"scope": "host", "action": "write", "target": "/etc/docker/daemon.json", "reason": "log-driver differs"},
        {"scope": "services", "action": "write_secret", "target": SECRET, "reason": "the secret has another content"},
    ]
    verdict = judge(records(drift={"n1": {"plan": plan}, "n2": {}}), step="drift", required=["drift"])
    assert verdict["ok"] is False
    assert [(item["check"], item["service"], item["value"]) for item in verdict["failures"]] == [
        ("drift", "chat", "chat"),
        ("drift", None, "/etc/docker/daemon.json"),
        ("drift", "chat", SECRET),
    ]
    assert judge(records(preflight={"n1": {"plan": plan}, "n2": {}}, verify=WELL))["ok"] is True


def test_the_latest_step_describes_a_service() -> None:
    def at(state: str) -> dict[str, Any]:
        return {"services": [{"name": "chat", "state": state}]}

    found = records(verify={"n1": at("running"), "n2": {}}, preflight={"n1": at("absent"), "n2": {}})
    assert judge(found)["hosts"]["n1"]["services"] == [{"name": "chat", "state": "running"}]


@pytest.mark.parametrize("host", ["n1", "fd00::1", "a/b", "..", "n1.example", "ü%2F"])
def test_records_come_back_whatever_the_host_is_called(tmp_path: Any, host: str) -> None:
    written = _records.write_record(
        str(tmp_path), "run", "verify", host, {"changed": True, "services": [{"name": "a"}]}
    )
    assert _records.read_all(str(tmp_path), "run") == {"verify": {host: written}}
    assert {path.relative_to(tmp_path).parts[:3] for path in tmp_path.rglob("*.json")} == {("run", "records", "verify")}


def test_half_a_record_is_no_record(tmp_path: Any) -> None:
    _records.write_record(str(tmp_path), "run", "verify", "n1", {})
    path = tmp_path / "run/records/verify/n1.json"
    path.write_text(path.read_text()[:40])
    assert _records.read_all(str(tmp_path), "run") == {"verify": {}}


def test_plain_makes_json_of_anything() -> None:
    class Tagged(str):
        pass

    assert _records.plain({"a": (Tagged("x"), 1.5, None, True), 2: {Tagged("y")}}) == {
        "a": ["x", 1.5, None, True],
        "2": ["y"],
    }
    assert _records.plain(Tagged("x")).__class__ is str


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ({"ports": ["127.0.0.1:8000"]}, "http://127.0.0.1:8000 (on n1)"),
        ({"ports": ["10.0.0.5:8000"]}, "http://10.0.0.5:8000"),
        ({"ports": ["10.0.0.5:8000->80/tcp"]}, "http://10.0.0.5:8000"),
        ({"ports": [{"host_ip": "10.0.0.5", "host_port": 81, "container_port": 80}]}, "http://10.0.0.5:81"),
        ({"ports": ["[fd00::5]:8000"]}, "http://[fd00::5]:8000"),
        ({"ports": ["[::1]:8000"]}, "http://[::1]:8000 (on n1)"),
        ({"ports": ["[::1]:8000->80/tcp"]}, "http://[::1]:8000 (on n1)"),
        ({"ports": [{"host_ip": "::1", "host_port": 81, "container_port": 80}]}, "http://[::1]:81 (on n1)"),
        ({"ports": [{"host_ip": "localhost", "host_port": 81, "container_port": 80}]}, "http://localhost:81"),
        ({"ports": []}, ""),
        ({}, ""),
        ({"url": "http://x", "ports": ["127.0.0.1:1"]}, "http://x"),
    ],
)
def test_url(service: dict[str, Any], url: str) -> None:
    assert _summary.url(service, "n1") == url


def test_summary_says_services_failures_and_remedies() -> None:
    chat = {"name": "chat", "state": "running", "ready": True, "cards": [0, 1], "ports": ["127.0.0.1:8000"],
            "answer": "four\n " + "x" * 80}  # fmt: skip
    verdict = judge(records(verify={"n1": {"services": [chat]}, "n2": {"findings": [ERROR]}}))
    lines = _summary.text(verdict, "/r/verdict.json").splitlines()
    assert lines[0] == "site: FAILED (2 nodes, run r)"
    assert lines[3].startswith("chat     n1    0,1    running, ready  http://127.0.0.1:8000 (on n1)  four xxx")
    assert lines[3].endswith("...")
    assert "  - n2 chat: no memory [hbm-free]" in lines
    assert "      free it" in lines
    assert _summary.sentence(verdict) == "site failed on 1 of 2 nodes (n2)."


def test_what_was_done_before_a_failure_is_told() -> None:
    done = [{"action": "create", "target": f"s{number}"} for number in range(12)]
    failed = {"failed": True, "findings": [ERROR], "done": done}
    verdict = judge(records(deploy={"n1": failed, "n2": {"failed": True, "done": None}}))
    assert verdict["hosts"]["n1"]["done"][0] == {"step": "deploy", "action": "create", "target": "s0"}
    assert verdict["hosts"]["n2"]["done"] == []
    text = _summary.text(verdict, "verdict.json")
    assert "  - n1: create s0, create s1," in text
    assert "create s9, and 2 more" in text
