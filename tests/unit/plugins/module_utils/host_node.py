# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node in a folder for the tests of host settings: a root, a systemd and an engine that answer from memory."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from ansible_collections.ascend.fleet.plugins.module_utils import _host, _host_apply, _units
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import NO_SOCKET, EngineUnavailable
from ansible_collections.ascend.fleet.plugins.module_utils._system import Result, System

WANT = {
    "work_dir": "/var/lib/ascend-fleet/work",
    "npus": {"needed": True, "expected": 8, "dev": "/dev"},
    "engine": {
        "manage": True,
        "socket": "/var/run/docker.sock",
        "package_dir": None,
        "daemon": {"log-driver": "json-file", "log-opts": {"max-size": "100m", "max-file": "5"}},
        "proxy": None,
    },
    "sdk": {"manage": False, "folder": "/var/lib/ascend-fleet/sdk"},
    "forwarding": {"manage": True, "ipv4": True, "ipv6": False, "neutralise": False},
    "metadata_block": {"state": "present", "addresses": ["169.254.169.254"], "except_ports": []},
    "directories": [],
    "ca_bundle": None,
    "wait_npus": True,
    "wait_mounts": [],
    "mounts": [],
}


def want(**changes):
    """The usual wishes with some changed: engine_proxy=... reaches into engine."""
    wanted = copy.deepcopy(WANT)
    for key, value in changes.items():
        part, _underscore, inner = key.partition("__")
        if inner:
            wanted[part][inner] = value
        else:
            wanted[part] = value
    return wanted


class Engine:
    """What the engine's socket says; None means that nobody answers."""

    def __init__(self, info=None, containers=()):
        self._info = {"ServerVersion": "20.10", "CgroupDriver": "systemd", "LoggingDriver": "json-file", **(info or {})}
        self.list = list(containers)
        self.up = True
        self.pids = {}

    def info(self):
        if not self.up:
            raise EngineUnavailable(NO_SOCKET, "/var/run/docker.sock", "nobody listens")
        return self._info

    def containers(self, all=True):
        self.info()
        return self.list

    def inspect(self, name):
        return {"State": {"Pid": self.pids.get(name, 0)}}


def container(name, fleet=True, state="running", network="bridge"):
    labels = {"io.ascend.fleet.schema": "1"} if fleet else {}
    return {"Names": ["/" + name], "Labels": labels, "State": state, "HostConfig": {"NetworkMode": network}}


class Node:
    """Programs answer from the tables below; what they were asked is kept in ``calls``."""

    def __init__(self, root: Path, engine: Engine | None = None):
        self.root = root
        self.engine = engine or Engine()
        self.calls: list[list[str]] = []
        self.answers: dict[str, Result] = {}
        self.docker = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "UnitFileState": "enabled",
            "InvocationID": "run1",
            "NeedDaemonReload": "no",
            "ExecStart": "{ path=/sbin/dockerd ; argv[]=/sbin/dockerd -H fd:// $DOCKER_OPTS ; ignore_errors=no ; }",
            "EnvironmentFiles": "/etc/default/docker (ignore_errors=yes)",
            "Environment": "",
        }
        self.block = {"LoadState": "not-found", "ActiveState": "inactive", "NeedDaemonReload": "no"}
        self.rules: list[str] = [
            "-P FORWARD ACCEPT",
            "-P OUTPUT ACCEPT",
            "-N DOCKER",
            "-N DOCKER-USER",
            "-A DOCKER-USER -j RETURN",
        ]
        self.system = System(root=str(root), runner=self._run)
        self.put("/etc/os-release", 'ID=debian\nPRETTY_NAME="Debian 12"\n')
        self.put("/proc/sys/net/ipv4/ip_forward", "0\n")
        (root / "var/lib/ascend-fleet").mkdir(parents=True)

    def put(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path: str) -> str | None:
        return self.system.read(path)

    def _run(self, argv, timeout, env, data):
        argv = list(argv)
        self.calls.append(argv)
        line = " ".join(argv)
        for start, answer in self.answers.items():
            if line.startswith(start):
                return answer
        if argv[:2] == ["systemctl", "show"]:
            units = {_units.DOCKER: self.docker, _units.BLOCK: self.block}
            blocks = ["\n".join([f"Id={name}", *(f"{k}={v}" for k, v in unit.items())]) for name, unit in units.items()]
            return Result(0, "\n\n".join(blocks) + "\n", "")
        if argv[0] == "systemctl":
            return self._systemctl(*argv[1:])
        if argv[0].startswith("iptables"):
            return Result(0, "\n".join(self.rules) + "\n", "")
        if "--validate" in argv:
            return Result(125, "", "unknown flag: --validate\nSee 'dockerd --help'.")
        if argv[0].endswith("/metadata-block"):
            self.rules = [rule for rule in self.rules if "ASCEND-FLEET" not in rule]
            return Result(0, "", "")
        return Result(0, "", "")

    def _systemctl(self, verb, *rest):
        unit = {_units.DOCKER: self.docker, _units.BLOCK: self.block}.get(rest[-1] if rest else "")
        if verb == "daemon-reload":
            self.docker["NeedDaemonReload"] = self.block["NeedDaemonReload"] = "no"
        if unit is self.block and verb in ("start", "reload"):
            self._run_block_script()
        if verb in ("start", "restart", "enable") and unit is not None:
            unit.update(ActiveState="active", InvocationID=f"run{len(self.calls)}")
        if verb == "enable":
            unit.update(UnitFileState="enabled")
        if verb == "stop" and unit is not None:
            unit.update(ActiveState="inactive")
        return Result(0, "", "")

    def _run_block_script(self):
        """As far as observing goes: the rules of the script, and its record."""
        script = self.read(_units.BLOCK_SCRIPT)
        rules = [line for line in script.splitlines() if line.startswith(("-A ", "-I "))]
        self.rules = [rule for rule in self.rules if "ASCEND-FLEET" not in rule]
        self.rules.insert(2, "-N ASCEND-FLEET-METADATA")
        heads = [rule for rule in rules if rule.startswith("-I ")]
        words = [rule.split() for rule in heads]
        first = next(index for index, rule in enumerate(self.rules) if rule.startswith("-A"))
        self.rules[first:first] = [" ".join(["-A", word[1], *word[3:]]) for word in words]
        self.rules += [rule for rule in rules if rule.startswith("-A ")]
        wanted = next(line.partition("=")[2] for line in script.splitlines() if line.startswith("wanted="))
        self.put("/run/ascend-fleet/metadata-block", f"wanted {wanted}\nhost no, nothing to match\nidentity \nrules\n")

    # --- what the tests ask

    def plan(self, wanted, partial=False):
        observed = _host.observe(self.system, wanted, self.engine)
        json.dumps(observed)
        return _host.plan(wanted, observed, partial)

    def converge(self, wanted, interrupting=True, partial=False):
        actions, findings = self.plan(wanted, partial)
        chosen = [step for step in actions if interrupting or not step["interrupts"]]
        _host_apply.apply(wanted, chosen, self.system, lambda text: None)
        return actions, findings

    def asked(self, *start: str) -> bool:
        return any(call[: len(start)] == list(start) for call in self.calls)


def names(actions):
    return [step["action"] for step in actions]
