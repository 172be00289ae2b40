# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image that the fleet bakes is called. Pure. Private to the collection.

A bake is what goes into an image before any node is looked at: base reference, inputs, install files. Its image
depends on the node as well: on the base image that is really there, its architecture, and the family of the chips.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import _soc
from ansible_collections.ascend.fleet.plugins.module_utils._document import digest

Json = Dict[str, Any]

NAMESPACE = "ascend-fleet"
NO_CHIP = "cpu"
# What of a bake decides about the content of its image; services, registry and places of mounts do not.
CONTENT = ("kind", "inputs", "files_digest")
_ID_DIGITS = 12
_TAG_DIGITS = 20
_NAME = re.compile(rf"(^|/){NAMESPACE}/(?P<kind>[^/:]+):[a-z0-9]+-[a-z0-9]+-[0-9a-f]{{{_TAG_DIGITS}}}$")


def identity(kind: str, base: str, inputs: Json, files_digest: str, npus: bool) -> str:
    """Id of a bake: what the controller can tell without a node."""
    return f"{kind}-{digest([kind, base, settled(inputs), files_digest, npus])[:_ID_DIGITS]}"


def settled(value: Any) -> Any:
    """Inputs without the places of what has a digest: the same content elsewhere makes the same image."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if not (value.get("sha256") and key in ("path", "url"))}
        return {key: settled(inner) for key, inner in kept.items()}
    if isinstance(value, (list, tuple)):
        return [settled(inner) for inner in value]
    return value


def inputs_digest(bake: Json) -> str:
    return digest(settled(bake["inputs"]))


def placeholder(identity: str) -> str:
    """The image of a service in its document; no engine has an image of this name."""
    kind, _dash, number = identity.rpartition("-")
    return f"{NAMESPACE}/{kind}:bake-{number}"


def chip_family(bake: Json, soc: str | None) -> str:
    """Services without cards share one image, whatever chips the node has."""
    if not bake["npus"]:
        return NO_CHIP
    return (_soc.family(soc) or re.sub(r"[^a-z0-9]+", "", str(soc or "unknown").lower())).lower()


def reference(bake: Json, base_id: str, architecture: str, soc_family: str, manifests: Sequence[str] = ()) -> str:
    """Name and tag of the image; ``manifests`` are the digests of the files that the bake names."""
    content = [settled(bake[key]) for key in CONTENT]
    tag = digest([content, base_id, architecture, soc_family, list(manifests)])[:_TAG_DIGITS]
    prefix = f"{bake['registry']}/" if bake["registry"] else ""
    return f"{prefix}{NAMESPACE}/{bake['kind']}:{architecture}-{soc_family}-{tag}"


def kind_of(name: str) -> str | None:
    """The kind whose services a baked image of this name is for; None where no bake has such a name."""
    found = _NAME.search(name)
    return found["kind"] if found else None


def with_images(document: Json, references: dict[str, str]) -> Json:
    """The document with the images of baked services under the names they have on this node."""
    images = {
        service: references[bake["id"]]
        for bake in document["bakes"]
        if bake["id"] in references
        for service in bake["services"]
    }
    if not images:
        return document
    return dict(
        document,
        **{
            part: [
                dict(one, container=dict(one["container"], image=images[one["name"]])) if one["name"] in images else one
                for one in document[part]
            ]
            for part in ("services", "jobs")
        },
    )
