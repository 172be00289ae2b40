# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for fleet_compile: one document a host, whatever the inventory holds."""

from __future__ import annotations

import os
import uuid
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        findings = task_vars.get("stub_compile", [])
        run = {"id": uuid.uuid4().hex, "owner": f"t@h:{os.getppid()}", "report_dir": task_vars["fleet_report_dir"]}
        if findings:
            told = "The inventory is wrong.\n" + findings[0]["message"]
            return {"failed": True, "msg": told, "run": run, "findings": findings}
        return {
            "changed": False,
            "run": run,
            "table": [],
            "findings": [],
            "documents": {host: _document(host) for host in task_vars["ansible_play_hosts_all"]},
        }


def _document(host: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"images": [], "models": [], "packages": []}
    return {"schema": 1, "node": host, "artefacts": nothing, "bakes": [], "jobs": []}
