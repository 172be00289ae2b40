# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out what is planned for baked images: builds, shares, pulls, removes. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _bake, _bake_builder, _image_history
from ansible_collections.ascend.fleet.plugins.module_utils._bake_builder import Builder, telling
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_bring import Bringer
from ansible_collections.ascend.fleet.plugins.module_utils._image_detect import engine
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._node_bakes import (
    COMMIT,
    DISCARD,
    KEEP,
    SHARE,
    START,
    BakeScope,
    Seen,
)

Json = Dict[str, Any]
Progress = Callable[[str], None]


class BakeWork:
    def __init__(self, scope: BakeScope) -> None:
        self.scope = scope

    def apply(self, actions: list[Json], store: Json, progress: Progress) -> None:
        for act in actions:
            if act["action"] in _WORK:
                _WORK[act["action"]](self, act, progress)
            elif act["action"] == "bake":
                raise FleetError("bake-missing", f"Image {act['target']} was built on no node.", value=act["target"])
            else:
                bringer = Bringer(
                    self.scope.system, engine(self.scope.system, self.scope.reader, store), self.scope.sources()
                )
                bringer.carry_out(act, {}, (act["after"] or {}).get("services", []), progress)
                # Pruning knows the images that the document names, which are the bases.
                _image_history.forget(self.scope.system, (self.scope.reader.image(act["target"]) or {}).get("Id", ""))

    def _builder(self, act: Json) -> Builder:
        return Builder(self.scope.system, self.scope.reader, act["after"]["run"], act["after"]["reference"])

    def _start(self, act: Json, progress: Progress) -> None:
        bake, one = self._row(act)
        builder = self._builder(act)
        try:
            self.scope.python = builder.start(one.base or {}, bake["mounts"])
        except BaseException:
            builder.discard(image_too=False)
            raise

    def _commit(self, act: Json, progress: Progress) -> None:
        bake, one = self._row(act)
        base = one.base or {}
        labels = {
            "kind": bake["kind"],
            "base": base["Id"],
            "base-name": bake["base"],
            "files": bake["files_digest"],
            "inputs": _bake.inputs_digest(bake),
            "family": one.family,
        }
        builder = self._builder(act)
        try:
            with telling(progress, f"committing {act['target']}"):
                builder.commit(base, {_bake_builder.LABEL + key: value for key, value in labels.items()})
            if act["action"] == COMMIT:
                self._share(act, progress)
        except BaseException:
            builder.discard(image_too=True)
            raise
        with telling(progress, f"removing the builder of {act['target']}"):
            builder.discard(image_too=False)

    def _share(self, act: Json, progress: Progress) -> None:
        bake, _one = self._row(act)
        builder = self._builder(act)
        if bake["registry"]:
            told = f"pushing {act['target']}"
            _registry, _mirrored = list(self.scope.sources().origins(parse(act["target"])))[-1]
            with telling(progress, told):
                builder.push(_registry.access, progress)
        else:
            with telling(progress, f"saving {act['target']}"):
                builder.save(act["after"]["owner"])

    def _discard(self, act: Json, progress: Progress) -> None:
        with telling(progress, f"removing the builder of {act['target']}"):
            self._builder(act).discard(image_too=True)

    def _row(self, act: Json) -> tuple[Json, Seen]:
        identity = act["after"]["id"]
        return next(bake for bake in self.scope.bakes if bake["id"] == identity), self.scope.seen[identity]


_WORK: dict[str, Callable[[BakeWork, Json, Progress], None]] = {
    START: BakeWork._start,
    KEEP: BakeWork._commit,
    COMMIT: BakeWork._commit,
    SHARE: BakeWork._share,
    DISCARD: BakeWork._discard,
}
