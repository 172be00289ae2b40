# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node against its host settings: what is planned, carried out, and found in order the second time."""

from __future__ import annotations

import hashlib
import json
import os
import stat

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _host, _units
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import Result
from tests.unit.plugins.module_utils.host_node import Engine, Node, container, names, want

DAEMON = "/etc/docker/daemon.json"


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


@pytest.fixture
def converged(node):
    node.converge(want())
    node.calls.clear()
    return node


def test_a_second_run_plans_nothing(converged):
    assert converged.plan(want()) == ([], [])


def test_observing_costs_two_processes(converged):
    converged.plan(want())
    assert [call[0] for call in converged.calls] == ["systemctl", "iptables"]


def test_the_order_of_a_first_run(node):
    actions, findings = node.plan(want())
    assert findings == []
    assert names(actions) == [
        "create_directory",
        "sysctl",
        "write",
        *["write"] * 6,
        "daemon_reload",
        "block_metadata",
        "merge_config",
        "restart_engine",
    ]


HAND = [
    ("daemon.json", lambda n: n.put(DAEMON, '{"log-driver": "json-file"}'), "merge_config"),
    ("forwarding off", lambda n: n.put("/proc/sys/net/ipv4/ip_forward", "0\n"), "sysctl"),
    ("sysctl file", lambda n: os.unlink(n.root / "etc/sysctl.d/99-zz-ascend-fleet.conf"), "write"),
    (
        "rule",
        lambda n: n.rules.remove("-A DOCKER-USER -d 169.254.169.254/32 -j ASCEND-FLEET-METADATA"),
        "block_metadata",
    ),
    ("boot order", lambda n: n.put(_units.ORDER_DROPIN, "[Unit]\n"), "write"),
    ("script", lambda n: n.put(_units.BLOCK_SCRIPT, "#!/bin/sh\n"), "write"),
    ("unit stopped", lambda n: n.block.update(ActiveState="inactive"), "block_metadata"),
    ("engine disabled", lambda n: n.docker.update(UnitFileState="disabled"), "enable_service"),
    ("engine stopped", lambda n: n.docker.update(ActiveState="inactive"), "enable_service"),
    ("unit not reloaded", lambda n: n.docker.update(NeedDaemonReload="yes"), "daemon_reload"),
    ("directory", lambda n: os.rmdir(n.root / "var/lib/ascend-fleet/work"), "create_directory"),
    ("driver wait", lambda n: os.unlink(n.root / _units.DRIVER_UNIT.lstrip("/")), "write"),
]


@pytest.mark.parametrize(("what", "change", "action"), HAND, ids=[entry[0] for entry in HAND])
def test_what_is_changed_by_hand_is_seen_and_mended(converged, what, change, action):
    change(converged)
    assert action in names(converged.plan(want())[0])
    converged.converge(want())
    assert converged.plan(want()) == ([], [])


# --- the engine


def test_daemon_json_keeps_the_keys_of_others(node):
    node.put(DAEMON, '{"mtu": 1400, "insecure-registries": ["10.0.0.9:5000"]}')
    node.converge(want(engine__daemon={"insecure-registries": ["10.0.0.2:5000"]}))
    assert json.loads(node.read(DAEMON)) == {"mtu": 1400, "insecure-registries": ["10.0.0.9:5000", "10.0.0.2:5000"]}


@pytest.mark.parametrize(
    ("daemon", "running", "expected"),
    [
        ({"insecure-registries": ["a"]}, True, ["reload_engine"]),
        ({"insecure-registries": ["a"]}, False, ["reload_engine"]),
        ({"log-opts": {"max-size": "1m"}}, False, ["restart_engine"]),
        ({"log-opts": {"max-size": "1m"}}, True, ["restart_engine"]),
        # What can be had at once does not wait for the batch that restarts.
        ({"log-opts": {"max-size": "1m"}, "debug": True}, True, ["reload_engine", "restart_engine"]),
        ({"log-opts": {"max-size": "1m"}, "debug": True}, False, ["restart_engine"]),
    ],
)
def test_restart_only_where_a_reload_does_not_serve(node, daemon, running, expected):
    node.engine.list = [container("chat")] if running else []
    actions, _findings = node.plan(want(engine__daemon=daemon))
    found = [step for step in actions if step["action"] in ("reload_engine", "restart_engine")]
    assert names(found) == expected
    assert [step["interrupts"] for step in found if step["action"] == "restart_engine"] == (
        [running] if "restart_engine" in expected else []
    )


