# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cards and their owners: tables for what is decided, properties for what always holds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.module_utils._placement import (
    Chip,
    Holder,
    Placement,
    Request,
    Rules,
    chips_from_facts,
    expected_chips,
    findings_of,
    place,
    requests_of,
)

EIGHT = expected_chips(8)
PAIRS = Rules(pairs=True)


def one(placement: Placement) -> str:
    (problem,) = placement.problems
    return problem.message


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([Request("a", 1)], {"a": [0]}),
        ([Request("a", 0)], {"a": []}),
        ([Request("a", 8)], {"a": list(range(8))}),
        ([Request("b", 2), Request("a", 2)], {"a": [0, 1], "b": [2, 3]}),
        ([Request("a", 1), Request("b", 4)], {"b": [0, 1, 2, 3], "a": [4]}),
        ([Request("a", 2), Request("f", 2, (3, 1))], {"f": [3, 1], "a": [4, 5]}),
        ([Request("a", 1), Request("f", 1, (0,))], {"f": [0], "a": [1]}),
        ([Request("a", 3), Request("b", 1)], {"a": [0, 1, 2], "b": [3]}),
    ],
)
def test_an_empty_node(requests, expected):
    placement = place(EIGHT, [], requests)
    assert placement.assignments == expected
    assert placement.problems == []


def test_a_small_request_fills_the_gap_and_leaves_whole_blocks():
    held = [Holder("a", (0,), "a"), Holder("b", (4, 5), "b")]
    requests = [Request("a", 1), Request("b", 2), Request("new", 1), Request("pair", 2)]
    assert place(EIGHT, held, requests).assignments == {"a": [0], "b": [4, 5], "new": [1], "pair": [2, 3]}


@pytest.mark.parametrize("running", [True, False])
def test_a_service_keeps_its_cards(running):
    held = [Holder("b", (5, 2), "b", running)]
    placement = place(EIGHT, held, [Request("a", 2), Request("b", 2)])
    assert placement.assignments == {"a": [0, 1], "b": [2, 5]}


def test_a_service_keeps_its_cards_though_one_has_become_unhealthy():
    chips = [Chip(0, healthy=False, health="Alarm"), Chip(1)]
    assert place(chips, [Holder("a", (0,), "a")], [Request("a", 1)]).assignments == {"a": [0]}


def test_growing_keeps_what_it_has_and_shrinking_gives_back():
    held = [Holder("a", (2, 3), "a")]
    assert place(EIGHT, held, [Request("a", 4)]).assignments == {"a": [0, 1, 2, 3]}
    assert place(EIGHT, held, [Request("a", 1), Request("b", 7)]).assignments == {
        "a": [2],
        "b": [0, 1, 3, 4, 5, 6, 7],
    }


def test_a_card_that_is_gone_is_replaced():
    chips = [chip for chip in EIGHT if chip.card != 1]
    assert place(chips, [Holder("a", (0, 1), "a")], [Request("a", 2)]).assignments == {"a": [0, 2]}


def test_two_services_may_swap_fixed_cards():
    held = [Holder("a", (0,), "a"), Holder("b", (1,), "b")]
    placement = place(EIGHT, held, [Request("a", 1, (1,)), Request("b", 1, (0,))])
    assert placement.assignments == {"a": [1], "b": [0]}


def test_a_foreign_container_holds_its_cards_while_it_runs():
    idle = Holder("bash_eight", tuple(range(8)))
    placement = place(EIGHT, [idle], [Request("a", 1)])
    assert placement.assignments == {}
    message = one(placement)
    assert "0 of 8 free" in message
    assert "cards 0, 1, 2, 3, 4, 5, 6, 7 are held by the foreign container bash_eight" in message
    assert "fleet_release" in placement.problems[0].remedy
    assert place(EIGHT, [idle._replace(running=False)], [Request("a", 1)]).assignments == {"a": [0]}


def test_a_foreign_container_is_released_by_consent():
    busy = [Chip(card, busy=True) for card in range(8)]
    holders = [Holder("bash_eight", tuple(range(8)))]
    assert place(busy, holders, [Request("a", 1)], Rules(release=("bash_eight",))).assignments == {"a": [0]}
    assert place(busy, holders, [Request("a", 1)], Rules(release=("other",))).assignments == {}


