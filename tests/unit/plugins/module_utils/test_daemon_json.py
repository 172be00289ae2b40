# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""daemon.json is merged key by key, and nothing that would stop the engine gets in."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _daemon_json
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

LOGS = {"log-driver": "json-file", "log-opts": {"max-size": "100m", "max-file": "5"}}


@pytest.mark.parametrize(
    ("current", "want", "merged"),
    [
        ({}, LOGS, LOGS),
        ({"mtu": 1400, "dns": ["10.0.0.1"]}, LOGS, {"mtu": 1400, "dns": ["10.0.0.1"], **LOGS}),
        (
            {"log-opts": {"tag": "x", "max-size": "1m"}},
            LOGS,
            dict(LOGS, **{"log-opts": {"tag": "x", "max-size": "100m", "max-file": "5"}}),
        ),
        # Options of another driver would stop the engine.
        ({"log-driver": "syslog", "log-opts": {"syslog-address": "udp://x"}}, LOGS, LOGS),
        ({"insecure-registries": ["a"]}, {"insecure-registries": ["b", "a"]}, {"insecure-registries": ["a", "b"]}),
        ({"labels": ["rack=1", "row=2"]}, {"labels": ["rack=9"]}, {"labels": ["row=2", "rack=9"]}),
        (
            {"exec-opts": ["native.cgroupdriver=cgroupfs"]},
            {"exec-opts": ["native.cgroupdriver=systemd"]},
            {"exec-opts": ["native.cgroupdriver=systemd"]},
        ),
        ({"debug": True}, {"debug": False}, {"debug": False}),
        ({"bip": "10.1.0.1/24"}, {}, {"bip": "10.1.0.1/24"}),
    ],
)
def test_merge(current, want, merged):
    before = dict(current)
    assert _daemon_json.merge(current, want) == merged
    assert _daemon_json.merge(merged, want) == merged
    assert current == before


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"debug": true,}', "line 1"),
        ('{\n  "debug": true\n  "mtu": 1\n}', "line 3"),
        ("[]", "no JSON object"),
        ("debug = true", "line 1"),
    ],
)
def test_what_is_not_json_is_refused_by_file_and_line(text, where):
    with pytest.raises(FleetError, match=where) as caught:
        _daemon_json.parse(text, "/etc/docker/daemon.json")
    assert "/etc/docker/daemon.json" in str(caught.value)
    assert caught.value.finding["check"] == "engine-config-invalid"


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_no_file_and_an_empty_one_are_the_same(text):
    assert _daemon_json.parse(text, "f") == {}


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("dockerd -H fd:// --containerd=/run/c.sock", {"hosts": ["fd://"], "containerd": ["/run/c.sock"]}),
        ("dockerd --live-restore", {"live-restore": ["true"]}),
        ("dockerd --live-restore=false -D", {"live-restore": ["false"], "debug": ["true"]}),
        ("dockerd --log-opt max-size=1m --log-opt max-file=2", {"log-opts": ["max-size=1m", "max-file=2"]}),
        ("dockerd --insecure-registry a --insecure-registry=b", {"insecure-registries": ["a", "b"]}),
        (
            "dockerd --selinux-enabled --storage-driver overlay2",
            {"selinux-enabled": ["true"], "storage-driver": ["overlay2"]},
        ),
        ("dockerd --config-file /srv/d.json", {"config-file": ["/srv/d.json"]}),
        ("dockerd", {}),
    ],
)
def test_flags(command, flags):
    assert _daemon_json.flags_of(command.split()) == flags


@pytest.mark.parametrize(
    ("want", "flags", "left"),
    [
        ({"live-restore": True}, {"live-restore": ["true"]}, {}),
        ({"log-driver": "json-file", "debug": True}, {"log-driver": ["json-file"]}, {"debug": True}),
        ({"insecure-registries": ["a"]}, {"insecure-registries": ["a", "b"]}, {}),
        ({"log-opts": {"max-size": "1m"}}, {"log-opts": ["max-size=1m"]}, {}),
        ({"runtimes": {"x": {}}}, {"runtimes": ["y=/y"]}, {"runtimes": {"x": {}}}),
    ],
)
def test_a_flag_that_says_the_same_leaves_nothing_to_write(want, flags, left):
    assert _daemon_json.without_flags(want, {}, flags, "f") == left


@pytest.mark.parametrize(
    ("want", "current", "flags", "key"),
    [
        ({"live-restore": False}, {}, {"live-restore": ["true"]}, "live-restore"),
        ({"hosts": ["tcp://0.0.0.0:1"]}, {}, {"hosts": ["fd://"]}, "hosts"),
        ({"log-opts": {"max-size": "5m"}}, {}, {"log-opts": ["max-size=1m"]}, "log-opts"),
        ({}, {"debug": True}, {"debug": ["true"]}, "debug"),
    ],
)
def test_a_key_that_is_also_a_flag_is_refused_by_name(want, current, flags, key):
    with pytest.raises(FleetError, match=key) as caught:
        _daemon_json.without_flags(want, current, flags, "/etc/docker/daemon.json")
    assert caught.value.finding["check"] == "engine-flag-conflict"
    assert caught.value.finding["key"] == key


def test_a_password_in_a_refused_flag_is_not_repeated():
    want, flags = {"http-proxy": "http://a:s3cret@p:1"}, {"http-proxy": ["http://a:f0rmer@p:1"]}
    with pytest.raises(FleetError) as caught:
        _daemon_json.without_flags(want, {}, flags, "f")
    told = str(caught.value.finding)
    assert "s3cret" not in told
    assert "f0rmer" not in told


def test_only_some_keys_wait_for_a_restart():
    keys = ["insecure-registries", "labels", "live-restore", "log-opts", "registry-mirrors", "mtu"]
    assert _daemon_json.restart_keys(keys) == ["log-opts", "mtu"]
