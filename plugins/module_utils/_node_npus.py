# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cards of a node in the light of its document. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _npu_facts
from ansible_collections.ascend.fleet.plugins.module_utils._findings import WARNING
from ansible_collections.ascend.fleet.plugins.module_utils._npu_holders import running_holders
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

# Placement refuses such a card where it is asked for; elsewhere it stops nobody.
TOLERATED = ("npu-unhealthy", "npu-device")


def read(system: System, document: Json, scope: set[str]) -> Json | None:
    """This run's own observation, never cached facts; None where no service of the node needs a card."""
    want = document["host"]["npus"]
    if not scope & {"services", "bakes", "jobs"} or not (want["needed"] or want["expected"]):
        return None
    socket_path = document["host"]["engine"]["socket"]
    return _npu_facts.read(system, want, lambda: running_holders(socket_path))


def findings(npu: Json | None, document: Json) -> list[Json]:
    if npu is None:
        return []
    want = document["host"]["npus"]
    return [
        dict(item, severity=WARNING) if item["check"] in TOLERATED else item
        for item in _npu_facts.findings(npu, want["expected"], want["needed"])
    ]


def by_card(npu: Json | None) -> dict[int, Json]:
    return {chip["davinci_id"]: chip for chip in (npu or {}).get("npus", []) if chip["davinci_id"] is not None}


def summary(npu: Json | None) -> Json | None:
    if npu is None:
        return None
    return {
        "soc": npu["soc"],
        "total_count": npu["total_count"],
        "driver_version": npu["driver_version"],
        "cards": [{"card": card, "health": chip["health"]} for card, chip in sorted(by_card(npu).items())],
    }
