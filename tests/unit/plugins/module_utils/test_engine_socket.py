# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader against servers that behave and misbehave on a real unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import (
    HANG,
    NO_SOCKET,
    PERMISSION,
    PROTOCOL,
    REFUSED,
    EngineReader,
    EngineRefusedError,
    EngineUnavailable,
    OneLook,
    demultiplex,
    said,
    socket_of,
)
from ansible_collections.ascend.fleet.plugins.module_utils._engine_stream import StreamError, order
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    listeners: list[tuple[socket.socket, threading.Thread]] = []
    with tempfile.TemporaryDirectory(prefix="sock-") as folder:

        def start(answer: Callable[[socket.socket], None]) -> str:
            path = str(Path(folder) / f"{len(listeners)}.sock")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()

            def loop() -> None:
                while True:
                    try:
                        connection, _address = listener.accept()
                    except OSError:
                        return
                    with connection:
                        connection.recv(65536)
                        answer(connection)

            listeners.append((listener, threading.Thread(target=loop, daemon=True)))
            listeners[-1][1].start()
            return path

        yield start
        for listener, thread in listeners:
            # Closed under a thread that is about to accept, its number would be that of the next test's listener.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()


def plain(body: bytes, status: str = "200 OK") -> Callable[[socket.socket], None]:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def chunked(*parts: bytes) -> Callable[[socket.socket], None]:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _count in range(100):
        time.sleep(0.05)
        try:
            connection.sendall(b"x")
        except OSError:
            return


def test_plain_and_chunked_answers(serve: Serve) -> None:
    assert EngineReader(serve(plain(b"OK"))).ping()
    assert EngineReader(serve(chunked(b'{"Ver', b'sion": ', b'"1"}'))).version() == {"Version": "1"}
    assert EngineReader(serve(plain(b"[]"))).containers() == []


def counted(answer: Callable[[socket.socket], None], served: list[str]) -> Callable[[socket.socket], None]:
    def count(connection: socket.socket) -> None:
        served.append("")
        answer(connection)

    return count


@pytest.mark.parametrize(
    ("question", "body"), [(OneLook.info, b"{}"), (OneLook.containers, b"[]")], ids=["info", "containers"]
)
def test_one_look_asks_the_same_only_once(serve: Serve, question: Callable[[OneLook], object], body: bytes) -> None:
    served: list[str] = []
    reader = OneLook(serve(counted(plain(body), served)))
    with ThreadPoolExecutor(max_workers=8) as pool:
        told = list(pool.map(lambda _number: question(reader), range(8)))
    assert told == [json.loads(body)] * 8
    assert len(served) == 1


