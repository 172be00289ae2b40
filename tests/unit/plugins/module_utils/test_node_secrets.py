# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets reach the node as files of mode 0600 and appear in no plan."""

from __future__ import annotations

import json
import os
import stat

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_secrets
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.unit.plugins.module_utils.node_documents import service

KEY = {"id": "chat/api_key", "target": "/run/secrets/api_key", "mode": "0600", "source": "/c/key"}
CHAT = service("chat", secret_files=[KEY])


@pytest.fixture
def system(tmp_path):
    return System(str(tmp_path))


def write(system, text):
    (act,) = _node_secrets.plan(system, CHAT, {"chat/api_key": text})
    _node_secrets.write(system, act, {"chat/api_key": text})
    return act


def test_a_secret_is_written_once_for_its_owner_only(system):
    write(system, "sk-1")
    path = system.path(_node_secrets.path_of("chat/api_key"))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert _node_secrets.plan(system, CHAT, {"chat/api_key": "sk-1"}) == []


def test_a_new_content_is_written_and_never_shown(system):
    write(system, "sk-old")
    act = write(system, "sk-new")
    assert "sk-" not in json.dumps(act)
    assert system.read(act["target"]) == "sk-new"


@pytest.mark.parametrize(
    ("wanted", "found", "right"),
    [
        ("0400", 0o400, True),
        ("0400", 0o600, True),
        ("0400", 0o644, False),
        ("0600", 0o640, False),
        ("0440", 0o440, True),
        ("0440", 0o444, False),
    ],
)
def test_a_file_that_too_many_may_read_is_written_anew(system, wanted, found, right):
    write(system, "sk-1")
    os.chmod(system.path(_node_secrets.path_of("chat/api_key")), found)
    planned = _node_secrets.plan(system, service("chat", secret_files=[{**KEY, "mode": wanted}]), {})
    assert [act["reason"] for act in planned] == ([] if right else ["the secret may be read by others than its owner"])


def test_a_secret_that_did_not_come_with_the_run_is_named(system):
    (act,) = _node_secrets.plan(system, CHAT, {})
    with pytest.raises(FleetError, match="chat/api_key did not reach the node"):
        _node_secrets.write(system, act, {})


def test_the_secrets_of_a_service_go_with_it(system):
    write(system, "sk-1")
    (act,) = _node_secrets.leftovers(system, "chat")
    _node_secrets.remove(system, act)
    assert _node_secrets.leftovers(system, "chat") == []
