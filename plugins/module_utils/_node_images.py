# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images a node needs: what is there, what is missing, and how it comes. Private to the collection."""

from __future__ import annotations

import hashlib
import posixpath
from typing import Any, Callable, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._engine_sdk import EngineClient
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]


def archive_path(archive: Json) -> str:
    """Where an archive lies on the node; one of the controller is copied below the state directory."""
    if archive["on"] == "node":
        return str(archive["path"])
    name = hashlib.sha256(archive["path"].encode()).hexdigest()[:16]
    return f"{STATE_DIR}/images/{name}-{posixpath.basename(archive['path'])}"


def plan(
    wanted: list[Json],
    present: dict[str, Json | None],
    predicted_because: str | None = None,
    unseen: str | None = None,
) -> list[Json]:
    return [
        _arrival(image, unseen or reason, present.get(image["reference"]), predicted_because)
        for image, reason in ((image, _lacks(image, present.get(image["reference"]))) for image in wanted)
        if reason
    ]


def _lacks(wanted: Json, found: Json | None) -> str | None:
    if found is None:
        return "the image is not on the node"
    if wanted["digest"] and wanted["digest"] not in _digests(found):
        return f"the image on the node is not {wanted['digest']}"
    return None


def _digests(found: Json) -> list[str]:
    return [str(found.get("Id")), *(entry.rpartition("@")[2] for entry in found.get("RepoDigests") or [])]


def _arrival(wanted: Json, reason: str, found: Json | None, predicted_because: str | None) -> Json:
    archive = wanted["archive"]
    after: Json = {"digest": wanted["digest"]}
    if archive:
        after.update(archive=archive_path(archive), source=archive["path"], on=archive["on"])
    return action(
        "images",
        "load" if archive else "pull",
        wanted["reference"],
        reason,
        before=None if found is None else {"id": found.get("Id")},
        after=after,
        predicted_because=predicted_because,
    )


def pull(client: EngineClient, act: Json, progress: Callable[[str], None]) -> None:
    reference, digest = act["target"], act["after"]["digest"]
    repository = reference.partition("@")[0]
    name, tag = _name_and_tag(repository)
    pinned = f"{name}@{digest}" if digest else reference
    last = ""
    try:
        for line in client.pull(pinned):
            text = _pull_progress(reference, line)
            if text and text != last:
                last = text
                progress(text)
        if digest and "@" not in reference:
            client.tag(pinned, name, tag)
    except FleetError as error:
        message = f"Image {reference} cannot be pulled. {error}"
        raise FleetError("image-pull", message, key="image", value=reference) from error


def load(client: EngineClient, act: Json, system: System, progress: Callable[[str], None]) -> None:
    reference, archive = act["target"], act["after"]["archive"]
    progress(f"{reference}: loading {archive}")
    try:
        with open(system.path(archive), "rb") as stream:
            said = "".join(str(line.get("stream") or "") for line in client.load(stream))
    except OSError as error:
        raise _archive_error(act, f"cannot be read: {error.strerror}") from error
    except FleetError as error:
        raise _archive_error(act, f"cannot be loaded: {str(error).rstrip('.')}") from error
    names = [line.rpartition("Loaded image: ")[2].strip() for line in said.splitlines() if "Loaded image: " in line]
    if reference not in names:
        raise _archive_error(act, f"holds {', '.join(names) or 'no named image'}, not {reference}")
    if act["after"]["on"] == "controller":
        system.remove(archive)


def check_loaded(act: Json, found: Json | None) -> None:
    """An archive carries no registry digest, so what it holds is told by the image's own id."""
    wanted = act["after"]["digest"]
    if wanted and wanted not in _digests(found or {}):
        raise _archive_error(act, f"holds the image {(found or {}).get('Id')}, not {wanted}")


def _archive_error(act: Json, what: str) -> FleetError:
    message = f"The archive {act['after']['source']} of image {act['target']} {what}."
    return FleetError("image-archive", message, key="image.archive", value=act["after"]["source"])


def _name_and_tag(reference: str) -> tuple[str, str]:
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "latest")


def _pull_progress(reference: str, line: Json) -> str:
    detail = line.get("progressDetail") or {}
    if line.get("status") in ("Downloading", "Extracting") and detail.get("total"):
        tenths = int(10 * detail["current"] / detail["total"]) * 10
        return f"{reference}: {line['status'].lower()} {line.get('id', '')} {tenths} %"
    return ""
