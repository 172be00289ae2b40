# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of the verdict: reads the records of a run, judges, publishes."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils import _records, _summary, _verdict

ARGUMENTS: dict[str, Any] = {
    "run": {"type": "dict", "required": True},
    "step": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "required": {"type": "list", "elements": "str", "default": []},
    "final": {"type": "bool", "default": True},
    "proves": {"type": "bool"},
    "on_node_failure": {"type": "str", "choices": [_verdict.STOP, _verdict.CONTINUE], "default": _verdict.STOP},
    "findings": {"type": "list", "elements": "dict", "default": []},
}


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        run = args["run"]
        check_mode = bool(self._task.check_mode)
        question = _verdict.Question(
            run_id=str(run["id"]),
            step=args["step"],
            hosts=args["hosts"],
            required=args["required"],
            final=args["final"],
            proves=not check_mode if args["proves"] is None else args["proves"],
            check_mode=check_mode,
            policy=args["on_node_failure"],
            findings=args["findings"],
        )
        records = _records.read_all(run["report_dir"], run["id"])
        verdict = _records.plain(_verdict.judge(question, records, _records.now()))
        folder = _records.run_dir(run["report_dir"], run["id"])
        _records.write_json(os.path.join(folder, f"{question.step}.json"), verdict)
        path = os.path.join(run["report_dir"], "verdict.json")
        _records.write_json(path, verdict)
        result = {
            "changed": False,
            "ok": verdict["ok"],
            "message": _summary.sentence(verdict),
            "proceed": _verdict.proceed(verdict, args["on_node_failure"]),
            "pending": _verdict.pending(records),
            "path": os.path.abspath(path),
        }
        if question.final:
            self._display.display(_summary.text(verdict, os.path.abspath(path)))
            result["verdict"] = verdict
            result["ansible_stats"] = {"data": {"fleet_verdict": verdict}, "per_host": False, "aggregate": False}
        return result
