# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for fleet_outputs: notes in the file ``stub_log`` by which record it was to fetch."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        with open(task_vars["stub_log"], "a", encoding="utf-8") as log:
            log.write(f"fetch:{self._task.args['step']} {task_vars['inventory_hostname']}\n")
        return {"changed": False, "outputs": {}}
