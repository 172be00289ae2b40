# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of fleet_node: secrets in, progress out, a record of every result."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.plugin_utils import _registry_logins
from ansible_collections.ascend.fleet.plugins.plugin_utils._lease_owner import dead_holder
from ansible_collections.ascend.fleet.plugins.plugin_utils._packing import collector_paused
from ansible_collections.ascend.fleet.plugins.plugin_utils._records import write_record
from ansible_collections.ascend.fleet.plugins.plugin_utils._secret_files import read_secret

MODULE = "ascend.fleet.fleet_node"
# The same without the code that changes a node: it is packed, sent and loaded in a fraction of the time.
OBSERVING = "ascend.fleet.fleet_node_observe"
PROBING = "ascend.fleet.fleet_node_probe"
POLL_SECONDS = 10
RECONNECT_SECONDS = 120
RECONNECT_PAUSE = 2
OF_CHANGES = ("action", "step", "earlier", "bake", "wait", "work", "take_over")
CHANGING = ("apply", "remove")
POLL = "poll"
PROBE = "probe"
OF_PROBES = ("document", "rollback", "secrets")
# What the node needs to know of a run.
RUN_KEYS = ("id", "owner", "lease_seconds")
# What a shell answers when the interpreter is not there or cannot be run.
NO_INTERPRETER = (126, 127)
# A login that a command makes anew may expire while others wait for their turn.
LOGINS_AT_MOST = 3
SCOPES_WITH_SECRETS = {"services", "jobs"}
HIDDEN = ("plan", "services", "node", "diff", "findings", "done")
DEFAULT_SCOPE = ("host", "images", "services")


class ActionModule(ActionBase):
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        host = str(task_vars.get("inventory_hostname", self._task.name))
        try:
            result = self._call(args, task_vars, host)
        except AnsibleConnectionFailure as error:
            self._record(args, host, _unreachable(str(error)))
            raise
        self._record(args, host, result)
        return _essence(result) if result.get("failed") else result

    def _call(self, args: dict[str, Any], task_vars: dict[str, Any], host: str) -> dict[str, Any]:
        registries = self._registries(args)
        for attempt in range(1, LOGINS_AT_MOST + 1):
            args["logins"] = _registry_logins.read(registries)
            result = self._once(dict(args), task_vars, host)
            if attempt == LOGINS_AT_MOST or not _registry_logins.may_be_stale(result, registries):
                break
            self._display.display(f"{host}: a registry refused the login; making a new one")
        return result

    def _registries(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        if args.get("action") == PROBE or not {"images", "bakes"} & set(args.get("scope") or DEFAULT_SCOPE):
            return []
        found: list[dict[str, Any]] = (args.get("document") or {}).get("artefacts", {}).get("registries") or []
        return found

    def _once(self, args: dict[str, Any], task_vars: dict[str, Any], host: str) -> dict[str, Any]:
        document = args.get("document") or {}
        if set(args.get("scope") or SCOPES_WITH_SECRETS) & SCOPES_WITH_SECRETS:
            args["secrets"] = _secrets(document)
        args["files"] = _files(document)
        args["proxy"] = self._proxy(document, task_vars)
        action, background = args.get("action", "observe"), args.pop("background", False)
        if action not in (*CHANGING, POLL) or self._task.check_mode:
            return self._module(args, task_vars)
        result = self._patiently(args, task_vars)
        holder = dead_holder(result)
        if holder:
            result = self._patiently({**args, "take_over": holder}, task_vars)
        if boolean(background):
            return result
        shown = None
        while "pending" in result:
            pending = result["pending"]
            if pending["phase"] != shown:
                shown = pending["phase"]
                self._display.display(f"{host}: {shown}")
            result = self._patiently({"action": POLL, "work": pending["work"], "wait": POLL_SECONDS}, task_vars)
        return result

    def _proxy(self, document: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any] | None:
        """The proxy's URLs with their login, which no document holds."""
        if not (document.get("host", {}).get("engine", {}).get("proxy") or {}).get("login"):
            return None
        given = self._templar.template(task_vars["fleet_proxy"])
        return {key: given.get(key) for key in ("http", "https")}

    def _patiently(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """A lost connection stops no work on the node; the same call joins it again."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                return self._module(args, task_vars)
            except AnsibleConnectionFailure:
                if time.monotonic() > deadline:
                    raise
                self._connection.reset()
                time.sleep(RECONNECT_PAUSE)

    def _module(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if args.get("run"):
            args = {**args, "run": {key: args["run"][key] for key in RUN_KEYS if key in args["run"]}}
        name, args = _module_for(args)
        with collector_paused():
            result: dict[str, Any] = self._execute_module(module_name=name, module_args=args, task_vars=task_vars)
        if result.get("failed") and not result.get("findings") and result.get("rc") in NO_INTERPRETER:
            result["findings"] = [finding("python-missing", f"No usable Python on the node: {result.get('msg')}")]
        return result

    def _record(self, args: dict[str, Any], host: str, result: dict[str, Any]) -> None:
        run = args.get("run") or {}
        step = args.get("step")
        if run.get("report_dir") and step and "pending" not in result:
            write_record(run["report_dir"], run["id"], step, host, result)


def _module_for(args: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The least that can do it, with the options that it knows."""
    action = args.get("action", "observe")
    if action == PROBE:
        return PROBING, {key: value for key, value in args.items() if key in OF_PROBES}
    if action == "observe" and not args.get("bake"):
        return OBSERVING, {key: value for key, value in args.items() if key not in OF_CHANGES}
    return MODULE, args


def _secrets(document: dict[str, Any]) -> dict[str, str]:
    containers = [one["container"] for part in ("services", "jobs") for one in document.get(part, [])]
    wanted = [secret for container in containers for secret in container.get("secret_files", [])]
    return {secret["id"]: read_secret(secret["source"]) for secret in wanted if secret.get("source")}


def _files(document: dict[str, Any]) -> dict[str, str]:
    registries = (document.get("artefacts") or {}).get("registries") or []
    named = [
        ("fleet_ca_bundle", (document.get("host") or {}).get("ca_bundle")),
        *(("ca_file", row.get("ca")) for row in registries),
    ]
    return {given["path"]: _text(key, given["source"]) for key, given in named if given}


def _text(key: str, path: str) -> str:
    try:
        return Path(os.path.expanduser(path)).read_text(encoding="utf-8")
    except OSError as error:
        raise AnsibleActionFail(
            f"{key} {path} cannot be read on the controller ({error.strerror}); correct the path."
        ) from error


def _unreachable(message: str) -> dict[str, Any]:
    return {
        "unreachable": True,
        "changed": False,
        "msg": message,
        "findings": [finding("host-unreachable", f"The node cannot be reached: {message.strip()}")],
    }


def _essence(result: dict[str, Any]) -> dict[str, Any]:
    """A failure as it is shown: the message says it all, the record keeps the rest."""
    return {key: value for key, value in result.items() if key not in HIDDEN}
