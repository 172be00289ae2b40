# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images a node needs: what is there, what is missing or has new content, and what stands against bringing it.

Private to the collection.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _image_history, _soc
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import INFO, WARNING, action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Content, RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import Found, ImageEngine, Listed, gigabytes
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference, architecture, parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

if TYPE_CHECKING:
    from ansible_collections.ascend.fleet.plugins.module_utils._image_registry import Registry

Json = Dict[str, Any]

ALWAYS = "always"
AT_ONCE = 8


class Seen(NamedTuple):
    """One image, on the node and in its registry."""

    found: Found | None
    content: Content | None = None
    """What shall come instead of what is there; None where that is right, or where nobody could tell."""
    problem: Json | None = None
    """Why the registry did not tell."""
    missing: int | None = None
    """Bytes that would travel."""


class Machine(NamedTuple):
    """What an image must fit; None where it was not looked at."""

    architecture: str
    soc: str | None
    driver: str | None
    free: int | None
    """Bytes where the engine keeps its content."""


def archive_path(archive: Json) -> str:
    """Where an archive lies on the node; one of the controller is copied below the state directory."""
    if archive["on"] == "node":
        return str(archive["path"])
    name = hashlib.sha256(archive["path"].encode()).hexdigest()[:16]
    return f"{STATE_DIR}/images/{name}-{posixpath.basename(archive['path'])}"


# observe


def observe(images: list[Json], engine: ImageEngine | None, sources: Sources, machine: str) -> dict[str, Seen]:
    """Every image at once: each is a question to the engine and at most one small exchange with a registry."""
    if not images:
        return {}
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(images))) as pool:
        seen = pool.map(lambda image: _look(image, engine, sources, architecture(machine)), images)
        return {image["reference"]: one for image, one in zip(images, seen)}


def _look(image: Json, engine: ImageEngine | None, sources: Sources, machine: str) -> Seen:
    reference = parse(image["reference"])
    found = engine.find(reference) if engine else None
    pinned = pin(image, reference)
    if image["archive"] or (found and (pinned in found.known_as() if pinned else image.get("check") != ALWAYS)):
        return Seen(found)
    try:
        if found and not pinned:
            digest = sources.ask(reference, lambda registry: registry.digest(reference))
            if digest in found.digests:
                return Seen(found)
        content = sources.ask(reference, _question(reference, machine, pinned))
    except RegistryError as error:
        own_way = error.check == "registry-unreachable" and sources.network().own_way(reference.host)
        return Seen(found, problem=dict(error.finding, severity=WARNING) if own_way else error.finding)
    if found and found.known_as() & {content.digest, content.manifest, content.config}:
        return Seen(found)
    return Seen(found, content, missing=engine.missing(content) if engine else content.size)


def _question(reference: Reference, machine: str, pinned: str | None) -> Any:
    def ask(registry: Registry) -> Content:
        return registry.content(reference, machine, pinned)

    return ask


def pin(image: Json, reference: Reference) -> str | None:
    return image["digest"] or reference.digest


# plan


def plan(
    wanted: list[Json],
    seen: dict[str, Seen],
    predicted_because: str | None = None,
    unseen: str | None = None,
) -> list[Json]:
    return [
        _arrival(image, unseen or reason, one, predicted_because)
        for image, one, reason in ((image, one, _lacks(image, one)) for image, one in _pairs(wanted, seen))
        if reason
    ]


def _pairs(wanted: list[Json], seen: dict[str, Seen]) -> list[tuple[Json, Seen]]:
    return [(image, seen.get(image["reference"], Seen(None))) for image in wanted]


def _lacks(wanted: Json, seen: Seen) -> str | None:
    if seen.found is None:
        return "the image is not on the node"
    pinned = pin(wanted, parse(wanted["reference"]))
    if pinned and pinned not in seen.found.known_as() and (seen.content or seen.problem or wanted["archive"]):
        return f"the image on the node is not {pinned}"
    return "the registry has new content under this name" if seen.content else None


def _arrival(wanted: Json, reason: str, seen: Seen, predicted_because: str | None) -> Json:
    archive, content = wanted["archive"], seen.content
    after: Json = {"digest": pin(wanted, parse(wanted["reference"])) or (content and content.digest)}
    if archive:
        after.update(archive=archive_path(archive), source=archive["path"], on=archive["on"])
    elif content:
        after["size"] = content.size
    return action(
        "images",
        "load" if archive else "pull",
        wanted["reference"],
        reason,
        before=None if seen.found is None else {"id": seen.found.id},
        after=after,
        predicted_because=predicted_because,
    )


