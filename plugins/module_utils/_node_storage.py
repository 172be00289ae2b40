# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the storage answers on which the paths of a document lie. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict, Iterator

from ansible_collections.ascend.fleet.plugins.module_utils import _mounts
from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

FILLING = (("host", "mount"), ("models", "fetch"))


def findings(system: System, document: Json) -> list[Json]:
    """One finding for each dead mount the document needs; with any of them, none of its paths may be touched."""
    remote = [point for point, mounted in _mounts.table(system).items() if _mounts.is_remote(mounted)]
    if not remote:
        return []
    own = document["host"].get("mounts") or []
    seconds = max([mount["timeout"] for mount in own if mount["source"]], default=_mounts.PATIENCE)
    silent = _mounts.silent(system, remote, seconds)
    if not silent:
        return []
    users: dict[str, list[str]] = {}
    for path, service in paths(document):
        point = _mounts.below(system, path, list(silent))
        if point:
            users.setdefault(point, [])
            if service and service not in users[point]:
                users[point].append(service)
    return [_dead(point, silent[point], services) for point, services in users.items()]


def coming(actions: list[Json]) -> list[str]:
    """Mount points and models that a plan is going to fill; what lies there cannot be seen before."""
    return [act["target"] for act in actions if (act["scope"], act["action"]) in FILLING]


def lies(path: str, points: list[str]) -> bool:
    return any(f"{path}/".startswith(f"{point}/") for point in points)


def without_unmounted(service: Json, points: list[str]) -> Json:
    """The service without the checks of what is not mounted yet; they run when its container is made."""
    checks = [check for check in service["checks"] if not lies(check.get("path") or "", points)]
    return dict(service, checks=checks) if len(checks) < len(service["checks"]) else service


def _dead(point: str, told: str, services: list[str]) -> Json:
    needed = f", which {', '.join(services)} {'needs' if len(services) == 1 else 'need'}," if services else ""
    return finding("storage-dead", f"The storage mounted at {point}{needed} {told}.", key="mounts", value=point)


def paths(document: Json) -> Iterator[tuple[str, str | None]]:
    """Every path of the node that observing or applying the document may look at, with the service that needs it."""
    host = document["host"]
    for entry in [*(host.get("mounts") or []), *(host.get("directories") or [])]:
        yield entry["path"], None
    if host.get("work_dir"):
        yield host["work_dir"], None
    artefacts = document.get("artefacts") or {}
    for kind in ("images", "models", "packages"):
        for artefact in artefacts.get(kind) or []:
            for path in filter(None, (artefact.get("path"), _archive(artefact))):
                for service in artefact.get("services") or [None]:
                    yield path, service
    for service in [*document["services"], *(document.get("jobs") or [])]:
        for mount in service["container"].get("mounts") or []:
            if mount["type"] == "bind":
                yield mount["source"], service["name"]
        for check in service.get("checks") or []:
            if check.get("path"):
                yield check["path"], service["name"]


def _archive(artefact: Json) -> str | None:
    archive = artefact.get("archive")
    return archive["path"] if isinstance(archive, dict) and archive.get("on") == "node" else None
