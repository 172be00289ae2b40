# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of a rescue: the failure becomes a record, unless the step wrote one already."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils._records import read_record, write_record

ARGUMENTS: dict[str, Any] = {
    "run": {"type": "dict", "required": True},
    "step": {"type": "str", "required": True},
    "result": {"type": "dict", "required": True},
}


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        run, step = args["run"], args["step"]
        host = str((task_vars or {})["inventory_hostname"])
        known = read_record(run["report_dir"], run["id"], step, host)
        # A module that crashes says nothing itself; only the task that failed with it knows why.
        if known is None or not known["failed"] or not known["message"]:
            known = write_record(run["report_dir"], run["id"], step, host, {**args["result"], "failed": True})
        return {"changed": False, "record": known}
