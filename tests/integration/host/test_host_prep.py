# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on servers without an engine: seen from inside containers, over restarts of the engine and a reboot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simfleet import inventory
from tests.simfleet.fleet import Fleet
from tests.simfleet.spec import NodeSpec

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
NODES = (
    NodeSpec("deb", docker=False, cards=2),
    NodeSpec("dnf", os="openeuler22.03", docker=False, cards=2),
)
ADDRESS = "169.254.169.254"
PARENT = "/ascend.slice/ascend-fleet.slice"
LABEL = "io.ascend.fleet.schema=1"
# What an operator puts on servers that reach no repository; afterwards these reach none. Online: tests/fleet, molecule.
PACKAGES = "/srv/packages"
OFFLINE = {
    "deb": "apt-get update -qq && apt-get install -y -qq --no-install-recommends --download-only docker.io iptables"
    f" && mkdir {PACKAGES} && mv /var/cache/apt/archives/*.deb {PACKAGES}"
    " && rm -rf /etc/apt/sources.list /etc/apt/sources.list.d /var/lib/apt/lists",
    "dnf": f"mkdir {PACKAGES} && mv /srv/repo/docker-*.rpm {PACKAGES} && rm -r /srv/repo /etc/yum.repos.d",
}
PLAY = """---
- name: Make the servers ready for containers
  hosts: fleet
  gather_facts: false
  become: true
  roles:
    - role: ascend.fleet.host_prep
"""
# A mount that only what waits for it brings up, and that takes its time.
SLOW_MOUNT = {
    "/etc/systemd/system/slow.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 3\n",
    "/etc/systemd/system/mnt-late.mount": "[Unit]\nRequires=slow.service\nAfter=slow.service\n"
    "[Mount]\nWhat=tmpfs\nWhere=/mnt/late\nType=tmpfs\n",
}


