# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of training_dataset: compare, begin or join the work. Private to the collection."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _dataset, _transfer, _work
from ansible_collections.ascend.fleet.plugins.module_utils._dataset import Want
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR, STATUS_DIR, digest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, answered
from ansible_collections.ascend.fleet.plugins.module_utils._lock import Lock
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access

Json = Dict[str, Any]

CA_BUNDLE = STATE_DIR + "/ca-bundle.pem"
SHA256 = re.compile(r"^[0-9a-f]{64}$")
ARCHIVE = "archive"
# Whoever follows the work asks again within a second or two.
FRESH_SECONDS = 60


def handle(params: Json, check_mode: bool) -> Json:
    return answered(lambda: _called(System(), params, check_mode))


def want_of(system: System, params: Json) -> Want:
    proxy, archive = params["proxy"] or {}, params["archive"]
    _check(params)
    want = Want(
        path=params["path"].rstrip("/"),
        format=params["format"],
        files=tuple(_dataset.item(one["path"], one["url"], one["sha256"], one["size"]) for one in params["files"]),
        archive=_dataset.item(ARCHIVE, archive["url"], archive["sha256"]) if archive else None,
        folder=archive["folder"] if archive else None,
        directory=params["directory"],
        access=Access(
            proxy={scheme: proxy[scheme] for scheme in ("http", "https") if proxy.get(scheme)},
            no_proxy=tuple(proxy.get("no_proxy") or ()),
            ca_file=params["ca_file"] or (CA_BUNDLE if system.exists(CA_BUNDLE) else None),
            validate_certs=params["validate_certs"],
        ),
        limits=_transfer.Limits(parallel=params["parallel"]),
        full=params["verify"] == "full",
        max_size=params["max_size"],
    )
    return _dataset.looked(want)


def _check(params: Json) -> None:
    if not (params["files"] or params["archive"] or params["directory"]):
        raise FleetError("dataset-source", "Neither files nor an archive nor a directory is given.", key="files")
    if params["files"] and params["archive"]:
        raise FleetError("dataset-source", "Files and an archive are given for one directory.", key="archive")
    _transfer.check_paths(one["path"] for one in params["files"])
    for one in [*params["files"], *filter(None, [params["archive"]])]:
        if not one["url"].startswith(("https://", "http://", "/")):
            message = f"{one['url']} is neither a URL nor an absolute path."
            raise FleetError("dataset-source", message, "Write https://..., or the whole path on the node.", key="url")
        if one["sha256"] and not SHA256.match(one["sha256"]):
            message = f"{one['sha256']!r} is no sha256."
            raise FleetError("dataset-source", message, "Write the 64 hexadecimal digits that sha256sum prints.")


def _called(system: System, params: Json, check_mode: bool) -> Json:
    want = want_of(system, params)
    key = hashlib.sha256(want.path.encode()).hexdigest()[:16]
    file = f"{STATUS_DIR}/datasets/{key}.json"
    # Sources may change while the work on them goes on; whoever asked for it follows it to its end.
    work = digest([want.path, _dataset.asked(want._replace(state=None)), want.full])
    if check_mode:
        return _dataset.result(system, want, _dataset.differs(system, want))
    lock = Lock(system, file + _work.LOCK_SUFFIX)
    # In this order: work that is not under way any more has left its result.
    joined = _digest_of(system, file) == work and lock.is_held()
    ended = _ended(system, file, work)
    if ended is not None:
        return ended
    if not joined:
        reason = _dataset.differs(system, want)
        if reason is None:
            return _dataset.result(system, want, None)
        if lock.try_acquire():
            _work.sweep(system, f"{STATUS_DIR}/datasets")
            _work.start(
                system, lock, work, {"id": "-", "owner": "-"}, lambda tell: _dataset.bring(system, want, tell), file
            )
        elif _digest_of(system, file) != work:
            raise FleetError("model-busy", f"Other work on {want.path} is under way.", key="path", value=want.path)
    status = _work.wait(system, work, params["wait"], lock.is_held, file)
    if status is None:
        raise FleetError(
            "step-failed", f"The work on {want.path} ended without a result; it was killed or the node restarted."
        )
    if status["done"]:
        return _ended(system, file, work) or {}
    return {"changed": False, "pending": {"phase": status["phase"]}, "findings": []}


def _digest_of(system: System, file: str) -> str | None:
    return (_work.read_status(system, file) or {}).get("digest")


def _ended(system: System, file: str, work: str) -> Json | None:
    """The result of work that has just ended, told once; an old one is nobody's any more."""
    status = _work.read_status(system, file)
    if status is None or not status["done"] or status["digest"] != work:
        return None
    system.remove(file)
    result: Json = status["result"]
    return result if time.time() - status["updated"] < FRESH_SECONDS else None
