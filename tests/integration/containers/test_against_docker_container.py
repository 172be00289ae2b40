# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each line of what was measured with community.docker's docker_container, and what is right instead."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest


def test_a_dropped_device_variable_and_label_leave_the_container(subject: Any, cards: Path) -> None:
    first, second = f"{cards}/davinci0:/dev/davinci0", f"{cards}/davinci1:/dev/davinci1"
    subject.ok(devices=[first, second], env={"A": "1", "B": "2"}, labels={"one": "1", "two": "2"})

    outcome = subject.ok(devices=[first], env={"A": "1"}, labels={"one": "1"})

    assert outcome.done == ["replace"]
    assert subject.docker.devices(subject.name) == {f"{cards}/davinci0"}
    assert subject.docker.env(subject.name) == {"A": "1", "FROM_IMAGE": "1"}
    labels = subject.seen["Config"]["Labels"]
    assert labels["from.image"] == "yes"
    assert labels["one"] == "1"
    assert "two" not in labels


def test_mounts_that_are_not_declared_any_more_leave_the_container(subject: Any) -> None:
    subject.ok(mounts=[{"source": str(subject.folder), "target": "/data"}])
    assert subject.ok(mounts=[]).done == ["replace"]
    assert subject.seen["Mounts"] == []


def test_ports_that_are_not_declared_any_more_leave_the_container(subject: Any, free_port: int) -> None:
    subject.ok(ports=[{"host_port": free_port, "container_port": 80}])
    assert subject.ok().done == ["replace"]
    assert not subject.seen["HostConfig"]["PortBindings"]


