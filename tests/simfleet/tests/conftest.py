# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fleet for the tests of this folder, seen by ssh and Ansible as a user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simfleet import inventory
from tests.simfleet.fleet import Fleet
from tests.simfleet.spec import NodeSpec

# deb: as the demo's; dnf: a fresh openEuler with an A3 board; cpu: a fresh Debian without cards
NODES = (
    NodeSpec("deb", cards=4),
    NodeSpec("dnf", os="openeuler22.03", docker=False, soc="A3"),
    NodeSpec("cpu", docker=False, cards=0),
)


@pytest.fixture(scope="session")
def fleet(docker_client: Any) -> Iterator[Fleet]:
    """Three servers that differ, with registry and metadata service."""
    with Fleet(f"self-{os.getpid()}", NODES) as started:
        yield started


@pytest.fixture(scope="session")
def hosts(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fleet's inventory, written."""
    path = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    inventory.write(fleet, path)
    return path


@pytest.fixture(scope="session")
def ssh(fleet: Fleet) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A command on a server by ssh, host key checked."""

    def run(node: str, command: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess[str]:
        options = [f"UserKnownHostsFile={fleet.known_hosts}", "StrictHostKeyChecking=yes", "BatchMode=yes"]
        options.append("ConnectTimeout=5")
        flags = [flag for option in options for flag in ("-o", option)]
        target = f"{user}@{fleet.address(node)}"
        done = subprocess.run(
            ["ssh", "-i", str(fleet.private_key), *flags, target, command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    return run


@pytest.fixture(scope="session")
def ansible(hosts: Path) -> Callable[..., dict[str, Any]]:
    """A module on a server; its result."""

    def run(node: str, module: str, arguments: str = "") -> dict[str, Any]:
        program = Path(sys.executable).with_name("ansible")
        done = subprocess.run(
            [str(program), node, "-i", str(hosts), "-m", module, "-a", arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "json"},
        )
        plays = json.loads(done.stdout[done.stdout.index("{") :])["plays"]
        result: dict[str, Any] = plays[0]["tasks"][0]["hosts"][node]
        return result

    return run