@pytest.mark.parametrize(
    ("containers", "info", "interrupts"),
    [
        ([], {}, False),
        ([container("chat")], {}, True),
        ([container("chat", state="exited")], {}, False),
        ([container("other", fleet=False)], {}, True),
        ([container("chat")], {"LiveRestoreEnabled": True}, False),
    ],
)
def test_a_restart_interrupts_what_runs(tmp_path, containers, info, interrupts):
    node = Node(tmp_path, Engine(info, containers))
    (step,) = [step for step in node.plan(want())[0] if step["action"] == "restart_engine"]
    assert step["interrupts"] is interrupts
    assert all(entry["Names"][0].lstrip("/") in step["reason"] for entry in containers if interrupts)


def test_a_restart_that_was_put_off_is_not_forgotten(node):
    node.engine.list = [container("chat")]
    node.converge(want(), interrupting=False)
    assert not node.asked("systemctl", "restart")
    actions, _findings = node.plan(want())
    assert names(actions) == ["restart_engine"]
    node.converge(want())
    assert node.asked("systemctl", "restart", _units.DOCKER)
    assert node.plan(want()) == ([], [])


def test_a_restart_by_somebody_else_counts(node):
    node.engine.list = [container("chat")]
    node.converge(want(), interrupting=False)
    node.docker["InvocationID"] = "another"
    assert node.plan(want()) == ([], [])


def test_an_engine_that_is_down_gets_its_configuration_before_it_starts(node):
    node.docker["ActiveState"], node.engine.up = "inactive", False
    actions, _findings = node.plan(want())
    assert names(actions)[-2:] == ["merge_config", "enable_service"]
    node.converge(want())
    node.engine.up = True
    assert node.plan(want()) == ([], [])


def test_an_engine_that_does_not_start_gets_its_former_configuration_back(node):
    node.put(DAEMON, '{"mtu": 1400}')
    node.answers["systemctl restart"] = Result(1, "", "Job for docker.service failed")
    node.answers["journalctl"] = Result(0, "level=info x\nfailed to start daemon: http://u:secret@p\n", "")
    with pytest.raises(FleetError, match="failed to start daemon") as caught:
        node.converge(want())
    assert json.loads(node.read(DAEMON)) == {"mtu": 1400}
    assert node.asked("systemctl", "start", _units.DOCKER)
    assert "secret" not in str(caught.value)
    assert caught.value.finding["check"] == "engine-start-failed"


def test_a_configuration_closed_to_others_comes_back_closed(node):
    node.put(DAEMON, '{"mtu": 1400}')
    os.chmod(node.system.path(DAEMON), 0o600)
    node.answers["systemctl restart"] = Result(1, "", "Job for docker.service failed")
    with pytest.raises(FleetError):
        node.converge(want())
    assert json.loads(node.read(DAEMON)) == {"mtu": 1400}
    assert stat.S_IMODE(os.stat(node.system.path(DAEMON)).st_mode) == 0o600


def test_what_dockerd_refuses_is_not_written(node):
    node.put(DAEMON, '{"mtu": 1400}')
    node.answers["/sbin/dockerd"] = Result(1, "", "unable to configure: unknown key: lgo-driver")
    with pytest.raises(FleetError, match="lgo-driver"):
        node.converge(want())
    assert node.read(DAEMON) == '{"mtu": 1400}'
    assert os.listdir(node.root / "etc/docker") == ["daemon.json"]


@pytest.mark.parametrize(
    ("put", "check"),
    [
        ((DAEMON, '{"mtu": 1400,}'), "engine-config-invalid"),
        (("/etc/default/docker", 'DOCKER_OPTS="--log-driver=journald"\n'), "engine-flag-conflict"),
    ],
)
def test_a_configuration_that_cannot_be_merged_is_refused_by_name(node, put, check):
    node.put(*put)
    actions, findings = node.plan(want())
    assert [found["check"] for found in findings] == [check]
    assert "merge_config" not in names(actions)


