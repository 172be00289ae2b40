# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading systemd's own words, and what is written for it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _metadata_block, _units
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

SHOWN = """Id=docker.service
ActiveState=active
ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd $OPTIONS --mtu ${MTU} ; ignore_errors=no ; pid=7 }
Environment=MTU=1400
EnvironmentFiles=/etc/sysconfig/docker (ignore_errors=yes)
EnvironmentFiles=/etc/sysconfig/docker-storage (ignore_errors=no)

Id=ascend-fleet-metadata-block.service
ActiveState=inactive
"""


def test_units_are_told_apart():
    units = _units.parse_show(SHOWN)
    assert {name: unit["ActiveState"] for name, unit in units.items()} == {
        "docker.service": "active",
        "ascend-fleet-metadata-block.service": "inactive",
    }


def test_the_command_line_has_its_variables_put_in(tmp_path):
    (tmp_path / "etc/sysconfig").mkdir(parents=True)
    (tmp_path / "etc/sysconfig/docker").write_text(
        "# flags\nOPTIONS='--live-restore \\\n  --log-level=warn'\n;x\nbroken\nMTU=\n"
    )
    (tmp_path / "etc/sysconfig/docker-storage").write_text("MTU=1300\n")
    command = _units.command_line(System(root=str(tmp_path)), _units.parse_show(SHOWN)["docker.service"])
    assert command == ["/usr/bin/dockerd", "--live-restore", "--log-level=warn", "--mtu", "1300"]


def test_a_unit_that_starts_nothing_has_no_command_line():
    assert _units.command_line(System(), {"ExecStart": ""}) == []


PRESENT = {"state": "present", "addresses": ["169.254.169.254"], "except_ports": [53]}
OBSERVED = {
    "backend": "iptables",
    "program": "iptables",
    "parent": "DOCKER-USER",
    "cgroup": {"method": "path", "folder": "/sys/fs/cgroup/ascend.slice/ascend-fleet.slice"},
}


@pytest.mark.parametrize(
    "path",
    ["/mnt/plain", "/mnt/a b", "/mnt/50%", "/mnt/100%%", '/mnt/"quoted" \\ b', "/mnt/#a", "/mnt/ü", "/mnt/bob's"],
)
def test_the_mounts_of_the_order_are_read_back(path):
    mounts = sorted(["/mnt/other", path, "/mnt/z z"])
    for driver in (True, False):
        assert _units.awaited_mounts(_units.order_dropin(mounts, driver, block=True)) == mounts
    assert _units.awaited_mounts(_units.order_dropin([], driver=True, block=True)) == []


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
@pytest.mark.parametrize("method", ["path", "class", "none"])
def test_the_scripts_are_shell(tmp_path, backend, method):
    cgroup = {"method": method, "folder": "/sys/fs/cgroup/x y"}
    script = _metadata_block.script(PRESENT, dict(OBSERVED, backend=backend, cgroup=cgroup))
    checked = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("cards", "manager", "expected", "rc"),
    [(8, True, 8, 0), (2, True, None, 0), (7, True, 8, 1), (8, False, 8, 1), (0, True, None, 1)],
)
def test_the_wait_for_the_driver(tmp_path, monkeypatch, cards, manager, expected, rc):
    monkeypatch.setattr(_units, "DRIVER_TIMEOUT", 0)
    for number in range(cards):
        (tmp_path / f"davinci{number}").touch()
    (tmp_path / "davinci_").touch()
    if manager:
        (tmp_path / "davinci_manager").touch()
    done = subprocess.run(
        ["sh", "-c", _units.driver_script(str(tmp_path), expected)], capture_output=True, text=True, check=False
    )
    assert done.returncode == rc, done.stderr
    assert rc == 0 or str(tmp_path) in done.stderr


@pytest.mark.parametrize("name", ["block", "driver", "slice"])
def test_systemd_accepts_the_units(tmp_path, name):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on this machine")
    files = {
        _units.BLOCK: _units.block_unit().replace(_units.BLOCK_SCRIPT, "/bin/true"),
        _units.DRIVER: _units.driver_unit().replace(_units.DRIVER_SCRIPT, "/bin/true"),
        _units.SLICE: _units.slice_unit(),
    }
    for unit, text in files.items():
        (tmp_path / unit).write_text(text)
    target = str(tmp_path / {"block": _units.BLOCK, "driver": _units.DRIVER, "slice": _units.SLICE}[name])
    environment = dict(os.environ, SYSTEMD_UNIT_PATH=f"{tmp_path}:/lib/systemd/system")
    done = subprocess.run(
        [program, "verify", "--man=no", target], capture_output=True, text=True, check=False, env=environment
    )
    complaints = [line for line in done.stderr.splitlines() if "ascend-fleet" in line]
    assert complaints == []


@pytest.mark.parametrize(
    ("proxy", "lines"),
    [
        ({"http": "http://p:1"}, ['HTTP_PROXY="http://p:1"']),
        ({"https": 'http://u:a"b$c%40@p'}, ['HTTPS_PROXY="http://u:a\\"b\\$c%40@p"']),
        ({"http": None, "no_proxy": "a,b"}, ['NO_PROXY="a,b"']),
    ],
)
def test_proxy_environment(proxy, lines):
    assert _units.proxy_environment(proxy).splitlines()[1:] == lines
