# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of fleet_outputs: the archive of the node is fetched as it is, whatever become says."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.plugin_utils import _outputs, _records

MODULE = "ascend.fleet.fleet_outputs"
REMEDY = "See to the cause and run again: the outputs wait on the node until they are fetched."


class ActionModule(ActionBase):
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        run = _run(args.get("run"))
        host = str(task_vars.get("inventory_hostname", self._task.name))
        record = _records.read_record(run["report_dir"], run["id"], args.get("step", "jobs"), host)
        jobs = [
            {"name": line["name"], "path": line["outputs"]}
            for line in (record or {}).get("services", [])
            if line.get("fresh")
        ]
        if not jobs or self._task.check_mode:
            return {"changed": False, "outputs": {}}
        folder = Path(_records.outputs_dir(run["report_dir"], run["id"], host))
        try:
            return self._fetched(run, jobs, folder, task_vars)
        except (_outputs.DamagedError, AnsibleError, OSError) as error:
            told = finding("job-outputs", f"The outputs were not fetched: {str(error).rstrip('.')}.", REMEDY)
            return {"failed": True, "changed": False, "msg": f"{told['message']} {told['remedy']}", "findings": [told]}

    def _fetched(
        self, run: dict[str, Any], jobs: list[dict[str, str]], folder: Path, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        packed = self._module({"run": run, "jobs": jobs, "reader": self._user()}, task_vars)
        if packed.get("failed"):
            return packed
        placed: dict[str, str] = {}
        try:
            placed = self._placed(packed["archive"], folder, [job["name"] for job in jobs])
        finally:
            arrived = [
                {"path": job["path"], "manifest": _outputs.manifest_digest(Path(placed[job["name"]]))}
                for job in jobs
                if job["name"] in placed
            ]
            noted = self._module({"run": run, "fetched": arrived}, task_vars)
        return noted if noted.get("failed") else {"changed": False, "outputs": placed}

    def _placed(self, archive: str, folder: Path, jobs: list[str]) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tar", dir=folder)
        os.close(handle)
        try:
            self._connection.fetch_file(archive, name)
            return _outputs.unpack(Path(name), folder, jobs)
        finally:
            os.unlink(name)

    def _user(self) -> int:
        """Who fetches files: the user of the connection, before any become."""
        return int(self._low_level_execute_command("id -u", sudoable=False)["stdout"].strip())

    def _module(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        return result


def _run(given: Any) -> dict[str, Any]:
    run = {key: (given or {}).get(key) for key in ("id", "report_dir")}
    missing = [key for key, value in run.items() if not value]
    if missing:
        told = f"fleet_outputs: run has no {' and no '.join(missing)}; give it the run that fleet_compile returned."
        raise AnsibleActionFail(told)
    return run