def test_a_flag_that_says_the_same_is_no_conflict(node):
    node.put("/etc/default/docker", 'DOCKER_OPTS="--live-restore"\n')
    actions, findings = node.plan(want(engine__daemon={"live-restore": True}))
    assert findings == []
    assert "merge_config" not in names(actions)


def test_another_configuration_file_is_the_one_that_is_merged(node):
    node.put("/etc/default/docker", "DOCKER_OPTS=--config-file=/srv/docker.json\n")
    node.converge(want())
    assert "log-driver" in node.read("/srv/docker.json")
    assert node.read(DAEMON) is None


OPENEULER = 'ID="openEuler"\nPRETTY_NAME="openEuler 24.03"\n'
HCE = 'ID="hce"\nID_LIKE="fedora"\nPRETTY_NAME="HCE 2.0"\n'


@pytest.mark.parametrize(
    ("release", "machine", "manager", "packages"),
    [
        (OPENEULER, "aarch64", "dnf", ["docker-engine.aarch64"]),
        (HCE, "x86_64", "dnf", ["docker-engine.x86_64"]),
        ("ID=ubuntu\nID_LIKE=debian\n", "aarch64", "apt", ["docker.io", "iptables"]),
        ("ID=debian\n", "x86_64", "apt", ["docker.io", "iptables"]),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "x86_64", "apt", ["docker.io", "iptables"]),
    ],
)
def test_packages_by_system_and_architecture(node, monkeypatch, release, machine, manager, packages):
    monkeypatch.setattr("platform.machine", lambda: machine)
    node.put("/etc/os-release", release)
    node.docker, node.engine.up = {"LoadState": "not-found"}, False
    actions, findings = node.plan(want())
    assert findings == []
    assert actions[0]["action"] == "install_packages"
    assert (actions[0]["after"]["manager"], actions[0]["after"]["packages"]) == (manager, packages)
    later = {step["action"]: step["predicted_because"] for step in actions[1:]}
    assert later["merge_config"]
    assert later["block_metadata"]
    # Debian's package starts the engine, so the new configuration needs a restart; dnf's does not.
    assert ("restart_engine" in later, "enable_service" in later) == (manager == "apt", manager == "dnf")


def test_companions_carry_the_architecture(node, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    node.put("/etc/os-release", HCE)
    node.docker, node.engine.up = {"LoadState": "not-found"}, False
    assert node.plan(want())[0][0]["after"]["companions"] == ["docker-engine-selinux.noarch", "docker-runc.aarch64"]


def test_offline_packages_serve_on_any_system(node):
    node.put("/etc/os-release", "ID=unheard\n")
    node.put("/usr/bin/dnf", "")
    node.put("/srv/rpms/docker-engine-1.rpm", "")
    node.put("/srv/rpms/README", "")
    node.docker, node.engine.up = {"LoadState": "not-found"}, False
    after = node.plan(want(engine__package_dir="/srv/rpms"))[0][0]["after"]
    assert (after["packages"], after["offline"]) == (["/srv/rpms/docker-engine-1.rpm"], True)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({}, "engine-unknown-os"),
        ({"engine__package_dir": "/srv/none"}, "engine-missing"),
        ({"engine__manage": False}, None),
    ],
)
def test_an_engine_that_cannot_be_installed_is_said(node, changes, check):
    node.put("/etc/os-release", 'ID=unheard\nPRETTY_NAME="Unheard 1"\n')
    node.put("/usr/bin/dnf", "")
    node.docker, node.engine.up = {"LoadState": "not-found"}, False
    actions, findings = node.plan(want(**changes))
    assert [found["check"] for found in findings] == ([check] if check else [])
    assert "install_packages" not in names(actions)


def test_an_engine_that_is_not_ours_is_left_alone(node):
    node.put(DAEMON, "broken")
    node.put("/proc/mounts", "nas:/x /mnt/x nfs rw 0 0\n")
    node.docker.update(ActiveState="inactive", UnitFileState="disabled")
    actions, findings = node.plan(want(engine__manage=False, wait_mounts=["/mnt/x"], metadata_block__state="unmanaged"))
    assert not {"merge_config", "enable_service", "restart_engine", "block_metadata"} & set(names(actions))
    assert _units.ORDER_DROPIN not in [step["target"] for step in actions]
    assert [found["check"] for found in findings] == ["mount-not-persistent"]


