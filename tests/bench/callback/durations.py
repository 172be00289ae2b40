# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what each task of each host took, one JSON line a result, to the file named in ASCEND_FLEET_DURATIONS."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: durations
type: aggregate
short_description: durations of tasks
description: Durations of tasks.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "durations"

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._started = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        seconds = time.monotonic() - self._started
        line = {"host": result._host.get_name(), "task": result._task.get_name(), "seconds": round(seconds, 4)}
        with open(os.environ["ASCEND_FLEET_DURATIONS"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
