# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a container, by a clock and an engine that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _container_cards, _npu_facts
from ansible_collections.ascend.fleet.plugins.module_utils._container_ready import (
    RECOVERED,
    SETTLING,
    Clock,
    Waiter,
    address_of,
    image_owner,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

SPEC: dict[str, Any] = {"name": "chat", "network": "bridge", "user": ""}
STARTED = "2026-01-01T00:00:00.123456789Z"
SECOND = 1767225600.123456


class Engine:
    """Says of the container what the test wants it to be at that time."""

    def __init__(self, at: Callable[[float], dict[str, Any]]) -> None:
        self.time = 0.0
        self.at = at

    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.sleep, lambda: SECOND + self.time)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "a busy loop"
        self.time += seconds

    def inspect(self, _name: str) -> dict[str, Any] | None:
        state = self.at(self.time)
        count = state.pop("RestartCount", 0)
        base = {"Running": True, "StartedAt": STARTED}
        host = {"PortBindings": {}}
        return {"State": {**base, **state}, "RestartCount": count, "HostConfig": host, "Config": {}}

    def logs(self, _name: str, _lines: int) -> str:
        return "first\nlast words\n"

    def log_since(self, _name: str, seconds: float) -> str:
        return f"(IMPORT FAILED) since {seconds:.1f}"

    def execute(self, _name: str, _command: list[str], _timeout: float) -> tuple[int, str]:
        return (0, "") if self.time >= 20 else (1, "still loading")


def wait(at: Callable[[float], dict[str, Any]], probe: Any = None) -> tuple[Engine, Any, list[str]]:
    engine, told = Engine(at), []  # type: ignore[var-annotated]  # filled by the waiter
    waiter = Waiter(engine, SPEC, probe, None, told.append, engine.clock())  # type: ignore[arg-type]  # a stand-in reader
    return engine, waiter, told


COMMAND = {"type": "command", "command": ["check"], "timeout": 60, "interval": 1}


def test_without_probe_it_must_live_for_a_while() -> None:
    engine, waiter, _told = wait(lambda _time: {})
    assert waiter.wait().ok
    assert SETTLING <= engine.time < SETTLING + 1.5


def test_a_probe_is_asked_until_it_answers_and_progress_is_told() -> None:
    _engine, waiter, told = wait(lambda _time: {}, COMMAND)
    assert waiter.wait().seconds == pytest.approx(20, abs=1.5)
    assert any("still loading" in text for text in told)


def test_the_timeout_says_what_was_waited_for() -> None:
    engine, waiter, _told = wait(lambda _time: {}, {**COMMAND, "timeout": 5})
    with pytest.raises(FleetError, match=r"not ready within 5 s: check ended with status 1: still loading") as caught:
        waiter.wait()
    assert caught.value.finding["check"] == "container-not-ready"
    assert "last words" in caught.value.finding["message"]
    assert engine.time == pytest.approx(5, abs=0.1)


def test_what_will_not_mend_is_not_waited_for() -> None:
    probe = {"type": "http", "steps": [{"forbid": ["(IMPORT FAILED)"]}], "timeout": 600}
    engine, waiter, _told = wait(lambda _time: {"FinishedAt": "2026-01-01T00:00:00.5Z"}, probe)
    with pytest.raises(FleetError, match=r"cannot become ready: its log says: \(IMPORT FAILED\) since 1767225600.5"):
        waiter.wait()
    assert engine.time == 0


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Running": False, "ExitCode": 4}, "ended (exit code 4)"),
        ({"Running": False, "ExitCode": 137, "OOMKilled": True}, "killed for lack of memory"),
        ({"Running": False, "ExitCode": 137}, "most likely for lack of memory"),
        ({"Running": False, "ExitCode": 127, "Error": "no such file"}, "no such file"),
        ({"Restarting": True, "ExitCode": 1}, "ended and was started again"),
        ({"RestartCount": 1}, "ended and was started again"),
        ({"StartedAt": "2026-01-01T00:00:09Z"}, "ended and was started again"),
    ],
)
def test_a_process_that_ends_ends_the_waiting(state: dict[str, Any], words: str) -> None:
    engine, waiter, _told = wait(lambda time: dict(state) if time > 2 else {}, COMMAND)
    with pytest.raises(FleetError) as caught:
        waiter.wait()
    assert caught.value.finding["check"] == "container-exited"
    assert words in str(caught.value)
    assert "last words" in str(caught.value)
    assert engine.time < 5


