# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks inside a container on a node that is reached by ssh."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: node_container
short_description: Run tasks inside a container on a node reached by ssh
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Goes to the node exactly as P(ansible.builtin.ssh#connection) does, with all its options and variables,
    and from there into a running container with the command-line client of the node's container engine.
  - Needs C(ssh) on the controller, the client of the engine on the node, and C(/bin/sh) in the container.
    Modules need Python in the container as they do on a host.
  - A container that is absent, stopped or paused makes the host unreachable, with a message that names it.
notes:
  - Give the container a host name of its own (M(ansible.builtin.add_host)). Two connections under one host name
    overwrite each other's facts.
  - Become works inside the container; the way into it is not affected by it.
options:
  container:
    description: Name or id of the container.
    type: str
    required: true
    vars:
      - name: ansible_node_container
  container_user:
    description: User inside the container, by name or number.
    type: str
    default: root
    vars:
      - name: ansible_node_container_user
  engine_cli:
    description: Client of the container engine on the node.
    type: str
    default: docker
    vars:
      - name: ansible_node_container_cli
  engine_socket:
    description: Socket of the container engine on the node.
    type: str
    default: /var/run/docker.sock
    vars:
      - name: ansible_node_container_socket
  engine_sudo:
    description:
      - Whether the client is run by C(sudo) on the node.
      - V(auto) does so where the user of the connection may not write to the socket.
    type: str
    choices: [auto, always, never]
    default: auto
    vars:
      - name: ansible_node_container_sudo
  sudo_password:
    description:
      - Password for that C(sudo), where it asks for one. It reaches the node on standard input, and no list of
        processes shows it.
      - A command inside the container that asks for a password of its own (O(ignore:become_pass)) cannot be run then.
    type: str
    vars:
      - name: ansible_node_container_sudo_password
  environment_file:
    description:
      - File inside the container that the shell reads before every command, where it exists. Unlike the keyword
        C(environment) it shows no value in the list of processes.
    type: str
    vars:
      - name: ansible_node_container_environment_file
  on_loss:
    description:
      - What it means that the node or the container cannot be reached.
      - V(unreachable) makes the host unreachable. V(fail) fails the task, so that a C(rescue) gets to know of it.
    type: str
    choices: [unreachable, fail]
    default: unreachable
    vars:
      - name: ansible_node_container_on_loss
  node_connection:
    description: How the node is reached. V(local) is for a container on the controller itself.
    type: str
    choices: [ssh, local]
    default: ssh
    vars:
      - name: ansible_node_container_via
  pipelining:
    description:
      - Whether modules are passed through the connection instead of being copied before.
        Nothing here stands against it, so that it is on by default.
    type: bool
    default: true
    vars:
      - name: ansible_pipelining
      - name: ansible_ssh_pipelining
extends_documentation_fragment:
  - ascend.fleet.ssh_options
"""

EXAMPLES = r"""
---
- name: Look into a container on every node
  hosts: fleet
  gather_facts: false
  tasks:
    - name: Give the container a host name of its own
      ansible.builtin.add_host:
        name: "{{ inventory_hostname }}.chat"
        ansible_connection: ascend.fleet.node_container
        ansible_host: "{{ ansible_host }}"
        ansible_user: "{{ ansible_user }}"
        ansible_node_container: chat
        ansible_node_container_user: ma-user
      changed_when: false

    - name: Read the version inside
      ansible.builtin.command: python3 -c 'import torch; print(torch.__version__)'
      delegate_to: "{{ inventory_hostname }}.chat"
      changed_when: false
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import typing as t
from base64 import b64encode

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.connection.ssh import Connection as SshConnection
from ansible.utils.display import Display

from ansible_collections.ascend.fleet.plugins.plugin_utils._shell_session import Outcome, Session, SessionLost

display = Display()

# What a client of an engine says where it did not come to run the command at all.
NO_ENTRY = re.compile(
    rb"No such container|is not running|is paused|Cannot connect to the Docker daemon|sudo: "
    rb"|permission denied while trying to connect|: not found|unable to find user|no matching entries in passwd"
)
# Statuses with which that happens: the client's own, those of a program that is not there, and sudo's.
NO_ENTRY_STATUS = frozenset({1, 125, 126, 127})
LONGEST_TOLD = 2000
NOT_FOUND = 127
SSH_FAILED = 255
# More input than this does not go through the open shell: some shells read byte by byte.
LARGEST = 256 << 10
# What a shell says that keeps its input in a file and may write none.
NO_ROOM_FOR_INPUT = b"here-document"


# The way into a container has its own variable for it, so that the advice for other tasks would mislead.
SUDO_ASKS = re.compile(r"sudo: .*\bpassword\b.*")
SUDO_REFUSES = "sudo on the node asks for a password and got none, or a wrong one: correct {variable}"
PASSWORD = "ansible_node_container_sudo_password"
# The same name on the controller and on the node; sudo asks a program for the password, which prints this variable.
SECRET = "FLEET_SUDO_PASSWORD"
TAKES_SECRET = f"IFS= read -r {SECRET}; "
ASKED = f'export {SECRET} SUDO_ASKPASS="$(command -v printenv)"; set -- sudo -A -p {SECRET}'
NOT_ASKED = "set -- sudo -n"
# Sends it before everything else, and keeps it from what it is sent through.
SENDS_SECRET = f'{{ printenv {SECRET}; %s; }} | {{ unset {SECRET}; exec "$@"; }}'


def _reason(told: bytes) -> str:
    return SUDO_ASKS.sub(SUDO_REFUSES.format(variable=PASSWORD), told.decode("utf-8", "replace").strip())


class _Upload:
    """A file in the place of the bytes to send, so that it is never in memory as a whole."""

    def __init__(self, path: str) -> None:
        self.path = path


class Connection(SshConnection):
    """ssh to the node, exec into the container."""

    transport = "ascend.fleet.node_container"

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_the_way = False
        self._download: str | None = None
        self._session: Session | None = None

    def get_option(self, option: str, hostvars: dict[str, object] | None = None) -> t.Any:
        # Actions ask who runs the commands, ssh asks whom to log in as.
        if option == "remote_user" and not self._on_the_way:
            option = "container_user"
        elif option == "use_tty":
            # A terminal on the node would mix the container's output and change its line ends.
            return False
        return super().get_option(option, hostvars=hostvars)

    def exec_command(self, cmd: str, in_data: t.Any = None, sudoable: bool = True) -> Outcome:
        with self._loss():
            return self._run_inside(cmd, in_data, sudoable)

    @contextlib.contextmanager
    def _loss(self) -> t.Iterator[None]:
        try:
            yield
        except AnsibleConnectionFailure as error:
            if self.get_option("on_loss") == "fail":
                raise AnsibleError(str(error)) from None
            raise

    def _run_inside(self, cmd: str, in_data: t.Any, sudoable: bool) -> Outcome:
        data = to_bytes(in_data or b"")
        # Become may ask for a password, which only the plugin of ssh knows how to answer.
        if not (sudoable and self.become) and self._download is None and len(data) <= LARGEST and b"\0" not in data:
            outcome = self._in_session(cmd, data.decode("utf-8", "surrogateescape") if data else None)
            if outcome is not None:
                return outcome
        return self._in_exec(cmd, in_data, sudoable)

    def _in_session(self, cmd: str, text: str | None = None) -> Outcome | None:
        """The command's outcome through the shell that is open already, or None where it has not been run."""
        try:
            if self._session is None:
                if self._needs_password():
                    return None
                self._session = Session(self._entrance(), self._first_line())
            outcome = self._session.run(self._with_environment(cmd), text)
            return None if outcome[0] and NO_ROOM_FOR_INPUT in outcome[2] else outcome
        except SessionLost as lost:
            self._end_session()
            if not lost.started:
                return None
            if lost.outcome[0] == SSH_FAILED:
                raise AnsibleConnectionFailure(f"The connection to the node was lost: {lost}") from lost
            return lost.outcome

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _needs_password(self) -> bool:
        """ssh is told a password in ways that only its own plugin knows."""
        return bool(self.get_option("password") or self._play_context.password or self.get_option("pkcs11_provider"))

    def _entrance(self) -> list[bytes]:
        self.host = self.get_option("host") or self._play_context.remote_addr
        return self._build_command(self.get_option("ssh_executable"), "ssh", self.host, self._inside(None))

    def close(self) -> None:
        self._end_session()
        super().close()

    def _in_exec(self, cmd: str, in_data: t.Any, sudoable: bool) -> Outcome:
        outcome: Outcome = super().exec_command(self._inside(cmd), in_data=in_data, sudoable=sudoable)
        # Of a user that is not there the engine tells on standard output.
        if outcome[0] in NO_ENTRY_STATUS and NO_ENTRY.search(outcome[1][:LONGEST_TOLD] + outcome[2][-LONGEST_TOLD:]):
            self._check_entry()
        return outcome

    def put_file(self, in_path: str, out_path: str) -> Outcome:
        ConnectionBase.put_file(self, in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"The file {in_path} does not exist on the controller.")
        with self._loss():
            outcome = self._upload(in_path, shlex.quote(out_path))
        return self._transferred(outcome, f"{out_path} cannot be written")

    def _upload(self, in_path: str, target: str) -> Outcome:
        size = os.path.getsize(in_path)
        outcome: Outcome | None = None
        if size <= LARGEST // 2:
            with open(in_path, "rb") as source:
                outcome = self._in_session(f"base64 -d > {target}", b64encode(source.read()).decode())
        if outcome is None or outcome[0] == NOT_FOUND:
            # ssh takes no bytes to send for an empty file, and would wait for them.
            command, data = (f"cat > {target}", _Upload(in_path)) if size else (f": > {target}", None)
            outcome = self._in_exec(command, data, sudoable=False)
        return outcome

    def fetch_file(self, in_path: str, out_path: str) -> Outcome:
        ConnectionBase.fetch_file(self, in_path, out_path)
        self._download = out_path
        try:
            outcome = self.exec_command(f"cat {shlex.quote(in_path)}", sudoable=False)
        finally:
            self._download = None
        return self._transferred(outcome, f"{in_path} cannot be read")

    def _transferred(self, outcome: Outcome, told: str) -> Outcome:
        if outcome[0]:
            reason = outcome[2].decode("utf-8", "replace").strip()
            raise AnsibleError(f"{told} in container {self.get_option('container')}: {reason}")
        return outcome

    def reset(self) -> None:
        self._end_session()
        if self._is_local():
            self.close()
        else:
            super().reset()

    def _inside(self, cmd: str | None) -> str:
        """The command as the node's shell gets it; without one, a shell that waits for commands."""
        run = [] if cmd is None else ["-c", self._with_environment(cmd)]
        user = str(self.get_option("container_user"))
        return self._client("exec", "-i", "-u", user, self.get_option("container"), "/bin/sh", *run)

    def _with_environment(self, cmd: str) -> str:
        if not self.get_option("environment_file"):
            return cmd
        file = shlex.quote(self.get_option("environment_file"))
        return f"[ ! -r {file} ] || . {file}; {cmd}"

    def _client(self, *arguments: str) -> str:
        socket = shlex.quote(self.get_option("engine_socket"))
        become = ASKED if self._secret() else NOT_ASKED
        client = shlex.join([self.get_option("engine_cli"), "-H", f"unix://{self.get_option('engine_socket')}"])
        sudo = {"auto": f"[ -w {socket} ] || {{ {become}; }}; ", "always": f"{become}; ", "never": ""}
        take = TAKES_SECRET if self._secret() else ""
        script = f'{take}{sudo[self.get_option("engine_sudo")]}exec "$@" {client} {shlex.join(arguments)}'
        return f"/bin/sh -c {shlex.quote(script)}"

    def _secret(self) -> str | None:
        """The password for sudo on the node."""
        return str(self.get_option("sudo_password") or "") or None

    def _first_line(self) -> bytes:
        return f"{self._secret()}\n".encode() if self._secret() else b""

    def _check_entry(self) -> None:
        """Refuse with one sentence where the container cannot be entered; what runs in it may have said the like."""
        name = self.get_option("container")
        user = self.get_option("container_user")
        node = self.get_option("host") or self._play_context.remote_addr
        status, told, wrong = super().exec_command(
            self._client("inspect", "--type", "container", "--format", "{{.State.Status}}", name), sudoable=False
        )
        state, reason = told.decode("utf-8", "replace").strip(), _reason(wrong)
        if status == 0 and state != "running":
            raise AnsibleConnectionFailure(f"Container {name} on {node} is {state}, not running; start it.")
        if status and "No such container" in reason:
            raise AnsibleConnectionFailure(f"There is no container {name} on {node}; correct its name, or make it.")
        if status:
            raise AnsibleConnectionFailure(f"Container {name} on {node} cannot be entered: {reason}")
        status, told, wrong = super().exec_command(
            self._client("exec", "-u", str(user), name, "/bin/sh", "-c", ":"), sudoable=False
        )
        if status:
            reason = (told + wrong).decode("utf-8", "replace").strip()
            raise AnsibleConnectionFailure(f"Container {name} on {node} cannot be entered as user {user}: {reason}")

    # What ssh itself is given -------------------------------------------------------------

    def _is_local(self) -> bool:
        return bool(self.get_option("node_connection") == "local")

    def _build_command(self, binary: str, subsystem: str, *other_args: bytes | str) -> list[bytes]:
        if self._is_local():
            return [b"/bin/sh", b"-c", str(other_args[-1]).encode()]
        self._on_the_way = True
        try:
            command: list[bytes] = super()._build_command(binary, subsystem, *other_args)
            return command
        finally:
            self._on_the_way = False

    def _bare_run(self, cmd: list[bytes], in_data: t.Any, sudoable: bool = True, checkrc: bool = True) -> Outcome:
        if self._download is not None:
            cmd = [b"/bin/sh", b"-c", b'exec "$@" > "$0"', os.fsencode(self._download), *cmd]
        if self._secret():
            # Not among the data, which the plugin of ssh sends when it thinks fit.
            cmd = [b"/bin/sh", b"-c", (SENDS_SECRET % ("exec cat" if in_data else ":")).encode(), b"sh", *cmd]
            os.environ[SECRET] = str(self._secret())
        try:
            outcome: Outcome = super()._bare_run(cmd, in_data, sudoable=sudoable, checkrc=checkrc)
        finally:
            os.environ.pop(SECRET, None)
        return outcome

    def _send_initial_data(self, fh: t.Any, in_data: t.Any, ssh_process: subprocess.Popen[bytes]) -> None:
        if not isinstance(in_data, _Upload):
            super()._send_initial_data(fh, in_data, ssh_process)
            return
        try:
            with open(in_data.path, "rb") as source:
                shutil.copyfileobj(source, fh, 1 << 20)
            fh.close()
        except BrokenPipeError:
            display.debug("the other side closed before the whole file was sent; its status tells why")
