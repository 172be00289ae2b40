# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line about a service, as it is now."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_status
from tests.unit.plugins.module_utils.node_documents import container, service


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (None, "absent"),
        (container("aa", "aa"), "running"),
        (container("aa", "aa", running=False), "stopped"),
        ({"State": {"Running": True, "Restarting": True}}, "restarting"),
    ],
)
def test_the_state_of_a_container_in_one_word(found, state):
    assert _node_status.state_of(found) == state


def test_uptime_is_counted_from_the_start():
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=90)
    started = moment.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    assert 88 < _node_status.uptime(container("aa", started=started)) < 100


BAKED, PLACEHOLDER = "registry:5000/ascend-fleet/vllm:amd64-910b-1", "ascend-fleet/vllm:bake-1"


@pytest.mark.parametrize(("running", "shown"), [(BAKED, BAKED), (None, PLACEHOLDER)])
def test_a_service_is_shown_with_the_image_that_it_runs(running, shown):
    found = container("chat", "chat")
    found["Config"]["Image"] = running
    assert _node_status.status(service("chat", image=PLACEHOLDER), found if running else None, [])["image"] == shown


@pytest.mark.parametrize(
    ("address", "shown"), [("127.0.0.1", "127.0.0.1:8000"), ("fd00::5", "[fd00::5]:8000"), ("::", "[::]:8000")]
)
def test_a_service_is_shown_with_addresses_that_fit_into_a_url(address, shown):
    ports = [{"host_ip": address, "host_port": 8000, "container_port": 80, "protocol": "tcp"}]
    assert _node_status.status(service("chat", ports=ports), None, [])["ports"] == [shown]