@pytest.mark.parametrize("running", [True, False])
def test_an_orphan_holds_its_cards_and_is_named(running):
    placement = place(expected_chips(2), [Holder("old", (0, 1), "old", running)], [Request("a", 1)])
    assert "container old" in one(placement)
    assert "fleet_prune" in placement.problems[0].remedy


@pytest.mark.parametrize(
    ("chip", "words"),
    [
        (Chip(0, healthy=False, health="Alarm"), "not healthy (Alarm)"),
        (Chip(0, busy=True), "used by a process outside any container"),
    ],
)
def test_a_card_that_cannot_be_used_is_passed_over_and_named(chip, words):
    chips = [chip, Chip(1)]
    assert place(chips, [], [Request("a", 1)]).assignments == {"a": [1]}
    assert words in one(place(chips, [], [Request("a", 2)]))
    assert words in one(place(chips, [], [Request("a", 1, (0,))]))


@pytest.mark.parametrize(
    ("cards", "words"),
    [((9,), "card 9 is not on the node"), ((0,), "card 0 is held by service keeper"), ((1,), "card 1 is held by")],
)
def test_fixed_cards_that_cannot_be_had(cards, words):
    held = [Holder("keeper", (0,), "keeper"), Holder("foreign", (1,))]
    placement = place(EIGHT, held, [Request("a", 1, cards), Request("keeper", 1)])
    assert words in one(placement)
    assert placement.assignments == {"keeper": [0]}


def test_one_that_does_not_fit_leaves_the_others_theirs():
    placement = place(EIGHT, [], [Request("huge", 9), Request("a", 8)])
    assert placement.assignments == {"a": list(range(8))}
    assert [problem.service for problem in placement.problems] == ["huge"]


@pytest.mark.parametrize(
    ("requests", "held", "expected"),
    [
        ([Request("a", 2)], [Holder("x", (0,))], {"a": [2, 3]}),
        ([Request("a", 4)], [Holder("x", (0,))], {"a": [4, 5, 6, 7]}),
        ([Request("a", 6)], [Holder("x", (1,))], {"a": [2, 3, 4, 5, 6, 7]}),
        ([Request("a", 2, (3, 2))], [], {"a": [3, 2]}),
    ],
)
def test_pairs_stay_together(requests, held, expected):
    assert place(EIGHT, held, requests, PAIRS).assignments == expected


@pytest.mark.parametrize("request_", [Request("a", 3), Request("a", 1), Request("a", 2, (1, 2))])
def test_half_pairs_are_refused(request_):
    assert "in pairs" in one(place(EIGHT, [], [request_], PAIRS))


def test_halves_do_not_count_as_free_where_pairs_count():
    placement = place(EIGHT, [Holder("x", (0, 2, 4, 6))], [Request("a", 2)], PAIRS)
    assert placement.assignments == {}


# From observed facts


def chip(davinci: int | None, health: str = "OK", npu: int = 0, number: int = 0) -> dict[str, Any]:
    return {"davinci_id": davinci, "health": health, "npu_id": npu, "chip_id": number}


def test_chips_of_the_facts():
    facts = {
        "npus": [chip(1, "Alarm", 1), chip(0, npu=0), chip(None, npu=2), chip(3, "Warning", 3)],
        "processes": [{"npu_id": 0, "chip_id": 0, "pid": 1, "name": "python", "memory_mb": 1}],
    }
    assert chips_from_facts(facts) == [
        Chip(0, True, True, "OK"),
        Chip(1, False, False, "Alarm"),
        Chip(3, True, False, "Warning"),
    ]


def test_services_of_a_document_ask_for_cards_unless_they_are_absent():
    def service(name: str, count: int, cards: list[int] | None = None, state: str = "present") -> dict[str, Any]:
        return {"name": name, "state": state, "npus": {"count": count, "cards": cards, "profile": "plain"}}

    services = [service("a", 2), service("b", 2, [3, 1], "stopped"), service("c", 1, state="absent"), service("d", 0)]
    assert requests_of(services) == [Request("a", 2), Request("b", 2, (3, 1)), Request("d", 0)]


def test_a_problem_is_a_finding_of_its_service():
    (finding,) = findings_of(place([], [], [Request("chat", 1), Request("cpu", 0)]).problems)
    assert (finding["check"], finding["service"], finding["key"]) == ("placement", "chat", "npus")
    assert finding["message"] == "Service chat cannot have 1 card: 1 more needed, 0 of 0 free."


