# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor's package in a node's plan: from the document to the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_packages, _package
from ansible_collections.ascend.fleet.plugins.plugin_utils import _packages
from tests.doubles import packages

LLM = {"name": "LLM", "match": "*", "include": [], "sha256": None}


@pytest.fixture
def row(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "packages").mkdir()
    packages.outer(tmp_path / "packages")
    return {
        "path": str(tmp_path / "out"), "src": str(tmp_path / "packages/AscendCloud-*.zip"), "version": "6.5.902",
        "sha256": None, "parts": [LLM], "services": ["film", "second"],
    }  # fmt: skip


def test_what_is_planned_is_done_and_then_nothing_is_planned(row):
    actions, findings = _node_packages.plan([row], [])
    assert [(act["scope"], act["action"], act["target"]) for act in actions] == [("packages", "unpack", row["path"])]
    assert findings == []
    _package.converge(_node_packages.want_of(row), check_mode=False)
    assert Path(row["path"], "LLM/llm_tools/llm_evaluation/mme_eval/metric.py").exists()
    assert _node_packages.plan([row], []) == ([], [])


def test_a_missing_package_is_a_finding_of_each_service(row):
    actions, findings = _node_packages.plan([{**row, "version": "6.5.906"}], [])
    assert actions == []
    assert [(item["check"], item["service"]) for item in findings] == [
        ("package-missing", "film"),
        ("package-missing", "second"),
    ]


def test_storage_that_is_mounted_later_is_not_looked_at(row, tmp_path):
    [action], findings = _node_packages.plan([{**row, "src": "/nowhere"}], [str(tmp_path)])
    assert findings == []
    assert action["predicted_because"] == _node_packages.UNMOUNTED


def wish(*include: str) -> dict[str, Any]:
    part = {"name": "AIGC", "match": "*", "include": list(include), "sha256": None}
    return {"path": "/ac", "src": "/p", "version": None, "sha256": None, "parts": [part]}


@pytest.mark.parametrize(
    ("first", "second", "include"),
    [(["a"], ["b"], ["a", "b"]), (["a"], ["a"], ["a"]), (["a"], [], []), ([], ["a"], [])],
)
def test_what_services_want_of_one_folder_is_put_together(first, second, include):
    [row] = _packages.documents([("one", wish(*first)), ("two", wish(*second))])
    assert row["services"] == ["one", "two"]
    assert [part["include"] for part in row["parts"]] == [include]
