# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of model_weights: compare, begin or follow the work. Private to the collection."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from typing import Any, Dict, Iterable

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _lock,
    _transfer,
    _weights_bring,
    _weights_manifest,
    _weights_sources,
    _weights_terms,
    _work,
)
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR, STATUS_DIR, digest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, answered
from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item, Limits
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access, Client
from ansible_collections.ascend.fleet.plugins.module_utils._weights_bring import Delivery, Order, Outcome
from ansible_collections.ascend.fleet.plugins.module_utils._weights_lease import Timing
from ansible_collections.ascend.fleet.plugins.module_utils._weights_peers import Row
from ansible_collections.ascend.fleet.plugins.module_utils._weights_share import Board, Share
from ansible_collections.ascend.fleet.plugins.module_utils._weights_sources import Listing
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Done, Wish

Json = Dict[str, Any]

CA_BUNDLE = STATE_DIR + "/ca-bundle.pem"
# The lease of a run has to be renewed well before it expires.
RENEWALS = 3
READ_AGAIN = "its files are to be read again"


def handle(params: Json, check_mode: bool) -> Json:
    return answered(lambda: _asked(System(), params, check_mode))


def _asked(system: System, params: Json, check_mode: bool) -> Json:
    if params["work"]:
        if params["upload"]:
            _hand_over(system, params)
        return _outcome(system, params["path"], params["work"], params["wait"])
    return _look(system, params) if params["look"] else _called(system, params, check_mode)


def order_of(system: System, params: Json) -> Order:
    wish = Wish(params["source"], params["revision"], tuple(params["include"]), tuple(params["exclude"]))
    share = params["share"]
    upload = params["upload"]
    proxy = params["proxy"] or {}
    return Order(
        path=params["path"].rstrip("/"),
        wish=wish,
        token=params["token"],
        endpoints=params["endpoints"] or {},
        access=Access(
            proxy={scheme: proxy[scheme] for scheme in ("http", "https") if proxy.get(scheme)},
            no_proxy=tuple(proxy.get("no_proxy") or ()),
            ca_file=params["ca_file"] or (CA_BUNDLE if system.exists(CA_BUNDLE) else None),
            validate_certs=params["validate_certs"],
        ),
        limits=Limits(parallel=params["parallel"]),
        full=params["verify"] == "full",
        row=Row(tuple(share["peers"]), share["secret"], share["patience"]) if share else None,
        sent=params["sent"],
        upload=upload and Listing(upload["resolved"], [Item(*row) for row in upload["items"]]),
        resolved=params["resolved"],
        timing=Timing(stale=params["takeover_after"]),
    )


def _look(system: System, params: Json) -> Json:
    order = order_of(system, params)
    wanted = digest([_weights_manifest.asked(order.wish)])
    return {
        "changed": False,
        "path": order.path,
        "reason": _weights_bring.differs(system, order) or (READ_AGAIN if order.full else None),
        "wanted": wanted,
        "shared": params["shared"],
        "findings": [],
    }


def _called(system: System, params: Json, check_mode: bool) -> Json:
    order = order_of(system, params)
    try:
        _weights_terms.kind_and_place(order.wish.source)
    except ValueError as error:
        raise FleetError("model-source", f"The source {order.wish.source!r} {error}.", key="source") from None
    reason = _weights_bring.differs(system, order)
    if check_mode and order.full:
        return _begun(system, params, order, check_mode)
    serves = params["share"] is not None and not check_mode
    if reason is None and not serves and not order.full:
        return _unchanged(system, order)
    if check_mode:
        return _predicted(system, order, reason)
    return _begun(system, params, order)


def _must_fetch(order: Order) -> bool:
    return not (order.row and order.row.peers)


def _unchanged(system: System, order: Order) -> Json:
    return _told(order, Delivery(system, order, Board({}), lambda text: None).present(), 0.0)


# Check mode -------------------------------------------------------------------------------------------------------


