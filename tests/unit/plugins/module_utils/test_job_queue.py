# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs start together: never on a service's cards, never two on one card."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.module_utils import _job_queue
from ansible_collections.ascend.fleet.plugins.module_utils._placement import Holder, Rules
from tests.unit.plugins.module_utils.node_documents import npus


def job(name, count=0, cards=None):
    return {"name": name, "npus": {"count": len(cards) if cards else count, "cards": cards}}


def ground(services=(), held=(), count=8, cpu_jobs=2, pairs=False, release=()):
    return _job_queue.ground(npus(count), held, [], services, Rules(pairs, tuple(release)), cpu_jobs)


def started(where, waiting, running=None):
    return {one["name"]: cards for one, cards in _job_queue.startable(where, running or {}, waiting)}


@pytest.mark.parametrize(
    ("services", "waiting", "running", "expected"),
    [
        ((), [job("a", 4), job("b", 4), job("c", 4)], {}, {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7]}),
        ((), [job("c", 4)], {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7]}, {}),
        ((("web", [0, 1]),), [job("a", 4), job("b", 4)], {}, {"a": [4, 5, 6, 7]}),
        ((), [job("a", cards=[0, 1]), job("b", cards=[1, 2]), job("c", cards=[2, 3])], {}, {"a": [0, 1], "c": [2, 3]}),
        ((("web", [0, 1, 2, 3]),), [job("a", 8), job("b", 2)], {}, {"b": [4, 5]}),
        ((), [job("a"), job("b"), job("c")], {}, {"a": [], "b": []}),
        ((), [job("a"), job("b", 1)], {"x": [], "y": []}, {"b": [0]}),
    ],
    ids=["as many as fit", "all taken", "services keep theirs", "by cards", "one that never fits holds up nobody",
         "processors by a limit", "which cards do not count for"],
)  # fmt: skip
def test_what_starts_now(services, waiting, running, expected):
    assert started(ground(services), waiting, running) == expected


def test_a_foreign_container_keeps_its_cards_unless_it_may_be_stopped():
    held = [Holder("theirs", tuple(range(8)))]
    assert started(ground(held=held), [job("a", 2)]) == {}
    assert started(ground(held=held, release=["theirs"]), [job("a", 2)]) == {"a": [0, 1]}
    cards, problems = _job_queue.alone(ground(held=held), job("a", 2))
    assert cards == []
    assert "theirs" in problems[0].message


def test_a_card_is_free_again_when_the_job_seen_on_it_has_ended():
    facts = {**npus(1), "processes": [{"npu_id": 0, "chip_id": 0, "pid": 1}]}
    seen = [Holder("a", (0,), "a")]
    where = _job_queue.ground(facts, [], seen, [], Rules(), 1)
    assert started(where, [job("b", 1)], {"a": [0]}) == {}
    assert started(where, [job("b", 1)]) == {"b": [0]}
    # A process in no container is somebody's own.
    assert started(_job_queue.ground(facts, [], [], [], Rules(), 1), [job("b", 1)]) == {}


def test_the_largest_goes_first():
    names = [one["name"] for one in _job_queue.order([job("a"), job("b", 1), job("c", 8), job("d", 1)])]
    assert names == ["c", "b", "d", "a"]


@given(
    wanted=st.lists(st.integers(0, 8), max_size=12),
    service=st.integers(0, 8),
    ends=st.lists(st.integers(0, 99), min_size=40, max_size=40),
)
def test_every_job_that_can_run_runs_once_and_cards_are_never_shared(wanted, service, ends):
    kept = list(range(service))
    where = ground([("web", kept)] if kept else [], cpu_jobs=2)
    jobs = _job_queue.order([job(f"j{number}", count) for number, count in enumerate(wanted)])
    waiting, running, done = list(jobs), {}, []
    for end in ends:
        for one, cards in _job_queue.startable(where, running, waiting):
            waiting.remove(one)
            assert len(cards) == one["npus"]["count"]
            running[one["name"]] = cards
        used = [card for cards in running.values() for card in cards] + kept
        assert len(used) == len(set(used))
        assert sum(1 for cards in running.values() if not cards) <= 2
        if running:
            name = sorted(running)[end % len(running)]
            del running[name]
            done.append(name)
    assert sorted(done) == sorted(one["name"] for one in jobs if one["npus"]["count"] <= 8 - service)
