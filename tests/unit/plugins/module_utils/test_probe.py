# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes against a real server on this machine."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._probe import look_up, run_probe

REPLIES: dict[str, tuple[int, str]] = {
    "/health": (200, ""),
    "/models": (200, json.dumps({"data": [{"id": "m", "n": 3, "ok": True, "none": None, "text": "  "}], "zero": 0})),
    "/broken": (500, json.dumps({"error": "engine is dead"})),
    "/text": (200, "it answers"),
    "/moved": (302, ""),
    "/empty-json": (200, "{}"),
    "/job": (200, json.dumps({"id": "a b", "number": 7, "parts": []})),
    "/job/a%20b": (200, json.dumps({"a b": {"status": "success", "file": "x.png"}})),
    "/job/bad": (200, json.dumps({"bad": {"status": "error", "why": ["no numpy", 3]}, "prompt": "long " * 100})),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(None)

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())

    def answer(self, body: str | None) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers), body))  # type: ignore[attr-defined]  # of this test\'s server
        if self.path == "/slow":
            time.sleep(1)
        status, text = REPLIES.get(self.path, (200, body or ""))
        if self.path == "/counts":
            seen = self.server.seen  # type: ignore[attr-defined]  # of this test's server
            text = json.dumps({"asked": sum(path == "/counts" for _method, path, *_rest in seen)})
        if self.path == "/echo-headers":
            text = json.dumps(dict(self.headers))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/health")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []  # type: ignore[attr-defined]  # of this test\'s server
    # A client that gave up is part of a test.
    server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]  # of this test\'s server
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server: Any, *steps: dict[str, Any], **more: Any) -> Any:
    return run_probe({"type": "http", "steps": list(steps)}, server.server_address[:2], **more)


@pytest.mark.parametrize(
    "step",
    [
        {"path": "/health"},
        {"path": "/broken", "status": [500, 503]},
        {"path": "/text", "expect": [{"contains": "answers"}]},
        {"path": "/models", "expect": [{"path": "data.0.id", "type": "string", "non_empty": True}]},
        {"path": "/models", "expect": [{"path": "data.-1.n", "equals": 3}, {"path": "zero", "equals": 0}]},
        {"path": "/models", "expect": [{"path": "data", "type": "array"}, {"path": "data.0.ok", "type": "boolean"}]},
        {"path": "/models", "expect": [{"path": "data.0.none", "type": "null"}, {"path": "zero", "type": "integer"}]},
        {"path": "/models", "expect": [{"path": "zero", "type": "number", "equals": None, "contains": None}]},
        {"path": "/moved", "status": [302]},
        {"path": "/post", "method": "POST", "body": {"a": 1}, "expect": [{"path": "a", "equals": 1}]},
    ],
    ids=str,
)
def test_right_replies(server: Any, step: dict[str, Any]) -> None:
    result = ask(server, step)
    assert result.ok, result.message


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"path": "/broken"}, "answered 500, not 200"),
        ({"path": "/broken"}, "engine is dead"),
        ({"path": "/moved"}, "answered 302"),
        ({"path": "/text", "expect": [{"contains": "chat"}]}, "'chat' is not in the reply"),
        ({"path": "/text", "expect": [{"path": "a", "type": "string"}]}, "the reply has no a"),
        ({"path": "/empty-json", "expect": [{"path": "choices.0", "non_empty": True}]}, "has no choices.0"),
        ({"path": "/models", "expect": [{"path": "data.9", "type": "object"}]}, "has no data.9"),
        ({"path": "/models", "expect": [{"path": "data.0.n", "type": "string"}]}, "is no string"),
        ({"path": "/models", "expect": [{"path": "data.0.ok", "type": "integer"}]}, "is no integer"),
        ({"path": "/models", "expect": [{"path": "data.0.ok", "equals": 1}]}, "is not 1"),
        ({"path": "/models", "expect": [{"path": "data.0.text", "non_empty": True}]}, "is empty"),
        ({"path": "/models", "expect": [{"path": "zero", "non_empty": True}]}, "is empty"),
        ({"path": "/slow", "timeout": 0.1}, "no answer within 0.1 s"),
        ({"path": "/bad path"}, "/bad path"),
    ],
)
def test_wrong_replies_say_what_is_wrong(server: Any, step: dict[str, Any], words: str) -> None:
    result = ask(server, step)
    assert not result.ok
    assert words in result.message


def test_health_alone_is_not_enough(server: Any) -> None:
    result = ask(server, {"path": "/health"}, {"path": "/broken"}, {"path": "/text"})
    assert (result.ok, result.step) == (False, 2)
    assert [path for _method, path, _headers, _body in server.seen] == ["/health", "/broken"]
    assert [reply["status"] for reply in result.replies] == [200, 500]


