# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of a wait: follows a Volcano job, shows its progress and keeps the logs of a failed one."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _volcano_api,
    _volcano_follow,
    _volcano_logs,
    _volcano_progress,
)

NEVER, ON_FAILURE, ALWAYS = LOGS = ("never", "on_failure", "always")
NOW = "nothing"
ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "task": {"type": "str", "default": "main"},
    "nodes": {"type": "int", "default": 1},
    "npus": {"type": "int", "default": 8},
    "rank_table": {"type": "str"},
    "rank_table_key": {"type": "str", "default": "", "no_log": False},
    "wait_for": {"type": "str", "choices": [*_volcano_progress.GOALS, NOW], "default": "completed"},
    "timeout": {"type": "int", "default": 86400},
    "poll": {"type": "float", "default": 10},
    "lost_timeout": {"type": "int", "default": 600},
    "logs": {"type": "str", "choices": list(LOGS), "default": ON_FAILURE},
    "logs_dir": {"type": "path", "default": "volcano-logs"},
    "logs_tail": {"type": "int", "default": 10000},
    "log_lines": {"type": "int", "default": 5},
    "cluster": {"type": "dict", "default": {}, "no_log": True},
}


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "There is nothing to wait for in check mode."}
        folder = os.path.abspath(os.path.join(args["logs_dir"], args["namespace"], args["name"]))
        try:
            reader = _volcano_api.Cluster(args["cluster"])
            result = self._follow(reader, args, folder)
            failed = bool(result.message)
            if args["logs"] == ALWAYS or (failed and args["logs"] == ON_FAILURE):
                result.logs += self._fetch(reader, args, folder, result)
        except _volcano_api.ApiError as error:
            return {"failed": True, "msg": error.problem().line()}
        for warning in result.warnings:
            self._display.warning(warning)
        answer = {"changed": False, **dataclasses.asdict(result), "calls": reader.calls}
        return {**answer, "failed": True, "msg": _message(args, result)} if failed else answer

    def _follow(self, reader: _volcano_api.Cluster, args: dict[str, Any], folder: str) -> _volcano_follow.Result:
        if args["wait_for"] == NOW:
            return _volcano_follow.Result()
        wish = _volcano_follow.Wish(
            name=args["name"],
            namespace=args["namespace"],
            task=args["task"],
            nodes=args["nodes"],
            npus=args["npus"],
            goal=args["wait_for"],
            timeout=args["timeout"],
            poll=args["poll"],
            lost_timeout=args["lost_timeout"],
            rank_table=args["rank_table"],
            rank_table_key=args["rank_table_key"],
            log_lines=args["log_lines"],
            logs_dir="" if args["logs"] == NEVER else folder,
            logs_tail=args["logs_tail"],
        )
        return _volcano_follow.Follower(reader, wish, self._display.display, time.monotonic, time.sleep).run()

    def _fetch(
        self, reader: _volcano_api.Cluster, args: dict[str, Any], folder: str, result: _volcano_follow.Result
    ) -> list[str]:
        try:
            return _volcano_logs.fetch_all(reader, args["namespace"], args["name"], folder, args["logs_tail"])
        except _volcano_api.ApiError as error:
            result.warnings.append(f"The logs could not be fetched: {error}.")
            return []


def _message(args: dict[str, Any], result: _volcano_follow.Result) -> str:
    words = f"{args['namespace']}/{args['name']}: {result.message}"
    if result.logs:
        words += f" Logs: {os.path.dirname(result.logs[0])}."
    if result.tail:
        words += " Last lines: " + " | ".join(line.strip() for line in result.tail)
    return words
