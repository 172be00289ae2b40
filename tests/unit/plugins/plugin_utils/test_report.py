# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _report

FACTS = {"run_id": "r", "time": "2026-01-31T12:00:00Z"}
CHAT = {"name": "chat", "kind": "vllm", "state": "running", "ready": True, "cards": [0, 1], "image": "i:1",
        "ports": ["10.0.0.5:8000"], "answer": "a | b\nc"}  # fmt: skip


def hosts(**seen: Any) -> dict[str, Any]:
    return {host: {"unreachable": False, "services": [], **state} for host, state in seen.items()}


def test_a_row_for_each_service_and_each_lost_node() -> None:
    rows = _report.service_rows(hosts(n1={"services": [CHAT]}, n2={"unreachable": True}, n3={}))
    assert [(row["service"], row["node"], row["state"]) for row in rows] == [
        ("chat", "n1", "running"),
        (None, "n2", "unreachable"),
    ]
    assert rows[0]["url"] == "http://10.0.0.5:8000"


@pytest.mark.parametrize("state", ["absent", "exited"])
def test_what_does_not_run_has_no_address(state: str) -> None:
    [row] = _report.service_rows(hosts(n1={"services": [{**CHAT, "state": state}]}))
    assert row["url"] is None


def test_markdown_is_one_line_a_row_whatever_the_answer_holds() -> None:
    lines = _report.as_markdown("services", _report.service_rows(hosts(n1={"services": [CHAT]})), FACTS).splitlines()
    assert lines[-1] == r"| chat | n1 | vllm | running | yes | 0,1 | i:1 | http://10.0.0.5:8000 | a \| b c |"
    assert lines[2] == "Run r, 2026-01-31T12:00:00Z."


def test_json_keeps_types() -> None:
    rows = [{"service": "chat", "cards": [0], "port": 8000, "problem": None}]
    assert json.loads(_report.as_json("plan", rows, FACTS)) == {"schema": 1, **FACTS, "plan": rows}


def test_text_leaves_out_columns_without_content() -> None:
    rows = [{"service": "chat", "node": "n1", "port": 8000}, {"service": "a", "node": "n2", "port": None}]
    assert _report.as_text("plan", rows).splitlines() == ["SERVICE  NODE  PORT", "chat     n1    8000", "a        n2"]


@pytest.mark.parametrize(
    ("npus", "cards", "shown"), [(2, None, "any 2"), (2, [4, 5], "4,5"), (0, [], ""), (0, None, "")]
)
def test_cards_that_the_node_will_choose_are_counted(npus: int, cards: list[int] | None, shown: str) -> None:
    rows = [{"service": "chat", "npus": npus, "cards": cards}, {"service": "x", "npus": 1, "cards": [0]}]
    assert _report.as_text("plan", rows).splitlines()[1].split(maxsplit=1)[1:] == ([shown] if shown else [])


def test_changes_keep_the_order_of_the_plan() -> None:
    plan = [
        {"scope": "images", "action": "pull", "target": "i:1", "reason": "missing", "interrupts": False, "after": {}},
        {"scope": "services", "action": "create", "target": "chat", "reason": "new", "interrupts": False},
    ]
    found = _report.changes({"n1": {"plan": plan}})
    assert [(change["node"], change["action"]) for change in found] == [("n1", "pull"), ("n1", "create")]
    assert _report.changes_text(found).splitlines()[1].split() == ["n1", "pull", "i:1", "missing"]