def _predicted(system: System, order: Order, reason: str | None, spoilt: Iterable[Done] = ()) -> Json:
    """What would be fetched, by asking the source for its list."""
    if reason is None:
        return _unchanged(system, order)
    listing = order.upload or _listed(system, order)
    seeds = {one.path: one for one in _weights_manifest.files_of(_manifest(system, order)) if one not in spoilt}
    fetched = []
    for item in listing.items if listing else []:
        known = seeds.get(item.path)
        if known and order.upload:
            # The controller reads its files only when it sends them: what has the size is taken for the same.
            there = item.size == known.size
        else:
            there = known is not None and _transfer.agrees(item, known, system.path(order.path))
        if not there or _weights_manifest.changed(system, order.path, [known] if known else []):
            fetched.append(item)
    total = sum(item.size or 0 for item in (listing.items if listing else []))
    _check_room(system, order, fetched)
    return {
        "changed": True,
        "path": order.path,
        "reason": reason,
        "files": len(listing.items) if listing else None,
        "bytes": total if listing else None,
        "fetch": [{"path": item.path, "size": item.size} for item in fetched],
        "source_bytes": sum(item.size or 0 for item in fetched) if _must_fetch(order) else 0,
        "peer_bytes": 0 if _must_fetch(order) else sum(item.size or 0 for item in fetched),
        "revision": listing and listing.revision,
        "seconds": 0.0,
        "findings": [],
        "diff": _diff(system, order, listing.items if listing else None),
    }


def _check_room(system: System, order: Order, fetched: list[Item]) -> None:
    """What the run would refuse for want of room is refused before, as far as its file system can be seen."""
    parts = os.path.join(_weights_bring.staging_of(order.path), _transfer.PARTS)
    wanted = sum(max(0, (item.size or 0) - _transfer.length_of(os.path.join(parts, item.key))) for item in fetched)
    folder = os.path.dirname(os.path.realpath(order.path))
    # A folder that is still to come may lie on storage that is mounted before.
    if system.isdir(folder):
        _transfer.check_space(system.path(folder), wanted)


def _listed(system: System, order: Order) -> Listing | None:
    kind, _place = _weights_terms.kind_and_place(order.wish.source)
    if _weights_sources.SOURCES[kind].list is None:
        return None
    scratch = f"{STATUS_DIR}/weights/{_key(order.path)}-list"
    try:
        wanted = _weights_sources.place(order.wish, system.path(scratch), order.token, order.endpoints)
        return _weights_sources.listing(wanted, Client(order.access), order.wish.include, order.wish.exclude)
    except FleetError:
        # A node that has its weights from others may not reach the source itself.
        if _must_fetch(order):
            raise
        return None
    finally:
        shutil.rmtree(system.path(scratch), ignore_errors=True)


def _manifest(system: System, order: Order) -> Json:
    return _weights_manifest.read(system, order.path) or {"files": []}


def _diff(system: System, order: Order, after: list[Item] | None) -> Json:
    before = [(one.path, one.size) for one in _weights_manifest.files_of(_manifest(system, order))]
    then = [(one.path, one.size) for one in after] if after is not None else [("the files of the source", None)]
    return {
        "before_header": order.path,
        "after_header": f"{order.path} ({order.wish.source})",
        "before": _lines(before),
        "after": _lines(then),
    }


def _lines(files: list[Any]) -> str:
    return "".join(f"{path} {'' if size is None else size}".rstrip() + "\n" for path, size in sorted(files))


# The work ---------------------------------------------------------------------------------------------------------


def _key(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:16]


def _status_file(path: str) -> str:
    return f"{STATUS_DIR}/weights/{_key(path.rstrip('/'))}.json"


def _lock_of(system: System, path: str) -> Lock:
    return Lock(system, _status_file(path) + _work.LOCK_SUFFIX)


