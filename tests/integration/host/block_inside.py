# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the node of network.py: the metadata block's own observe, plan and script, one operation a call."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "collections"))

from ansible_collections.ascend.fleet.plugins.module_utils import _metadata_block, _units
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


def main() -> None:
    request = json.load(sys.stdin)
    system, want = System(), request["want"]
    observed = _metadata_block.observe(system, want, request["backend"], iptables_off=False, engine_runs=True)
    actions = _metadata_block.plan(want, observed, active=True, predicted=None)
    if request["operation"] == "apply":
        for step in actions:
            if step["action"] == "write":
                system.write(step["target"], step["after"], 0o755)
            elif step["action"] == "block_metadata":
                subprocess.run([_units.BLOCK_SCRIPT, "apply"], check=True)
            else:
                _metadata_block.unblock(system)
    json.dump({"actions": actions, "observed": observed}, sys.stdout)


main()
