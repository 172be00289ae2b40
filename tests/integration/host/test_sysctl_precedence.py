# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection reads a set of sysctl files as systemd-sysctl and sysctl --system do: asked for real."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _sysctl
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

ORACLE = Path(__file__).with_name("sysctl_oracle.py")
IPV4 = _sysctl.SETTINGS["ipv4"]

LINES = [
    "net.ipv4.ip_forward = 1",
    "net.ipv4.ip_forward=0",
    "net/ipv4/ip_forward = 1",
    "  net.ipv4.ip_forward =0  ",
    "-net.ipv4.ip_forward = 1",
    "net.ipv4.conf.all.forwarding = 0",
    "net.ipv4.conf.all.forwarding = 1",
    "net.ipv4.conf.default.forwarding = 0",
    "net.ipv4.conf.*.forwarding = 0",
    "# net.ipv4.ip_forward = 0",
    "; net.ipv4.ip_forward = 0",
    "",
    "no assignment",
    "-net.ipv4.conf.all.forwarding",
    "-net.ipv4.ip_forward",
    "net.ipv4.ip_forw*=1",
]
NAMES = ["10-a.conf", "50-b.conf", "99-sysctl.conf", "99-zz-ascend-fleet.conf", "99-zzz.conf", "ignored.txt"]
FOLDERS = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/lib/sysctl.d"]


def cases(count, seed):
    chance = random.Random(seed)
    for _case in range(count):
        files = {}
        for _file in range(chance.randint(1, 5)):
            path = f"{chance.choice(FOLDERS)}/{chance.choice(NAMES)}"
            files[path] = "\n".join(chance.choices(LINES, k=chance.randint(1, 4))) + "\n"
        if chance.random() < 0.4:
            files["/etc/sysctl.conf"] = chance.choice(LINES) + "\n"
        if chance.random() < 0.3:
            files["/etc/sysctl.d/99-sysctl.conf"] = "->../sysctl.conf"
        if chance.random() < 0.2:
            files["/etc/sysctl.d/50-b.conf"] = "->/dev/null"
        yield files


def ask(files):
    program = ["unshare", "--net", "--mount", sys.executable, str(ORACLE)]
    done = subprocess.run(program, input=json.dumps(files), capture_output=True, text=True, check=True, timeout=300)
    return json.loads(done.stdout)


def ours(tmp_path, number, files):
    root = tmp_path / str(number)
    for path, text in files.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            target.symlink_to(text[2:])
        else:
            target.write_text(text)
    system = System(root=str(root))
    observed = _sysctl.observe(system)
    boot = [_sysctl.Line(**line) for source in observed["files"] for line in source["lines"]]
    last = [_sysctl.Line(**line) for source in observed["sysctl_conf"] for line in source["lines"]]
    found = {}
    for reader, lines in (("systemd-sysctl", boot), ("sysctl --system", boot + last)):
        line = _sysctl.outcome(lines, IPV4, reader)
        found[reader] = None if line is None else _sysctl.truth(line.value)
    return found, system


@pytest.fixture(scope="module", autouse=True)
def _possible():
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    for program in ("/lib/systemd/systemd-sysctl", "/etc/sysctl.conf", shutil.which("sysctl") or "sysctl"):
        if not os.path.exists(program):
            pytest.skip(f"{program} is not on this machine")
    if subprocess.run(["unshare", "--net", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let namespaces be made")


def test_both_readers_are_predicted(tmp_path):
    files = list(cases(150, seed=1))
    for number, (case, answer) in enumerate(zip(files, ask(files), strict=True)):
        assert ours(tmp_path, number, case)[0] == answer, case


def test_after_our_change_forwarding_comes_back_at_boot_and_with_sysctl_system(tmp_path):
    want = {"manage": True, "ipv4": True, "ipv6": False, "neutralise": True}
    changed = []
    for number, case in enumerate(cases(60, seed=3)):
        _found, system = ours(tmp_path, number, case)
        root = Path(system.root)
        (root / "proc/sys/net/ipv4").mkdir(parents=True)
        (root / "proc/sys/net/ipv4/ip_forward").write_text("1\n")
        actions, findings = _sysctl.plan(want, _sysctl.observe(system))
        _sysctl.apply(system, actions)
        assert findings == []
        changed.append(
            {
                f"/{path.relative_to(root)}": f"->{path.readlink()}" if path.is_symlink() else path.read_text()
                for path in [
                    *root.glob("*/sysctl.d/*"),
                    *root.glob("usr/lib/sysctl.d/*"),
                    *root.glob("etc/sysctl.conf"),
                ]
            }
        )
    for case, answer in zip(changed, ask(changed), strict=True):
        assert answer == {"systemd-sysctl": True, "sysctl --system": True}, case