@pytest.mark.parametrize(
    ("added", "removed"),
    [
        (["--env", "SNEAKED=1"], "env"),
        (["--privileged"], "privileged"),
        (["--device-cgroup-rule", "c 236:* rwm"], "device_cgroup_rules"),
        (["--volume", "/tmp:/sneaked"], "mounts"),
        (["--volume", "/anonymous"], "mounts"),
        (["--tmpfs", "/sneaked"], "mounts"),
        (["--cap-add", "SYS_ADMIN"], "cap_add"),
        (["--pid", "host"], "pid"),
        (["--dns", "192.0.2.1"], "dns"),
        (["--read-only"], "read_only"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_somebody_adds_by_hand_is_noticed(subject: Any, added: list[str], removed: str) -> None:
    subject.ok()
    labels = [f"--label={name}={value}" for name, value in subject.seen["Config"]["Labels"].items()]
    subject.docker("rm", "--force", subject.name)
    made = [*subject.docker.command, "create", "--init", "--name", subject.name, "--restart=always", "--stop-timeout=1"]
    by_hand = subprocess.run(
        [*made, *labels, *added, subject.options["image"]], text=True, capture_output=True, check=False
    )
    assert by_hand.returncode == 0, by_hand.stderr

    outcome = subject.run(check=True)

    assert outcome.done == ["replace"]
    assert removed in outcome["actions"][0]["before"]


def test_a_container_made_by_hand_just_as_declared_needs_no_change(subject: Any) -> None:
    subject.ok()
    labels = [f"--label={name}={value}" for name, value in subject.seen["Config"]["Labels"].items()]
    subject.docker("rm", "--force", subject.name)
    options = ["--init", "--restart=always", "--stop-timeout=1", "--name", subject.name]
    subject.docker("run", "--detach", *options, *labels, subject.options["image"])
    assert subject.ok().done == []


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize(
    ("option", "before", "after"),
    [("memory", "64m", "256m"), ("restart", "always", "no"), ("cpus", 0.5, 1.0)],
)
def test_limits_change_in_place_and_check_mode_says_so(
    subject: Any, check: bool, option: str, before: Any, after: Any
) -> None:
    limits = {"shm_size": "16m", option: before}
    subject.ok(**limits)
    same, started = subject.id, subject.seen["State"]["StartedAt"]

    outcome = subject.ok(check=check, **{**limits, option: after})

    assert outcome["changed"]
    assert outcome.done == ["update"]
    assert (subject.id, subject.seen["State"]["StartedAt"]) == (same, started)
    if not check:
        host = subject.seen["HostConfig"]
        seen = {"memory": host["Memory"], "restart": subject.policy, "cpus": host["NanoCpus"]}
        assert seen[option] == {"memory": 256 * 1024**2, "restart": "no", "cpus": 10**9}[option]
        assert subject.ok(**{**limits, option: after}).done == []


@pytest.mark.parametrize(("option", "value"), [("memory", "64m"), ("cpus", 0.5)])
def test_a_limit_that_is_not_declared_any_more_is_lifted(subject: Any, option: str, value: Any) -> None:
    subject.ok(shm_size="16m", **{option: value})
    subject.ok(shm_size="16m")
    assert subject.seen["HostConfig"][{"memory": "Memory", "cpus": "NanoCpus"}[option]] == 0


def test_a_changed_command_keeps_every_other_option(subject: Any, cards: Path) -> None:
    rest = {"devices": [f"{cards}/davinci0"], "env": {"A": "1"}, "memory": "128m", "shm_size": "16m"}
    subject.ok(**rest)
    subject.ok(command=["sleep", "2000000"], **rest)
    assert subject.seen["Config"]["Cmd"] == ["sleep", "2000000"]
    assert subject.docker.devices(subject.name) == {f"{cards}/davinci0"}
    assert subject.docker.env(subject.name)["A"] == "1"
    assert subject.seen["HostConfig"]["Memory"] == 128 * 1024**2


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_bad_device_leaves_the_old_container_untouched(subject: Any, check: bool, kind: str) -> None:
    subject.ok()
    before = subject.seen
    bad = subject.folder / "davinci0"
    if kind == "file":
        bad.touch()

    outcome = subject.refused(check=check, devices=[str(bad)])

    assert outcome.checks == ["device-missing"]
    assert str(bad) in outcome["msg"]
    assert not outcome["changed"]
    assert subject.seen["State"]["StartedAt"] == before["State"]["StartedAt"]
    assert subject.id == before["Id"]
    assert subject.all_names == [subject.name]


def test_a_command_that_ends_at_once_fails_in_seconds_with_its_log(subject: Any) -> None:
    started = time.monotonic()
    outcome = subject.refused(command=["sh", "-c", "echo no such model >&2; exit 4"], probe={"type": "none"})
    assert time.monotonic() - started < 10
    assert outcome.checks == ["container-exited"]
    assert "exit code 4" in outcome["msg"]
    assert "no such model" in outcome["msg"]
    assert subject.all_names == [], "a container that never worked is not left behind"


def test_a_process_that_ends_is_not_waited_for_until_the_timeout(subject: Any, free_port: int) -> None:
    started = time.monotonic()
    outcome = subject.refused(
        command=["sh", "-c", "sleep 2; exit 3"],
        ports=[{"host_port": free_port, "container_port": 80}],
        probe={"type": "http", "timeout": 120, "steps": [{"path": "/"}]},
    )
    assert time.monotonic() - started < 20
    assert "exit code 3" in outcome["msg"]


def test_a_process_killed_for_lack_of_memory_is_told_so(subject: Any) -> None:
    eat = "x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; while true; do x=$x$x; done"
    outcome = subject.refused(command=["sh", "-c", eat], memory="16m", shm_size="4m", probe=None)
    assert "lack of memory" in outcome["msg"], "or the engine's own word for it"


SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"cap_add": ["SYS_NICE"]}, {"cap_add": ["cap_sys_nice"]}),
    ({"cpus": 1}, {"cpus": 1.0}),
    ({"memory": "1g"}, {"memory": "1073741824"}),
    ({"shm_size": "64m"}, {}),
    ({"memory": "1024m"}, {"memory": "1GiB"}),
    ({"command": []}, {}),
    ({"env": {}, "labels": {}, "devices": [], "mounts": [], "ports": []}, {}),
    ({"user": "", "working_dir": "", "hostname": ""}, {}),
    ({"working_dir": "/srv"}, {"working_dir": "/srv/"}),
    ({"network": "bridge"}, {"network": "default"}),
    ({"env": {"N": 1}}, {"env": {"N": "1"}}),
    ({"ulimits": {"nofile": 1024}}, {"ulimits": {"nofile": "1024:1024"}}),
    ({"extra_hosts": ["a:192.0.2.1"]}, {"extra_hosts": ["a=192.0.2.1"]}),
    ({"security_opt": ["no-new-privileges"]}, {"security_opt": ["no-new-privileges:true"]}),
    ({"ipc": "private"}, {}),
    ({"pids_limit": 0}, {}),
    ({"memory": "0"}, {}),
    ({"entrypoint": []}, {"entrypoint": []}),
    ({"entrypoint": ["sleep"], "command": ["777", "777"]}, {"entrypoint": ["sleep"], "command": ["777", "777"]}),
]


