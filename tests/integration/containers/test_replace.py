# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replacement keeps the old container until the new one is proven, and touches nothing before all checks."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.containers.conftest import ROOT

ADHOC = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-o", "-m"]
SERVE = ["httpd", "-f", "-p", "80", "-h", "/srv"]


def serving(port: int, **more: Any) -> dict[str, Any]:
    return {
        "command": SERVE,
        "ports": [{"host_port": port, "container_port": 80}],
        "probe": {
            "type": "http",
            "timeout": 60,
            "interval": 0.2,
            "steps": [{"path": "/index.html", "expect": [{"contains": "it answers"}]}],
        },
        **more,
    }


def test_create_same_again_and_through_ansible_itself(subject: Any) -> None:
    made = subject.ok()
    assert (made["changed"], made.done) == (True, ["create"])
    assert subject.running
    assert subject.policy == "always"
    again = subject.ok()
    assert (again["changed"], again.done) == (False, [])

    arguments = json.dumps(subject.options)
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "ansible",
            "adhoc",
            "localhost",
            "-o",
            "-m",
            "ascend.fleet.ascend_container",
            "-a",
            arguments,
        ],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(subject.folder),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        },
        cwd=subject.folder,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert "SUCCESS" in ended.stdout, ended.stdout + ended.stderr


def test_the_new_container_answers_on_the_old_ones_port(subject: Any, free_port: int) -> None:
    subject.ok(**serving(free_port, env={"V": "1"}))
    outcome = subject.ok(**serving(free_port, env={"V": "2"}))
    assert outcome.done == ["replace"]
    assert outcome["actions"][0]["interrupts"]
    assert subject.all_names == [subject.name]
    assert subject.docker.env(subject.name)["V"] == "2"
    assert subject.policy == "always"
    assert outcome["replies"][0]["status"] == 200
    assert outcome["diff"]["before"] == {f"replace {subject.name}": {"env": {"FROM_IMAGE": "1", "V": "1"}}}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"command": ["sh", "-c", "echo broken; exit 7"]}, "container-exited"),
        ({"command": ["sleep", "1000000"]}, "container-not-ready"),
        ({"entrypoint": ["/no/such/program"], "init": False}, "engine-refused"),
        ({"cgroup_parent": "/no/such\n/group"}, "engine-refused"),
        ({"user": "nobody-here"}, "engine-refused"),
    ],
    ids=["exits", "never ready", "cannot start", "cannot be created", "no such user"],
)
def test_what_fails_after_the_old_one_was_stopped_brings_it_back(
    subject: Any, free_port: int, fault: dict[str, Any], check: str
) -> None:
    good = serving(free_port)
    subject.ok(**good)
    before = subject.id
    bad = {**good, **fault}
    bad["probe"] = {**good["probe"], "timeout": 3}

    outcome = subject.refused(**bad)

    assert outcome.checks == [check]
    assert "The container from before is back." in outcome["msg"]
    assert subject.all_names == [subject.name]
    assert subject.id == before
    assert subject.running
    assert subject.policy == "always"
    assert subject.ok(**good).done == []


