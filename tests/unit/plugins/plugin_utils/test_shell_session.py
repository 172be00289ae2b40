# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One shell for many commands: each by itself, whole, and with its own end."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils._shell_session import Session, SessionLost

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


@pytest.fixture(params=SHELLS)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    opened = Session([request.param.encode()])
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("true", (0, b"", b"")),
        ("exit 42", (42, b"", b"")),
        ("echo out; echo err >&2; false", (1, b"out\n", b"err\n")),
        ("printf 'no end of line'", (0, b"no end of line", b"")),
        ("printf 'a\\r\\nb\\n\\n'", (0, b"a\r\nb\n\n", b"")),
        ("printf '\\000\\377\\001'", (0, b"\x00\xff\x01", b"")),
        ("echo 'Grüße, 你好' \"it's\"", (0, "Grüße, 你好 it's\n".encode(), b"")),
        ("cd /; variable=1; set -e; exec 2>&1; no_such_command_at_all || exit 7", None),
        ("cat", (0, b"", b"")),
        ("kill -9 $$", (137, b"", None)),
    ],
)
def test_a_command_ends_by_itself_and_leaves_nothing_to_the_next(session: Session, command: str, outcome: object):
    status, out, err = session.run(command)
    if outcome is not None:
        wanted_status, wanted_out, wanted_err = outcome
        assert (status, out) == (wanted_status, wanted_out)
        assert wanted_err is None or err == wanted_err
    assert session.run("echo ${variable-unset} next") == (0, b"unset next\n", b"")


def test_a_syntax_error_ends_the_command_and_not_the_shell(session: Session):
    assert session.run("if then (")[0] != 0
    assert session.run("echo on") == (0, b"on\n", b"")


def test_much_goes_both_ways(session: Session):
    content = os.urandom(200_000)
    text = base64.b64encode(content).decode()
    assert session.run("base64 -d", text) == (0, content, b"")
    status, out, err = session.run("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2")
    assert (status, len(out), len(err)) == (0, 3_000_000, 3_000_000)


def test_lines_like_those_of_the_frame_are_content(session: Session):
    text = "EOF\n'\n$(exit 1)\n`exit 1`\n\\"
    assert session.run("cat", text) == (0, f"{text}\n".encode(), b"")


def test_a_shell_that_never_came_up_has_not_begun():
    session = Session([b"/bin/sh", b"-c", b"echo 'No such container: x' >&2; exit 1"])
    with pytest.raises(SessionLost, match="No such container") as caught:
        session.run("touch /tmp/must-not-be")
    assert not caught.value.started
    assert caught.value.outcome[0] == 1


def test_a_shell_that_dies_under_a_command_has_begun():
    session = Session([b"dash" if "dash" in SHELLS else b"bash"])
    with pytest.raises(SessionLost) as caught:
        session.run("echo half; kill -9 $PPID; sleep 5")
    assert caught.value.started
    assert caught.value.outcome[:2] == (-9, b"half\n")
