# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the rank table that the platform wrote complete? Pure; private to the collection."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

INITIALIZING = "initializing"
COMPLETED = "completed"
UNKNOWN = "unknown"
BROKEN = "broken"


class Device(NamedTuple):
    server: str
    device: str
    rank: str | None


class Verdict(NamedTuple):
    """`state` is initializing, completed, broken, or unknown for a table of a form that was never seen."""

    state: str
    servers: int
    devices: int
    faults: tuple[str, ...]


def judge(text: str | None, nodes: int, npus: int) -> Verdict:
    """Every server, every device of it, and ranks from 0 without a gap or a double."""
    if not text:
        return Verdict(INITIALIZING, 0, 0, ())
    try:
        table = json.loads(text)
    except ValueError:
        return Verdict(UNKNOWN, 0, 0, ("the rank table is no JSON, perhaps compressed",))
    if not isinstance(table, Mapping):
        return Verdict(UNKNOWN, 0, 0, ("the rank table is no object",))
    if table.get("status") != COMPLETED:
        return Verdict(INITIALIZING, 0, 0, ())
    try:
        devices = list(_devices(table))
    except (KeyError, TypeError, AttributeError):
        return Verdict(UNKNOWN, 0, 0, ("the rank table has a form that is not known",))
    faults = tuple(_faults(table, devices, nodes, npus))
    servers = len({device.server for device in devices})
    return Verdict(BROKEN if faults else COMPLETED, servers, len(devices), faults)


def _devices(table: Mapping[str, Any]) -> Iterator[Device]:
    """Of the form with servers and ranks, or of the older one with groups of pods, whose ranks are implied."""
    if "server_list" in table:
        for server in table["server_list"]:
            for device in server["device"]:
                yield Device(str(server["server_id"]), str(device["device_id"]), str(device["rank_id"]))
        return
    for group in table["group_list"]:
        for instance in group["instance_list"]:
            for device in instance["devices"]:
                yield Device(str(instance["server_id"]), str(device["device_id"]), None)


def _faults(table: Mapping[str, Any], devices: list[Device], nodes: int, npus: int) -> Iterator[str]:
    per_server = Counter(device.server for device in devices)
    if len(per_server) != nodes:
        yield f"it lists {len(per_server)} of {nodes} servers"
    said = table.get("server_count")
    if said is not None and str(said) != str(len(per_server)):
        yield f"its server_count is {said} with {len(per_server)} servers"
    for server, count in per_server.items():
        if count != npus:
            yield f"server {server} has {count} of {npus} devices"
    for (server, name), count in Counter((d.server, d.device) for d in devices).items():
        if count > 1:
            yield f"device {name} of server {server} is listed {count} times"
    ranks = Counter(device.rank for device in devices if device.rank is not None)
    if not ranks:
        return
    double = [rank for rank, count in ranks.items() if count > 1]
    if double:
        yield f"rank {', '.join(double[:3])} is given twice"
    missing = {str(rank) for rank in range(nodes * npus)} - set(ranks)
    if missing:
        yield f"rank {', '.join(sorted(missing, key=int)[:3])} is missing"
