# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one change of a container and stops before each of its steps, until it is told to go on or is killed.

Arguments as JSON on the first line of standard input. It writes a line for each step, and waits for a line.
"""

from __future__ import annotations

import json
import sys

from ansible_collections.ascend.fleet.plugins.module_utils._container_run import Refused, run
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


def step(text: str) -> None:
    print(json.dumps({"step": text}), flush=True)
    sys.stdin.readline()


def main() -> None:
    arguments = json.loads(sys.stdin.readline())
    try:
        result = run(arguments["params"], False, System(arguments["root"]), step, run_id="stepwise")
    except (Refused, FleetError) as error:
        result = {"failed": True, "msg": str(error)}
    print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    main()
