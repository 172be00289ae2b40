# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items of role training_dataset with the copies of a bundle in the place of what nodes would fetch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils import _bundle, _bundle_data, _bundle_files
from ansible_collections.ascend.fleet.plugins.plugin_utils._inventory import Inventory

ARGUMENTS: dict[str, Any] = {
    "items": {"type": "list", "elements": "dict", "required": True},
    "bundle": {"type": "path", "required": True},
    "signed": {"type": "bool", "default": True},
    "key": {"type": "path"},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        inventory = Inventory(task_vars or {}, self._loader, self._templar.template)
        home = inventory.folder(str((task_vars or {})["inventory_hostname"]))
        root, key = (given and str(Path(home, os.path.expanduser(given))) for given in (args["bundle"], args["key"]))
        try:
            bundle = _bundle_files.open_bundle(str(root), args["signed"], key)
        except _bundle.BundleError as error:
            return {"failed": True, "changed": False, "msg": f"The bundle cannot be used: {error}."}
        items = _bundle_data.resolved(args["items"], bundle)
        lacking = bundle.taken()
        if lacking:
            told = f"The bundle {root} {', and '.join(lacking)}. Make it again (playbook ascend.fleet.bundle)."
            return {"failed": True, "changed": False, "msg": told}
        return {"changed": False, "data": items}
