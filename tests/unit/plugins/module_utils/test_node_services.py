# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cards and which spec every service of a node gets, and what happens to what no entry describes."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_images, _node_services
from ansible_collections.ascend.fleet.plugins.module_utils._node_secrets import READ_BY_OTHERS
from tests.unit.plugins.module_utils.node_documents import container, document, neighbour, npus, service


def place(doc, npu=None, neighbours=(), exists=lambda path: True, parent=None):
    placed, findings = _node_services.place(doc, npu or npus(), list(neighbours), exists, parent)
    return {one.service["name"]: one for one in placed}, findings


@pytest.mark.parametrize(
    ("doc", "neighbours", "cards"),
    [
        (document(service("aa", 2), service("bb", 1)), [], {"aa": [0, 1], "bb": [2]}),
        (document(service("aa", cards=[6, 7]), service("bb", 2)), [], {"aa": [6, 7], "bb": [0, 1]}),
        (document(service("aa", 2)), [neighbour("aa", "aa", [4, 5])], {"aa": [4, 5]}),
        (
            document(service("aa", 2, "stopped"), service("bb", 2)),
            [neighbour("aa", "aa", [0, 1], False)],
            {"bb": [2, 3]},
        ),
        (document(service("aa", 2)), [neighbour("old", "old", [0, 1], False)], {"aa": [2, 3]}),
        (document(service("aa", 2), prune="remove"), [neighbour("old", "old", range(8))], {"aa": [0, 1]}),
        (document(service("aa", 2), service("bb", 8, "absent")), [neighbour("bb", "bb", range(8))], {"aa": [0, 1]}),
        (document(service("aa", 2), release=["bash"]), [neighbour("bash", None, range(8))], {"aa": [0, 1]}),
        (document(service("aa", 2)), [neighbour("bash", None, [0, 1, 2])], {"aa": [4, 5]}),
        (document(service("aa", 2)), [neighbour("bash", None, range(8), running=False)], {"aa": [0, 1]}),
        (document(service("aa"), service("bb", 8)), [neighbour("aa", "aa", [0, 1])], {"bb": list(range(8))}),
    ],
    ids=[
        "one pass over all",
        "a fixed list first",
        "cards stay with their service",
        "stopped keeps its cards",
        "an orphan holds its cards",
        "a pruned orphan frees them",
        "an absent service frees them",
        "a released container frees them",
        "a running foreign container holds them",
        "a stopped foreign container does not",
        "a service that wants none any more gives its own back",
    ],
)
def test_cards_go_where_the_rules_say(doc, neighbours, cards):
    placed, findings = place(doc, neighbours=neighbours)
    assert findings == []
    for name, expected in cards.items():
        assert placed[name].cards == expected
        assert placed[name].spec["npus"] == expected


@pytest.mark.parametrize(
    ("doc", "old", "others"),
    [
        (document(service("aa", 2), service("old", 8, "absent")), "old", []),
        (document(service("aa", 2), prune="remove"), "old", []),
        (document(service("aa", 2), release=["bash"]), None, []),
        (document(service("aa", 2)), "old", [0, 1]),
    ],
    ids=["absent", "pruned", "released", "staying"],
)
def test_processes_of_a_container_that_goes_are_in_nobodys_way(doc, old, others):
    cards = others or range(8)
    busy = {**npus(), "processes": [{"npu_id": card, "chip_id": 0, "pid": 7, "name": "python"} for card in cards]}
    placed, findings = place(doc, busy, [neighbour(old or "bash", old, cards)])
    assert findings == []
    assert placed["aa"].cards == ([2, 3] if others else [0, 1])


@pytest.mark.parametrize(("prune", "going"), [("report", set()), ("remove", {"old"}), ("ignore", set())])
def test_a_job_of_the_document_is_not_going(prune, going):
    doc = {**document(service("aa"), prune=prune), "jobs": [{"name": "eval"}]}
    seen = [neighbour(name, owner) for name, owner in (("aa", "aa"), ("eval", "eval"), ("old", "old"), ("bash", None))]
    assert _node_services.leaving(doc, seen) == going


def test_a_service_without_cards_to_have_is_refused_and_names_the_holder():
    placed, findings = place(document(service("aa", 2)), neighbours=[neighbour("bash", None, range(8))])
    assert placed["aa"].spec is None
    assert [(item["check"], item["service"]) for item in findings] == [("placement", "aa")]
    assert "the foreign container bash" in findings[0]["message"]
    assert "fleet_release" in findings[0]["remedy"]


def test_cards_that_cannot_be_observed_have_one_finding_and_it_is_not_this_one():
    placed, findings = place(document(service("aa", 2)), npu={**npus(0), "error": {"cause": "no driver"}})
    assert placed["aa"].spec is None
    assert findings == []


