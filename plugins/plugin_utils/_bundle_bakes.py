# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base image and source tree of a bake, as they lie in a bundle that is being filled. Private to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.plugin_utils import _bundle
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle_make import Bake

Json = dict[str, Any]


def of(need: Json, document: Mapping[str, Any], rows: Sequence[Json], root: Path, settings: Mapping[str, Any]) -> Bake:
    """What stands behind the packages of a bake; ``rows`` are what has arrived so far, ``settings`` are placed."""
    bake = next(one for one in document["bakes"] if _bundle.wheels_need(one, need["arch"]) == need)
    image = next(one for one in document["artefacts"]["images"] if one["reference"] == bake["base"])
    archive, base_id = _base(root, image, need, rows)
    source, source_id = _source(root, bake["inputs"], rows)
    return Bake(
        inputs=bake["inputs"],
        install=bake["files_digest"],
        archive=archive,
        base_id=base_id,
        source=source,
        source_id=source_id,
        further=settings["fleet_bundle_requirements"],
        find=settings["fleet_bundle_wheels"],
    )


def _base(root: Path, image: Json, need: Json, rows: Sequence[Json]) -> tuple[Path, str]:
    """The archive of the base image, and what its content is known by."""
    given = image["archive"]
    if given and given["on"] == "controller":
        stat = Path(given["path"]).stat()
        return Path(given["path"]), f"{stat.st_size} {stat.st_mtime_ns}"
    wanted = {"kind": _bundle.IMAGE, "reference": image["reference"], "digest": image["digest"], "arch": need["arch"]}
    row = next((row for row in rows if row["need"] == wanted), None)
    if row is None:
        why = f"its archive {given['path']} lies on the nodes" if given else "that image did not arrive"
        message = f"{_bundle.told(need)} cannot be gathered: {why}."
        raise FleetError("bundle-incomplete", message, "Give a folder of wheels in the entry (pip.wheels).")
    return root / row["path"], row["id"]


def _source(root: Path, inputs: Json, rows: Sequence[Json]) -> tuple[Path | None, str | None]:
    """The tree that is installed, and what its content is known by."""
    need = _bundle.source_need(inputs)
    if need is None:
        return None, None
    if need["kind"] == _bundle.LOCAL:
        stat = Path(need["source"]).stat()
        return Path(need["source"]), f"{stat.st_size} {stat.st_mtime_ns}"
    row = next((row for row in rows if row["need"] == need), None)
    if row is None:
        message = f"The Python packages that {_bundle.told(need)} requires cannot be gathered without it."
        raise FleetError("bundle-incomplete", message)
    return root / row["path"], row.get("commit") or row["sha256"]
