# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict: what the records of a run amount to. Pure; private to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._document import SECRETS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, WARNING, finding

Records = Mapping[str, Mapping[str, Mapping[str, Any]]]

SCHEMA = 1
STOP = "stop"
CONTINUE = "continue"

# The order in which a run passes through its steps; the latest one that saw a service describes it.
STEPS = ("preflight", "plan", "prepare", "stage", "deploy", "verify", "jobs", "outputs", "drift", "teardown", "report")
# Those that end with every image on every node.
BRINGING = ("stage", "site", "images")
_FINDING_KEYS = ("service", "key", "value", "check", "severity", "message", "remedy")


class Question(NamedTuple):
    """What is to be judged."""

    run_id: str
    step: str
    hosts: Sequence[str]
    required: Sequence[str] = ()
    """Steps every host must have a record of."""
    final: bool = True
    proves: bool = True
    """Whether the run went through what proves success; a run in check mode did not."""
    check_mode: bool = False
    policy: str = STOP
    """Whether one failed node stops the run for all: STOP or CONTINUE."""
    findings: Sequence[Mapping[str, Any]] = ()
    """Findings of the compiler, each with the ``host`` it concerns or none."""


def judge(question: Question, records: Records, time: str) -> dict[str, Any]:
    failures = [
        _on(item.get("host"), item)
        for item in question.findings
        if item.get("host") not in question.hosts and item["severity"] == ERROR
    ]
    hosts: dict[str, dict[str, Any]] = {}
    broken = _first_broken(records) if question.policy == STOP else None
    for host in question.hosts:
        own = {step: records[step][host] for step in _ordered(records) if host in records[step]}
        found = list(_findings(own))
        found += _still_predicted([item for item in question.findings if item.get("host") == host], found)
        missing = [step for step in question.required if step not in own]
        bad = [_on(host, item) for item in found if item["severity"] == ERROR]
        if question.final and question.proves and question.step in BRINGING and not bad:
            # Where something went wrong, an image that did not come is its consequence.
            bad = [_on(host, item) for item in _absent_images(host, own, broken)]
        if question.final and missing and not bad:
            bad = [_on(host, _no_result(host, missing[0], broken))]
        failures += bad
        hosts[host] = {
            "ok": _answer(bool(bad), not missing, question),
            "message": bad[0]["message"] if bad else None,
            **_seen(own),
            "warnings": _unique(_on(host, item) for item in found if item["severity"] == WARNING),
        }
    return {
        "schema": SCHEMA,
        "run_id": question.run_id,
        "step": question.step,
        "time": time,
        "check_mode": question.check_mode,
        "ok": _answer(bool(failures), bool(hosts), question),
        "hosts": hosts,
        "failures": _unique(sorted(failures, key=_is_consequence)),
    }


