# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module sysctl_forward on a server, its effect read from the kernel and the files past ssh."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import playbook_run
from tests.fleet.conftest import COLLECTIONS, Ground

pytestmark = pytest.mark.fleet

KERNEL = "/proc/sys/net/ipv4/ip_forward"
LATER = "/etc/sysctl.d/zzz-other.conf"


def forward(ground: Ground, *flags: str, **options: Any) -> dict[str, Any]:
    command = [str(Path(sys.executable).parent / "ansible"), "n1", "-i", str(ground.hosts({})), *flags]
    command += ["-m", "ascend.fleet.sysctl_forward", "-a", json.dumps(options)]
    environment = {**playbook_run.environment(COLLECTIONS), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return dict(json.loads(done.stdout[done.stdout.index("{") :]))


def kernel(ground: Ground) -> str:
    return str(ground.node().exec("cat", KERNEL).out).strip()


def test_a_later_file_that_would_undo_it_is_named_and_neutralised_on_request(ground: Ground) -> None:
    node = ground.node()
    node.exec(
        "sh",
        "-c",
        f"echo net.ipv4.ip_forward=0 > {LATER}; rm -f /etc/sysctl.d/99-zz-ascend-fleet.conf; echo 0 > {KERNEL}",
    )
    try:
        assert forward(ground, "--check", neutralise=True)["changed"] is True
        assert kernel(ground) == "0"
        assert forward(ground, neutralise=True)["changed"] is True
        assert kernel(ground) == "1"
        node.exec("/lib/systemd/systemd-sysctl")
        assert kernel(ground) == "1"
        assert forward(ground, neutralise=True)["changed"] is False
    finally:
        node.exec("rm", "-f", LATER)
