# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The identity of a run."""

from __future__ import annotations

import re

from ansible_collections.ascend.fleet.plugins.plugin_utils import _run


def test_a_process_of_ansible_has_one_id(tmp_path):
    folder = tmp_path / "ansible-local-1"
    first = _run.run_id(folder)
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", first)
    assert _run.run_id(folder) == first
    assert _run.run_id(tmp_path / "ansible-local-2") != first


def test_the_report_directory_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    for given, expected in (("fleet-report", str(tmp_path / "fleet-report")), ("/r", "/r"), ("~/r", "/home/me/r")):
        found = _run.identity({"fleet_report_dir": given, "fleet_lease_seconds": 60})
        assert (found["report_dir"], found["lease_seconds"]) == (expected, 60)