def _begun(system: System, params: Json, order: Order, check_mode: bool = False) -> Json:
    run = params["run"] or {"id": "-", "owner": "-"}
    if params["run"] and not check_mode:
        _lock.claim(system, run["id"], run["owner"], run["lease_seconds"], params["take_over"])
    asked = _weights_manifest.asked(order.wish)
    work = digest([order.path, asked, order.full, order.resolved, check_mode])
    lock = _lock_of(system, order.path)
    file = _status_file(order.path)
    if not lock.try_acquire():
        status = _work.read_status(system, file) or {}
        if status.get("digest") == work:
            return _outcome(system, order.path, work, params["wait"])
        raise FleetError(
            "model-busy",
            f"Other work on {order.path} is under way ({status.get('phase')}).",
            key="model.path",
            value=order.path,
        )
    _work.sweep(system, f"{STATUS_DIR}/weights")
    before = _diff(system, order, None)
    board = Board(asked)
    shares: list[Share] = []

    def job(progress: _work.Progress) -> Json:
        began = time.monotonic()
        if check_mode:
            delivery = Delivery(system, order, board, progress)
            return _predicted(system, order, delivery.reason(), delivery.spoilt or ())
        warnings = _shared(params["share"], board, shares)
        outcome = Delivery(system, order, board, _renewing(system, params["run"], progress)).run()
        result = _told(order, outcome, round(time.monotonic() - began, 2), warnings)
        if outcome.changed:
            files = _weights_manifest.files_of(_manifest(system, order))
            result["diff"] = dict(before, after=_lines([(one.path, one.size) for one in files]))
        return result

    def serve() -> None:
        mine = os.getpid()
        for share in shares:
            share.linger(params["share"]["linger"], lambda: (_work.read_status(system, file) or {}).get("pid") != mine)

    _work.start(system, lock, work, {"id": run["id"], "owner": run["owner"]}, job, file, serve)
    return _outcome(system, order.path, work, 0 if params["begin"] else params["wait"])


def _shared(wanted: Json | None, board: Board, shares: list[Share]) -> list[str]:
    """Serve the other nodes; where that cannot be, they find another way."""
    if not wanted or not wanted["address"]:
        return []
    try:
        shares.append(Share(wanted["address"], wanted["port"], wanted["secret"], board))
    except OSError as error:
        place = f"{wanted['address']}:{wanted['port']}"
        return [f"Other nodes cannot take the model from here: {place} cannot be served on ({error.strerror})."]
    return []


def _renewing(system: System, run: Json | None, progress: _work.Progress) -> _work.Progress:
    """Progress that keeps the lease of the run alive."""
    if not run:
        return progress
    renewed = [time.monotonic()]

    def renew(text: str) -> None:
        if time.monotonic() - renewed[0] > run["lease_seconds"] / RENEWALS:
            renewed[0] = time.monotonic()
            # A later run may have the node now; it joins this work or waits for it.
            with contextlib.suppress(FleetError):
                _lock.claim(system, run["id"], run["owner"], run["lease_seconds"])
        progress(text)

    return renew


def _outcome(system: System, path: str, work: str, seconds: float) -> Json:
    file = _status_file(path)
    upload = _weights_bring.staging_of(path.rstrip("/")) + "/" + _weights_bring.UPLOAD_FILE
    lock = _lock_of(system, path)
    deadline = time.monotonic() + seconds
    while True:
        step = max(0.0, min(0.5, deadline - time.monotonic()))
        status = _work.wait(system, work, step, lock.is_held, file)
        if status is None:
            raise FleetError(
                "step-failed", f"The work on {path} ended without a result; it was killed or the node restarted."
            )
        if status["done"]:
            result: Json = status["result"]
            return result
        sending = json.loads(system.read(upload) or "null")
        asked = sending if sending and sending["pid"] == status["pid"] else None
        if asked or time.monotonic() >= deadline:
            pending = {"work": work, "phase": status["phase"], "run": status["run"], "upload": asked}
            return {"changed": False, "pending": pending}


def _hand_over(system: System, params: Json) -> None:
    """The list of files that the work has asked the controller for."""
    folder = _weights_bring.staging_of(params["path"].rstrip("/"))
    system.remove(f"{folder}/{_weights_bring.UPLOAD_FILE}")
    system.write(f"{folder}/{_weights_bring.LIST_FILE}", json.dumps(params["upload"]), mode=0o600)


def _told(order: Order, outcome: Outcome, seconds: float, warnings: list[str] | None = None) -> Json:
    told = {
        "changed": outcome.changed,
        "path": order.path,
        "reason": outcome.reason,
        "files": outcome.files,
        "bytes": outcome.bytes,
        "source_bytes": outcome.source_bytes,
        "peer_bytes": outcome.peer_bytes,
        "revision": outcome.revision,
        "seconds": seconds,
        "findings": [],
    }
    return {**told, "warnings": warnings} if warnings else told