def test_without_systemd_the_node_is_refused_by_name(node):
    node.answers["systemctl show"] = Result(1, "", "System has not been booted with systemd")
    assert [found["check"] for found in node.plan(want())[1]] == ["systemd-missing"]
    unmanaged = want(engine__manage=False, metadata_block__state="unmanaged")
    assert node.plan(unmanaged)[1] == []


# --- proxy and CA bundle

PROXY = {"http": "http://user:pa%24s@proxy:3128", "https": None, "no_proxy": ["10.0.0.0/8", "localhost"]}


def test_the_proxy_stands_in_a_file_of_root_alone(node):
    actions, _findings = node.converge(want(engine__proxy=PROXY))
    assert "pa%24s" not in json.dumps(actions)
    assert 'HTTP_PROXY="http://user:pa%24s@proxy:3128"' in node.read(_units.PROXY_ENVIRONMENT)
    assert 'NO_PROXY="10.0.0.0/8,localhost"' in node.read(_units.PROXY_ENVIRONMENT)
    assert node.system.stat(_units.PROXY_ENVIRONMENT).st_mode & 0o777 == 0o600
    assert "pa%24s" not in node.read(_units.PROXY_DROPIN)
    assert node.asked("systemctl", "restart", _units.DOCKER)
    assert node.plan(want(engine__proxy=PROXY)) == ([], [])


def test_a_changed_password_is_seen_and_a_dropped_proxy_removed(node):
    node.converge(want(engine__proxy=PROXY))
    assert "write_proxy" in names(node.plan(want(engine__proxy=dict(PROXY, http="http://user:new@proxy:3128")))[0])
    assert "remove_proxy" in names(node.converge(want())[0])
    assert node.read(_units.PROXY_DROPIN) is None
    assert node.read(_units.PROXY_ENVIRONMENT) is None
    assert not node.system.exists("/etc/ascend-fleet")
    assert node.plan(want()) == ([], [])


CA = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
CA_PATH = "/var/lib/ascend-fleet/ca-bundle.pem"


def ca_want():
    wanted = want(ca_bundle={"path": CA_PATH, "sha256": hashlib.sha256(CA.encode()).hexdigest()})
    return dict(wanted, files={CA_PATH: CA})


@pytest.mark.parametrize(
    ("folder", "anchor", "program"),
    [
        ("/etc/pki/ca-trust/source/anchors", "ascend-fleet.pem", "update-ca-trust"),
        ("/usr/local/share/ca-certificates", "ascend-fleet.crt", "update-ca-certificates"),
    ],
)
def test_the_system_and_the_engine_trust_the_bundle(node, folder, anchor, program):
    (node.root / folder.lstrip("/")).mkdir(parents=True)
    node.converge(want())
    actions, _findings = node.converge(ca_want())
    assert names(actions) == ["write_ca", "restart_engine"]
    assert node.read(f"{folder}/{anchor}") == CA
    assert node.asked(program)
    assert node.plan(ca_want()) == ([], [])
    os.unlink(node.root / f"{folder}/{anchor}".lstrip("/"))
    assert "write_ca" in names(node.plan(ca_want())[0])


def test_a_bundle_without_content_is_refused(node):
    with pytest.raises(FleetError) as caught:
        node.converge(dict(ca_want(), files={}))
    assert caught.value.finding["check"] == "ca-bundle-missing"


# --- directories, mounts, boot order


def test_directories(node):
    wanted = want(directories=[{"path": "/srv/models", "owner": os.getuid(), "group": None, "mode": "0750"}])
    node.converge(wanted)
    assert (node.root / "srv/models").stat().st_mode & 0o777 == 0o750
    (node.root / "srv/models").chmod(0o777)
    (step,) = node.plan(wanted)[0]
    assert (step["action"], step["before"], step["after"]) == ("set_directory", {"mode": "0777"}, {"mode": "0750"})
    node.converge(wanted)
    assert node.plan(wanted) == ([], [])


