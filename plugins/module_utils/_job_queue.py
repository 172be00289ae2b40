# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which waiting jobs may start now: cards as services get them, processors by a limit. Pure.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import _placement
from ansible_collections.ascend.fleet.plugins.module_utils._placement import Chip, Holder, Request, Rules

Json = Dict[str, Any]


class Ground(NamedTuple):
    """What a node has for jobs."""

    chips: Sequence[Chip]
    held: Sequence[Holder]
    """Containers that are no jobs of the document."""
    services: Sequence[Request]
    """The services with the cards they have: these are never given to a job."""
    rules: Rules
    cpu_jobs: int
    """How many jobs without cards may run at a time."""


def ground(
    npu: Json | None,
    held: Iterable[Holder],
    jobs: Iterable[Holder],
    services: Iterable[tuple[str, Sequence[int]]],
    rules: Rules,
    cpu_jobs: int,
) -> Ground:
    held = list(held)
    occupied = {card for holder in [*held, *jobs] if holder.running for card in holder.cards}
    # A process in a container that is known says nothing about the time after that container.
    chips = [
        chip._replace(busy=False) if chip.card in occupied else chip for chip in _placement.chips_from_facts(npu or {})
    ]
    requests = [Request(name, len(cards), tuple(cards)) for name, cards in services if cards]
    return Ground(chips, held, requests, rules, cpu_jobs)


def order(jobs: Iterable[Json]) -> list[Json]:
    """The largest first, so that a job for many cards does not wait for all the small ones."""
    return sorted(jobs, key=lambda job: -job["npus"]["count"])


def cards_for(where: Ground, running: Iterable[tuple[str, Sequence[int]]], job: Json) -> _placement.Placement:
    """The cards a job can have beside the services and the jobs that run."""
    taken = [Request(name, len(cards), tuple(cards)) for name, cards in running if cards]
    (wanted,) = _placement.requests_of([dict(job, state="present")])
    return _placement.place(where.chips, where.held, [*where.services, *taken, wanted], where.rules)


def startable(where: Ground, running: dict[str, list[int]], waiting: Iterable[Json]) -> list[tuple[Json, list[int]]]:
    """The waiting jobs that fit now, each with its cards."""
    now = dict(running)
    found = []
    for job in waiting:
        if not job["npus"]["count"]:
            if sum(1 for cards in now.values() if not cards) >= where.cpu_jobs:
                continue
            cards: list[int] = []
        else:
            given = cards_for(where, now.items(), job).assignments.get(job["name"])
            if given is None:
                continue
            cards = given
        now[job["name"]] = cards
        found.append((job, cards))
    return found


def alone(where: Ground, job: Json) -> tuple[list[int], list[_placement.Problem]]:
    """The cards a job would have if it were the only one, and why it can have none."""
    placement = cards_for(where, [], job)
    problems = [problem for problem in placement.problems if problem.service == job["name"]]
    return placement.assignments.get(job["name"], []), problems