def test_a_broken_card_is_given_to_nobody():
    placed, _findings = place(document(service("aa", 2)), npu=npus(unhealthy=[0, 1]))
    assert not {0, 1} & set(placed["aa"].cards)


def test_a_missing_part_of_the_driver_is_named_before_anything_is_changed():
    placed, findings = place(document(service("aa", 1)), exists=lambda path: "driver" not in path)
    assert placed["aa"].spec is None
    assert {item["check"] for item in findings} == {"mount-missing"}
    assert all("/usr/local/Ascend/driver" in item["message"] for item in findings)


def test_services_that_go_come_first_so_that_what_they_hold_is_free():
    placed, _findings = _node_services.place(
        document(service("aa"), service("zz", 0, "absent", image=None)), None, [], lambda path: True, None
    )
    assert [one.service["name"] for one in placed] == ["zz", "aa"]


@pytest.mark.parametrize(
    ("network", "own", "expected"), [("host", None, "fleet.slice"), ("bridge", None, ""), ("host", "mine", "mine")]
)
def test_only_containers_on_the_hosts_network_go_into_the_slice(network, own, expected):
    placed, _findings = place(document(service("aa", network=network, cgroup_parent=own)), parent="fleet.slice")
    assert placed["aa"].spec["cgroup_parent"] == expected


CONTAINERS = {name: container(name, owner) for name, owner in (("aa", "aa"), ("old", "old"), ("foreign", None))}


@pytest.mark.parametrize(
    ("prune", "removed", "reported"), [("report", [], ["old"]), ("remove", ["old"], []), ("ignore", [], [])]
)
def test_only_containers_of_the_fleet_that_no_entry_names_are_orphans(prune, removed, reported):
    work, findings = _node_services.orphans(document(service("aa"), prune=prune), CONTAINERS)
    assert [one.spec["name"] for one in work] == removed
    assert [item["service"] for item in findings] == reported


CONTENT = "the secret has another content"


@pytest.mark.parametrize(
    ("actions", "running", "secrets", "restarts"),
    [
        ([], True, [CONTENT], True),
        ([], True, [READ_BY_OTHERS], False),
        ([], True, [READ_BY_OTHERS, CONTENT], True),
        ([], True, [], False),
        ([], False, [CONTENT], False),
        ([{"action": "replace"}], True, [CONTENT], False),
    ],
)
def test_a_new_secret_restarts_a_container_that_would_go_on_with_the_old_one(actions, running, secrets, restarts):
    writes = [{"action": "write_secret", "reason": reason} for reason in secrets]
    planned = _node_services.with_restart(service("aa"), container("aa", "aa", running), writes, actions)
    assert [act["action"] for act in planned].count("restart") == restarts


def test_a_removed_document_wants_nothing():
    gone = _node_services.removed(document(service("aa", 2), service("bb")))
    assert {one["state"] for one in gone["services"]} == {"absent"}
    assert gone["prune"] == "remove"


def test_of_a_part_of_a_document_only_that_part_is_removed():
    assert _node_services.removed(document(service("aa"), prune="ignore"))["prune"] == "ignore"


@pytest.mark.parametrize(("prune", "going"), [("ignore", ["aa"]), ("report", ["aa", "old"])])
def test_a_job_that_is_taken_down_leaves_no_container(prune, going):
    given = dict(document(prune=prune), jobs=[{"name": "aa"}])
    work, findings = _node_services.orphans(_node_services.removed(given), CONTAINERS)
    assert ([one.spec["name"] for one in work], findings) == (going, [])


@pytest.mark.parametrize("cards", [[], [0, 1]])
def test_an_orphan_is_said_to_keep_cards_only_when_it_has_some(cards):
    devices = [{"PathOnHost": f"/dev/davinci{card}"} for card in cards]
    old = container("old", "old")
    old["HostConfig"]["Devices"] = devices
    _work, (orphan,) = _node_services.orphans(document(), {"old": old})
    assert ("keeps its cards" in orphan["message"]) == bool(cards)


def test_what_a_stopped_engine_hides_is_not_said_to_be_missing():
    one = _node_services.Placed(service("chat"), None, [])
    (step,) = _node_services.predicted(one, "the engine is started before", "it cannot be seen")
    assert (step["action"], step["reason"]) == ("create", "it cannot be seen")
    image = {"reference": "web:1", "digest": None, "archive": None, "services": ["chat"]}
    (step,) = _node_images.plan([image], {}, "the engine is started before", "it cannot be seen")
    assert (step["action"], step["reason"]) == ("pull", "it cannot be seen")
