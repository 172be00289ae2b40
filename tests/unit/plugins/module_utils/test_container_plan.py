# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of one container, from what an engine says of it. The engine here is a dictionary."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    EngineDefaults,
    actual,
    cards_of,
    create_body,
    differences,
    expected,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import (
    OLD,
    OLD_IDLE,
    Neighbour,
    NodeFacts,
    held_cards,
    is_leftover,
    listeners,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_plan import plan_container
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import normalise
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

IMAGE = {
    "Id": "sha256:1",
    "Config": {
        "Env": ["PATH=/bin", "FROM_IMAGE=1"],
        "Labels": {"from.image": "yes"},
        "Cmd": ["serve"],
        "Entrypoint": ["/entry"],
        "WorkingDir": "/srv",
        "User": "ma-user",
        "Volumes": {"/cache": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
    },
}
NODE = 64 * 1024**3
EVERYTHING: dict[str, Any] = {
    "command": ["a", "b"],
    "env": {"A": "1", "B": "2"},
    "devices": ["/dev/davinci0", "/dev/davinci1:/dev/x:r"],
    "mounts": [{"source": "/a", "target": "/a"}, {"type": "tmpfs", "target": "/t"}],
    "ports": [{"host_port": 1, "container_port": 2}, {"host_port": 3, "container_port": 2}],
    "labels": {"l": "1", "m": "2"},
    "cap_add": ["SYS_NICE", "SYS_PTRACE"],
    "extra_hosts": ["a:1.2.3.4", "b:1.2.3.4"],
    "ulimits": {"nofile": "1:2", "core": 0},
    "memory": "1g",
    "cpus": 2,
    "hostname": "h",
}


def spec_of(**options: Any) -> dict[str, Any]:
    spec, problems = normalise({"name": "chat", "image": "vllm:1", **options})
    assert problems == []
    return spec


def engine(
    spec: dict[str, Any], running: bool = True, policy: str = "always", name: str = "chat", **defaults: Any
) -> dict[str, Any]:
    """What an engine says of a container made from the body that the collection sends."""
    body = create_body(spec, "run-1", policy)
    image = IMAGE["Config"]
    inherited = body.get("Entrypoint") is None
    return {
        "Id": "0123456789abcdef",
        "Name": f"/{name}",
        "Image": IMAGE["Id"],
        "State": {
            "Running": running,
            "Status": "running" if running else "exited",
            "StartedAt": "2026-01-01T00:00:00Z",
        },
        "Config": {
            **image,
            "Image": spec["image"],
            "Entrypoint": image["Entrypoint"] if inherited else body["Entrypoint"],
            "Cmd": body.get("Cmd") or (None if body.get("Entrypoint") else image["Cmd"]),
            "User": body["User"] or image["User"],
            "WorkingDir": body["WorkingDir"] or image["WorkingDir"],
            "Hostname": body["Hostname"] or "0123456789ab",
            "Env": body["Env"] + [e for e in image["Env"] if e.partition("=")[0] not in spec["env"]],
            "Labels": {**image["Labels"], **body["Labels"]},
            "StopTimeout": body["StopTimeout"],
        },
        "HostConfig": {**body["HostConfig"], "LogConfig": body["HostConfig"].get("LogConfig", {"Type": "json-file"})},
        "NetworkSettings": {"Networks": {spec["network"]: {}}},
    }


def facts(*containers: dict[str, Any], **more: Any) -> NodeFacts:
    values: dict[str, Any] = {
        "defaults": EngineDefaults(log_options={}),
        "memory_total": NODE,
        "cpus": 8,
        "inspected": {container["Name"][1:]: container for container in containers},
        "neighbours": [],
        "listeners": [],
        "paths": dict.fromkeys(("/dev/davinci0", "/dev/davinci1"), "device") | {"/a": "directory"},
        "changed": {},
        "networks": {},
        "images": {},
    }
    return NodeFacts(**{**values, **more})


def other(name: str, service: str | None = None, running: bool = True, **more: Any) -> Neighbour:
    values: dict[str, Any] = {"cards": [], "ports": [], "shm_size": 0, "memory": 0}
    return Neighbour(name, service, running, **{**values, **more})


def planned(*arguments: Any, **options: Any) -> tuple[list[str], list[str]]:
    actions, findings = plan_container(*arguments, **options)
    return [f"{a['action']} {a['target']}" for a in actions], [f["check"] for f in findings]


def test_what_was_made_from_a_spec_differs_in_nothing() -> None:
    for options in ({}, EVERYTHING, {"entrypoint": []}, {"entrypoint": ["/x"], "command": ["y"]}, {"ipc": "host"}):
        spec = spec_of(**options)
        assert planned(spec, engine(spec), IMAGE, facts(engine(spec))) == ([], [])


@given(st.randoms(use_true_random=False))
def test_the_order_in_which_an_engine_lists_things_never_matters(shuffler: random.Random) -> None:
    spec = spec_of(**EVERYTHING)
    container = copy.deepcopy(engine(spec))
    for part, names in (("HostConfig", ("Devices", "Mounts", "CapAdd", "ExtraHosts", "Ulimits")), ("Config", ("Env",))):
        for name in names:
            shuffler.shuffle(container[part][name])
    defaults = EngineDefaults(log_options={})
    assert differences(expected(spec, IMAGE, defaults), actual(container, IMAGE, defaults)) == {}


@given(
    st.sets(st.sampled_from(sorted(EVERYTHING)), max_size=6), st.sets(st.sampled_from(sorted(EVERYTHING)), max_size=6)
)
def test_exactly_the_options_that_changed_are_found(before: set[str], after: set[str]) -> None:
    made = engine(spec_of(**{name: EVERYTHING[name] for name in before}))
    want = spec_of(**{name: EVERYTHING[name] for name in after})
    actions, _findings = plan_container(want, made, IMAGE, facts(made))
    found = {key for act in actions for key in (act["before"] or {})}
    assert found == before ^ after


@pytest.mark.parametrize(
    ("defaults", "log", "engine_log", "differs"),
    [
        (EngineDefaults(log_options={"max-size": "100m"}), None, {"max-size": "100m"}, False),
        (EngineDefaults(log_options={"max-size": "100m"}), None, {"max-size": "5m"}, True),
        (EngineDefaults(log_options={"max-size": "100m"}), {"max_size": "5m"}, {"max-size": "5m"}, False),
        (EngineDefaults(log_options={"max-file": "5"}), {"max_size": "5m"}, {"max-size": "5m", "max-file": "5"}, False),
        (EngineDefaults(log_options=None), None, {"max-size": "7m"}, False),
        (EngineDefaults(log_driver="journald", log_options={}), None, {}, True),
    ],
)
def test_what_the_engine_adds_by_its_own_settings(
    defaults: EngineDefaults, log: Any, engine_log: dict[str, str], differs: bool
) -> None:
    spec = spec_of(log=log)
    container = engine(spec)
    container["HostConfig"]["LogConfig"] = {"Type": "json-file", "Config": engine_log}
    found = differences(expected(spec, IMAGE, defaults), actual(container, IMAGE, defaults))
    assert ("log" in found) is differs


def test_ulimits_of_the_engine_are_not_somebodys_change() -> None:
    defaults = EngineDefaults(log_options={}, ulimits={"nofile": {"soft": 9, "hard": 9}})
    spec = spec_of(ulimits={"core": 0})
    container = engine(spec)
    container["HostConfig"]["Ulimits"].append({"Name": "nofile", "Soft": 9, "Hard": 9})
    assert planned(spec, container, IMAGE, facts(container, defaults=defaults)) == ([], [])
    assert planned(spec, container, IMAGE, facts(container))[0] == ["replace chat"]


@pytest.mark.parametrize(
    ("state", "running", "policy", "actions"),
    [
        ("present", True, "always", []),
        ("present", False, "always", ["start chat"]),
        ("present", False, "no", ["update chat", "start chat"]),
        ("present", True, "no", ["update chat"]),
        ("stopped", True, "always", ["update chat", "stop chat"]),
        ("stopped", False, "no", []),
        ("stopped", False, "always", ["update chat"]),
        ("absent", True, "always", ["remove chat"]),
        ("absent", False, "no", ["remove chat"]),
    ],
)
def test_states(state: str, running: bool, policy: str, actions: list[str]) -> None:
    spec = spec_of()
    container = engine(spec, running, policy)
    assert planned(spec, container, IMAGE, facts(container), state=state) == (actions, [])


@pytest.mark.parametrize(("reference", "image", "actions"), [
    ("vllm:1", "sha256:2", ["replace chat"]),
    ("vllm:2", "sha256:1", []),
])  # fmt: skip
def test_an_image_is_its_content_and_not_its_name(reference: str, image: str, actions: list[str]) -> None:
    container = engine(spec_of(image="vllm:1"))
    found = planned(spec_of(image=reference), container, {**IMAGE, "Id": image}, facts(container))
    assert found == (actions, [])


def test_an_image_that_an_earlier_step_brings() -> None:
    spec = spec_of()
    actions, findings = plan_container(spec, None, None, facts(), image_coming=True)
    assert [a["action"] for a in actions] == ["create"]
    assert "staged before" in actions[0]["predicted_because"]
    assert findings == []
    assert actions[0]["before"] != actions[0]["after"]
    assert planned(spec, None, None, facts()) == ([], ["image-missing"])


@pytest.mark.parametrize(
    ("on_change", "actions", "severities"),
    [("recreate", [("replace", True)], []), ("fail", [], ["error"]), ("report", [], ["warning"])],
)
def test_a_new_image_that_an_earlier_step_brings_meets_on_change(
    on_change: str, actions: list[tuple[str, bool]], severities: list[str]
) -> None:
    container = engine(spec_of())
    renewed = spec_of(image="registry:5000/web:2")
    planned_actions, findings = plan_container(
        renewed, container, None, facts(container), on_change=on_change, image_coming=True
    )
    assert [(a["action"], a["interrupts"]) for a in planned_actions] == actions
    assert [f["severity"] for f in findings] == severities


def test_a_secret_written_anew_restarts_what_read_the_old_one() -> None:
    spec = spec_of(secret_files=[{"id": "chat/key", "target": "/key"}])
    container = engine(spec)
    source = "/var/lib/ascend-fleet/secrets/chat/key"
    paths = {source: "file"}
    assert planned(spec, container, IMAGE, facts(container, paths=paths, changed={source: 1.0}))[0] == []
    renewed = facts(container, paths=paths, changed={source: 4e9})
    assert planned(spec, container, IMAGE, renewed)[0] == ["restart chat"]
    assert planned(spec, engine(spec, running=False, policy="no"), IMAGE, renewed, state="stopped")[0] == []


@pytest.mark.parametrize("suffix", [OLD, OLD_IDLE])
@pytest.mark.parametrize(
    ("current", "wanted", "actions"),
    [
        (None, "1", ["recover chat"]),
        (None, "2", ["recover chat", "replace chat"]),
        (("2", False, "no"), "2", ["finish chat"]),
        (("2", True, "no"), "2", ["finish chat"]),
        (("2", True, "no"), "1", ["recover chat"]),
        (("2", True, "no"), "3", ["recover chat", "replace chat"]),
        (("2", True, "always"), "2", ["finish chat"]),
        (("2", True, "always"), "3", ["finish chat", "replace chat"]),
        (("2", False, "always"), "2", ["finish chat", "start chat"]),
    ],
)
def test_what_a_killed_run_left(current: Any, wanted: str, actions: list[str], suffix: str) -> None:
    old = engine(spec_of(env={"V": "1"}), running=False, policy="no", name=f"chat{suffix}")
    there = [old]
    found = None
    if current is not None:
        number, running, policy = current
        found = engine(spec_of(env={"V": number}), running, policy)
        there.append(found)
    if suffix == OLD_IDLE and actions == ["recover chat"]:
        actions = ["recover chat", "update chat", "start chat"]
    assert planned(spec_of(env={"V": wanted}), found, IMAGE, facts(*there))[0] == actions
    assert planned(spec_of(), found, None, facts(*there), state="absent")[0] == ["remove chat"]


@pytest.mark.parametrize(
    ("neighbour", "release", "actions", "checks"),
    [
        (other("x", cards=[0]), [], ["create chat"], ["card-held"]),
        (other("x", cards=[0]), ["x"], ["release x", "create chat"], []),
        (other("x", running=False, cards=[0]), [], ["create chat"], []),
        (other("x", service="x", running=False, cards=[0]), [], ["create chat"], ["card-held"]),
        (other("x", service="x", cards=[0]), ["x"], ["create chat"], ["card-held"]),
        (other("x", cards=[5]), [], ["create chat"], []),
    ],
)
def test_cards_of_others(neighbour: Neighbour, release: list[str], actions: list[str], checks: list[str]) -> None:
    spec = spec_of(npus=[0])
    assert planned(spec, None, IMAGE, facts(neighbours=[neighbour]), release=release) == (actions, checks)
    assert planned(spec, None, IMAGE, facts(neighbours=[neighbour]), leaving=["x"])[1] == []


PORT = {"host_ip": "127.0.0.1", "host_port": 8000, "container_port": 80, "protocol": "tcp"}


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"host_ip": "0.0.0.0"}, True),
        ({"host_ip": "::"}, True),
        ({"host_ip": "10.0.0.1"}, False),
        ({"host_port": 8001}, False),
        ({"protocol": "udp"}, False),
    ],
)
def test_ports(change: dict[str, Any], taken: bool) -> None:
    spec = spec_of(ports=[{"host_port": 8000, "container_port": 80}])
    checks = ["port-taken"] if taken else []
    port = {**PORT, **change}
    assert planned(spec, None, IMAGE, facts(neighbours=[other("x", ports=[port])]))[1] == checks
    assert planned(spec, None, IMAGE, facts(listeners=[port]))[1] == checks
    assert planned(spec, None, IMAGE, facts(neighbours=[other("x", running=False, ports=[port])]))[1] == []


