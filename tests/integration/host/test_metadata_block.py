# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets of a container, of the node and of a container on the node's network, by every kind of firewall."""

from __future__ import annotations

import pytest

from tests.integration.host.network import ADDRESS, NEIGHBOUR, Network, reason_against

WANT = {"state": "present", "addresses": [ADDRESS], "except_ports": []}
ABSENT = dict(WANT, state="absent")
# Which program Docker uses, and the backend it calls it.
FIREWALLS = {"iptables-nft": "iptables", "iptables-legacy": "iptables", "nft": "nftables"}


@pytest.fixture(scope="module", autouse=True)
def _possible():
    reason = reason_against()
    if reason:
        pytest.skip(reason)


@pytest.fixture(params=["path", "class"])
def method(request):
    return request.param


@pytest.fixture(params=list(FIREWALLS))
def firewall(request):
    return request.param


@pytest.fixture
def network(method, firewall):
    network = Network(method)
    try:
        network.node.run(firewall, "--version")
        start_docker(network, firewall)
        yield network
    finally:
        network.close()


def start_docker(network, firewall):
    """What the engine does to the tables when it starts: it keeps what it finds in its users' chain."""
    if firewall == "nft":
        network.node.run("nft", "add", "table", "ip", "docker-bridges")
        return
    network.node.sh(
        f"""
        {firewall} -N DOCKER 2>/dev/null || true
        {firewall} -N DOCKER-USER 2>/dev/null || true
        {firewall} -C DOCKER-USER -j RETURN 2>/dev/null || {firewall} -A DOCKER-USER -j RETURN
        {firewall} -D FORWARD -j DOCKER-USER 2>/dev/null || true
        {firewall} -I FORWARD -j DOCKER-USER
        """
    )


def planned(network, firewall, want=None):
    want = want or WANT
    return [step["action"] for step in network.block("observe", want, FIREWALLS[firewall])["actions"]]


def test_containers_are_kept_out_and_the_node_is_not(network, firewall):
    assert network.container.reaches(ADDRESS)
    assert network.host_network_reaches(ADDRESS)

    network.block("apply", WANT, FIREWALLS[firewall])

    assert not network.container.reaches(ADDRESS)
    assert not network.container.reaches(ADDRESS, 53)
    assert not network.host_network_reaches(ADDRESS)
    assert network.node.reaches(ADDRESS)
    assert network.container.reaches(NEIGHBOUR)
    assert network.host_network_reaches(NEIGHBOUR)
    assert planned(network, firewall) == []

    start_docker(network, firewall)
    assert not network.container.reaches(ADDRESS)
    assert planned(network, firewall) == []

    network.block("apply", ABSENT, FIREWALLS[firewall])
    assert network.container.reaches(ADDRESS)
    assert network.host_network_reaches(ADDRESS)
    assert planned(network, firewall, ABSENT) == []


def test_excepted_ports_stay_open_and_can_be_closed_again(network, firewall):
    want = dict(WANT, except_ports=[53])
    network.block("apply", want, FIREWALLS[firewall])
    assert network.container.reaches(ADDRESS, 53)
    assert network.host_network_reaches(ADDRESS, 53)
    assert not network.container.reaches(ADDRESS, 80)
    assert planned(network, firewall, want) == []

    assert planned(network, firewall) == ["write", "block_metadata"]
    network.block("apply", WANT, FIREWALLS[firewall])
    assert not network.container.reaches(ADDRESS, 53)
    assert planned(network, firewall) == []


def damage(network, firewall, what):
    if firewall == "nft":
        chain = {"forward": "containers", "host": "host_network", "refusal": "metadata"}[what]
        network.node.run("nft", "flush", "chain", "ip", "ascend_fleet", chain)
        return
    if what == "refusal":
        network.node.run(firewall, "-F", "ASCEND-FLEET-METADATA")
        return
    chain = {"forward": "DOCKER-USER", "host": "OUTPUT"}[what]
    network.node.run(firewall, "-D", chain, "1")


@pytest.mark.parametrize("what", ["forward", "host", "refusal"])
def test_a_rule_deleted_by_hand_is_seen_and_comes_back(network, firewall, what):
    network.block("apply", WANT, FIREWALLS[firewall])
    damage(network, firewall, what)
    reached = network.host_network_reaches(ADDRESS) if what == "host" else network.container.reaches(ADDRESS)
    assert reached
    assert planned(network, firewall) == ["block_metadata"]

    network.block("apply", WANT, FIREWALLS[firewall])
    assert not network.container.reaches(ADDRESS)
    assert not network.host_network_reaches(ADDRESS)
    assert planned(network, firewall) == []


@pytest.mark.parametrize("firewall", ["iptables-nft", "iptables-legacy"])
def test_rules_of_others_stay_and_cannot_stand_in_front(network, firewall):
    network.node.run(firewall, "-I", "DOCKER-USER", "1", "-s", "10.99.9.9/32", "-j", "DROP")
    network.block("apply", WANT, FIREWALLS[firewall])
    network.node.run(firewall, "-I", "DOCKER-USER", "1", "-i", "docker0", "-j", "ACCEPT")
    assert network.container.reaches(ADDRESS)
    assert planned(network, firewall) == ["block_metadata"]

    network.block("apply", WANT, FIREWALLS[firewall])
    assert not network.container.reaches(ADDRESS)
    rules = network.node.run(firewall, "-S", "DOCKER-USER").stdout
    assert "-A DOCKER-USER -s 10.99.9.9/32 -j DROP" in rules
    assert "-A DOCKER-USER -i docker0 -j ACCEPT" in rules
    assert rules.count("ASCEND-FLEET-METADATA") == 1


@pytest.mark.parametrize("method", ["path"])
def test_a_cgroup_made_anew_is_seen(network, firewall):
    network.block("apply", WANT, FIREWALLS[firewall])
    folder = "/sys/fs/cgroup/ascend.slice/ascend-fleet.slice"
    network.node.run("rmdir", folder)
    network.node.run("mkdir", folder)
    assert network.host_network_reaches(ADDRESS)
    assert planned(network, firewall) == ["block_metadata"]
    network.block("apply", WANT, FIREWALLS[firewall])
    assert not network.host_network_reaches(ADDRESS)
    assert planned(network, firewall) == []


@pytest.mark.parametrize("method", ["none"])
def test_where_no_cgroup_can_be_matched_containers_are_kept_out_all_the_same(network, firewall):
    network.block("apply", WANT, FIREWALLS[firewall])
    assert not network.container.reaches(ADDRESS)
    observed = network.block("observe", WANT, FIREWALLS[firewall])
    assert observed["actions"] == []
    assert observed["observed"]["record"]["host"].startswith("no, ")
