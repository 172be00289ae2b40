# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of image_peer: the logins of the registries go with the call."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.plugin_utils import _registry_logins


class ActionModule(ActionBase):
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        registries = self._task.args.get("registries") or []
        rows = [{key: row.get(key) for key in ("address", "insecure", "mirror")} for row in registries]
        args = {**self._task.args, "registries": rows, "logins": _registry_logins.read(registries)}
        wrapped = bool(self._task.async_val)
        found: dict[str, Any] = self._execute_module(
            module_name="ascend.fleet.image_peer", module_args=args, task_vars=task_vars, wrap_async=wrapped
        )
        return found
