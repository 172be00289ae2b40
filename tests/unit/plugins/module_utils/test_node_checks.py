# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be free before a service starts, and what becomes free in the same run."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node
from ansible_collections.ascend.fleet.plugins.module_utils._node_services import Placed
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.unit.plugins.module_utils.node_documents import container, document, npus, service

LISTENING = "   0: {address}:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n"
LOOPBACK, ANYWHERE, ELSEWHERE = "0100007F", "00000000", "0500000A"


def checks_of(tmp_path, check, containers, cards=(), **options):
    wanted = service("chat", cards=list(cards) or None)
    wanted["checks"] = [check]
    doc = document(wanted, service("old", state="absent"), **options)
    doc["host"].update(engine={"socket": "/none.sock", "proxy": None})
    doc["artefacts"] = {"images": []}
    params = {"document": doc, "action": "observe", "scope": ["services"], "interrupting": True}
    node = _node.Node(System(str(tmp_path)), {**params, "secrets": None, "files": None})
    seen = npus()
    for chip in seen["npus"]:
        chip.update(hbm_total_mb=65536, hbm_used_mb=60000)
    findings = node._checks([Placed(wanted, None, list(cards))], containers, seen, [])
    return [item["check"] for item in findings]


def running(name, owner=None, cards=(), network="bridge"):
    found = container(name, owner, cards=cards)
    found["HostConfig"].update(NetworkMode=network, PortBindings={}, ShmSize=0, Memory=0)
    return {name: found}


HBM = {"type": "path", "path": "/", "must": "directory", "gpu_memory_utilization": 0.9}


@pytest.mark.parametrize(
    ("containers", "release", "checks"),
    [
        ({}, [], ["hbm-free"]),
        (running("bash", cards=[0]), [], ["hbm-free"]),
        (running("chat", "chat", cards=[0]), [], []),
        (running("old", "old", cards=[0]), [], []),
        (running("bash", cards=[0]), ["bash"], []),
        (running("old", "old", cards=[1]), [], ["hbm-free"]),
    ],
    ids=["nobody known", "a foreign container", "its own", "one that goes", "a released one", "one on another card"],
)
def test_memory_that_becomes_free_in_this_run_is_not_missed(tmp_path, containers, release, checks):
    assert checks_of(tmp_path, HBM, containers, [0], release=release) == checks


@pytest.mark.parametrize(
    ("address", "number", "containers", "checks"),
    [
        (LOOPBACK, 8000, {}, ["port-taken"]),
        (ANYWHERE, 8000, {}, ["port-taken"]),
        (ELSEWHERE, 8000, {}, []),
        (LOOPBACK, 8001, {}, []),
        (LOOPBACK, 8000, running("chat", "chat", network="host"), []),
        (LOOPBACK, 8000, running("old", "old", network="host"), []),
        (LOOPBACK, 8000, running("other", "other", network="host"), ["port-taken"]),
    ],
    ids=["same address", "every address", "another address", "another port", "its own", "one that goes", "another's"],
)
def test_a_port_of_the_hosts_network_must_be_free(tmp_path, address, number, containers, checks):
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/tcp").write_text("  sl\n" + LISTENING.format(address=address, port=number))
    check = {"type": "port", "host_ip": "127.0.0.1", "port": 8000}
    assert checks_of(tmp_path, check, containers) == checks
