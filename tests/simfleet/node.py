# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One simulated server: a systemd container with its own engine, and what can happen to it."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests
from docker.errors import NotFound, create_api_error_from_http_exception
from docker.models.containers import Container

from . import builder, vendor
from .errors import SimError
from .spec import NodeSpec

# Everything --privileged gives, less what a machine may lack itself (CAP_SYS_RESOURCE).
CAPABILITIES = [
    "AUDIT_CONTROL", "AUDIT_READ", "BLOCK_SUSPEND", "DAC_READ_SEARCH", "IPC_LOCK", "IPC_OWNER",
    "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "NET_ADMIN", "NET_BROADCAST",
    "SETPCAP", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE",
    "SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
]  # fmt: skip
_READY_SECONDS = 180.0
_FRAME = struct.Struct(">BxxxL")
_BOOTED = ("running", "degraded")
_SSHD = b"""PasswordAuthentication no
UseDNS no
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/%u_authorized_keys
"""


class Ran(NamedTuple):
    """What a command on a server gave."""

    rc: int
    out: str


class Node:
    """A server of a fleet that is up."""

    def __init__(self, spec: NodeSpec, container: Container, address: str) -> None:
        self.spec = spec
        self.name = spec.name
        self.container = container
        self.address = address

    def exec(self, *command: str, check: bool = True) -> Ran:
        """Run a command as root on the server, past ssh; SimError when it fails and check is on."""
        ran = run_in(self.container, *command)
        if check and ran.rc:
            raise SimError(f"{' '.join(command)} on {self.name} ended with {ran.rc}: {ran.out.strip()[-500:]}")
        return ran

    def put(self, files: vendor.Files) -> None:
        """Write files on the server, running or not."""
        self.container.put_archive("/", builder.pack(files))

    def read(self, path: str) -> bytes:
        """A file of the server, running or not."""
        return read_archived(self.container, path)

    # the simulated cards

    def state(self) -> dict[str, Any]:
        """The state that the simulated npu-smi shows."""
        loaded: dict[str, Any] = json.loads(self.read(vendor.STATE))
        return loaded

    def set_state(self, state: dict[str, Any]) -> None:
        """Replace that state."""
        self.put({vendor.STATE: (0o644, json.dumps(state, indent=1).encode())})

    def set_faults(self, *faults: dict[str, Any]) -> None:
        """Make npu-smi fail as said (kinds as in npu/README.md); without arguments, repair it."""
        self.set_state({**self.state(), "faults": list(faults)})

    # power and cable

    def reboot(self) -> None:
        """As `systemctl reboot` does it; returns when the server is back."""
        self.rebooting()()

    def rebooting(self) -> Callable[[], None]:
        """Begin a reboot; what is returned waits until the server is back."""
        before = self.boot_id()
        self.exec("systemctl", "reboot", check=False)

        def back() -> None:
            self._until("come back after a reboot", lambda: self.boot_id() not in ("", before))
            self.wait_ready()

        return back

    def kill(self) -> None:
        """Pull the plug: everything dies at once and stays off until start()."""
        self.container.kill(signal="SIGKILL")
        self._until("be off", lambda: not self.running())

    def start(self) -> None:
        """Power on, and wait until the server is up."""
        self.container.start()
        self.wait_ready()

    def cut(self) -> None:
        """Pull the network cable."""
        self.exec("ip", "link", "set", "eth0", "down")

    def heal(self) -> None:
        """Whatever was done by kill() or cut(): bring the server back."""
        if not self.running():
            self.start()
            return
        self.exec("ip", "link", "set", "eth0", "up")
        self.exec("/usr/local/sbin/ascend-sim-routes")

    def running(self) -> bool:
        """Whether the server has power."""
        try:
            self.container.reload()
        except NotFound:
            return False
        return bool(self.container.status == "running")

    def boot_id(self) -> str:
        """The kernel's id of this boot; empty while the server is down."""
        if not self.running():
            return ""
        ran = run_in(self.container, "cat", "/proc/sys/kernel/random/boot_id")
        return ran.out.strip() if ran.rc == 0 else ""

    def wait_ready(self) -> None:
        """Until systemd has booted, ssh listens and the engine (where there is one) answers."""
        self._until("boot", self._booted)
        self._until("answer ssh", lambda: self._ok("systemctl", "is-active", "--quiet", "ssh"))
        if self.spec.docker:
            self._until("have its engine up", lambda: self._ok("docker", "info"))

    def logs(self) -> str:
        """What the server said on its console."""
        return str(self.container.logs(tail=40).decode(errors="replace"))

    def _booted(self) -> bool:
        if not self.running():
            return False
        return run_in(self.container, "systemctl", "is-system-running").out.strip() in _BOOTED

    def _ok(self, *command: str) -> bool:
        return self.running() and run_in(self.container, *command).rc == 0

    def _until(self, what: str, holds: Callable[[], bool], seconds: float = _READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except Exception as error:  # the engine refuses exec while a container restarts
                if "is not running" not in str(error) and "restarting" not in str(error):
                    raise
            time.sleep(0.2)
        jobs = self.exec("systemctl", "list-jobs", "--no-legend", check=False).out if self.running() else "(off)"
        raise SimError(
            f"{self.name} did not {what} within {seconds:.0f} s; its pending jobs: "
            f"{jobs.strip() or 'none'}; its console ends: {self.logs().strip()[-600:] or 'empty'}"
        )


def run_in(container: Container, *command: str) -> Ran:
    """A command in a container, with all that it said.

    The client's own exec_run reads from the bare socket and loses what has come together with the headers: on a busy
    machine now and then all that a short command said.
    """
    api = container.client.api
    begun = api.exec_create(container.id, list(command))["Id"]
    url = f"{api.base_url}/v{api.api_version}/exec/{begun}/start"
    reply = api.post(url, json={"Detach": False, "Tty": False}, timeout=None)
    try:
        reply.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
    # Nobody knows what came of it where the container went down under it.
    status = None
    with contextlib.suppress(NotFound):
        status = api.exec_inspect(begun)["ExitCode"]
    return Ran(-1 if status is None else int(status), _said(reply.content).decode(errors="replace"))


def _said(stream: bytes) -> bytes:
    """What is in the frames in which the engine sends output and errors."""
    said, start = [], 0
    while start + _FRAME.size <= len(stream):
        _kind, length = _FRAME.unpack_from(stream, start)
        start += _FRAME.size
        said.append(stream[start : start + length])
        start += length
    return b"".join(said)


def read_archived(container: Container, path: str) -> bytes:
    """A regular file of a container, running or not."""
    chunks, _stat = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        member = tar.extractfile(tar.getmembers()[0])
        if member is None:
            raise SimError(f"{path} of {container.name} is no regular file.")
        return member.read()


def login_files(public_key: Path, host_key: Path) -> vendor.Files:
    """The files by which a server lets the fleet's key in and proves who it is."""
    key = public_key.read_bytes()
    return {
        "/root/.ssh/authorized_keys": (0o600, key),
        "/etc/ssh/ssh_host_ed25519_key": (0o600, host_key.read_bytes()),
        "/etc/ssh/ssh_host_ed25519_key.pub": (0o644, host_key.with_name(host_key.name + ".pub").read_bytes()),
        "/etc/ssh/ops_authorized_keys": (0o644, key),
        "/etc/ssh/sshd_config.d/simulated.conf": (0o644, _SSHD),
    }
