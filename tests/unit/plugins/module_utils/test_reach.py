# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A listening and a refusing port prove the path; a silent one does not."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _reach


def pair(port, address="127.0.0.1"):
    return {"from_service": "chat", "host": "n2", "address": address, "port": port}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_listening_port_is_reached(listener):
    assert _reach.check([pair(listener.getsockname()[1])]) == []


def test_a_refusing_port_is_reached(listener):
    port = listener.getsockname()[1]
    listener.close()
    assert _reach.check([pair(port)]) == []


def test_a_silent_port_is_a_finding(listener):
    """A full accept queue of a listener that never accepts answers no further connection."""
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = []
    try:
        for _count in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        findings = _reach.check([pair(port)], timeout=0.3)
    finally:
        for filler in fillers:
            filler.close()
    assert [item["check"] for item in findings] == ["node-reach"]
    assert f"127.0.0.1:{port} on n2" in findings[0]["message"]