def test_its_own_port_is_not_in_its_way() -> None:
    before = spec_of(ports=[{"host_port": 8000, "container_port": 80, "host_ip": "0.0.0.0"}])
    after = spec_of(ports=[{"host_port": 8000, "container_port": 80}])
    container = engine(before)
    own = other("chat", service="chat", ports=[{**PORT, "host_ip": "0.0.0.0"}])
    listening = [{**PORT, "host_ip": "0.0.0.0"}, {**PORT, "host_ip": "::"}]
    seen = facts(container, neighbours=[own], listeners=listening)
    assert planned(after, container, IMAGE, seen) == (["replace chat"], [])


@pytest.mark.parametrize(
    ("options", "neighbours", "found"),
    [
        ({"shm_size": "40g"}, [], []),
        ({"shm_size": "65g"}, [], [("memory-exceeded", "error")]),
        ({"shm_size": "40g"}, [other("x", shm_size=30 * 1024**3)], [("memory-exceeded", "error")]),
        ({"shm_size": "40g"}, [other("x", running=False, shm_size=30 * 1024**3)], []),
        ({"shm_size": "40g"}, [other("chat", service="chat", shm_size=30 * 1024**3)], []),
        ({"memory": "65g"}, [], [("memory-exceeded", "error")]),
        ({"cpus": 8}, [], []),
        ({"cpus": 8.5}, [], [("cpus-exceeded", "error")]),
        ({"memory": "40g"}, [other("x", memory=30 * 1024**3)], [("memory-exceeded", "warning")]),
    ],
)
def test_memory_is_summed_over_the_node(options: Any, neighbours: Any, found: list[tuple[str, str]]) -> None:
    _actions, findings = plan_container(spec_of(**options), None, IMAGE, facts(neighbours=neighbours))
    assert [(f["check"], f["severity"]) for f in findings] == found


