# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of checks and the code that uses it cannot drift apart."""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _findings
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

PLUGINS = Path(_findings.__file__).parents[1]
MAKERS = {"finding": 0, "FleetError": 0, "_against": 1}


def used_checks():
    for path in sorted(PLUGINS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            position = MAKERS.get(name)
            if position is None or len(node.args) <= position:
                continue
            check = node.args[position]
            if isinstance(check, ast.Constant) and isinstance(check.value, str):
                yield pytest.param(check.value, id=f"{path.name}:{node.lineno}")


@pytest.mark.parametrize("check", list(used_checks()))
def test_every_check_that_code_names_is_registered(check):
    assert check in _findings.CHECKS


def test_every_registered_check_is_named_somewhere_in_the_code():
    text = "\n".join(path.read_text() for path in PLUGINS.rglob("*.py"))
    # Once in the registry, and at least once where it is reported.
    assert [check for check in _findings.CHECKS if text.count(f'"{check}"') < 2] == []


@pytest.mark.parametrize("check", sorted(_findings.CHECKS))
def test_every_check_has_sentences(check):
    entry = _findings.CHECKS[check]
    assert entry.severity in (_findings.ERROR, _findings.WARNING, _findings.INFO)
    assert entry.description.endswith(".")
    assert entry.remedy.endswith(".")


def test_a_failure_tells_what_was_added_to_its_finding():
    failure = _findings.FleetError("step-failed", "It broke.", "Mend it.")
    failure.finding["message"] += " It could not be put back."
    assert failure.told() == "It broke. It could not be put back. Mend it."


def test_folders_are_open_to_the_user_of_the_connection_whatever_the_umask(tmp_path):
    system, before = System(str(tmp_path)), os.umask(0o077)
    try:
        _findings.answered(lambda: system.makedirs("/state/outgoing", 0o711) or {})
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("state", "state/outgoing")] == [0o755, 0o711]
