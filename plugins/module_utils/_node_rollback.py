# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each service ran from before its last change, and the node's document with that in its place.

Private to the collection. One file a service holds the version that runs and the one before it: its part of the
document and the image it had, by content. Secrets are named there, never contained.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterable

from ansible_collections.ascend.fleet.plugins.module_utils._document import SERVICES_DIR, digest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
Image = Callable[[str], Any]

SCHEMA = 1
RUNNING, PREVIOUS = "running", "previous"
_VERSIONS = (RUNNING, PREVIOUS)
_PARTS = (("wanted", str), ("service", dict), ("image", dict))
_MAKING = ("create", "replace", "finish")


def wanted(service: Json) -> str:
    """Names what an entry asks for, as it was compiled; where the controller keeps its files is no part of it."""
    container = service["container"]
    secrets = [dict(secret, source=None) for secret in container["secret_files"]]
    return digest([service["npus"], dict(container, secret_files=secrets)])


def read(system: System, name: str) -> Json:
    found = system.read_record(_path(name))
    return found if found.get("schema") == SCHEMA and all(_is_whole(found.get(key)) for key in _VERSIONS) else {}


def _is_whole(version: Any) -> bool:
    """Whether a version can be used, or there is none; what was damaged is not guessed at."""
    if version is None:
        return True
    return isinstance(version, dict) and all(isinstance(version.get(key), kind) for key, kind in _PARTS)


def note(system: System, service: Json, asked: str, image: Json | None, actions: Iterable[Json]) -> None:
    """Keep what a service runs from now that the actions are done; what it ran from before becomes the way back."""
    done = {act["action"] for act in actions}
    made = bool(done.intersection(_MAKING))
    if not made and service["on_change"] != "recreate":
        # It may have been left as it was.
        return
    record = read(system, service["name"])
    running, previous = record.get(RUNNING), record.get(PREVIOUS)
    now = {"wanted": asked, "service": service, "image": _content(service["container"]["image"], image or {})}
    if running and (made or "update" not in done) and _differ(running, now):
        # What was only changed by hand and mended is no version of its own.
        previous = running
    if (now, previous) != (running, record.get(PREVIOUS)):
        _write(system, service["name"], now, previous)


def went_back(system: System, name: str) -> None:
    previous = read(system, name)[PREVIOUS]
    _write(system, name, previous, previous)


def forget(system: System, name: str) -> None:
    system.remove(_path(name))


def images(system: System, asked: dict[str, str], changing: Iterable[str] = ()) -> set[str]:
    """Ids of the images that the ways back need once the services are what is asked.

    A service that changes, by its entry or by the content of an image in ``changing``, goes back to what runs now.
    """
    names = [name[: -len(_SUFFIX)] for name in system.listdir(SERVICES_DIR) if name.endswith(_SUFFIX)]
    changed, kept = set(changing), set()
    for name in names:
        record = read(system, name)
        running = record.get(RUNNING) or {}
        changes = name in changed or asked.get(name, running.get("wanted")) != running.get("wanted")
        version = running if changes else record.get(PREVIOUS)
        kept |= {version["image"]["id"]} if version else set()
    return kept


def document(system: System, given: Json, image_of: Image) -> tuple[Json, list[Json]]:
    """The document of a way back: its services as they were, and nothing else; a finding for each that stays."""
    services, wanted_images, findings = [], [], []
    for service in given["services"]:
        record = read(system, service["name"])
        version, stays = _way_back(service, record, damaged=not record and system.exists(_path(service["name"])))
        if version is None:
            findings += [finding("rollback-nothing", stays, service=service["name"])]
            continue
        former = version["service"]
        reference, to_bring = _image(version, image_of)
        if reference is None:
            findings += [_gone(service["name"], former["container"]["image"])]
            continue
        now = {"state": service["state"], "on_change": "recreate", "predicted_cards": None}
        services.append(dict(former, container=dict(former["container"], image=reference), **now))
        wanted_images += [dict(to_bring, services=[service["name"]])] if to_bring else []
    artefacts = given["artefacts"]
    # The images of the other services are not known here, so none is taken for superfluous.
    store = dict(artefacts.get("image_store") or {}, prune=False)
    left = dict(artefacts, images=wanted_images, models=[], packages=[], image_store=store)
    return dict(given, services=services, artefacts=left, bakes=[], jobs=[], reach=[], prune="ignore"), findings


def _way_back(service: Json, record: Json, damaged: bool) -> tuple[Json | None, str]:
    name, running, previous = service["name"], record.get(RUNNING), record.get(PREVIOUS)
    if service["state"] == "absent":
        return None, f"Service {name} shall be absent, so there is nothing to go back to."
    if damaged:
        return None, f"Service {name} has nothing to go back to: {_path(name)} on the node, which told it, is damaged."
    if not running or not previous:
        return None, f"Service {name} has nothing to go back to: it was not changed on this node since it was made."
    asked = wanted(service)
    if running != previous and asked not in (running["wanted"], previous["wanted"]):
        # A change that failed was undone at once, and one step further back is not what anybody asked for.
        return None, f"Service {name} does not run what its entry says, so its last change was not made on this node."
    return previous, ""


def _gone(name: str, image: str) -> Json:
    message = (
        f"Service {name} cannot go back: its image {image} of then is not on the node any more, and in no registry."
    )
    return finding("image-missing", message, service=name, key="image", value=image)


def _image(version: Json, image_of: Image) -> tuple[str | None, Json | None]:
    """The image under a name that means its content, and how it comes when it is gone; no name where it cannot come."""
    reference: str = version["service"]["container"]["image"]
    identity, content = version["image"]["id"], version["image"]["digest"]
    if (image_of(reference) or {}).get("Id") == identity:
        return reference, None
    if image_of(identity):
        return identity, None
    if content is None:
        return None, None
    row = {"reference": reference, "digest": content, "archive": None, "check": "missing", "needs": None}
    return reference, row


def _content(reference: str, image: Json) -> Json:
    name = parse(reference).name
    digests = [entry.rpartition("@")[2] for entry in image.get("RepoDigests") or [] if parse(entry).name == name]
    return {"id": image.get("Id"), "digest": digests[0] if digests else None}


def _differ(one: Json, other: Json) -> bool:
    """Whether their containers would differ; another name of the same image makes no other container."""

    def made_from(version: Json) -> list[Any]:
        service = version["service"]
        return [version["image"]["id"], service["npus"], dict(service["container"], image=None)]

    return made_from(one) != made_from(other)


_SUFFIX = ".json"


def _path(name: str) -> str:
    return f"{SERVICES_DIR}/{name}{_SUFFIX}"


def _write(system: System, name: str, running: Json, previous: Json | None) -> None:
    record = {"schema": SCHEMA, RUNNING: running, PREVIOUS: previous}
    system.write(_path(name), json.dumps(record, indent=1, sort_keys=True) + "\n", 0o600)
