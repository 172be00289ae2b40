# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a rescue caught."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.action.fleet_record import ActionModule
from ansible_collections.ascend.fleet.plugins.plugin_utils import _records


@pytest.mark.parametrize(
    ("message", "check"),
    [
        ("Task failed: Missing sudo password", "become-refused"),
        ("Incorrect sudo password", "become-refused"),
        ("sudo: a password is required\n", "become-refused"),
        ("ops is not in the sudoers file.", "become-refused"),
        ("The password of the registry is wrong.", "step-failed"),
    ],
)
def test_what_ansible_says_of_rights_has_its_own_remedy(message: str, check: str) -> None:
    [found] = _records.make("n1", "preflight", {"failed": True, "msg": message})["findings"]
    assert found["check"] == check
    assert not found["message"].startswith("Task failed")
    assert ("--ask-become-pass" in found["remedy"]) is (check == "become-refused")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (None, "it broke"),
        ({}, "it broke"),
        ({"failed": True, "msg": "the disk is full"}, "the disk is full"),
        # What fleet_node returns of a module that could not even be imported on the node.
        ({"failed": True}, "it broke"),
    ],
)
def test_the_reason_of_a_failure_is_kept(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, known: dict[str, Any] | None, message: str
) -> None:
    args = {"run": {"id": "r", "report_dir": str(tmp_path)}, "step": "deploy", "result": {"msg": "it broke"}}
    monkeypatch.setattr(ActionBase, "run", lambda *_args: {})
    monkeypatch.setattr(ActionBase, "validate_argument_spec", lambda *_args, **_options: (None, args))
    if known is not None:
        _records.write_record(str(tmp_path), "r", "deploy", "n1", known)
    record = ActionModule.__new__(ActionModule).run(None, {"inventory_hostname": "n1"})["record"]
    assert (record["failed"], record["message"]) == (True, message)
    assert _records.read_record(str(tmp_path), "r", "deploy", "n1") == record
