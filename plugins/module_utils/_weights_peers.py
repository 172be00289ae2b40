# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights from other nodes: which of them is asked, and what happens when it dies. Private to the collection.

Nodes stand in a row. Each takes from its parent in a binary tree over that row; when the parent dies, from the next
ancestor or the next node before it in the row. Only the first that is alive goes to the origin, so one copy leaves it.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Dict, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import _weights_share
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import CancelledError, Item, Transfer
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access, Client
from ansible_collections.ascend.fleet.plugins.module_utils._weights_share import FAILED, PROMISING
from ansible_collections.ascend.fleet.plugins.module_utils._weights_sources import Listing
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Done

Json = Dict[str, Any]

PATIENCE = 15.0
POLL_SECONDS = 0.3
ASK_AGAIN = 1.0
# So often a holder may send something wrong or break off.
FAILURES = 3
# What the origin told one node it would tell every other as well.
FINAL = ("model-gated", "model-source", "transfer-refused", "transfer-content")
FAILED_ENOUGH = 2
# Further nodes of the row that are tried when all ancestors are gone.
OTHERS = 8


class Row(NamedTuple):
    """The nodes before this one, nearest in the tree first, and the secret of the run."""

    peers: tuple[str, ...]
    secret: str
    patience: float = PATIENCE


def order(index: int) -> list[int]:
    """Positions a node asks: its ancestors, then the nodes right before it."""
    found = []
    position = index
    while position > 0:
        position = (position - 1) // 2
        found.append(position)
    others = [one for one in range(index - 1, -1, -1) if one not in found]
    return found + others[:OTHERS]


class _Silent(NamedTuple):
    """Since when a node has not answered, and when it was asked last."""

    since: float
    asked: float


class Upstream:
    """The first holder in the row that is alive."""

    def __init__(self, row: Row, asked: Json) -> None:
        self.row = row
        self._asked = asked
        # Nodes of a fleet reach each other without a proxy.
        self.client = Client(Access(timeout=30.0))
        self._silent: dict[str, _Silent] = {}
        self._failures: dict[str, int] = {}

    def find(self) -> tuple[str, Json] | bool | None:
        """Peer and state; True when somebody may still come up; None when nobody is left."""
        pending = False
        said: list[Json] = []
        for peer in self.row.peers:
            if self._failures.get(peer, 0) >= FAILURES:
                continue
            state = self._ask(peer)
            if state is None:
                pending = pending or time.monotonic() - self._silent[peer].since < self.row.patience
            elif state["asked"] != self._asked:
                continue
            elif state["phase"] == FAILED and state["finding"]:
                said.append(state["finding"])
                if state["finding"]["check"] in FINAL or len(said) >= FAILED_ENOUGH:
                    raise _repeated(state["finding"])
            elif state["phase"] in PROMISING:
                return peer, state
        return True if pending else None

    def _ask(self, peer: str) -> Json | None:
        silent = self._silent.get(peer)
        if silent and time.monotonic() - silent.asked < ASK_AGAIN:
            return None
        state = _weights_share.ask(self.client, peer, self.row.secret)
        now = time.monotonic()
        if state is None:
            self._silent[peer] = _Silent(silent.since if silent else now, now)
        else:
            self._silent.pop(peer, None)
        return state

    def blame(self, peer: str) -> None:
        self._failures[peer] = self._failures.get(peer, 0) + 1


def _repeated(said: Json) -> FleetError:
    return FleetError(said["check"], said["message"], said["remedy"], key=said.get("key"), value=said.get("value"))


def listing_of(state: Json) -> Listing | None:
    if state["items"] is None:
        return None
    return Listing(state["revision"], [Item(path, "", size, sha256, git) for path, size, sha256, git in state["items"]])


def bring(
    upstream: Upstream,
    transfer: Transfer,
    begin: Callable[[Listing], list[Item]],
    arrived: Callable[[Done], None],
) -> bool:
    """Everything that holders have; False when nobody is left who could have the rest.

    ``begin`` is told the list of files once it is known, and says which of them are lacking.
    """
    lacking: dict[str, Item] | None = None
    running: dict[Future[Done], tuple[str, str]] = {}
    with ThreadPoolExecutor(transfer.limits.parallel) as pool:
        while True:
            found = upstream.find()
            if found is None:
                _settle(running, upstream, lacking, arrived, wait=True)
                return lacking == {}
            if isinstance(found, tuple):
                peer, state = found
                listing = listing_of(state)
                if lacking is None and listing is not None:
                    lacking = {item.path: item for item in begin(listing)}
                for item in _ready(lacking or {}, state, running):
                    size, sha256 = state["have"][item.path]
                    wanted = _weights_share.item(peer, upstream.row.secret, item.path, size, sha256)
                    wanted = wanted._replace(git_sha1=item.git_sha1)
                    running[pool.submit(transfer.fetch, wanted)] = (item.path, peer)
            _settle(running, upstream, lacking, arrived)
            if lacking == {}:
                return True
            transfer.progress(0)
            if transfer.cancelled.wait(POLL_SECONDS):
                raise CancelledError()


def _ready(lacking: dict[str, Item], state: Json, running: dict[Any, Any]) -> list[Item]:
    """What the holder has, as far as it is what the list of files names."""
    under_way = {path for path, _peer in running.values()}
    ready = []
    for path, item in lacking.items():
        size, sha256 = state["have"].get(path) or (None, None)
        if size is not None and path not in under_way and item.sha256 in (None, sha256) and item.size in (None, size):
            ready.append(item)
    return ready


def _settle(
    running: dict[Any, tuple[str, str]],
    upstream: Upstream,
    lacking: dict[str, Item] | None,
    arrived: Callable[[Done], None],
    wait: bool = False,
) -> None:
    for future in [future for future in running if wait or future.done()]:
        path, peer = running.pop(future)
        try:
            arrived(future.result())
        except FleetError as error:
            if error.finding["check"] == "transfer-space":
                raise
            upstream.blame(peer)
            continue
        if lacking is not None:
            lacking.pop(path, None)


def peers_of(index: int, addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple(addresses[position] for position in order(index))
