# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container of a node as a host for later tasks, reached the way the node is."""

from __future__ import annotations

from typing import Any

from ansible import constants as C  # noqa: N812 - everybody calls it so
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

CONNECTION = "ascend.fleet.node_container"
VIA = {"ssh": "ssh", "ansible.builtin.ssh": "ssh", "smart": "ssh", "local": "local", "ansible.builtin.local": "local"}
# What a container's host has of its own, whatever its node says.
OWN = {
    "user": "ansible_node_container_user",
    "python": "ansible_python_interpreter",
    "socket": "ansible_node_container_socket",
    "environment_file": "ansible_node_container_environment_file",
    "on_loss": "ansible_node_container_on_loss",
}
SUDO_PASSWORD = "ansible_node_container_sudo_password"


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validated, args = self.validate_argument_spec(
            {
                "container": {"type": "str", "required": True},
                "name": {"type": "str"},
                "folder": {"type": "str"},
                **{key: {"type": "str"} for key in OWN},
            }
        )
        name = args["name"] or f"{task_vars['inventory_hostname']}.{args['container']}"
        variables = {
            **self._sudo_password(),
            **self._way(task_vars),
            "ansible_connection": CONNECTION,
            "ansible_node_container": args["container"],
            **{variable: args[key] for key, variable in OWN.items() if args[key] is not None},
        }
        if args["folder"]:
            variables["ansible_remote_tmp"] = f"{args['folder']}/tmp"
            variables["ansible_async_dir"] = f"{args['folder']}/async"
        # Among the options of the connection there may be a password. Whether it counts as a change, Ansible decides.
        result.update(host=name, _ansible_no_log=True)
        result["add_host"] = {"host_name": name, "groups": [], "host_vars": variables}
        return result

    def _sudo_password(self) -> dict[str, str]:
        """The password of the task's become, which ``sudo`` on the way into the container asks for as well."""
        become = self._connection.become
        if become is None or become.name != "sudo":
            return {}
        password = become.get_option("become_pass", playcontext=self._play_context)
        return {SUDO_PASSWORD: str(password)} if password else {}

    def _way(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """How the node is reached: every variable that its connection reads."""
        connection = self._connection.ansible_name or "ssh"
        via = VIA.get(connection)
        if via is None:
            raise AnsibleActionFail(
                f"Containers of a node reached by {connection} cannot be entered; reach the node by ssh."
            )
        known = C.config.get_plugin_vars("connection", CONNECTION)
        found = {key: self._templar.template(task_vars[key]) for key in known if key in task_vars}
        own = {"inventory_hostname", *OWN.values()}
        way = {key: value for key, value in found.items() if key not in own}
        address = task_vars.get("ansible_host", task_vars["inventory_hostname"])
        return {**way, "ansible_host": self._templar.template(address), "ansible_node_container_via": via}