# What always holds

NAMES = ["a", "b", "c", "d", "e"]


@st.composite
def nodes(draw):
    size = draw(st.integers(0, 16))
    chips = [
        Chip(card, draw(st.booleans()) or draw(st.booleans()), draw(st.integers(0, 9)) == 0) for card in range(size)
    ]
    free = list(range(size))
    random.Random(draw(st.integers(0, 99))).shuffle(free)
    held = []
    for name in draw(st.lists(st.sampled_from([*NAMES, "x", "y"]), unique=True)):
        cards = [free.pop() for _card in range(min(len(free), draw(st.integers(0, 4))))]
        ours = name in NAMES or draw(st.booleans())
        held.append(Holder(name, tuple(cards), name if ours else None, draw(st.booleans())))
    requests = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        if draw(st.booleans()):
            requests.append(Request(name, draw(st.integers(0, 9))))
        else:
            cards = tuple(draw(st.lists(st.integers(0, 16), unique=True, min_size=1, max_size=4)))
            requests.append(Request(name, len(cards), cards))
    return chips, held, requests, Rules(pairs=draw(st.booleans()))


@given(nodes())
def test_every_request_is_met_exactly_or_refused_with_a_reason(node):
    chips, held, requests, rules = node
    placement = place(chips, held, requests, rules)
    refused = {problem.service for problem in placement.problems}
    for request in requests:
        assert (request.service in placement.assignments) != (request.service in refused)
        if request.service in placement.assignments:
            cards = placement.assignments[request.service]
            assert len(cards) == request.number
            assert request.cards is None or cards == list(request.cards)


@given(nodes())
def test_no_card_has_two_owners_and_none_is_invented(node):
    chips, held, requests, rules = node
    placement = place(chips, held, requests, rules)
    given_out = [card for cards in placement.assignments.values() for card in cards]
    assert len(given_out) == len(set(given_out))
    assert set(given_out) <= {chip.card for chip in chips}
    wanted = {request.service for request in requests}
    blocked = {card for h in held if (h.service or h.running) and h.service not in wanted for card in h.cards}
    assert not blocked & set(given_out)


@given(nodes())
def test_new_cards_are_healthy_and_idle(node):
    chips, held, requests, rules = node
    placement = place(chips, held, requests, rules)
    known = {chip.card: chip for chip in chips}
    own = {h.service: set(h.cards) for h in held if h.service}
    occupied = {card for h in held if h.running for card in h.cards}
    for name, cards in placement.assignments.items():
        for card in set(cards) - own.get(name, set()):
            assert known[card].healthy
            assert not known[card].busy or card in occupied


@given(nodes(), st.randoms())
def test_the_order_of_what_is_given_does_not_matter(node, shuffler):
    chips, held, requests, rules = node
    expected = place(chips, held, requests, rules)
    for group in (chips, held, requests):
        shuffler.shuffle(group)
    assert place(chips, held, requests, rules) == expected


@given(nodes())
def test_a_placement_that_was_carried_out_is_kept(node):
    chips, held, requests, rules = node
    first = place(chips, held, requests, rules)
    names = {request.service for request in requests}
    now = [h for h in held if h.service not in names]
    now += [Holder(name, tuple(cards), name) for name, cards in first.assignments.items()]
    now += [h for h in held if h.service in names - set(first.assignments)]
    second = place(chips, now, requests, rules)
    for name, cards in first.assignments.items():
        assert sorted(second.assignments.get(name, [])) == sorted(cards)


@given(nodes())
def test_counted_services_never_lose_a_card_they_may_keep(node):
    chips, held, requests, rules = node
    placement = place(chips, held, requests, rules)
    present = {chip.card for chip in chips}
    for request in requests:
        own = {card for h in held if h.service == request.service for card in h.cards} & present
        if request.cards is None and request.service in placement.assignments and len(own) <= request.number:
            assert own <= set(placement.assignments[request.service])


@given(nodes())
def test_pairs_are_whole(node):
    chips, held, requests, _rules = node
    placement = place(chips, [h for h in held if h.service is None], requests, PAIRS)
    for cards in placement.assignments.values():
        assert all(card ^ 1 in cards for card in cards)
