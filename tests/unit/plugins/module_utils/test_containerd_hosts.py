# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hosts.toml as containerd reads it: a TOML parser looks at what is rendered."""

from __future__ import annotations

import tomllib

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._containerd_hosts import (
    dragonfly,
    hosts_toml,
    plan_dragonfly,
)
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import Origin
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

PROXY = "http://127.0.0.1:4001"
PULL = ["pull", "resolve"]


@pytest.mark.parametrize(
    ("registry", "server"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("quay.io", "https://quay.io"),
        ("r.lan:5000", "https://r.lan:5000"),
    ],
)
def test_dragonfly_is_told_which_registry_is_meant(registry, server):
    assert tomllib.loads(dragonfly(registry, PROXY)) == {
        "server": server,
        "host": {PROXY: {"capabilities": PULL, "header": {"X-Dragonfly-Registry": [server]}}},
    }


def test_a_registry_with_a_login_and_an_authority():
    origin = Origin(Access("r.lan:5000"), False, authorization='Bearer a"b\\c')
    found = tomllib.loads(hosts_toml(parse("r.lan:5000/x:1"), origin, ["/run/ca0.crt"]))
    assert found == {
        "server": "https://r.lan:5000",
        "host": {
            "https://r.lan:5000": {
                "capabilities": PULL,
                "ca": ["/run/ca0.crt"],
                "header": {"Authorization": ['Bearer a"b\\c']},
            }
        },
    }


def test_a_mirror_below_a_path_that_speaks_http():
    origin = Origin(Access("m.lan", prefix="quay.io", insecure=True), True, plain=True)
    [(host, told)] = tomllib.loads(hosts_toml(parse("quay.io/ascend/x:1"), origin, []))["host"].items()
    assert host == "http://m.lan/v2/quay.io"
    assert told == {"capabilities": PULL, "override_path": True, "skip_verify": True}


def test_files_are_written_once_and_those_of_others_are_left_alone(tmp_path):
    system = System(str(tmp_path))
    actions, findings = plan_dragonfly(system, "/c", PROXY, ["quay.io", "quay.io", "r.lan"])
    assert [act["target"] for act in actions] == ["/c/quay.io/hosts.toml", "/c/r.lan/hosts.toml"]
    assert findings == []
    for act in actions:
        system.write(act["target"], act["after"])
    assert plan_dragonfly(system, "/c", PROXY, ["quay.io", "r.lan"]) == ([], [])
    [moved] = plan_dragonfly(system, "/c", "http://127.0.0.1:9", ["quay.io"])[0]
    assert moved["before"] != moved["after"]
    system.write("/c/quay.io/hosts.toml", 'server = "https://mine"\n')
    actions, findings = plan_dragonfly(system, "/c", PROXY, ["quay.io"])
    assert actions == []
    assert [item["check"] for item in findings] == ["registry-mirror"]
