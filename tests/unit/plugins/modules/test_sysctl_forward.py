# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module returns, in check mode and otherwise."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _sysctl
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.modules import sysctl_forward

PARAMS = {"state": "present", "ipv4": True, "ipv6": False, "neutralise": False}


@pytest.fixture
def system(tmp_path):
    for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        proc = tmp_path / "proc/sys/net" / key
        proc.parent.mkdir(parents=True)
        proc.write_text("0\n")
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "etc/sysctl.conf").write_text("net.ipv4.ip_forward = 0\n")
    (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    return System(root=str(tmp_path))


def test_check_mode_predicts_what_the_run_then_does(system):
    predicted = sysctl_forward.converge(system, PARAMS, check_mode=True)
    assert system.read("/proc/sys/net/ipv4/ip_forward") == "0\n"
    assert not system.exists(_sysctl.OWN_FILE)
    done = sysctl_forward.converge(system, PARAMS, check_mode=False)
    for key in ("changed", "diff", "files", "overridden_by", "warnings"):
        assert predicted[key] == done[key]
    assert done["changed"]
    assert done["files"] == [_sysctl.OWN_FILE]


def test_a_second_run_changes_nothing_and_still_tells_everything(system):
    sysctl_forward.converge(system, PARAMS, check_mode=False)
    again = sysctl_forward.converge(system, PARAMS, check_mode=False)
    assert (again["changed"], again["diff"], again["files"]) == (False, [], [])
    assert again["runtime"] == {"net.ipv4.ip_forward": "1"}
    assert again["persistent"] == {"net.ipv4.ip_forward": {"value": "1", "file": _sysctl.OWN_FILE, "line": 2}}
    assert again["overridden_by"] == [
        {
            "file": "/etc/sysctl.conf",
            "line": 1,
            "text": "net.ipv4.ip_forward = 0",
            "key": "net.ipv4.ip_forward",
            "reader": "sysctl --system",
        }
    ]
    assert len(again["warnings"]) == 1


def test_neutralising_shows_the_line_in_the_diff(system):
    done = sysctl_forward.converge(system, dict(PARAMS, neutralise=True), check_mode=False)
    assert done["files"] == [_sysctl.OWN_FILE, "/etc/sysctl.conf"]
    assert done["warnings"] == []
    (entry,) = [entry for entry in done["diff"] if entry["before_header"] == "/etc/sysctl.conf"]
    assert entry["before"] == "net.ipv4.ip_forward = 0\n"
    assert entry["after"].startswith("#")
    again = sysctl_forward.converge(system, dict(PARAMS, neutralise=True), check_mode=False)
    assert (again["changed"], again["overridden_by"]) == (False, [])


def test_less_leaves_the_rest(system):
    sysctl_forward.converge(system, dict(PARAMS, ipv6=True), check_mode=False)
    assert not sysctl_forward.converge(system, PARAMS, check_mode=False)["changed"]
    assert sysctl_forward.converge(system, dict(PARAMS, ipv4=False), check_mode=False)["runtime"] == {}


def test_absent(system):
    sysctl_forward.converge(system, PARAMS, check_mode=False)
    gone = dict(PARAMS, state="absent")
    assert sysctl_forward.converge(system, gone, check_mode=True)["changed"]
    assert system.exists(_sysctl.OWN_FILE)
    assert sysctl_forward.converge(system, gone, check_mode=False)["files"] == [_sysctl.OWN_FILE]
    assert not sysctl_forward.converge(system, gone, check_mode=False)["changed"]


def test_a_file_that_cannot_be_written_is_a_failure_with_a_remedy(system):
    system.makedirs(_sysctl.OWN_FILE)
    with pytest.raises(FleetError, match=r"99-zz-ascend-fleet\.conf cannot be changed: Is a directory") as caught:
        sysctl_forward.converge(system, PARAMS, check_mode=False)
    assert "Run as root" in caught.value.told()


def test_documentation_and_arguments_agree():
    yaml = pytest.importorskip("yaml")
    options = yaml.safe_load(sysctl_forward.DOCUMENTATION)["options"]
    for name, spec in sysctl_forward.ARGUMENTS.items():
        documented = {key: options[name][key] for key in spec}
        assert documented == spec
    assert options.keys() == sysctl_forward.ARGUMENTS.keys()