@pytest.mark.parametrize(
    ("holder", "says", "remedy"),
    [
        (other("x", cards=[0]), "/dev/davinci0 is held by the foreign container x.", "fleet_release"),
        (
            other("x", service="x", cards=[0, 1]),
            "/dev/davinci0, /dev/davinci1 are held by the service x.",
            "fleet_prune",
        ),
        (other("x", service="web", cards=[0]), "the container of service web, renamed to x.", "docker rename x web"),
    ],
)
def test_what_frees_a_card_depends_on_who_holds_it(holder: Neighbour, says: str, remedy: str) -> None:
    _actions, (found,) = plan_container(spec_of(npus=[0, 1]), None, IMAGE, facts(neighbours=[holder]))
    assert says in found["message"]
    assert remedy in found["remedy"]


def test_who_holds_cards() -> None:
    everybody = [
        other("foreign", cards=[0]),
        other("idle", running=False, cards=[1]),
        other("ours", service="ours", running=False, cards=[2, 3]),
    ]
    assert held_cards(everybody) == {0: "foreign", 2: "ours", 3: "ours"}
    assert held_cards(everybody, ["ours"]) == {0: "foreign"}


@pytest.mark.parametrize(
    ("devices", "env", "runtime", "cards"),
    [
        (["/dev/davinci3", "/dev/davinci10", "/dev/davinci_manager", "/dev/null"], [], "runc", [3, 10]),
        (["/srv/dev/davinci1", "/dev/vdavinci100"], [], "runc", [1, 100]),
        ([], ["ASCEND_VISIBLE_DEVICES=0,2-4"], "ascend", [0, 2, 3, 4]),
        ([], ["ASCEND_VISIBLE_DEVICES=Ascend910-5,Ascend910-7"], "ascend", [5, 7]),
        ([], ["ASCEND_VISIBLE_DEVICES="], "runc", []),
        ([], [], "runc", []),
    ],
)
def test_cards_of_a_container(devices: list[str], env: list[str], runtime: str, cards: list[int]) -> None:
    host = {"Devices": [{"PathOnHost": path} for path in devices], "Runtime": runtime}
    assert cards_of({"HostConfig": host, "Config": {"Env": env}}) == cards