def test_a_file_in_the_way_of_a_directory_is_named(node):
    node.put("/srv/models", "")
    wanted = want(directories=[{"path": "/srv/models", "owner": None, "group": None, "mode": None}])
    (found,) = node.plan(wanted)[1]
    assert (found["check"], found["value"]) == ("directory-blocked", "/srv/models")


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({"/etc/fstab": "nas:/x /mnt/sfs_turbo nfs defaults 0 0\n"}, True),
        ({"/etc/fstab": "#nas:/x /mnt/sfs_turbo nfs defaults 0 0\n"}, False),
        ({"/etc/fstab": "nas:/y /mnt/other nfs defaults 0 0\n"}, False),
        ({"/etc/systemd/system/mnt-sfs_turbo.mount": "[Mount]\n"}, True),
        ({}, False),
    ],
)
def test_a_mount_that_a_reboot_would_lose_is_named(node, files, known):
    node.put("/proc/mounts", "/dev/sda / ext4 rw 0 0\nnas:/x /mnt/sfs_turbo nfs rw 0 0\n")
    for path, text in files.items():
        node.put(path, text)
    findings = node.plan(want(wait_mounts=["/mnt/sfs_turbo/models/chat"]))[1]
    assert [found["value"] for found in findings] == ([] if known else ["/mnt/sfs_turbo/models/chat"])


def test_a_folder_of_the_root_file_system_is_there_at_every_boot(node):
    node.put("/proc/mounts", "/dev/sda / ext4 rw 0 0\nnas:/x /mnt/sfs_turbo nfs rw 0 0\n")
    assert node.plan(want(wait_mounts=["/srv/models/chat"]))[1] == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"wait_mounts": ["/mnt/b", "/mnt/a c"]},
            ['RequiresMountsFor="/mnt/a c" /mnt/b', "Requires=ascend-fleet-metadata-block"],
        ),
        ({"wait_npus": False}, ["Requires=ascend-fleet-metadata-block.service"]),
        ({"metadata_block__state": "unmanaged"}, ["Wants=ascend-fleet-npu-wait.service"]),
    ],
)
def test_what_the_engine_waits_for(node, changes, expected):
    node.converge(want(**changes))
    text = node.read(_units.ORDER_DROPIN)
    assert all(line in text for line in expected)
    assert ("npu-wait" in text) is (changes != {"wait_npus": False})
    assert ("metadata-block" in text) is ("metadata_block__state" not in changes)


CHAT = {"wait_npus": True, "wait_mounts": ["/mnt/models/50%", "/mnt/of chat"]}
WEB = {"wait_npus": False, "wait_mounts": ["/mnt/data"]}


def order(node):
    """What the engine waits for: the files of the cards, and the mounts."""
    files = [node.read(path) is not None for path in (_units.DRIVER_UNIT, _units.DRIVER_SCRIPT)]
    dropin = node.read(_units.ORDER_DROPIN) or ""
    return [*files, _units.DRIVER in dropin], _units.awaited_mounts(dropin)


@pytest.mark.parametrize(
    ("before", "document", "partial", "cards", "mounts"),
    [
        (CHAT, WEB, True, True, ["/mnt/data", *CHAT["wait_mounts"]]),
        (WEB, CHAT, True, True, ["/mnt/data", *CHAT["wait_mounts"]]),
        (CHAT, {"wait_npus": False}, True, True, CHAT["wait_mounts"]),
        ({"wait_npus": False}, WEB, True, False, ["/mnt/data"]),
        (CHAT, WEB, False, False, ["/mnt/data"]),
        (CHAT, {"wait_npus": False}, False, False, []),
    ],
    ids=["cards stay", "cards come", "nothing of its own", "nothing there", "the whole says so", "the whole is empty"],
)
def test_a_part_of_a_document_only_adds_to_what_the_engine_waits_for(node, before, document, partial, cards, mounts):
    node.converge(want(**before))
    node.converge(want(**document), partial=partial)
    assert order(node) == ([cards] * 3, mounts)


