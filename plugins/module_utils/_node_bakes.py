# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baked images of a node: what they are called here, whether they are here, and how they come.

Private to the collection.
"""

from __future__ import annotations

import hashlib
from typing import Any, Callable, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _bake, _bake_records
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine_docker import DockerImages
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
Progress = Callable[[str], None]

# What a run asks of the node that builds, one after the other; ``share`` is for an image that is there already.
START, KEEP, COMMIT, SHARE, DISCARD = PHASES = ("start", "keep", "commit", "share", "discard")


class Seen(NamedTuple):
    """One bake as the node has it."""

    reference: str | None
    """None until the base image and the manifests are there."""
    missing: str | None = None
    """What that waits for."""
    base: Json | None = None
    family: str = ""
    present: bool = False
    archived: bool = False
    shared: bool = False


class BakeScope:
    def __init__(
        self, system: System, bakes: list[Json], reader: EngineReader, sources: Callable[[], Sources], params: Json
    ) -> None:
        self.system = system
        self.bakes = bakes
        self.reader = reader
        self.sources = sources
        self._run_id: str = (params.get("run") or {}).get("id", "")
        self._ask: Json | None = params.get("bake")
        self.seen: dict[str, Seen] = {}
        self.python: str | None = None

    def look(self, soc: str | None, in_scope: bool) -> dict[str, str]:
        """The images by bake; registries are asked only for what is in the scope of the call and not here."""
        self.seen = {bake["id"]: self._look(bake, soc, in_scope) for bake in self.bakes}
        return {identity: one.reference for identity, one in self.seen.items() if one.reference}

    def plan(self, engine_coming: str | None, unseen: str | None) -> list[Json]:
        if self._ask:
            return self._asked(self._ask)
        return self._leftovers() + plan(self.bakes, self.seen, engine_coming, unseen)

    def removals(self, ways_back: Callable[[set[str]], set[str]]) -> list[Json]:
        """Older bakes of the same kinds, which no container uses and no service would go back to."""
        if self._ask or any(one.reference is None for one in self.seen.values()):
            return []
        wanted = {one.reference for one in self.seen.values()}
        kinds = {bake["kind"] for bake in self.bakes}
        changing = {name for bake in self.bakes if not self.seen[bake["id"]].present for name in bake["services"]}
        kept = ways_back(changing)
        return [
            action(
                "bakes",
                "remove",
                image.names[0],
                "it was baked before, and nothing needs it any more",
                before={"id": image.id, "names": image.names, "size": image.size},
            )
            for image in DockerImages(self.reader).images()
            if image.names and all(_bake.kind_of(name) in kinds for name in image.names)
            if not image.used_by and image.id not in kept and not wanted.intersection(image.names)
        ]

    def lines(self) -> list[Json]:
        return [
            {"id": identity, "reference": one.reference, "present": one.present, "python": self.python}
            for identity, one in self.seen.items()
        ]

    # What is there

    def _look(self, bake: Json, soc: str | None, in_scope: bool) -> Seen:
        base = self.reader.image(bake["base"])
        if base is None:
            return Seen(None, f"image {bake['base']} is staged before")
        digests = []
        for path in bake["manifests"]:
            text = self.system.read(path)
            if text is None:
                return Seen(None, f"{path} is staged before", base)
            digests.append(hashlib.sha256(text.encode()).hexdigest())
        family = _bake.chip_family(bake, soc)
        reference = _bake.reference(bake, base["Id"], base["Architecture"], family, digests)
        # What another run left is removed first, with its image and archive: it may have died before either was whole.
        left = any(record["reference"] == reference for record in self._left())
        seen = Seen(reference, None, base, family, not left and self.reader.image(reference) is not None)
        if seen.present or not in_scope:
            return seen
        archived = not left and not bake["registry"] and self.system.exists(_bake_records.archive(reference))
        return seen._replace(archived=archived, shared=not archived and self._is_shared(bake, reference))

    def _is_shared(self, bake: Json, reference: str) -> bool:
        if not bake["registry"]:
            return False
        name = parse(reference)
        try:
            return bool(self.sources().ask(name, lambda registry: registry.digest(name)))
        except RegistryError as error:
            if error.check == "image-unknown":
                return False
            raise

    # What is left

    def _left(self) -> list[Json]:
        """What other runs build here. While one is alive its lease keeps this run from removing it."""
        return [record for record in _bake_records.records(self.system) if record["run"] != self._run_id]

    def _leftovers(self) -> list[Json]:
        return [
            action(
                "bakes",
                "discard",
                record["container"],
                f"run {record['run']} has left it",
                before=record["reference"],
                after=record,
            )
            for record in self._left()
        ]

    # What a run asks of the node that builds

    def _asked(self, ask: Json) -> list[Json]:
        bake = next(one for one in self.bakes if one["id"] == ask["id"])
        one = self.seen[bake["id"]]
        phase, reference = ask["phase"], one.reference
        if reference is None:
            raise FleetError("bake-failed", f"The image of {bake['kind']} cannot be baked before {one.missing}.")
        container = _bake_records.builder(self._run_id, reference)
        record = {"run": self._run_id, "reference": reference, "container": container}
        if phase == DISCARD and record not in _bake_records.records(self.system):
            return []
        after = {**record, "id": bake["id"], "owner": ask.get("owner"), "archive": _bake_records.archive(reference)}
        asked = action("bakes", phase, reference, "the run asks for it", after=after)
        return [*(self._leftovers() if phase == START else []), asked]


def plan(bakes: list[Json], seen: dict[str, Seen], engine_coming: str | None, unseen: str | None) -> list[Json]:
    """What is missing and how it comes; where its base is missing too, only that it will be baked."""
    actions = []
    for bake in bakes:
        one = seen.get(bake["id"], Seen(None, None))
        if one.present:
            continue
        reason = unseen or "the image is not on the node"
        after: Json = {"id": bake["id"], "base": bake["base"], "digest": None, "services": bake["services"]}
        if one.reference and not bake["registry"]:
            after["archive"] = _bake_records.archive(one.reference)
        if one.reference is None:
            because = engine_coming or one.missing
            target = _bake.placeholder(bake["id"])
            actions.append(action("bakes", "bake", target, reason, after=after, predicted_because=because))
            continue
        how = "load" if one.archived else "pull" if one.shared else "bake"
        if how == "load":
            after.update(source=after["archive"], on="controller")
        actions.append(action("bakes", how, one.reference, reason, after=after))
    return actions
