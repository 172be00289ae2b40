# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory in, node documents out; no node is contacted."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils import _problems, _run
from ansible_collections.ascend.fleet.plugins.plugin_utils._compile import Staged, compile_fleet
from ansible_collections.ascend.fleet.plugins.plugin_utils._inventory import Inventory
from ansible_collections.ascend.fleet.plugins.plugin_utils._records import plain

ARGUMENTS: dict[str, Any] = {
    "entries": {"type": "list", "elements": "raw"},
    "images": {"type": "list", "elements": "raw"},
    "image_engine": {
        "type": "dict",
        "options": {key: {"type": "str"} for key in ("engine", "address", "namespace", "hosts_dir")},
    },
    "step": {"type": "str"},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        inventory = Inventory(task_vars or {}, self._loader, self._templar.template)
        hosts = inventory.play_hosts()
        entries = None if args["entries"] is None else plain(args["entries"])
        staged = None if args["images"] is None else Staged(plain(args["images"]), plain(args["image_engine"]))
        compiled = compile_fleet(hosts, inventory.world(), entries, staged=staged)
        result = {
            "changed": False,
            "run": {**_run.identity(compiled.settings[hosts[0]]), "step": args["step"]},
            "documents": compiled.documents,
            "table": compiled.table,
            "findings": compiled.findings,
            "errors": compiled.errors,
        }
        if compiled.errors:
            result["failed"] = True
            result["msg"] = _problems.message(compiled.errors)
            result["findings"] = _problems.findings(compiled.errors)
        return result