def test_parts_of_a_document_in_turn_come_to_rest(node):
    parts = [want(**part) for part in (CHAT, WEB)]
    for part in parts:
        node.converge(part, partial=True)
    assert [node.plan(part, partial=True) for part in parts] == [([], [])] * 2


@pytest.mark.parametrize("lost", [_units.DRIVER_UNIT, _units.DRIVER_SCRIPT, _units.ORDER_DROPIN])
def test_what_a_killed_run_left_of_the_order_is_completed(node, lost):
    node.converge(want())
    (node.root / lost.lstrip("/")).unlink()
    node.converge(want(wait_npus=False), partial=True)
    assert order(node) == ([True] * 3, [])


def test_an_engine_that_is_no_longer_ours_waits_for_nothing(node):
    node.converge(want(**CHAT))
    node.converge(want(**CHAT, engine__manage=False), partial=True)
    assert order(node) == ([False] * 3, [])


def test_the_block_goes_before_its_unit_is_stopped(node):
    node.converge(want())
    node.calls.clear()
    actions, _findings = node.converge(want(metadata_block__state="absent"))
    assert "Requires" not in (node.read(_units.ORDER_DROPIN) or "")
    assert names(actions) == ["write", "daemon_reload", "unblock_metadata"]
    assert node.read(_units.BLOCK_UNIT) is None
    assert node.plan(want(metadata_block__state="absent")) == ([], [])


def test_the_running_block_is_reloaded_and_never_restarted(converged):
    converged.rules = [rule for rule in converged.rules if "DOCKER-USER -d" not in rule]
    converged.converge(want())
    assert converged.asked("systemctl", "reload", _units.BLOCK)
    assert not converged.asked("systemctl", "restart")


def test_removing_everything_leaves_nothing_of_ours(node):
    wanted = want(engine__proxy=PROXY)
    node.converge(wanted)
    node.converge(_host.removed(wanted))
    assert node.plan(_host.removed(wanted)) == ([], [])
    left = [str(path) for path in node.root.rglob("*ascend-fleet*") if path.is_file() and "var/lib" not in str(path)]
    assert left == []
    assert "log-driver" in node.read(DAEMON)


@pytest.mark.parametrize("docker", [{"ActiveState": "inactive"}, {"LoadState": "not-found", "ActiveState": "inactive"}])
def test_removing_neither_installs_nor_starts_nor_makes_anything(node, docker):
    node.docker.update(docker)
    node.engine.up = False
    actions, findings = node.plan(_host.removed(want()))
    assert not {"install_packages", "enable_service", "create_directory"} & set(names(actions))
    assert findings == []


# --- containers on the host's network


@pytest.mark.parametrize(
    ("cgroups", "method"),
    [
        ({"/sys/fs/cgroup/cgroup.controllers": ""}, "path"),
        ({"/proc/self/mounts": "cgroup /sys/fs/cgroup/net_cls,net_prio cgroup rw,net_cls,net_prio 0 0\n"}, "class"),
        ({"/sys/fs/cgroup/unified/cgroup.controllers": ""}, "path"),
        ({}, None),
    ],
)
def test_the_parent_of_containers_on_the_hosts_network(node, cgroups, method):
    for path, text in cgroups.items():
        node.put(path, text)
    observed = _host.observe(node.system, want(), node.engine)
    assert _host.cgroup_parent(observed) == ("ascend-fleet.slice" if method else None)
    findings = _host.host_network_findings(observed, ["train"])
    assert [found["service"] for found in findings] == ([] if method else ["train"])
    assert _host.host_network_findings(observed, []) == []


def test_a_cgroupfs_engine_wants_a_path(tmp_path):
    node = Node(tmp_path, Engine({"CgroupDriver": "cgroupfs"}))
    node.put("/sys/fs/cgroup/cgroup.controllers", "")
    observed = _host.observe(node.system, want(), node.engine)
    assert _host.cgroup_parent(observed) == "/ascend.slice/ascend-fleet.slice"


