# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a server after the run, seen with its own tools and over HTTP."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

testinfra_hosts = ["ansible://fleet"]
METADATA = "http://169.254.169.254/"


def inspect(host: Any, name: str) -> dict[str, Any]:
    return json.loads(host.check_output("docker inspect %s", name))[0]


def test_the_engine_runs_now_and_after_a_boot(host: Any) -> None:
    engine = host.service("docker")
    assert engine.is_running
    assert engine.is_enabled


def test_packets_are_forwarded_now_and_after_a_boot(host: Any) -> None:
    assert host.sysctl("net.ipv4.ip_forward") == 1
    assert host.run("grep -rhs '^net.ipv4.ip_forward *= *1' /etc/sysctl.conf /etc/sysctl.d").rc == 0


def test_logs_of_containers_are_rotated(host: Any) -> None:
    daemon = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert daemon["log-driver"] == "json-file"
    assert int(daemon["log-opts"]["max-file"]) > 1


@pytest.mark.parametrize(("name", "port"), [("cards", 8080), ("plain", 8081)])
def test_services_run_and_answer(host: Any, name: str, port: int) -> None:
    seen = inspect(host, name)
    assert seen["State"]["Running"]
    assert seen["RestartCount"] == 0
    assert seen["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert host.check_output("curl -sf http://127.0.0.1:%s/health", str(port)) == "ok"


@pytest.mark.parametrize("port", [8080, 8081])
def test_services_listen_on_the_servers_loopback_alone(host: Any, port: int) -> None:
    listening = host.check_output(f"ss -Hltn 'sport = :{port}'").split()
    assert listening[3] == f"127.0.0.1:{port}"


def test_a_service_sees_its_cards_and_no_others(host: Any) -> None:
    seen = json.loads(host.check_output("curl -sf http://127.0.0.1:8080/cgi-bin/cards"))["cards"]
    labelled = inspect(host, "cards")["Config"]["Labels"]["io.ascend.fleet.npus"]
    assert sorted(seen) == sorted(f"/dev/davinci{number}" for number in labelled.split(","))
    assert len(seen) == 2
    assert host.check_output("docker exec plain ls /dev").find("davinci") == -1


def test_what_was_declared_reached_the_container(host: Any) -> None:
    assert "GREETING=hello" in host.check_output("docker exec plain env").splitlines()
    folder = host.file("/var/lib/ascend-fleet/work/plain")
    assert folder.is_directory
    assert folder.mode == 0o750


def test_containers_cannot_read_the_metadata_address(host: Any) -> None:
    """The server can, so the address is alive; from a container nothing comes back."""
    assert host.run("curl -sf -m 5 %s", METADATA).rc == 0
    assert host.run("docker exec plain wget -q -T 3 -O - %s", METADATA).rc != 0


def test_the_verdict_is_good(host: Any) -> None:
    verdict = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "report/verdict.json").read_text())
    assert verdict["ok"] is True
    assert not verdict["failures"]
    assert verdict["hosts"].keys() == set(host.backend.ansible_runner.get_hosts("fleet"))