def test_a_stopped_container_whose_replacement_fails_stays_stopped(subject: Any) -> None:
    subject.ok(state="stopped")
    before = subject.id
    subject.refused(command=["false"], probe=None)
    assert subject.id == before
    assert not subject.running
    assert subject.policy == "no"
    assert subject.all_names == [subject.name]


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize("state", ["present", "stopped", "absent"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_foreign_container_of_that_name_is_left_alone(
    subject: Any, foreign: Any, running: bool, state: str, check: bool
) -> None:
    foreign(name=subject.name)
    if not running:
        subject.docker("kill", subject.name)
    before = subject.seen
    outcome = subject.refused(state=state, check=check)
    assert outcome.checks == ["container-foreign"]
    assert subject.name in outcome["msg"]
    assert subject.seen == before


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
class TestNothingIsTouchedBefore:
    """All at once, each by name, and the old container as it was."""

    def refused(self, subject: Any, check: bool, **options: Any) -> Any:
        subject.ok()
        before = subject.seen
        outcome = subject.refused(check=check, **options)
        assert subject.seen == before
        assert subject.all_names == [subject.name]
        return outcome

    def test_a_missing_image(self, subject: Any, check: bool) -> None:
        outcome = self.refused(subject, check, image="no-such-image:1")
        assert outcome.checks == ["image-missing"]
        assert "no-such-image:1" in outcome["msg"]

    def test_a_missing_mount(self, subject: Any, check: bool) -> None:
        source = subject.folder / "not-there"
        outcome = self.refused(subject, check, mounts=[{"source": str(source), "target": "/data"}])
        assert outcome.checks == ["mount-missing"]
        assert str(source) in outcome["msg"]
        assert not source.exists(), "a missing source is never made by accident"

    @pytest.mark.parametrize("target", ["/home/ma-user", "/home/ma-user/work", "/home", "/"])
    def test_a_mount_over_the_images_own_files(self, subject: Any, check: bool, target: str) -> None:
        outcome = self.refused(subject, check, mounts=[{"source": str(subject.folder), "target": target}])
        assert outcome.checks == ["mount-forbidden"]

    def test_a_port_of_another_container(self, subject: Any, foreign: Any, check: bool, free_port: int) -> None:
        other = foreign("--publish", f"127.0.0.1:{free_port}:80")
        outcome = self.refused(subject, check, ports=[{"host_port": free_port, "container_port": 80}])
        assert outcome.checks == ["port-taken"]
        assert other in outcome["msg"]

    @pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
    def test_a_port_of_a_process(self, subject: Any, check: bool, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as listener:
            listener.bind((address, 0))
            listener.listen()
            port = listener.getsockname()[1]
            outcome = self.refused(subject, check, ports=[{"host_port": port, "container_port": 80}])
        assert outcome.checks == ["port-taken"]
        assert f"127.0.0.1:{port}" in outcome["msg"]

    def test_more_memory_than_the_node_has(self, subject: Any, check: bool) -> None:
        outcome = self.refused(subject, check, shm_size="900t")
        assert outcome.checks == ["memory-exceeded"]

    def test_a_missing_network(self, subject: Any, check: bool) -> None:
        outcome = self.refused(subject, check, network="no-such-network")
        assert outcome.checks == ["network-missing"]

    def test_everything_at_once(self, subject: Any, check: bool) -> None:
        outcome = self.refused(
            subject,
            check,
            image="no-such-image:1",
            devices=["/dev/no-such"],
            mounts=[{"source": "/no/such", "target": "/data"}],
            network="no-such-network",
        )
        assert sorted(outcome.checks) == ["device-missing", "image-missing", "mount-missing", "network-missing"]

    def test_every_wrong_value_at_once(self, subject: Any, check: bool) -> None:
        outcome = self.refused(subject, check, memory="much", user="x", env={"A": True}, devices=["dev/x"])
        keys = sorted(finding["key"] for finding in outcome["findings"])
        assert keys == ["devices", "env.A", "memory"]


@pytest.mark.parametrize(("on_change", "fails"), [("fail", True), ("report", False)])
@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_a_container_that_must_not_be_recreated(subject: Any, on_change: str, fails: bool, check: bool) -> None:
    subject.ok(env={"A": "1"})
    before = subject.seen
    outcome = subject.run(check=check, env={"A": "2"}, on_change=on_change)
    assert outcome["failed"] is fails
    assert not outcome["changed"]
    assert outcome.checks == ["container-changed"]
    told = str(outcome["msg"] if fails else outcome["warnings"])
    (found,) = outcome["findings"]
    assert f"{found['message']} {found['remedy']}" in told
    assert subject.seen == before


def test_states_and_check_mode_agree_with_the_real_run(subject: Any) -> None:
    """The whole life of a container; check mode first, and it changes nothing."""
    life: list[tuple[dict[str, Any], list[str], Any]] = [
        ({"state": "stopped"}, ["create"], (False, "no")),
        ({"state": "stopped"}, [], (False, "no")),
        ({}, ["update", "start"], (True, "always")),
        ({}, [], (True, "always")),
        ({"env": {"A": "1"}}, ["replace"], (True, "always")),
        ({"env": {"A": "1"}, "state": "stopped"}, ["update", "stop"], (False, "no")),
        ({"env": {"A": "2"}, "state": "stopped"}, ["replace"], (False, "no")),
        ({"env": {"A": "3"}}, ["replace"], (True, "always")),
        ({"env": {"A": "3"}, "restart": "no"}, ["update"], (True, "no")),
        ({"state": "absent"}, ["remove"], None),
        ({"state": "absent"}, [], None),
    ]
    for options, actions, after in life:
        before = subject.docker.inspect(subject.name)
        predicted = subject.ok(check=True, **options)
        assert subject.docker.inspect(subject.name) == before
        real = subject.ok(**options)
        assert (predicted.done, predicted["changed"], predicted["diff"]) == (real.done, real["changed"], real["diff"])
        assert real.done == actions, options
        assert ((subject.running, subject.policy) if subject.all_names else None) == after


@pytest.mark.parametrize(
    ("by_hand", "action"),
    [(["stop"], ["start"]), (["kill"], ["start"]), (["pause"], ["start"]), (["update", "--restart=no"], ["update"])],
)
def test_what_somebody_stops_by_hand_is_brought_back(subject: Any, by_hand: list[str], action: list[str]) -> None:
    subject.ok()
    same = subject.id
    subject.docker(*by_hand, subject.name)
    assert subject.ok(check=True).done == action
    assert subject.ok().done == action
    assert (subject.id, subject.running, subject.policy) == (same, True, "always")
    assert not subject.seen["State"]["Paused"]


def test_a_restart_loop_is_no_running_container(subject: Any) -> None:
    flag = subject.folder / "work"
    flag.touch()
    options = {
        "command": ["sh", "-c", "while test -e /state/work; do sleep 0.1; done; echo no more work; exit 5"],
        "mounts": [{"source": str(subject.folder), "target": "/state"}],
    }
    subject.ok(**options)
    flag.unlink()
    subject.until(lambda: subject.seen["RestartCount"] >= 2)

    outcome = subject.refused(**options)

    assert outcome.checks == ["container-exited"]
    assert "no more work" in outcome["msg"]
    flag.touch()
    subject.ok(**options)
    assert subject.running


def test_directories_are_made_for_the_user_of_the_image(subject: Any) -> None:
    data, given = subject.folder / "a" / "data", subject.folder / "given"
    subject.ok(
        user="ma-user",
        command=["sh", "-c", "touch /data/mine && sleep 1000000"],
        mounts=[
            {"source": str(data), "target": "/data", "create": {"mode": "0750"}},
            {"source": str(given), "target": "/given", "create": {"owner": 4242, "mode": "0700"}},
        ],
    )
    assert (data.stat().st_uid, data.stat().st_mode & 0o7777) == (1000, 0o750)
    assert (given.stat().st_uid, given.stat().st_mode & 0o7777) == (4242, 0o700)
    assert (data / "mine").stat().st_uid == 1000


def test_directories_made_for_a_container_that_failed_go_again(subject: Any) -> None:
    data = subject.folder / "data"
    subject.refused(command=["false"], mounts=[{"source": str(data), "target": "/data", "create": {}}])
    assert not data.exists()


def test_a_command_probe_and_a_tcp_probe_wait_for_the_service(subject: Any, free_port: int) -> None:
    late = ["sh", "-c", "sleep 2; exec httpd -f -p 80 -h /srv"]
    ports = [{"host_port": free_port, "container_port": 80}]
    probe = {"type": "http", "interval": 0.2, "timeout": 60, "steps": [{"path": "/answer.json", "expect": [
        {"path": "choices.0.message.content", "type": "string", "non_empty": True},
        {"path": "count", "equals": 0},
    ]}]}  # fmt: skip
    outcome = subject.ok(command=late, ports=ports, probe=probe)
    assert outcome["ready_seconds"] >= 1.5
    assert outcome["replies"][0]["json"]["choices"][0]["message"]["content"] == "hello"
    assert subject.ok(command=late, ports=ports, probe={"type": "tcp"}).done == []


def test_a_service_without_published_port_is_asked_at_its_own_address(subject: Any) -> None:
    subject.ok(command=SERVE, probe={"type": "http", "port": 80, "timeout": 30, "steps": [{"path": "/index.html"}]})


def test_credentials_are_hidden_in_diff_and_result(subject: Any) -> None:
    subject.ok(env={"API_TOKEN": "hush-hush-1", "PLAIN": "a"})
    outcome = subject.ok(env={"API_TOKEN": "hush-hush-2", "PLAIN": "b"})
    assert outcome.done == ["replace"]
    shown = json.dumps({key: value for key, value in outcome.items() if key != "invocation"})
    assert "hush-hush" not in shown
    assert "PLAIN" in shown


def test_an_option_of_every_kind_arrives_in_the_engine(subject: Any, cards: Path, free_port: int) -> None:
    options: dict[str, Any] = {
        "command": ["sleep", "3000000"],
        "user": "1000:100",
        "working_dir": "/tmp",
        "hostname": "given",
        "env": {"A": "1"},
        "devices": [f"{cards}/davinci0:/dev/davinci0:rw"],
        "mounts": [
            {"type": "tmpfs", "target": "/scratch"},
            {"source": str(subject.folder), "target": "/d", "read_only": True},
        ],
        "ports": [{"host_port": free_port, "container_port": 80, "host_ip": "0.0.0.0"}],
        "shm_size": "128m",
        "memory": "512m",
        "cpus": 1.5,
        "labels": {"mine": "yes"},
        "init": False,
        "ulimits": {"core": 0, "nofile": "1024:2048"},
        "cap_add": ["SYS_NICE"],
        "cap_drop": ["CAP_MKNOD"],
        "security_opt": ["no-new-privileges"],
        "ipc": "host",
        "pids_limit": 100,
        "extra_hosts": ["other:192.0.2.7"],
        "log": {"max_size": "10m", "max_file": "3"},
    }
    subject.ok(**options)
    seen, host = subject.seen["Config"], subject.seen["HostConfig"]
    assert (seen["User"], seen["WorkingDir"], seen["Hostname"]) == ("1000:100", "/tmp", "given")
    assert seen["StopTimeout"] == 1
    assert host["Devices"] == [
        {"PathOnHost": f"{cards}/davinci0", "PathInContainer": "/dev/davinci0", "CgroupPermissions": "rw"}
    ]
    assert {(m["Type"], m["Destination"], m["RW"]) for m in subject.seen["Mounts"]} == {
        ("tmpfs", "/scratch", True),
        ("bind", "/d", False),
    }
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(free_port)}]}
    assert (host["ShmSize"], host["Memory"], host["NanoCpus"]) == (128 * 1024**2, 512 * 1024**2, 1500000000)
    assert (host["Init"], host["IpcMode"], host["PidsLimit"]) == (False, "host", 100)
    assert {(u["Name"], u["Soft"], u["Hard"]) for u in host["Ulimits"]} == {("core", 0, 0), ("nofile", 1024, 2048)}
    assert [name.replace("CAP_", "") for name in host["CapAdd"]] == ["SYS_NICE"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert seen["Labels"]["mine"] == "yes"
    assert subject.ok(**options).done == []
    changes = {
        "command": ["sleep", "4000000"], "user": "", "working_dir": "/run", "hostname": "", "env": {}, "devices": [],
        "mounts": [], "ports": [], "shm_size": "64m", "labels": {}, "init": True, "ulimits": {"core": 0},
        "cap_add": [], "cap_drop": [], "security_opt": [], "ipc": "private", "pids_limit": 0, "extra_hosts": [],
        "log": {"max_size": "20m"}, "stop_timeout": 2,
    }  # fmt: skip
    for option, value in changes.items():
        assert subject.ok(check=True, **{**options, option: value}).done == ["replace"], option