class Site:
    """The fleet, and the role run on it."""

    def __init__(self, fleet, folder):
        self.fleet, self.folder = fleet, folder
        self.hosts, self.play = folder / "hosts.yml", folder / "play.yml"
        inventory.write(fleet, self.hosts)
        self.play.write_text(PLAY)
        self.image = fleet.publish("light")
        mounts = ["/mnt/late/data:/data:ro"]
        entry = {"name": "web", "kind": "container", "image": self.image, "npus": 1, "mounts": mounts, "probe": "none"}
        self.variables = {
            "fleet_services": [entry],
            "fleet_report_dir": str(folder / "report"),
            "fleet_docker_package_dir": PACKAGES,
            "fleet_registries": [{"address": fleet.registry_address, "insecure": True}],
        }

    def run(self, *arguments, **variables):
        """Changed tasks by host; a failure is shown as Ansible tells it."""
        program = Path(sys.executable).with_name("ansible-playbook")
        given = json.dumps({**self.variables, **variables})
        done = subprocess.run(
            [str(program), "-i", str(self.hosts), str(self.play), "-e", given, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
            cwd=self.folder,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_NOCOLOR": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {host: int(changed) for host, changed in re.findall(r"^(\w+) +: .*changed=(\d+)", done.stdout, re.M)}

    def sh(self, node, script, check=True):
        return self.fleet.node(node).exec("sh", "-ec", script, check=check)

    def start(self, node, name, *options):
        flags = " ".join(options)
        self.sh(node, f"docker rm -f {name} 2>/dev/null || true")
        self.sh(node, f"docker run -d --name {name} --label {LABEL} {flags} {self.image}")

    def reaches(self, node, name, address=ADDRESS, port=80):
        """Whether a container opens a connection; the refusal is not mixed up with a container that is gone."""
        connect = f"echo | docker exec -i {name} busybox nc -w 2 {address} {port} >/dev/null 2>&1; echo reached=$?"
        told = self.sh(node, f"docker exec {name} busybox true; set +e; {connect}").out
        return re.search(r"reached=(\d+)", told).group(1) == "0"

    def shown(self, node, unit, name):
        return self.sh(node, f"systemctl show --value -p {name} {unit}").out.strip()


@pytest.fixture(scope="module")
def site(docker_client, tmp_path_factory):
    with Fleet(f"host-{os.getpid()}", NODES) as fleet:
        for name, script in OFFLINE.items():
            fleet.node(name).exec("sh", "-ec", script)
        yield Site(fleet, tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def predicted(site):
    """A run in check mode while the servers are fresh."""
    changed = site.run("--check")
    engines = {node.name: node.exec("which", "dockerd", check=False).rc == 0 for node in site.fleet.nodes}
    return changed, engines


@pytest.fixture(scope="module")
def ready(site, predicted):
    """Both servers after a first run, with a container each."""
    for node in site.fleet.nodes:
        node.put({path: (0o644, text.encode()) for path, text in SLOW_MOUNT.items()})
    site.first = site.run("--diff")
    for node in site.fleet.nodes:
        site.start(node.name, "web", "--restart always")
    return site


@pytest.fixture(params=[spec.name for spec in NODES])
def node(request):
    return request.param


@pytest.fixture(params=["deb", pytest.param("dnf", marks=pytest.mark.exhaustive)])
def either(request):
    """For what does not depend on the operating system: both in ``make test-all``."""
    return request.param


def test_check_mode_predicts_a_change_on_fresh_servers_and_makes_none(predicted):
    changed, engines = predicted
    assert changed == {"deb": 1, "dnf": 1}
    assert engines == {"deb": False, "dnf": False}


def test_a_second_run_changes_nothing(ready):
    assert min(ready.first.values()) > 0
    assert ready.run() == {"deb": 0, "dnf": 0}


def test_the_engine_came_from_the_files_on_the_server(ready, node):
    asked = {"deb": "dpkg-query -W -f '${Package} ' docker.io containerd", "dnf": "rpm -qa --qf '%{NAME} ' 'docker-*'"}
    there = {"deb": {"docker.io", "containerd"}, "dnf": {"docker-engine", "docker-engine-selinux", "docker-runc"}}
    assert set(ready.sh(node, asked[node]).out.split()) == there[node]


def test_the_engine_runs_as_configured(ready, node):
    assert ready.sh(node, "systemctl is-active docker; systemctl is-enabled docker").out.split() == [
        "active",
        "enabled",
    ]
    logs = json.loads(ready.sh(node, "docker inspect -f '{{json .HostConfig.LogConfig}}' web").out)
    assert logs == {"Type": "json-file", "Config": {"max-file": "5", "max-size": "100m"}}
    assert ready.fleet.registry_address in ready.sh(node, "docker info -f '{{json .RegistryConfig.IndexConfigs}}'").out


def test_the_nodes_python_talks_to_the_engine(ready, node):
    script = "import docker; print(docker.from_env().ping(), docker.__file__)"
    told = ready.sh(node, f'PYTHONPATH=/var/lib/ascend-fleet/sdk/current python3 -c "{script}"').out
    assert told.startswith("True ")


def test_forwarding_is_on(ready, node):
    assert ready.sh(node, "cat /proc/sys/net/ipv4/ip_forward").out.strip() == "1"
    again = "echo 0 > /proc/sys/net/ipv4/ip_forward; /lib/systemd/systemd-sysctl --prefix=/net/ipv4 2>/dev/null || true"
    assert ready.sh(node, f"{again}; cat /proc/sys/net/ipv4/ip_forward").out.strip() == "1"


def test_containers_do_not_reach_the_metadata_and_the_node_does(ready, node):
    ready.start(node, "hostnet", "--network host", f"--cgroup-parent {PARENT}")
    registry, port = ready.fleet.registry_address.split(":")
    assert not ready.reaches(node, "web")
    assert not ready.reaches(node, "hostnet")
    assert ready.reaches(node, "web", registry, port)
    assert ready.reaches(node, "hostnet", registry, port)
    assert ready.sh(node, f"curl -sf -m 5 http://{ADDRESS}/ >/dev/null", check=False).rc == 0
    ready.sh(node, "docker rm -f hostnet")


def test_the_block_outlives_a_restart_of_the_engine(ready, either):
    ready.sh(either, "systemctl restart docker")
    assert not ready.reaches(either, "web")
    assert ready.run("--limit", either) == {either: 0}


def test_a_hand_deleted_rule_comes_back_without_touching_the_engine(ready, either):
    before = ready.shown(either, "docker", "InvocationID")
    ready.sh(either, "iptables -D DOCKER-USER 1")
    assert ready.reaches(either, "web")
    assert ready.run("--limit", either) == {either: 1}
    assert not ready.reaches(either, "web")
    assert ready.shown(either, "docker", "InvocationID") == before


def test_keys_are_merged_by_a_reload_and_a_restart_waits_for_the_batch(ready, either):
    before = ready.shown(either, "docker", "InvocationID")
    labels = {"labels": ["rack=7"]}
    assert ready.run("--limit", either, fleet_docker_daemon=labels) == {either: 1}
    assert "rack=7" in ready.sh(either, "docker info -f '{{json .Labels}}'").out
    both = {**labels, "log-opts": {"max-file": "7"}}
    assert ready.run("--limit", either, fleet_docker_daemon=both) == {either: 1}
    assert ready.shown(either, "docker", "InvocationID") == before
    config = json.loads(ready.fleet.node(either).read("/etc/docker/daemon.json"))
    assert config["log-opts"] == {"max-file": "7", "max-size": "100m"}
    assert config["labels"] == ["rack=7"]
    note = json.loads(ready.fleet.node(either).read("/var/lib/ascend-fleet/engine-restart.json"))
    assert note["reasons"] == ["log-opts"]
    assert ready.run("--limit", either) == {either: 1}


def test_a_daemon_json_that_is_broken_is_refused_and_left_alone(ready, either):
    path = "/etc/docker/daemon.json"
    good = ready.fleet.node(either).read(path)
    ready.fleet.node(either).put({path: (0o644, b'{"debug": true,}\n')})
    try:
        with pytest.raises(AssertionError, match=r"/etc/docker/daemon\.json is not valid JSON at line 1"):
            ready.run("--limit", either)
        assert ready.fleet.node(either).read(path) == b'{"debug": true,}\n'
    finally:
        ready.fleet.node(either).put({path: (0o644, good)})


@pytest.fixture(scope="module")
def rebooted(ready):
    """Both servers after a reboot at the same time."""
    for back in [node.rebooting() for node in ready.fleet.nodes]:
        back()
    return ready


def test_after_a_reboot_containers_wait_for_mount_driver_and_block(rebooted, node):
    ready = rebooted
    ready.sh(node, "timeout 60 sh -c 'until docker exec web busybox true 2>/dev/null; do sleep 0.2; done'")
    started = int(ready.shown(node, "docker", "ExecMainStartTimestampMonotonic"))
    for unit in ("ascend-fleet-metadata-block.service", "ascend-fleet-npu-wait.service"):
        ended = int(ready.shown(node, unit, "ExecMainExitTimestampMonotonic"))
        assert 0 < ended <= started, unit
        assert ready.shown(node, unit, "Result") == "success"
    assert 0 < int(ready.shown(node, "mnt-late.mount", "ActiveEnterTimestampMonotonic")) <= started
    assert not ready.reaches(node, "web")
    assert ready.run("--limit", node) == {node: 0}


def test_excepted_ports_and_the_way_back(ready, either):
    assert ready.run("--limit", either, fleet_metadata_except_ports=[80]) == {either: 1}
    assert ready.reaches(either, "web")
    assert ready.run("--limit", either) == {either: 1}
    assert not ready.reaches(either, "web")
    before = ready.shown(either, "docker", "InvocationID")
    assert ready.run("--limit", either, fleet_metadata_block="absent") == {either: 1}
    assert ready.reaches(either, "web")
    assert ready.shown(either, "docker", "InvocationID") == before
    assert "ASCEND" not in ready.sh(either, "iptables -S").out
    assert ready.run("--limit", either, fleet_metadata_block="absent") == {either: 0}