@pytest.mark.parametrize(
    ("cgroup", "outside"),
    [("0::/ascend.slice/ascend-fleet.slice/docker-1.scope\n", False), ("0::/system.slice/docker-1.scope\n", True)],
)
def test_a_container_outside_of_the_slice_is_named(node, cgroup, outside):
    node.put("/sys/fs/cgroup/cgroup.controllers", "")
    node.put("/proc/77/cgroup", cgroup)
    node.engine.list, node.engine.pids = [container("train", network="host")], {"train": 77}
    findings = _host.host_network_findings(_host.observe(node.system, want(), node.engine), ["train"])
    assert [found["check"] for found in findings] == (["metadata-host-network"] if outside else [])


def test_an_engine_with_the_nftables_backend_gets_a_table(tmp_path):
    node = Node(tmp_path, Engine({"FirewallBackend": {"Driver": "nftables+firewalld"}}))
    node.answers["nft"] = Result(1, "", "No such file or directory")
    (script,) = [step["after"] for step in node.plan(want())[0] if step["target"] == _units.BLOCK_SCRIPT]
    assert "hook forward" in script
    assert "DOCKER-USER" not in script


def test_an_engine_without_iptables_rules_is_blocked_in_forward(node):
    node.put(DAEMON, '{"iptables": false}')
    (script,) = [step["after"] for step in node.plan(want())[0] if step["target"] == _units.BLOCK_SCRIPT]
    assert "-I FORWARD 1 -d 169.254.169.254/32" in script
    assert "DOCKER-USER" not in script


def test_every_action_can_be_shown_as_a_difference(node):
    """Ansible shows texts and dicts; a list would break the callback."""
    node.engine.list = [container("chat")]
    node.put("/etc/sysctl.conf", "net.ipv4.ip_forward=0\n")
    wanted = want(engine__proxy=PROXY, forwarding__neutralise=True)
    actions, _findings = node.plan(wanted)
    node.converge(want())
    actions += node.plan(_host.removed(wanted))[0]
    assert {"neutralise", "restart_engine", "block_metadata", "unblock_metadata"} <= set(names(actions))
    for step in actions:
        assert all(side is None or isinstance(side, (str, dict)) for side in (step["before"], step["after"])), step


@pytest.mark.parametrize("change", [{"LoadState": "masked"}, {"UnitFileState": "masked-runtime"}])
def test_an_engine_that_is_masked_is_told_before_anything_is_started(converged, change):
    converged.docker.update(ActiveState="inactive", **change)
    actions, [found] = converged.plan(want())
    assert "enable_service" not in names(actions)
    assert (found["check"], found["key"]) == ("engine-start-failed", "docker.service")
    assert "systemctl unmask docker.service" in found["remedy"]
    # Who takes everything down does not need it.
    assert converged.plan(_host.removed(want()))[1] == []


def test_a_directory_in_the_place_of_the_configuration_is_told(converged):
    os.unlink(converged.root / DAEMON.lstrip("/"))
    (converged.root / DAEMON.lstrip("/")).mkdir()
    actions, [found] = converged.plan(want())
    assert (actions, found["check"], found["message"]) == ([], "engine-config-invalid", f"{DAEMON} is a directory.")


FLUSHED = [
    ("flushed", {}, ("services", "create", "web"), True),
    ("nothing starts", {}, ("services", "remove", "web"), False),
    ("on the host's network", {}, ("services", "create", "other"), False),
    ("the engine is restarted before", {}, ("host", "restart_engine", "docker.service"), False),
    ("the engine makes no rules", {"iptables": False}, ("services", "replace", "web"), False),
]


@pytest.mark.parametrize(("what", "daemon", "step", "told"), FLUSHED, ids=[entry[0] for entry in FLUSHED])
def test_flushed_rules_of_the_engine_are_told_before_a_container_is_stopped(converged, what, daemon, step, told):
    def findings():
        observed = _host.observe(converged.system, want(), converged.engine)
        steps = [{"scope": "services", "action": "recover", "target": "web"}] if step[0] == "host" else []
        steps.append(dict(zip(("scope", "action", "target"), step)))
        return [item["check"] for item in _host.firewall_findings(observed, steps, {"web"})]

    if daemon:
        converged.put(DAEMON, json.dumps(daemon))
    assert findings() == []
    converged.rules = [rule for rule in converged.rules if "DOCKER" not in rule]
    assert findings() == (["engine-refused"] if told else [])