def test_a_secret_that_the_process_printed_is_not_told() -> None:
    class Talkative(Engine):
        def logs(self, _name: str, _lines: int) -> str:
            return "args: api_key=hunter2\nbearer of the probe: swordfish\n"

    secrets = {"chat/api_key": "hunter2\n", "chat/probe": "swordfish"}

    def read(identity: str) -> str:
        if identity not in secrets:
            raise FleetError("path-missing", "It is not there.")
        return secrets[identity]

    spec = {**SPEC, "secret_files": [{"id": "chat/api_key"}, {"id": "chat/gone"}]}
    steps = [{"secret_header": {"name": "Authorization", "secret": "chat/probe"}}, {"secret_header": None}]
    engine = Talkative(lambda _time: {"Running": False, "ExitCode": 1})
    waiter = Waiter(
        engine,  # type: ignore[arg-type]  # a stand-in reader
        spec,
        {"type": "http", "steps": steps},
        read,
        lambda _text: None,
        engine.clock(),
    )
    with pytest.raises(FleetError, match="args: api_key=") as caught:
        waiter.wait()
    assert not any(secret.strip() in caught.value.told() for secret in secrets.values())


def test_one_that_was_started_again_must_hold_longer() -> None:
    engine, waiter, _told = wait(lambda _time: {"RestartCount": 3})
    assert waiter.wait().ok
    assert engine.time >= RECOVERED


PORTS = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "90/tcp": [{"HostIp": "10.0.0.1", "HostPort": "9090"}]}


@pytest.mark.parametrize(
    ("network", "bindings", "port", "address"),
    [
        ("bridge", PORTS, None, ("127.0.0.1", 8080)),
        ("bridge", PORTS, 90, ("10.0.0.1", 9090)),
        ("bridge", {}, 80, ("172.17.0.9", 80)),
        ("bridge", {}, None, None),
        ("bridge", {"53/udp": [{"HostIp": "", "HostPort": "53"}]}, None, None),
        ("host", {}, 8000, ("127.0.0.1", 8000)),
        ("host", {}, None, None),
    ],
)
def test_where_a_service_answers(network: str, bindings: Any, port: int | None, address: Any) -> None:
    container = {
        "HostConfig": {"PortBindings": bindings},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.9"}}},
    }
    assert address_of({**SPEC, "network": network}, container, port) == address


@pytest.mark.parametrize(
    ("user", "owner"),
    [("", 0), ("root", 0), ("1000", 1000), ("1000:100", 1000), ("ma-user", 1001), ("ma-user:g", 1001)],
)
def test_the_owner_is_the_user_of_the_image(user: str, owner: int) -> None:
    class Reader:
        def inspect(self, _name: str) -> dict[str, Any]:
            return {"Config": {"User": user}}

        def file(self, _name: str, _path: str) -> str:
            return "root:x:0:0::/:/bin/sh\nma-user:x:1001:100::/home/ma-user:/bin/sh\n"

    assert image_owner(Reader(), "chat", SPEC) == owner  # type: ignore[arg-type]  # a stand-in reader


def test_a_user_that_the_image_does_not_know() -> None:
    class Reader:
        def inspect(self, _name: str) -> dict[str, Any]:
            return {"Config": {"User": "stranger"}}

        def file(self, _name: str, _path: str) -> None:
            return None

    with pytest.raises(FleetError, match="knows no user stranger"):
        image_owner(Reader(), "chat", SPEC)  # type: ignore[arg-type]  # a stand-in reader


def test_cards_are_free_once_no_process_is_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    time = [0.0]
    chips = [{"npu_id": card, "chip_id": 0, "davinci_id": card} for card in range(4)]

    def read(_system: System, _where: Any) -> dict[str, Any]:
        busy = [{"npu_id": 1, "chip_id": 0}] if time[0] < limit else []
        return {"error": None, "npus": chips, "processes": [{"npu_id": 3, "chip_id": 0}, *busy]}

    def sleep(seconds: float) -> None:
        time[0] += seconds

    monkeypatch.setattr(_npu_facts, "read", read)
    limit = 5.0
    _container_cards.wait_released(System(), {}, [0, 1], lambda: time[0], sleep)
    assert time[0] >= 5
    limit = 1000.0
    with pytest.raises(FleetError, match="Cards 1 are still used"):
        _container_cards.wait_released(System(), {}, [0, 1], lambda: time[0], sleep)


@pytest.mark.parametrize(
    ("npus", "wish"),
    [(0, (0, None)), (None, (0, None)), ("2", (2, None)), (2, (2, None)), ([3, "1"], (2, [3, 1])), ([], (0, None))],
)
def test_what_cards_are_asked_for(npus: Any, wish: Any) -> None:
    assert _container_cards.parse_wish(npus) == wish


@pytest.mark.parametrize("npus", ["many", -1, [1, 1], ["x"], {"a": 1}, True, 1.5])
def test_what_is_no_wish_for_cards(npus: Any) -> None:
    with pytest.raises(FleetError, match="npus is"):
        _container_cards.parse_wish(npus)
