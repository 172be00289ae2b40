# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node, a container behind its bridge and a metadata server, each a network namespace of its own.

The node also has its own view of /run, /etc, /usr/local/lib and /sys/fs/cgroup, so that what the collection
writes there and in the firewall never reaches the machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ADDRESS = "169.254.169.254"
NEIGHBOUR = "10.99.2.2"
PORTS = (53, 80)
HERE = Path(__file__).parent
SLICE = "ascend.slice/ascend-fleet.slice"

SERVER = """
import selectors, socket
listeners = selectors.DefaultSelector()
for port in (53, 80):
    listeners.register(socket.create_server(("0.0.0.0", port)), selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _events in listeners.select():
        key.fileobj.accept()[0].close()
"""

NODE_VIEW = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
for folder in /etc /usr/local/lib; do
    mkdir -p /run/over$folder/upper /run/over$folder/work
    mount -t overlay overlay -o lowerdir=$folder,upperdir=/run/over$folder/upper,workdir=/run/over$folder/work $folder
done
"""

# What the node's /sys/fs/cgroup looks like, by the way that a cgroup can be matched.
CGROUPS = {
    "path": "umount -l /sys/fs/cgroup\nmount -t cgroup2 none /sys/fs/cgroup\n",
    "class": "mount -t tmpfs tmpfs /sys/fs/cgroup\nmkdir /sys/fs/cgroup/net_cls\n"
    "mount -t cgroup -o net_cls none /sys/fs/cgroup/net_cls\n",
    "none": "mount -t tmpfs tmpfs /sys/fs/cgroup\n",
}
CGROUP_ROOT = {"path": "/sys/fs/cgroup", "class": "/sys/fs/cgroup/net_cls"}


def reason_against() -> str | None:
    if os.geteuid() != 0:
        return "namespaces need root"
    script = NODE_VIEW + CGROUPS["none"]
    made = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script], check=False, capture_output=True, text=True
    )
    return f"this machine does not let namespaces be made: {made.stderr.strip()}" if made.returncode else None


class Space:
    """A process that holds namespaces, and commands inside them."""

    def __init__(self, view: str = "") -> None:
        script = f"{view}echo ready; exec sleep infinity"
        argv = ["unshare", "--net", "--mount", "sh", "-c", script]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            assert self.process.stderr is not None
            raise RuntimeError(self.process.stderr.read())

    def argv(self, *command: str) -> list[str]:
        return ["nsenter", "--target", str(self.process.pid), "--net", "--mount", *command]

    def run(self, *command: str, check: bool = True, data: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.argv(*command), check=False, capture_output=True, text=True, timeout=60, input=data)
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def sh(self, script: str) -> str:
        return self.run("sh", "-ec", script).stdout

    def reaches(self, address: str, port: int = 80) -> bool:
        connect = f"exec 3<>/dev/tcp/{address}/{port}"
        return self.run("timeout", "3", "bash", "-c", connect, check=False).returncode == 0

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Network:
    def __init__(self, method: str) -> None:
        self.method = method
        self.node = Space(NODE_VIEW + CGROUPS[method])
        self.container, self.server = Space(), Space()
        self._connect()
        self._listener = subprocess.Popen(
            self.server.argv(sys.executable, "-c", SERVER), stdout=subprocess.PIPE, text=True
        )
        assert self._listener.stdout is not None
        assert self._listener.stdout.readline() == "ready\n"

    def _connect(self) -> None:
        pids = {name: getattr(self, name).process.pid for name in ("container", "server")}
        self.node.sh(
            f"""
            ip link set lo up
            echo 1 > /proc/sys/net/ipv4/ip_forward
            ip link add docker0 type bridge
            ip link add vethc type veth peer name eth0 netns {pids["container"]}
            ip link add veths type veth peer name eth0 netns {pids["server"]}
            ip link set vethc master docker0
            for link in docker0 vethc veths; do ip link set $link up; done
            ip addr add 10.99.1.1/24 dev docker0
            ip addr add 10.99.2.1/24 dev veths
            ip route add {ADDRESS}/32 via {NEIGHBOUR}
            """
        )
        self.container.sh("ip link set eth0 up; ip addr add 10.99.1.2/24 dev eth0; ip route add default via 10.99.1.1")
        self.server.sh(
            f"""
            ip link set lo up
            ip link set eth0 up
            ip addr add {NEIGHBOUR}/24 dev eth0
            ip addr add {ADDRESS}/32 dev lo
            ip route add default via 10.99.2.1
            """
        )

    def block(self, operation: str, want: dict[str, Any], backend: str) -> Any:
        """Observe and plan, or apply, with the collection's own code inside the node."""
        request = json.dumps({"operation": operation, "want": want, "backend": backend})
        done = self.node.run(sys.executable, str(HERE / "block_inside.py"), data=request)
        return json.loads(done.stdout)

    def host_network_reaches(self, address: str, port: int = 80) -> bool:
        """As a process of a container on the node's network under the slice."""
        folder = f"{CGROUP_ROOT[self.method]}/{SLICE}/container"
        connect = f"exec 3<>/dev/tcp/{address}/{port}"
        script = f"mkdir -p {folder}; echo $$ > {folder}/cgroup.procs; exec timeout 3 bash -c '{connect}'"
        return self.node.run("sh", "-ec", script, check=False).returncode == 0

    def close(self) -> None:
        self._listener.kill()
        self._listener.wait()
        if self.method in CGROUP_ROOT:
            root = CGROUP_ROOT[self.method]
            parts = (f"{SLICE}/container", SLICE, SLICE.partition("/")[0])
            deadline = time.monotonic() + 5
            # A cgroup can be removed once its last process has been reaped.
            while time.monotonic() < deadline:
                folders = " ".join(f"{root}/{part}" for part in parts)
                self.node.run("sh", "-c", f"rmdir {folders} 2>/dev/null", check=False)
                if self.node.run("test", "-e", f"{root}/{parts[-1]}", check=False).returncode:
                    break
        for space in (self.container, self.server, self.node):
            space.end()
