# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated fleet claims to be, as ssh, the engines and Ansible see it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.simfleet import machine, vendor
from tests.simfleet.fleet import LABEL, Fleet
from tests.simfleet.spec import NodeSpec

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

Ssh = Callable[..., subprocess.CompletedProcess[str]]
Ansible = Callable[..., dict[str, Any]]
METADATA = "http://169.254.169.254/openstack/latest/meta_data.json"


@pytest.mark.parametrize("node", ["deb", "dnf", "cpu"])
def test_systemd_has_booted_without_a_failed_unit(ssh: Ssh, node: str) -> None:
    assert ssh(node, "systemctl is-system-running").stdout.strip() == "running"
    assert ssh(node, "systemctl --failed --no-legend --plain").stdout == ""
    assert ssh(node, "cat /proc/1/comm").stdout.strip() == "systemd"


def test_sudo_works_for_somebody_who_is_not_root(ssh: Ssh) -> None:
    assert ssh("deb", "id -un; sudo -n id -un", user="ops").stdout.split() == ["ops", "root"]


def test_a_password_opens_nothing(ssh: Ssh) -> None:
    done = ssh("deb", "sshd -T | grep -i ^passwordauthentication")
    assert done.stdout.split() == ["passwordauthentication", "no"]


@pytest.mark.parametrize(
    ("node", "cards", "shared"),
    [
        ("deb", 4, {"davinci_manager", "devmm_svm", "hisi_hdc"}),
        ("dnf", 16, {"davinci_manager", "devmm_svm", "hisi_hdc"}),
        ("cpu", 0, set()),
    ],
)
def test_device_nodes_are_those_of_the_cards(ssh: Ssh, node: str, cards: int, shared: set[str]) -> None:
    listed = ssh(node, "find /dev -maxdepth 1 -type c \\( -name 'davinci*' -o -name '*svm' -o -name 'hisi*' \\)")
    names = {path.removeprefix("/dev/") for path in listed.stdout.split()}
    assert names == {f"davinci{number}" for number in range(cards)} | shared


@pytest.mark.parametrize(("node", "cards"), [("deb", 4), ("dnf", 16), ("cpu", 0)])
def test_the_bus_shows_the_same_cards(ssh: Ssh, node: str, cards: int) -> None:
    done = ssh(node, f"cat {vendor.SYSFS}/bus/pci/devices/*/vendor")
    assert done.stdout.split().count("0x19e5") == cards
    assert done.stdout.split().count("0x1af4") == 1


def test_the_vendors_tool_and_files_are_there(ssh: Ssh) -> None:
    assert "910B3" in ssh("deb", "npu-smi info").stdout
    assert "Version=25.2.0" in ssh("deb", "cat /usr/local/Ascend/driver/version.info").stdout
    assert ssh("deb", "test -x /usr/local/Ascend/driver/tools/hccn_tool && ls /usr/local/dcmi").stdout
    assert ssh("cpu", "command -v npu-smi; ls /usr/local/Ascend", check=False).stdout == ""


def test_faults_show_on_the_next_call(fleet: Fleet, ssh: Ssh) -> None:
    node = fleet.node("deb")
    node.set_faults({"kind": "code", "code": -8005})
    try:
        done = ssh("deb", "npu-smi info", check=False)
    finally:
        node.set_faults()
    assert done.returncode == 187
    assert "-8005" in done.stdout
    assert ssh("deb", "npu-smi info").returncode == 0


def test_a_container_on_a_server_sees_exactly_the_cards_it_was_given(fleet: Fleet, ssh: Ssh) -> None:
    image = fleet.publish("light")
    look = "ls /dev | /bin/busybox grep davinci; /bin/busybox cat /dev/davinci2 2>&1 || true"
    devices = "--device /dev/davinci1 --device /dev/davinci2"
    done = ssh("deb", f"docker run --rm {devices} {image} sh -c '{look}'")
    assert done.stdout.splitlines()[:2] == ["davinci1", "davinci2"]
    # allowed by the control group, but no driver behind it
    assert "No such device or address" in done.stdout


def test_a_card_that_was_not_given_is_forbidden(fleet: Fleet, ssh: Ssh) -> None:
    image = fleet.publish("light")
    major = machine.free_major()
    make = f"/bin/busybox mknod /d c {major} 3; /bin/busybox cat /d 2>&1 || true"
    done = ssh("deb", f"docker run --rm --cap-add MKNOD {image} sh -c '{make}'")
    assert "Operation not permitted" in done.stdout


def test_an_inner_privileged_container_runs(fleet: Fleet, ssh: Ssh) -> None:
    image = fleet.publish("light")
    assert ssh("deb", f"docker run --rm --privileged {image} echo inside").stdout.strip() == "inside"


def test_the_metadata_service_answers_the_server_and_its_containers(fleet: Fleet, ssh: Ssh) -> None:
    image = fleet.publish("light")
    assert json.loads(ssh("deb", f"curl -sf -m 5 {METADATA}").stdout)["uuid"] == "simulated"
    inside = ssh("deb", f"docker run --rm {image} wget -q -O - {METADATA}")
    assert json.loads(inside.stdout)["uuid"] == "simulated"


def test_a_server_cannot_change_its_machine(ssh: Ssh) -> None:
    with open("/proc/sys/vm/swappiness", encoding="ascii") as handle:
        before = handle.read()
    ssh("deb", "sysctl -w vm.swappiness=7")
    assert ssh("deb", "cat /proc/sys/vm/swappiness").stdout.strip() == "7"
    assert ssh("deb", "sysctl -w kernel.msgmax=9000", check=False).returncode != 0
    with open("/proc/sys/vm/swappiness", encoding="ascii") as handle:
        assert handle.read() == before