def test_listeners_of_the_kernels_tables(tmp_path: Any) -> None:
    net = tmp_path / "proc" / "net"
    net.mkdir(parents=True)
    head = "  sl  local_address rem_address   st\n"
    (net / "tcp").write_text(
        head
        + "   0: 0100007F:1F90 00000000:0000 0A\n"
        + "   1: 0100007F:1F91 00000000:0000 01\n"
        + "   2: 00000000:0016 00000000:0000 0A\n"
    )
    (net / "tcp6").write_text(
        head
        + "   0: 00000000000000000000000000000000:1F92 00000000000000000000000000000000:0000 0A\n"
        + "   1: 0000000000000000FFFF00000100007F:1F93 00000000000000000000000000000000:0000 0A\n"
    )
    (net / "udp").write_text(head + "   0: 0100007F:0035 00000000:0000 07\n")
    found = {(one["host_ip"], one["host_port"], one["protocol"]) for one in listeners(System(str(tmp_path)))}
    assert found == {
        ("127.0.0.1", 8080, "tcp"),
        ("0.0.0.0", 22, "tcp"),
        ("::", 8082, "tcp"),
        ("127.0.0.1", 8083, "tcp"),
        ("127.0.0.1", 53, "udp"),
    }


def test_names_of_leftovers() -> None:
    assert is_leftover("chat.fleet-old")
    assert is_leftover("chat.fleet-old-idle")
    assert not is_leftover("chat")
    assert not is_leftover("chat.v2")
