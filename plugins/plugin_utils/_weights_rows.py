# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows in which nodes give each other their models. Private to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._address import endpoint
from ansible_collections.ascend.fleet.plugins.module_utils._weights_peers import peers_of

# So many nodes that have a model already stand before those that lack it: one would do, until it dies.
HOLDERS = 2

Json = dict[str, Any]


def rows(seen: Mapping[str, Any], addresses: Mapping[str, str | None], port: int) -> dict[str, dict[str, Json]]:
    """By host and path what a host does; nothing for who neither lacks a model nor is asked for it.

    ``seen`` is by host what looking at its models gave. Each model has a port of its own from ``port`` on.
    """
    groups: dict[tuple[str, str, bool], dict[str, str | None]] = {}
    for host, results in seen.items():
        for result in results or []:
            if "reason" in result:
                key = (str(result["path"]), str(result["wanted"]), bool(result["shared"]))
                groups.setdefault(key, {})[host] = result["reason"]
    found: dict[str, dict[str, Json]] = {}
    lacking = [(key, group) for key, group in sorted(groups.items()) if any(group.values())]
    for slot, ((path, _wanted, shared), group) in enumerate(lacking):
        holders = [host for host, reason in group.items() if reason is None][:HOLDERS]
        needing = [host for host, reason in group.items() if reason is not None]
        if shared or len(holders + needing) == 1:
            for host in needing:
                found.setdefault(host, {})[path] = {"share": None}
            continue
        row = holders + needing
        urls = [_url(addresses.get(host), port + slot) for host in row]
        for index, host in enumerate(row):
            peers = [url for url in peers_of(index, urls) if url] if host in needing else []
            share = {"address": addresses.get(host), "port": port + slot, "peers": peers}
            found.setdefault(host, {})[path] = {"share": share}
    return found


def _url(address: str | None, port: int) -> str:
    return f"http://{endpoint(address, port)}" if address else ""