def test_a_proxy_of_the_environment_is_not_used(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(server, {"path": "/health"}).ok


def test_a_secret_is_sent_and_never_shown(server: Any) -> None:
    guard = {"name": "Authorization", "prefix": "Bearer ", "secret": "chat/key"}
    step = {"path": "/echo-headers", "secret_header": guard, "expect": [{"contains": "nothing like it"}]}
    result = ask(server, step, read_secret=lambda identity: {"chat/key": "hush-hush\n"}[identity])
    assert server.seen[0][2]["Authorization"] == "Bearer hush-hush"
    assert not result.ok
    assert "hush-hush" not in repr(result)
    assert "********" in result.message


def test_nobody_listens() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        address = holder.getsockname()
        for probe in ({"type": "http", "steps": [{"path": "/"}]}, {"type": "tcp"}):
            result = run_probe(probe, address)
            assert not result.ok
            assert "refused" in result.message
        holder.listen()
        assert run_probe({"type": "tcp"}, address).ok


@pytest.mark.parametrize(("status", "ok"), [(0, True), (3, False)])
def test_a_command(status: int, ok: bool) -> None:
    asked = []
    result = run_probe(
        {"type": "command", "command": ["check", "it"]},
        None,
        execute=lambda command, timeout: asked.append(command) or (status, "said so"),
    )
    assert asked == [["check", "it"]]
    assert result.ok is ok
    assert ok or "status 3: said so" in result.message


def test_no_probe_asks_nothing() -> None:
    assert run_probe({"type": "none"}, None).ok


def test_no_address() -> None:
    assert "no address" in run_probe({"type": "tcp"}, None).message


@pytest.mark.parametrize(
    ("path", "value"), [("a.0.b", 1), ("a.-1.b", 2), ("a.5", None), ("", {"a": [{"b": 1}, {"b": 2}]}), ("a.x", None)]
)
def test_look_up(path: str, value: Any) -> None:
    assert look_up({"a": [{"b": 1}, {"b": 2}]}, path) == value


def test_a_value_of_one_reply_goes_into_the_next_request(server: Any) -> None:
    result = ask(
        server,
        {"path": "/job", "capture": {"job": "id", "number": "number"}},
        {"path": "/job/${job}", "expect": [{"path": "${job}.status", "equals": "success"}]},
        {"method": "POST", "path": "/echo", "body": {"text": "job ${job}, ${unknown}", "list": ["${number}"]}},
    )
    assert result.ok, result.message
    assert [path for _method, path, *_rest in server.seen] == ["/job", "/job/a%20b", "/echo"]
    assert result.replies[-1]["json"] == {"text": "job a b, ${unknown}", "list": [7]}


def test_a_value_that_is_not_there_cannot_be_captured(server: Any) -> None:
    for path in ("nothing", "parts"):
        result = ask(server, {"path": "/job", "capture": {"job": path}}, {"path": "/never"})
        assert (result.ok, result.final, result.step) == (False, False, 1)
        assert f"no text or number at {path}" in result.message


def test_random_is_a_number_and_new_in_every_attempt(server: Any) -> None:
    step = {"method": "POST", "path": "/echo", "body": {"seed": "${random}"}}
    seeds = {ask(server, step).replies[0]["json"]["seed"] for _attempt in range(4)}
    assert all(isinstance(seed, int) for seed in seeds)
    assert len(seeds) > 1


def test_a_request_is_repeated_until_it_holds(server: Any) -> None:
    step = {"path": "/counts", "expect": [{"path": "asked", "equals": 3}], "until": {"timeout": 20, "interval": 0.01}}
    assert ask(server, step).ok
    assert len(server.seen) == 3


def test_it_says_how_long_a_request_was_repeated(server: Any) -> None:
    step = {"path": "/counts", "expect": [{"path": "asked", "equals": -1}], "until": {"timeout": 0.1, "interval": 0.03}}
    result = ask(server, step)
    assert (result.ok, result.final) == (False, False)
    assert "asked is not -1" in result.message
    assert "(asked for 0.1 s)" in result.message


def test_a_reply_that_rules_it_out_ends_the_probe_and_tells_its_own_reason(server: Any) -> None:
    step = {
        "path": "/job/bad",
        "until": {"timeout": 60, "interval": 30},
        "expect": [{"path": "bad.status", "equals": "success"}],
        "reject": [{"path": "bad.status", "equals": "error"}],
        "tell": ["bad.why.0", "nowhere", "bad.why"],
    }
    result = ask(server, step)
    assert (result.ok, result.final) == (False, True)
    assert result.message == 'GET /job/bad answered 200, which rules it out: no numpy, ["no numpy", 3]'
    assert len(server.seen) == 1


def test_a_command_may_stand_between_requests(server: Any) -> None:
    asked = []
    result = ask(
        server,
        {"path": "/job", "capture": {"job": "id"}},
        {"command": ["rm", "/tmp/${job}"], "timeout": 7},
        execute=lambda command, timeout: asked.append((command, timeout)) or (0, ""),
    )
    assert result.ok
    assert asked == [(["rm", "/tmp/a b"], 7.0)]


@pytest.mark.parametrize(
    ("log", "ok", "words"),
    [
        ("all is well\n", True, ""),
        (
            "first\n  0.0 seconds (IMPORT FAILED): /x/node\n",
            False,
            "its log says: 0.0 seconds (IMPORT FAILED): /x/node",
        ),
        (None, False, "cannot be read back"),
    ],
)
def test_a_text_that_must_not_stand_in_the_log(server: Any, log: str | None, ok: bool, words: str) -> None:
    result = ask(server, {"forbid": ["(IMPORT FAILED)"]}, {"path": "/health"}, read_log=lambda: log)
    assert (result.ok, result.final) == (ok, not ok)
    assert words in result.message
    assert len(server.seen) == int(ok)
