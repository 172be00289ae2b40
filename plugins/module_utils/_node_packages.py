# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the vendor's package that a node needs: what is there, what is to be unpacked. Private to the collection."""

from __future__ import annotations

import os
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _node_storage,
    _package_look,
    _package_names,
    _package_zip,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action

Json = Dict[str, Any]

UNMOUNTED = "the storage is mounted before"
_MOST_WORKERS = 8
_PATIENCE = 1800


def plan(packages: list[Json], mounting: list[str]) -> tuple[list[Json], list[Json]]:
    """What is to be unpacked, and what stands against it; sizes and times tell, no file is read."""
    actions, findings = [], []
    for package in packages:
        want = want_of(package)
        # Storage that this run mounts hides what lies there now.
        unmounted = any(_node_storage.lies(path, mounting) for path in (want.dest, package["src"]))
        try:
            reasons = ["its storage is not mounted yet"] if unmounted else _package_look.look(want)
        except FleetError as error:
            findings += [dict(error.finding, service=name) for name in package["services"]]
            continue
        if reasons:
            predicted = UNMOUNTED if unmounted else None
            after = {"src": package["src"], "version": package["version"], "parts": package["parts"]}
            actions.append(
                action("packages", "unpack", want.dest, "; ".join(reasons), None, after, predicted_because=predicted)
            )
    return actions, findings


def want_of(package: Json) -> _package_look.Want:
    return _package_look.Want(
        src=(package["src"],),
        dest=os.path.realpath(package["path"]),
        parts=tuple(
            _package_names.Wanted(part["name"], part["match"], tuple(part["include"]), part["sha256"])
            for part in package["parts"]
        ),
        version=package["version"],
        sha256=package["sha256"],
        target=_package_names.Target(machine=_package_names.kernel_name(os.uname().machine)),
        full=False,
        limits=_package_zip.Limits(),
        workers=min(_MOST_WORKERS, len(os.sched_getaffinity(0))),
        patience=_PATIENCE,
    )