def test_one_look_asks_again_after_a_refusal(serve: Serve) -> None:
    answers = [plain(b"{}", "500 Internal Server Error"), plain(b'{"Name": "n1"}')]

    def answer(connection: socket.socket) -> None:
        answers.pop(0)(connection)

    reader = OneLook(serve(answer))
    with pytest.raises(EngineRefusedError):
        reader.info()
    assert reader.info() == {"Name": "n1"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda connection: time.sleep(1), HANG),
        (trickle, HANG),
        (lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), PROTOCOL),
        (plain(b"<html>"), PROTOCOL),
        (plain(b"[1]"), PROTOCOL),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n"), PROTOCOL),
        (lambda connection: None, PROTOCOL),
    ],
    ids=["silent", "trickles", "cut", "no json", "another json", "no http", "hangs up"],
)
def test_engines_that_misbehave(serve: Serve, answer: Callable[[socket.socket], None], reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(EngineUnavailable) as caught:
        EngineReader(serve(answer), timeout=0.3).version()
    assert caught.value.reason == reason
    assert caught.value.finding["remedy"]
    assert time.monotonic() - started < 3


def test_a_removal_may_take_as_long_as_its_files_do(serve: Serve) -> None:
    def slow(connection: socket.socket) -> None:
        time.sleep(0.6)
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    reader = EngineReader(serve(slow), timeout=0.2)
    order(reader, "DELETE", "/containers/builder?force=1&v=1", "remove container builder")
    with pytest.raises(StreamError, match="name it: timed out"):
        order(reader, "POST", "/images/x/tag", "name it")


def test_the_beginning_of_a_log_is_read_as_far_as_it_is_needed(serve: Serve) -> None:
    frame = b"\x01\x00\x00\x00" + struct.pack(">I", 6) + b"start\n"
    assert EngineReader(serve(chunked(frame, frame))).log_since("it", 0.0) == "start\nstart\n"

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                connection.sendall(b"%x\r\n%s\r\n" % (len(frame), frame))
        except OSError:
            return

    found = EngineReader(serve(endless)).log_since("it", 0.0, limit=1000)
    assert found is not None
    assert set(found.splitlines()) == {"start"}
    unreadable = plain(b'{"message": "configured logging driver does not support reading"}', "501 Not Implemented")
    assert EngineReader(serve(unreadable)).log_since("it", 0.0) is None


def test_no_socket_and_a_dead_one(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        EngineReader(str(tmp_path / "none.sock")).ping()
    assert caught.value.reason == NO_SOCKET
    with tempfile.TemporaryDirectory(prefix="sock-") as folder:
        path = f"{folder}/dead.sock"
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(path)
        dead.close()
        with pytest.raises(EngineUnavailable) as caught:
            EngineReader(path).ping()
    assert caught.value.reason == REFUSED
    assert path in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_that_may_not_be_used(serve: Serve) -> None:
    path = serve(plain(b"OK"))
    os.chmod(path, 0o600)
    os.chmod(os.path.dirname(path), 0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(EngineUnavailable) as caught:
            EngineReader(path).ping()
    finally:
        os.seteuid(0)
    assert caught.value.reason == PERMISSION


def test_a_refusal_is_told_in_the_engines_words_and_unknown_things_are_none(serve: Serve) -> None:
    reader = EngineReader(serve(plain(b'{"message":"no such thing"}', "404 Not Found")))
    assert reader.inspect("a") is reader.image("a") is reader.network("a") is None
    with pytest.raises(EngineRefusedError, match="server is tired"):
        EngineReader(serve(plain(b'{"message":"server is tired"}', "500 Oops"))).inspect("a")


def frame(stream: int, text: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(text)) + text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", b""),
        (frame(1, b"out\n") + frame(2, b"err\n"), b"out\nerr\n"),
        (b"a terminal's plain text", b"a terminal's plain text"),
        (frame(1, b"whole\n") + frame(2, b"cut off")[:-3], b"whole\ncut "),
        (frame(1, b"whole\n") + b"\x01\x00", b"whole\n"),
    ],
)
def test_log_streams(raw: bytes, text: bytes) -> None:
    assert demultiplex(raw) == text


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("\x1b[32mINFO\x1b[0m:  up\n", "INFO:  up\n"),
        ("\x1b[38;2;255;0;0mred\x1b[m", "red"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\", "ab"),
        ("\x1b(Bplain\x1b=\x1bc", "plain"),
        (" 10%|#   |\r 50%|##  |\r100%|####|\nnext\r\n", "100%|####|\nnext\n"),
        ("half\r", "half"),
        ("bell\x07 back\b\x9b31m\x7f\x1b", "bell back31m"),
        ("tab\tand 模型 stay", "tab\tand 模型 stay"),
        ("\x1b]0;cut off\nthe next line", "\nthe next line"),
    ],
)
def test_what_was_meant_for_a_terminal_reaches_no_terminal(written: str, left: str) -> None:
    assert said(frame(1, written.encode())) == left


@pytest.mark.parametrize("value", ["unix:///run/x.sock", "/run/x.sock"])
def test_sockets_of_this_machine(value: str) -> None:
    assert socket_of(value) == "/run/x.sock"


@pytest.mark.parametrize("value", ["tcp://192.0.2.1:2375", "ssh://host", "unix://relative"])
def test_other_sockets_are_refused(value: str) -> None:
    with pytest.raises(FleetError, match="is not a unix socket"):
        socket_of(value)
