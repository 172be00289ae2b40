# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cards one container gets, and whether it has let go of them. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Iterable

from ansible_collections.ascend.fleet.plugins.module_utils import _npu_facts, _placement, _soc
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import Neighbour
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import Spec, with_card_access
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

RELEASE_TIMEOUT = 60.0
RELEASE_INTERVAL = 1.0


def parse_wish(npus: Any) -> tuple[int, list[int] | None]:
    """How many cards, and which when they are listed; takes a number or a list of davinci numbers."""
    if npus in (None, "", 0, "0", []):
        return 0, None
    listed = npus if isinstance(npus, list) else None
    if listed is None and str(npus).isdigit():
        return int(npus), None
    numbers = [int(str(card)) for card in listed or [] if str(card).isdigit() and not isinstance(card, bool)]
    if not listed or len(numbers) != len(listed) or len(set(numbers)) != len(numbers):
        raise FleetError(
            "option-invalid",
            f"npus is {npus!r}, which is neither a number of cards nor a list of card numbers.",
            "Write a number, or a list of the N of /dev/davinciN, each once.",
            key="npus",
            value=npus,
        )
    return len(numbers), numbers


def with_cards(
    spec: Spec,
    npus: Any,
    where: Json,
    neighbours: Iterable[Neighbour],
    release: Iterable[str],
    system: System,
) -> tuple[Spec, list[Json]]:
    """The spec with its cards chosen on this node, and all that stands against it."""
    count, listed = parse_wish(npus)
    if not count:
        return spec, []
    facts = _npu_facts.read(system, where)
    if facts["error"]:
        error = facts["error"]
        return spec, [finding(error["check"], error["cause"], error["remedy"], service=spec["name"], key="npus")]
    profile = _soc.profile(where.get("soc") or facts["soc"], where["image_profile"])
    request = _placement.Request(spec["service"], count, None if listed is None else tuple(listed))
    holders = [_placement.Holder(o.name, tuple(o.cards), o.service, o.running) for o in neighbours]
    rules = _placement.Rules(profile.pairs, tuple(release))
    placement = _placement.place(_placement.chips_from_facts(facts), holders, [request], rules)
    if placement.problems:
        return spec, [
            finding("card-held", p.message, p.remedy, service=spec["name"], key="npus", value=p.value)
            for p in placement.problems
        ]
    return give_cards(spec, placement.assignments[spec["service"]], profile, where, system.exists)


def give_cards(
    spec: Spec, cards: list[int], profile: _soc.Profile, where: Json, exists: Callable[[str], bool]
) -> tuple[Spec, list[Json]]:
    """The spec with what these cards need of the node, and what of that is missing there."""
    access = _soc.resolve(profile, cards, exists, where["dev"], where["ascend_root"])
    return with_card_access(spec, access, cards), [
        finding(
            "device-missing" if path.startswith(where["dev"] + "/") else "mount-missing",
            f"Container {spec['name']}: {path}, which {profile.family} cards need, is not on the node.",
            "Install the driver completely, reboot after it, or name its folder in fleet_ascend_root.",
            service=spec["name"],
            key="npus",
            value=path,
        )
        for path in access["missing"]
    ]


def wait_released(
    system: System,
    where: Json,
    cards: list[int],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once no process is left on the cards; the driver needs a moment to free their memory."""
    deadline = now() + RELEASE_TIMEOUT
    while cards:
        facts = _npu_facts.read(system, where)
        if facts["error"]:
            # A driver that cannot be asked says nothing against the change; the observation of the node reports it.
            return
        chips = {(c["npu_id"], c["chip_id"]): c["davinci_id"] for c in facts["npus"]}
        used = {chips.get((p["npu_id"], p["chip_id"])) for p in facts["processes"]}
        busy = [card for card in cards if card in used]
        if not busy:
            return
        if now() >= deadline:
            raise FleetError(
                "card-held",
                f"Cards {', '.join(str(card) for card in busy)} are still used by a process"
                f" {RELEASE_TIMEOUT:g} s after their container was stopped.",
                "Look with npu-smi info which process it is, and end it.",
                key="npus",
                value=busy,
            )
        sleep(RELEASE_INTERVAL)
