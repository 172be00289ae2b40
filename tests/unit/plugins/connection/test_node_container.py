# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a container that cannot be entered."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.connection.node_container import _reason
from ansible_collections.ascend.fleet.plugins.plugin_utils import _records


@pytest.mark.parametrize(
    ("told", "part"),
    [
        (b"sudo: a password is required\n", "correct ansible_node_container_sudo_password"),
        (b"sudo: docker: command not found\n", "docker: command not found"),
        (b"Error response from daemon: container is paused", "is paused"),
    ],
)
def test_a_password_that_cannot_be_given_is_not_asked_for(told: bytes, part: str) -> None:
    message = f"Container box on n1 cannot be entered: {_reason(told)}"
    assert part in message
    [found] = _records.make("n1", "bake", {"failed": True, "msg": message})["findings"]
    assert "--ask-become-pass" not in found["remedy"]
