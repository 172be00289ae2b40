# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of plan and report: a table on the screen, Markdown and JSON in files."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils import _records, _report, _verdict

ARGUMENTS: dict[str, Any] = {
    "run": {"type": "dict", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "view": {"type": "str", "choices": list(_report.VIEWS), "default": _report.SERVICES},
    "table": {"type": "list", "elements": "dict", "default": []},
    "formats": {"type": "list", "elements": "str", "choices": list(_report.FORMATS), "default": list(_report.FORMATS)},
    "path": {"type": "path"},
}
# The view of the services is what people call the report.
NAMES = {_report.PLAN: "plan", _report.SERVICES: "report"}


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        run, view = args["run"], args["view"]
        records = _records.read_all(run["report_dir"], run["id"])
        rows = _records.plain(args["table"]) if view == _report.PLAN else self._services(records, args["hosts"])
        observed = view == _report.PLAN and "preflight" in records
        changes = _report.changes(records["preflight"]) if observed else []
        facts: dict[str, Any] = {"run_id": str(run["id"]), "time": _records.now()}
        if observed:
            facts["changes"] = changes
        base = os.path.abspath(args["path"] or os.path.join(run["report_dir"], NAMES[view]))
        files = []
        for name in args["formats"]:
            suffix, render = _report.FORMATS[name]
            _records.write_text(base + suffix, render(view, rows, facts))
            files.append(base + suffix)
        if rows:
            self._display.display(_report.as_text(view, rows))
        if changes:
            self._display.display("\n" + _report.changes_text(changes))
        return {"changed": False, "rows": rows, "files": files, **({"changes": changes} if observed else {})}

    def _services(self, records: _verdict.Records, hosts: list[str]) -> list[dict[str, Any]]:
        question = _verdict.Question(run_id="", step="report", hosts=hosts, final=False)
        seen = _verdict.judge(question, records, _records.now())["hosts"]
        rows: list[dict[str, Any]] = _records.plain(_report.service_rows(seen))
        return rows
