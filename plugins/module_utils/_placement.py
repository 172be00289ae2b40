# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which service gets which cards: the controller predicts, the node decides. Pure; private to the collection.

A card has at most one owner. What a fleet container holds stays with it, running or not, until its
entry is absent; a foreign container holds its cards while it runs.
"""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding


class Chip(NamedTuple):
    """A card of the node, by the number N of /dev/davinciN."""

    card: int
    healthy: bool = True
    busy: bool = False
    """Whether a process uses it."""
    health: str = ""


class Holder(NamedTuple):
    """A container that has cards in its device list."""

    name: str
    cards: tuple[int, ...]
    service: str | None = None
    """The fleet service it belongs to; None for a foreign container."""
    running: bool = True
    leaving: bool = False
    """Whether it goes before anybody gets a card, with its processes."""


class Request(NamedTuple):
    service: str
    number: int = 0
    cards: tuple[int, ...] | None = None
    """Cards fixed by the user."""


class Rules(NamedTuple):
    pairs: bool = False
    """Whether the chip family hands out cards 2k and 2k+1 together."""
    release: tuple[str, ...] = ()
    """Foreign containers that may be stopped."""


NO_RULES = Rules()


class Problem(NamedTuple):
    service: str
    value: Any
    message: str
    remedy: str


class Placement(NamedTuple):
    assignments: dict[str, list[int]]
    problems: list[Problem]


def chips_from_facts(npu: dict[str, Any]) -> list[Chip]:
    """The cards of ``ansible_facts.ascend_npu``; one without a device node cannot be given to anybody."""
    used = {(process.get("npu_id"), process.get("chip_id")) for process in npu.get("processes") or []}
    chips = []
    for chip in npu.get("npus") or []:
        if chip.get("davinci_id") is None:
            continue
        health = str(chip.get("health") or "")
        chips.append(
            Chip(
                card=int(chip["davinci_id"]),
                healthy=health.upper() in ("OK", "WARNING"),
                busy=(chip.get("npu_id"), chip.get("chip_id")) in used,
                health=health,
            )
        )
    return sorted(chips)


def requests_of(services: Iterable[dict[str, Any]]) -> list[Request]:
    """What the services of a document ask for; an absent one asks for nothing."""
    return [
        Request(
            service=service["name"],
            number=service["npus"]["count"],
            cards=tuple(service["npus"]["cards"]) if service["npus"]["cards"] else None,
        )
        for service in services
        if service["state"] != "absent"
    ]


def findings_of(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [
        finding(
            "placement",
            problem.message,
            problem.remedy,
            service=problem.service,
            key="npus",
            value=problem.value,
        )
        for problem in problems
    ]


def expected_chips(count: int) -> list[Chip]:
    """What a node will show when it is as its inventory says."""
    return [Chip(card) for card in range(count)]


def place(
    chips: Iterable[Chip], held: Iterable[Holder], requests: Iterable[Request], rules: Rules = NO_RULES
) -> Placement:
    return _Node(chips, held, requests, rules).place()


class _Node:
    def __init__(
        self, chips: Iterable[Chip], held: Iterable[Holder], requests: Iterable[Request], rules: Rules
    ) -> None:
        self.chips = {chip.card: chip for chip in chips}
        self.requests = sorted(requests, key=lambda request: request.service)
        self.rules = rules
        self.own: dict[str, set[int]] = {}
        self.taken: dict[int, str] = {}
        """Card to the words that name who has it."""
        self.occupied: set[int] = set()
        """Cards whose processes belong to a container that is known."""
        self.assignments: dict[str, list[int]] = {}
        self.problems: list[Problem] = []
        self._note_holders(held)

    def _note_holders(self, held: Iterable[Holder]) -> None:
        wanted = {request.service for request in self.requests}
        for holder in sorted(held, key=lambda holder: holder.name):
            if holder.running:
                self.occupied |= set(holder.cards)
            if holder.leaving:
                continue
            if holder.service in wanted:
                self.own.setdefault(str(holder.service), set()).update(holder.cards)
            elif holder.service is not None:
                self._take(holder.cards, f"container {holder.name}, which none of these services owns")
            elif holder.running and holder.name not in self.rules.release:
                self._take(holder.cards, f"the foreign container {holder.name}")

    def _take(self, cards: Iterable[int], owner: str) -> None:
        for card in cards:
            self.taken.setdefault(card, owner)

    def place(self) -> Placement:
        self._reserve_kept()
        fixed = [request for request in self.requests if request.cards]
        counted = [request for request in self.requests if not request.cards]
        for request in fixed:
            self._fix(request)
        # The largest first: a small one fits into what is left, a large one may not.
        for request in sorted(counted, key=lambda request: (-request.number, request.service)):
            self._count(request)
        return Placement(self.assignments, sorted(self.problems))

    def _reserve_kept(self) -> None:
        """Cards of a service that stay with it; a fixed list says itself which those are."""
        for request in self.requests:
            for card in self._kept(request):
                self.taken.setdefault(card, f"service {request.service}")

    def _kept(self, request: Request) -> list[int]:
        own = self.own.get(request.service, set()) & set(self.chips)
        if request.cards:
            return sorted(own & set(request.cards))
        if request.number >= len(own):
            return sorted(own)
        return self._units(sorted(own), request.number)

    def _units(self, cards: Sequence[int], count: int) -> list[int]:
        """The first ``count`` of ``cards``, whole pairs before halves where pairs count."""
        if not self.rules.pairs:
            return list(cards[:count])
        whole = [card for card in cards if card ^ 1 in cards]
        return sorted((whole + [card for card in cards if card not in whole])[:count])

    def _fix(self, request: Request) -> None:
        cards = request.cards or ()
        own = self.own.get(request.service, set())
        owner = f"service {request.service}"
        reasons = []
        for card in cards:
            reason = self._obstacle(card, owner, card in own)
            if reason:
                reasons.append(reason)
        if self.rules.pairs and any(card ^ 1 not in cards for card in cards):
            self._refuse(
                request,
                list(cards),
                "the chip hands out cards in pairs (0 and 1, 2 and 3 ...)",
                "List both cards of each pair.",
            )
        elif reasons:
            self._refuse(request, list(cards), "; ".join(reasons), self._remedy())
        else:
            for card in cards:
                self.taken[card] = owner
            self.assignments[request.service] = list(cards)

    def _obstacle(self, card: int, owner: str, own: bool) -> str | None:
        chip = self.chips.get(card)
        if chip is None:
            return f"card {card} is not on the node"
        holder = self.taken.get(card)
        if holder is not None and holder != owner:
            return f"card {card} is held by {holder}"
        if own:
            return None
        if not chip.healthy:
            return f"card {card} is not healthy ({chip.health or 'no state'})"
        if chip.busy and card not in self.occupied:
            return f"card {card} is used by a process outside any container"
        return None

    def _count(self, request: Request) -> None:
        if request.number == 0:
            self.assignments[request.service] = []
            return
        if self.rules.pairs and request.number % 2:
            self._refuse(
                request, request.number, "the chip hands out cards in pairs", f"Ask for {request.number + 1} cards."
            )
            return
        kept = self._kept(request)
        missing = request.number - len(kept)
        chosen = self._choose(missing, kept) if missing else []
        if chosen is None:
            self._refuse(request, request.number, self._shortage(missing), self._remedy())
            return
        cards = sorted(kept + chosen)
        for card in cards:
            self.taken[card] = f"service {request.service}"
        self.assignments[request.service] = cards

    def _free(self) -> list[int]:
        return [
            card for card in sorted(self.chips) if card not in self.taken and self._obstacle(card, "", False) is None
        ]

    def _choose(self, count: int, kept: Sequence[int]) -> list[int] | None:
        """Free cards that lie together: the aligned block with the least room to spare, else the lowest ones."""
        free = self._free()
        if self.rules.pairs:
            free = [card for card in free if card ^ 1 in free or card ^ 1 in kept]
        if len(free) < count:
            return None
        if self.rules.pairs and kept:
            return self._units(sorted(free, key=lambda card: (card ^ 1 not in kept, card)), count)
        size = 1
        while size < count:
            size *= 2
        blocks: dict[int, list[int]] = {}
        for card in free:
            blocks.setdefault(card // size, []).append(card)
        fitting = sorted((len(cards), block) for block, cards in blocks.items() if len(cards) >= count)
        return self._units(blocks[fitting[0][1]] if fitting else free, count)

    def _shortage(self, missing: int) -> str:
        free = self._free()
        text = f"{missing} more needed, {len(free)} of {len(self.chips)} free"
        if self.rules.pairs:
            text += " (only whole pairs count)"
        owners: dict[str, list[int]] = {}
        for card in sorted(self.chips):
            if card in free:
                continue
            reason = self._obstacle(card, "", False) or "taken"
            words = reason.split(" ", 2)[2] if reason.startswith("card ") else reason
            owners.setdefault(words, []).append(card)
        held = [f"{_cards(cards)} {_plural(words, cards)}" for words, cards in owners.items()]
        return "; ".join([text, *held])

    def _remedy(self) -> str:
        if any(owner.startswith("the foreign container") for owner in self.taken.values()):
            return "Stop the foreign container, or name it in fleet_release."
        if any(owner.startswith("container") for owner in self.taken.values()):
            return "Remove that container if it is not needed (fleet_prune: remove), or ask for fewer cards."
        return "Ask for fewer cards, set another service to absent, or use another node."

    def _refuse(self, request: Request, value: Any, reason: str, remedy: str) -> None:
        asked = f"cards {', '.join(str(card) for card in value)}" if isinstance(value, list) else _number(value)
        self.problems.append(
            Problem(request.service, value, f"Service {request.service} cannot have {asked}: {reason}.", remedy)
        )


def _number(count: int) -> str:
    return "1 card" if count == 1 else f"{count} cards"


def _cards(cards: Sequence[int]) -> str:
    return ("card " if len(cards) == 1 else "cards ") + ", ".join(str(card) for card in cards)


def _plural(words: str, cards: Sequence[int]) -> str:
    return "are" + words[2:] if len(cards) > 1 and words.startswith("is ") else words
