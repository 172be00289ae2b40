"""The run from compile to verdict, with real ansible-playbook, real unreachable nodes and stand-ins for node work."""

from __future__ import annotations

from .conftest import DEAD, Fleet


def test_every_node_well(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {}, "n2": {}}
    outcome = fleet.run("site")
    print(outcome.out)
    assert outcome.rc == 0
    assert outcome.verdict["ok"] is True
    assert outcome.steps("n1") == ["preflight", "verify"]


def test_dead(fleet: Fleet) -> None:
    fleet.hosts = {"n1": {}, "n2": DEAD}
    outcome = fleet.run("site")
    print(outcome.out)
    assert outcome.rc == 2
