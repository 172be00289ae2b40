# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a rescue caught."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
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


def test_what_sudo_says_itself_is_told_and_not_that_no_module_answered() -> None:
    result = {
        "failed": True,
        "msg": "Module result deserialization failed: No start of json char found",
        "module_stdout": "\r\nops is not in the sudoers file.\r\n",
        "module_stderr": "Shared connection to 10.0.0.1 closed.\r\n",
    }
    record = _records.make("n1", "preflight", result)
    assert record["message"] == "ops is not in the sudoers file."
    assert [found["check"] for found in record["findings"]] == ["become-refused"]


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


def test_a_report_folder_that_is_a_file_is_told_by_its_variable(tmp_path: Any) -> None:
    place = tmp_path / "file"
    place.touch()
    assert _records.read_record(str(place), "r", "deploy", "n1") is None
    assert _records.read_all(str(place), "r") == {}
    with pytest.raises(AnsibleError, match="name a folder that can in fleet_report_dir"):
        _records.write_record(str(place), "r", "deploy", "n1", {})
