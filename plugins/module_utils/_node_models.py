# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models a node needs, as far as they have a source: what is there, what is missing. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _node_storage, _weights_manifest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import action
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Wish

Json = Dict[str, Any]


UNMOUNTED = "the storage is mounted before"


def plan(system: System, models: list[Json], mounting: list[str]) -> list[Json]:
    """What the role model_weights has to bring; sizes and times tell, no file is read."""
    actions = []
    for model in models:
        if not model["source"]:
            continue
        reason = _weights_manifest.lacks(system, model["path"], wish(model))
        if reason:
            before = _weights_manifest.read(system, model["path"])
            after = {key: model[key] for key in ("source", "revision", "include", "exclude")}
            predicted = UNMOUNTED if _node_storage.lies(model["path"], mounting) else None
            actions.append(
                action("models", "fetch", model["path"], reason, _shown(before), after, predicted_because=predicted)
            )
    return actions


def wish(model: Json) -> Wish:
    return Wish(model["source"], model["revision"], tuple(model["include"]), tuple(model["exclude"]))


def _shown(manifest: Json | None) -> Json | None:
    return manifest and {key: manifest[key] for key in ("source", "revision", "include", "exclude")}