def _still_predicted(
    predicted: Sequence[Mapping[str, Any]], observed: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """What the controller foresaw and the node has not judged by itself: two judgements may contradict."""
    judged = {(item["check"], item.get("service"), item.get("key")) for item in observed}
    return [item for item in predicted if (item["check"], item.get("service"), item.get("key")) not in judged]


def proceed(verdict: Mapping[str, Any], policy: str) -> list[str]:
    """The hosts that the run may go on with."""
    hosts: Mapping[str, Mapping[str, Any]] = verdict["hosts"]
    # A job that cannot be done is a failure of the run and stands in nobody's way.
    jobs = {(host, line["name"]) for host, state in hosts.items() for line in state["services"] if _is_job(line)}
    grave = [item for item in verdict["failures"] if (item["host"], item["service"]) not in jobs]
    if policy == STOP and grave:
        return []
    failed = {item["host"] for item in grave}
    return [host for host in hosts if host not in failed]


def _is_job(line: Mapping[str, Any]) -> bool:
    return bool(line.get("wanted") == "done")


def pending(records: Records) -> list[str]:
    """The hosts on which preflight found something to do that could interrupt a service; a job cannot."""
    return [
        host
        for host, record in records.get("preflight", {}).items()
        if any(action["scope"] != "jobs" for action in record["plan"])
    ]


def _answer(failed: bool, complete: bool, question: Question) -> bool | None:
    if failed:
        return False
    return True if question.final and question.proves and complete else None


def _seen(own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    services: dict[str, Any] = {}
    for record in own.values():
        services.update({service["name"]: service for service in record["services"]})
    images = _images(own)
    return {
        "unreachable": any(record["unreachable"] for record in own.values()),
        "changed": any(record["changed"] for record in own.values()),
        "steps": {step: _state(record) for step, record in own.items()},
        "services": list(services.values()),
        "images": images,
        "done": _done(own),
    }


def _done(own: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What steps that failed had done before they did."""
    return [
        {"step": step, "action": action["action"], "target": action["target"]}
        for step, record in own.items()
        for action in record.get("done") or []
    ]


def _images(own: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the latest look at the engine saw; the seconds are those of the step that brought the image."""
    images: dict[str, dict[str, Any]] = {}
    for record in own.values():
        for line in record.get("images") or []:
            before = images.get(line["reference"], {})
            seconds = line["seconds"] if line["seconds"] is not None else before.get("seconds")
            images[line["reference"]] = {**line, "seconds": seconds}
    return list(images.values())


def _absent_images(host: str, own: Mapping[str, Mapping[str, Any]], broken: str | None) -> list[dict[str, Any]]:
    absent = [line["reference"] for line in _images(own) if line["state"] != "present"]
    if absent and broken:
        return [_no_result(host, "stage", broken)]
    return [
        finding("image-missing", f"Image {reference} is not on the node.", key="image", value=reference)
        for reference in absent
    ]


def _state(record: Mapping[str, Any]) -> str:
    if record["unreachable"]:
        return "unreachable"
    if record["failed"] or any(item["severity"] == ERROR for item in record["findings"]):
        return "failed"
    return "changed" if record["changed"] else "ok"


def _findings(own: Mapping[str, Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for step, record in own.items():
        yield from record["findings"]
        if step == "drift":
            yield from (_drift(action) for action in record["plan"] if not _is_repeat(action))


def _is_repeat(action: Mapping[str, Any]) -> bool:
    """Whether it is a job that is done and runs again because it always does."""
    return action["scope"] == "jobs" and (action["before"] or {}).get("state") == "done"


def _drift(action: Mapping[str, Any]) -> dict[str, Any]:
    service = action["target"] if action["scope"] in ("services", "jobs") else None
    if service and service.startswith(f"{SECRETS_DIR}/"):
        service = service[len(SECRETS_DIR) + 1 :].partition("/")[0]
    return finding(
        "drift",
        f"{action['target']} needs {action['action']}: {action['reason'].rstrip('.')}.",
        service=service,
        key=f"{action['scope']}.{action['action']}",
        value=action["target"],
    )


def _no_result(host: str, step: str, broken: str | None) -> dict[str, Any]:
    message = f"There is no result of the step {step} from {host}."
    if not broken or broken == host:
        return finding("no-result", message, key=step)
    because = f" The run stopped after {broken} had failed."
    return finding("no-result", message + because, remedy=f"Mend what failed on {broken} and run again.", key=step)


def _is_consequence(failure: Mapping[str, Any]) -> bool:
    return bool(failure["check"] == "no-result")


def _first_broken(records: Records) -> str | None:
    for step in _ordered(records):
        for host, record in records[step].items():
            if _state(record) in ("failed", "unreachable"):
                return host
    return None


def _ordered(records: Records) -> list[str]:
    known = [step for step in STEPS if step in records]
    return known + sorted(set(records) - set(STEPS))


def _on(host: str | None, item: Mapping[str, Any]) -> dict[str, Any]:
    return {"host": host, **{key: item.get(key) for key in _FINDING_KEYS}}


def _unique(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each finding once, however many steps saw it."""
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in items:
        seen.setdefault((item["host"], item["service"], item["check"], item["key"], item["message"]), item)
    return list(seen.values())
