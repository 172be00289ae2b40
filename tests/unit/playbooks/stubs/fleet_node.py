# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for fleet_node: contacts the host for real, then answers what the inventory says.

Host variable ``stub``: {step: result}, with ``crash`` (an exception nobody foresaw) and ``lost`` (the connection
breaks and no record is written) in place of a result. Every call is appended to the file ``stub_log``.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils._records import plain, write_record


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args, host = self._task.args, task_vars["inventory_hostname"]
        step = args.get("step")
        with open(task_vars["stub_log"], "a", encoding="utf-8") as log:
            log.write(f"{step} {host}\n")
        run = args["run"]
        try:
            self._low_level_execute_command("true")
        except AnsibleConnectionFailure as error:
            write_record(run["report_dir"], run["id"], step, host, {"unreachable": True, "msg": str(error)})
            raise
        answer = plain(self._templar.template(task_vars.get("stub", {})).get(step, {}))
        if "crash" in answer:
            raise RuntimeError(answer["crash"])
        if "lost" in answer:
            raise AnsibleConnectionFailure(answer["lost"])
        answer.setdefault("changed", args.get("action") == "apply")
        write_record(run["report_dir"], run["id"], step, host, answer)
        return answer