@pytest.mark.parametrize(("one", "other"), SPELLINGS, ids=[str(one) for one, _other in SPELLINGS])
def test_two_spellings_of_the_same_are_the_same(subject: Any, one: dict[str, Any], other: dict[str, Any]) -> None:
    subject.ok(**one)
    assert subject.ok(**other).done == []


def test_paths_and_forms_of_a_mount_are_the_same(subject: Any) -> None:
    folder = subject.folder
    (folder / "x").mkdir()
    subject.ok(mounts=[{"source": f"{folder}/x/", "target": "/data/"}])
    assert subject.ok(mounts=[{"source": f"{folder}//x", "target": "//data"}]).done == []
    labels = [f"--label={name}={value}" for name, value in subject.seen["Config"]["Labels"].items()]
    subject.docker("rm", "--force", subject.name)
    options = ["--init", "--restart=always", "--stop-timeout=1", "--volume", f"{folder}/x:/data"]
    subject.docker("run", "--detach", "--name", subject.name, *options, *labels, subject.options["image"])
    assert subject.ok(mounts=[{"source": f"{folder}/x", "target": "/data"}]).done == []


def test_an_attached_network_is_noticed(subject: Any) -> None:
    subject.ok()
    network = f"{subject.name}-net"
    subject.docker("network", "create", network)
    try:
        subject.docker("network", "connect", network, subject.name)
        outcome = subject.ok()
        assert outcome["actions"][0]["before"]["network"] == f"bridge, {network}"
        assert list(subject.seen["NetworkSettings"]["Networks"]) == ["bridge"]
    finally:
        subject.docker("network", "rm", network)


def test_order_in_lists_never_matters(subject: Any, cards: Path) -> None:
    (subject.folder / "b").mkdir()
    lists: dict[str, list[Any]] = {
        "devices": [f"{cards}/davinci0", f"{cards}/davinci1"],
        "mounts": [{"source": str(subject.folder), "target": "/a"}, {"source": f"{subject.folder}/b", "target": "/b"}],
        "cap_add": ["SYS_NICE", "SYS_PTRACE"],
        "extra_hosts": ["a:192.0.2.1", "b:192.0.2.2"],
    }
    maps = {"env": {"A": "1", "B": "2"}, "labels": {"a": "1", "b": "2"}}
    subject.ok(**lists, **maps)
    turned = {name: value[::-1] for name, value in lists.items()}
    turned_maps = {name: dict(reversed(value.items())) for name, value in maps.items()}
    assert subject.ok(**turned, **turned_maps).done == []


def test_order_of_a_command_matters(subject: Any) -> None:
    subject.ok(command=["sh", "-c", "sleep 1000000"])
    assert subject.ok(command=["sh", "-c", "sleep 2000000"]).done == ["replace"]