def test_ansible_sees_openeuler_on_the_dnf_server(ansible: Ansible) -> None:
    facts = ansible("dnf", "ansible.builtin.setup", "gather_subset=!all,min")["ansible_facts"]
    seen = {key: facts[f"ansible_{key}"] for key in ("distribution", "os_family", "pkg_mgr", "service_mgr")}
    assert seen == {"distribution": "openEuler", "os_family": "RedHat", "pkg_mgr": "dnf", "service_mgr": "systemd"}
    assert facts["ansible_distribution_version"] == "22.03"


def test_dnf_installs_a_working_engine_from_the_local_repository(ansible: Ansible, ssh: Ssh) -> None:
    packages = "name=docker-engine,docker-engine-selinux,docker-runc state=present"
    assert ssh("dnf", "command -v docker", check=False).stdout == ""
    assert ansible("dnf", "ansible.builtin.dnf", packages)["changed"] is True
    assert ansible("dnf", "ansible.builtin.dnf", packages)["changed"] is False
    assert ansible("dnf", "ansible.builtin.systemd_service", "name=docker state=started enabled=true")["changed"]
    assert ssh("dnf", "docker info --format '{{.Driver}}'").stdout.strip() == "overlay2"


def test_apt_installs_the_engine_on_a_fresh_server(ansible: Ansible, ssh: Ssh) -> None:
    assert ssh("cpu", "command -v docker", check=False).stdout == ""
    result = ansible("cpu", "ansible.builtin.apt", "name=docker.io install_recommends=false update_cache=true")
    assert result["changed"] is True, result
    assert ssh("cpu", "docker info --format '{{.Driver}}'").stdout.strip() == "overlay2"


def test_ansible_can_reboot_a_server(fleet: Fleet, ansible: Ansible, ssh: Ssh) -> None:
    node = fleet.node("deb")
    before = node.boot_id()
    result = ansible("deb", "ansible.builtin.reboot", "reboot_timeout=120 connect_timeout=2")
    assert result["rebooted"] is True, result
    node.wait_ready()
    assert node.boot_id() != before
    assert json.loads(ssh("deb", f"curl -sf -m 5 {METADATA}").stdout)


def test_a_cut_server_is_unreachable_and_comes_back_as_it_was(fleet: Fleet, ssh: Ssh) -> None:
    node = fleet.node("deb")
    before = node.boot_id()
    node.cut()
    try:
        assert ssh("deb", "true", check=False).returncode == 255
    finally:
        node.heal()
    assert ssh("deb", f"curl -sf -m 5 {METADATA}").stdout
    assert node.boot_id() == before


def test_a_killed_server_stays_off_until_it_is_started(fleet: Fleet, ssh: Ssh) -> None:
    node = fleet.node("deb")
    before = node.boot_id()
    node.kill()
    assert node.boot_id() == ""
    assert ssh("deb", "true", check=False).returncode == 255
    node.heal()
    assert node.boot_id() not in ("", before)
    assert ssh("deb", "docker info --format x").stdout.strip() == "x"


def test_a_driver_that_needs_a_reboot_has_devices_after_it(docker_client: Any) -> None:
    specs = [NodeSpec("n1", cards=2, driver="not-rebooted", docker=False)]
    with Fleet("self-driver", specs, metadata=False, registry=False) as started:
        node = started.node("n1")
        assert node.exec("sh", "-c", "ls /dev | grep -c davinci", check=False).out.strip() == "0"
        assert node.exec("test", "-e", "/usr/local/Ascend/driver/version.info").rc == 0
        node.reboot()
        assert node.exec("sh", "-c", "ls /dev | grep -c davinci").out.strip() == "3"


def test_two_fleets_run_side_by_side_and_down_removes_exactly_its_own(fleet: Fleet, docker_client: Any) -> None:
    other = Fleet("self-other", [NodeSpec("deb", docker=False)], metadata=False, registry=False)
    with other:
        assert not other.subnet.overlaps(fleet.subnet)
        assert other.address("deb") != fleet.address("deb")
    mine = {"label": f"{LABEL}=self-other"}
    left = [docker_client.containers.list(all=True, filters=mine), docker_client.volumes.list(filters=mine)]
    assert [*left, docker_client.networks.list(filters=mine)] == [[], [], []]
    assert not other.folder.exists()
    assert fleet.node("deb").running()


def test_a_failed_start_leaves_nothing(docker_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Fleet("self-broken", [NodeSpec("n1", docker=False)], metadata=False, registry=False)

    def interrupted(_fleet: Fleet, _name: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "node", interrupted)
    with pytest.raises(KeyboardInterrupt):
        broken.up()
    mine = {"label": f"{LABEL}=self-broken"}
    assert docker_client.containers.list(all=True, filters=mine) == []
    assert docker_client.networks.list(filters=mine) == []
    assert docker_client.volumes.list(filters=mine) == []


def test_up_again_keeps_what_runs_and_renews_what_changed(docker_client: Any) -> None:
    first = Fleet("self-again", [NodeSpec("n1", docker=False), NodeSpec("n2", docker=False)], registry=False)
    with first:
        before = {node.name: node.container.id for node in first.nodes}
        changed = [NodeSpec("n1", docker=False), NodeSpec("n2", docker=False, cards=2)]
        second = Fleet("self-again", changed, registry=False).up()
        after = {node.name: node.container.id for node in second.nodes}
    assert after["n1"] == before["n1"]
    assert after["n2"] != before["n2"]
