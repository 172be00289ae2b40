# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of a Volcano job's plan: renders, validates, looks at the cluster, changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _records,
    _volcano_api,
    _volcano_checks,
    _volcano_intent,
    _volcano_schema,
)

ARGUMENTS: dict[str, Any] = {
    "job": {"type": "dict", "required": True},
    "state": {"type": "str", "choices": list(_volcano_intent.STATES), "default": _volcano_intent.PRESENT},
    "validate_only": {"type": "bool", "default": False},
    "crd_file": {"type": "path"},
    "recreate": {"type": "bool", "default": False},
    "rerun": {"type": "bool", "default": False},
    "cluster": {"type": "dict", "default": {}, "no_log": True},
}


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        values = _records.plain(args["job"])
        name = str(values.get("name") or "")
        try:
            crd = _read_crd(args["crd_file"])
            reader = None if args["validate_only"] else _volcano_api.Cluster(args["cluster"])
            question = _volcano_intent.Question(values, args["state"], crd, args["recreate"], args["rerun"])
            answer = _volcano_intent.answer(question, reader)
        except (_volcano_schema.SchemaError, OSError, yaml.YAMLError) as error:
            return {"failed": True, "msg": f"volcano_job_crd_file: {error}"}
        except _volcano_api.ApiError as error:
            return {"failed": True, "msg": error.problem().line(), "problems": [error.problem().as_dict()]}
        result: dict[str, Any] = {"changed": False, **answer.as_dict()}
        if _volcano_checks.errors(answer.problems):
            kept = {key: result[key] for key in ("changed", "changes", "phase", "problems")}
            return {**kept, "failed": True, "msg": _volcano_checks.failure(name, answer.problems)}
        for problem in answer.problems:
            self._display.warning(problem.line())
        return result


def _read_crd(path: str | None) -> dict[str, Any] | None:
    if not path:
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=loader)
    return content if isinstance(content, dict) else {}
