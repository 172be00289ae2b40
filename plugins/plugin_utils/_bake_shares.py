# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node bakes which image. Pure. Private to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUILD, SHARE = "build", "share"


def shares(seen: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Work by host, from what ``fleet_node`` saw of each host in the order of the play.

    An image that some node has already is shared from there. Every other is built once, on one of the nodes that need
    it, and different ones on different nodes as far as there are nodes.
    """
    wanting: dict[str, list[str]] = {}
    holding: dict[str, str] = {}
    ids: dict[str, str] = {}
    for host, result in seen.items():
        for line in result.get("bakes") or []:
            if line["present"]:
                holding.setdefault(line["reference"], host)
                ids.setdefault(line["reference"], line["id"])
        for act in result.get("plan") or []:
            if act["scope"] == "bakes" and act["action"] == "bake" and not act["predicted_because"]:
                wanting.setdefault(act["target"], []).append(host)
                ids.setdefault(act["target"], act["after"]["id"])
    work: dict[str, list[dict[str, Any]]] = {}
    for reference, hosts in wanting.items():
        owner = holding.get(reference)
        host = owner or min(hosts, key=lambda name: len(work.get(name, [])))
        work.setdefault(host, []).append(
            {
                "reference": reference,
                "id": ids[reference],
                "work": SHARE if owner else BUILD,
                "others": any(name != host for name in hosts),
            }
        )
    return work