def authorities(registries: list[Json], system: System, files: Json) -> list[Json]:
    """Certificates of registries that Docker wants as files, one folder a registry."""
    found = []
    for row in registries:
        if row.get("ca") and row["ca"]["path"] in files and system.read(row["ca"]["path"]) != files[row["ca"]["path"]]:
            reason = f"the engine trusts {row['address']} by it"
            found.append(action("images", "write_ca", row["ca"]["path"], reason, after={"sha256": row["ca"]["sha256"]}))
    return found


def removals(history: list[Json], present: list[Listed], wanted: dict[str, Seen], ways_back: set[str]) -> list[Json]:
    ids = {one.found.id for one in wanted.values() if one.found and one.found.id}
    return [
        action(
            "images",
            "remove",
            (image.names or [image.id])[0],
            "the fleet brought it, and nothing needs it any more",
            before={"id": image.id, "names": image.names, "size": image.size},
        )
        for image in _image_history.superfluous(history, present, ids, ways_back)
    ]


def free_bytes(system: System, engine: ImageEngine) -> int | None:
    try:
        room = os.statvfs(system.path(engine.folder()))
    except OSError:
        return None
    return room.f_bavail * room.f_frsize


# findings


def findings(wanted: list[Json], seen: dict[str, Seen], machine: Machine) -> list[Json]:
    """What stands against the images of the plan, before a byte of them travels."""
    told: list[Json] = []
    coming = 0
    for image, one in _pairs(wanted, seen):
        if one.problem:
            # What is there goes on running; only whether it is the newest is not known.
            told.append(dict(one.problem, severity=INFO) if one.found and not _lacks(image, one) else one.problem)
        if _lacks(image, one):
            told += _misfits(image, one, machine)
            coming += _room(one)
    if machine.free is not None and coming > machine.free:
        told.append(
            finding(
                "image-space",
                f"The images that are missing need {gigabytes(coming)} at least, but only {gigabytes(machine.free)} "
                "are free where the engine keeps them.",
                value=coming,
            )
        )
    return told


def _misfits(image: Json, seen: Seen, machine: Machine) -> list[Json]:
    needs = image.get("needs") or {}
    name, own = image["reference"], architecture(machine.architecture)
    platforms = (seen.content.platforms if seen.content else []) or [architecture(a) for a in needs.get("arch") or []]
    found = []
    if platforms and own not in platforms:
        found.append(
            finding(
                "image-platform",
                f"Image {name} is for {' and '.join(platforms)}, but the node is {own}.",
                key="image",
                value=name,
            )
        )
    family = _soc.family(machine.soc)
    if needs.get("family") and family and needs["family"] != family:
        wanted = _soc.FAMILIES[needs["family"]].title
        message = f"Image {name} ({needs['release']}) is for {wanted}, but the node has {machine.soc}."
        found.append(finding("image-soc", message, key="image", value=name))
    least = needs.get("driver")
    if least and machine.driver and _version(machine.driver) < _version(least):
        message = f"Image {name} ({needs['release']}) needs driver {least}, but the node has {machine.driver}."
        found.append(finding("image-driver", message, key="image", value=name))
    return found


def _room(seen: Seen) -> int:
    """No image needs less: what travels, and the largest layer twice while it is unpacked."""
    if not seen.content or not seen.missing:
        return 0
    return seen.missing + min(seen.missing, max((size for _digest, size in seen.content.layers), default=0))


def _version(text: str) -> list[tuple[int, int]]:
    """24.1.RC3.7 stands before 24.1.0.3: a candidate is older than its release."""
    parts = []
    for part in text.lower().split("."):
        candidate = part.startswith("rc")
        digits = "".join(letter for letter in part if letter.isdigit())
        parts.append((0 if candidate else 1, int(digits or 0)))
    return parts


# results


def lines(
    wanted: list[Json], seen: dict[str, Seen], engine: ImageEngine | None, seconds: dict[str, float]
) -> list[Json]:
    """One line an image: whether it is there, which content, how large, and how long it took to come."""
    told = []
    for image, one in _pairs(wanted, seen):
        found = one.found
        right = found is not None and not _lacks(image, one)
        told.append(
            {
                "reference": image["reference"],
                "state": "present" if right else ("other" if found else "missing"),
                "id": found.id if found else None,
                "digest": found.digests[0] if found and found.digests else None,
                "size": found.size if found else None,
                "seconds": round(seconds[image["reference"]], 1) if image["reference"] in seconds else None,
                "services": image["services"],
                **(engine.describe() if engine else {"engine": None, "tool": None}),
            }
        )
    return told
