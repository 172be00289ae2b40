# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bundle must hold for a fleet, and the bundle's copies in the place of every source. Pure.

Private to the collection.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils import _host_mounts
from ansible_collections.ascend.fleet.plugins.module_utils._bake import settled
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR, digest
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import kind_and_place
from ansible_collections.ascend.fleet.plugins.plugin_utils._models import name_of

Json = dict[str, Any]

SCHEMA = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.asc"
IMAGE, MODEL, FILE, GIT = "image", "model", "file", "git"
# Needed, and brought by people: files of the controller, files of the nodes.
LOCAL, ON_NODE = "local", "node"
WHEELS, COLLECTIONS, PACKAGES, EXTRA, DATA = "wheels", "collections", "packages", "extra", "data"
SDK_WHEELS = "wheels/sdk"
PACKAGES_ON_NODE = f"{STATE_DIR}/packages"
# Parts of the packages of an operating system, beside the types of mounts.
ENGINE, FURTHER = "engine", "further"
# What of a bake's inputs decides which packages pip fetches; the roles that are not here install none by themselves.
PIP_INPUTS = {
    "comfyui": ("python", "version", "source", "torch", "constraints", "pins", "pip", "ascendcloud"),
    "diffusers": ("python", "diffusers", "constraints", "pins", "pip", "libraries"),
    "wan_video": ("python", "diffusers", "pins", "pip"),
}
# Sources of models that need no way out.
PRESENT = ("node", "host", "controller")
# Settings that name a place on the controller.
PLACES = ("fleet_bundle_dir", "fleet_bundle_packages", "fleet_bundle_wheels", "fleet_bundle_extra")


# The place of an artefact and what the manifest lists of it.
Check = Callable[[str, Sequence[Json]], "str | None"]


class BundleError(Exception):
    """A bundle that may not be used; the text says why."""


def placed(settings: Mapping[str, Any], beside: Callable[[str], Path]) -> Json:
    """The settings with the places that they name."""

    def place(value: Any) -> Any:
        return [beside(path) for path in value] if isinstance(value, list) else value and beside(value)

    return {key: place(value) if key in PLACES else value for key, value in settings.items()}


def needs(document: Mapping[str, Any], arch: str, system: Mapping[str, Any] | None = None) -> Iterator[Json]:
    """Everything that a node would fetch, each as what identifies it; ``system`` is ``fleet_bundle_os``."""
    for row in document["artefacts"]["images"]:
        if not row["archive"]:
            yield {"kind": IMAGE, "reference": row["reference"], "digest": row["digest"], "arch": arch}
        elif row["archive"]["on"] == "controller":
            yield {"kind": LOCAL, "source": row["archive"]["path"]}
    for row in document["artefacts"]["models"]:
        yield from filter(None, [source_of_data(row)])
    for row in document["artefacts"].get("packages") or []:
        yield {"kind": ON_NODE, "source": row["src"]}
    for bake in document["bakes"]:
        yield from _of_inputs(bake["inputs"])
        yield from filter(None, [wheels_need(bake, arch)])
    if "host" in document:
        yield from package_needs(document["host"], arch, system or {})


def package_needs(host: Mapping[str, Any], arch: str, system: Mapping[str, Any]) -> Iterator[Json]:
    """What the package manager of a node would fetch, where it is known which operating system that is."""
    if not system.get("image"):
        return
    engine, further = host["engine"], list(system.get("packages") or [])
    parts = [ENGINE] if engine["manage"] and not engine["package_dir"] else []
    parts += sorted({mount["type"] for mount in _mounted(host)})
    for part in [*parts, *([FURTHER] if further else [])]:
        names = further if part == FURTHER else []
        yield {"kind": PACKAGES, "part": part, "image": system["image"], "arch": arch, "names": names}


def _mounted(host: Mapping[str, Any]) -> list[Json]:
    return [mount for mount in host["mounts"] if mount["source"] and mount["type"] in _host_mounts.CLIENTS]


def wheels_need(bake: Mapping[str, Any], arch: str) -> Json | None:
    """The packages that pip fetches while this image is baked, unless the entry brings them."""
    inputs = bake["inputs"]
    if bake.get("role") not in PIP_INPUTS or inputs["pip"]["wheels"]:
        return None
    kept = settled({key: inputs[key] for key in PIP_INPUTS[bake["role"]]})
    return {"kind": WHEELS, "role": bake["role"], "base": bake["base"], "arch": arch, "inputs": kept}


def source_need(inputs: Mapping[str, Any]) -> Json | None:
    """The tree that a bake installs, of which pip reads what else is needed."""
    for name in ("source", "diffusers"):
        if isinstance(inputs.get(name), Mapping):
            return next(_of_inputs({"version": inputs.get("version"), name: inputs[name]}), None)
    return None


def source_of_data(row: Mapping[str, Any]) -> Json | None:
    """A directory that comes from a hub, a repository or the controller; none where nodes have it already."""
    kind, where = kind_and_place(row["source"]) if row["source"] else ("node", "")
    if kind == "controller":
        return {"kind": LOCAL, "source": where}
    return None if kind in PRESENT else model_identity(row)


def model_identity(row: Mapping[str, Any]) -> Json:
    return {"kind": MODEL, **{key: row[key] for key in ("source", "revision", "include", "exclude")}}


def _of_inputs(value: Any) -> Iterator[Json]:
    """Sources in what a kind installs: URLs with a digest, git trees at a version, files of the controller."""
    if isinstance(value, Mapping):
        if _is_file(value):
            yield {"kind": FILE, "url": value["url"], "sha256": value["sha256"]}
        for key, inner in value.items():
            if key == "path" and inner and "sha256" in value:
                yield {"kind": LOCAL, "source": inner}
            tree = _tree(inner, value)
            if tree:
                yield tree
            yield from _of_inputs(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _of_inputs(inner)


def _tree(value: Any, around: Mapping[str, Any]) -> Json | None:
    """A source that may be given as an archive of the controller, and is fetched from a repository or an address."""
    if not isinstance(value, Mapping) or "archive" not in value:
        return None
    if value.get("git"):
        return {"kind": GIT, "url": value["git"], "version": value.get("commit") or around.get("version")}
    if isinstance(value.get("url"), Mapping):
        return {"kind": FILE, **{name: value["url"][name] for name in ("url", "sha256")}}
    return None


def _is_file(value: Mapping[str, Any]) -> bool:
    return bool(value.get("url") and value.get("sha256") and "path" in value)


def key(need: Mapping[str, Any]) -> str:
    """One text for the same need, whatever node it is of."""
    return digest(dict(need))


def place(need: Mapping[str, Any]) -> str:
    """Where a need lies in the bundle, by a name that people recognise."""
    short = key(need)[:10]
    if need["kind"] == IMAGE:
        name = need["reference"].partition("@")[0].rpartition("/")[2].replace(":", "_")
        return f"images/{name}-{need['arch']}-{short}.tar"
    if need["kind"] == MODEL:
        return f"models/{name_of(need['source'])}-{short}"
    if need["kind"] == GIT:
        return f"git/{posixpath.basename(need['url'].rstrip('/')).removesuffix('.git')}-{short}.tar.gz"
    if need["kind"] == WHEELS:
        return f"wheels/{need['role']}-{short}"
    if need["kind"] == DATA:
        return f"data/{posixpath.basename(need['files'][0]['path'])}-{short}"
    if need["kind"] == PACKAGES:
        name = need["image"].partition("@")[0].rpartition("/")[2].replace(":", "_")
        return f"packages/{name}-{need['arch']}-{need['part']}-{short}"
    return f"files/{short}-{posixpath.basename(need['url'].partition('?')[0].rstrip('/'))}"


class Bundle:
    """A bundle on the disconnected side. ``check`` says what is wrong with the files of one of its artefacts."""

    def __init__(self, root: str, manifest: Mapping[str, Any], check: Check) -> None:
        self.root = root
        self.manifest = manifest
        self._check = check
        self._lacking: list[str] = []
        self._known = {key(row["need"]): row for row in manifest["artefacts"] if row.get("need")}

    def host(self, host: Json, arch: str = "", system: Mapping[str, Any] | None = None) -> Json:
        """What the host itself is set up with: the Docker SDK, and packages of its operating system."""
        found = dict(host)
        sdk = self._part(lambda row: row["path"] == SDK_WHEELS, "Docker SDK for Python")
        if sdk and host["sdk"]["manage"]:
            found["sdk"] = {**host["sdk"], "wheels": posixpath.join(self.root, SDK_WHEELS)}
        parts = {need["part"]: self._held(need)["path"] for need in package_needs(host, arch, system or {})}
        if ENGINE not in parts and not host["engine"]["package_dir"]:
            filled = self._part(lambda row: row["kind"] == PACKAGES and not row["need"], "packages of the engine")
            parts.update({ENGINE: filled["path"]} if filled else {})
        if parts.get(ENGINE):
            given = {"package_dir": PACKAGES_ON_NODE, "packages": self._packages(parts[ENGINE])}
            found["engine"] = {**host["engine"], **given}
        found["mounts"] = [
            {**mount, "packages": self._packages(parts[mount["type"]])} if parts.get(mount["type"]) else mount
            for mount in host["mounts"]
        ]
        return found

    def _packages(self, path: str) -> Json:
        names = [posixpath.basename(one["path"]) for one in files_of(self.manifest, path)]
        return {"source": posixpath.join(self.root, path), "files": names}

    def _part(self, wanted: Callable[[Json], bool], what: str) -> Json | None:
        """A part that belongs to no entry; a bundle may be without it."""
        row = next((row for row in self.manifest["artefacts"] if wanted(row)), None)
        wrong = self._check(row["path"], files_of(self.manifest, row["path"])) if row else None
        if wrong:
            self._lacking.append(f"has no usable {what}: {wrong}")
        return row

    def images(self, rows: Iterable[Json], arch: str) -> list[Json]:
        found = []
        for row in rows:
            if row["archive"]:
                # Files of the controller travel with the inventory that names them.
                found.append(row)
                continue
            held = self._held({"kind": IMAGE, "reference": row["reference"], "digest": row["digest"], "arch": arch})
            there = {"path": posixpath.join(self.root, held["path"]), "on": "controller"}
            # An archive has no digest of a registry; what it holds is told by the image's own id.
            found.append({**row, "archive": there, "digest": held["id"]})
        return found

    def models(self, rows: Iterable[Json]) -> list[Json]:
        return [self._model(row) for row in rows]

    def _model(self, row: Json) -> Json:
        if not row["source"] or kind_and_place(row["source"])[0] in PRESENT:
            return row
        held = self._held(model_identity(row))
        source = f"controller:{posixpath.join(self.root, held['path'])}"
        # The patterns were applied when the bundle was made.
        return {**row, "source": source, "revision": None, "include": [], "exclude": [], "token_file": None}

    def bake(self, row: Mapping[str, Any], arch: str) -> Json:
        """The inputs of a bake, its packages included, out of the bundle."""
        found: Json = self.inputs(row["inputs"])
        need = wheels_need(row, arch)
        if need is None:
            return found
        held = self._held(need)
        wheels = {"path": posixpath.join(self.root, held["path"]), "sha256": held["sha256"]}
        return {**found, "pip": {**found["pip"], "index_url": None, "extra_index_urls": [], "wheels": wheels}}

    def inputs(self, value: Any) -> Any:
        """What a kind installs, out of the bundle."""
        if isinstance(value, list | tuple):
            return [self.inputs(inner) for inner in value]
        if not isinstance(value, Mapping):
            return value
        if _is_file(value):
            held = self._held({"kind": FILE, "url": value["url"], "sha256": value["sha256"]})
            return {**value, "url": None, "path": posixpath.join(self.root, held["path"])}
        result = {}
        for name, inner in value.items():
            tree = _tree(inner, value)
            if tree is None:
                result[name] = self.inputs(inner)
                continue
            held = self._held(tree)
            archive = {"path": posixpath.join(self.root, held["path"]), "url": None, "sha256": held["sha256"]}
            result[name] = {**inner, "git": None, "url": None, "archive": archive}
        return result

    def held(self, need: Mapping[str, Any]) -> str:
        """Where a need lies."""
        return posixpath.join(self.root, self._held(need)["path"])

    def _held(self, need: Mapping[str, Any]) -> Json:
        row: Json | None = self._known.get(key(need))
        wrong = self._check(row["path"], files_of(self.manifest, row["path"])) if row else None
        if row and not wrong:
            return row
        self._lacking.append(f"has no usable {told(need)}: {wrong}" if wrong else f"does not hold {told(need)}")
        return {"path": "", "id": None, "sha256": None}

    def taken(self) -> list[str]:
        """What was wanted since the last look and is not there."""
        lacking, self._lacking = list(dict.fromkeys(self._lacking)), []
        return lacking


def files_of(manifest: Mapping[str, Any], path: str) -> list[Json]:
    return [one for one in manifest["files"] if one["path"] == path or one["path"].startswith(f"{path}/")]


def told(need: Mapping[str, Any]) -> str:
    """A need for people."""
    if need["kind"] == IMAGE:
        pinned = f"@{need['digest']}" if need["digest"] else ""
        return f"image {need['reference']}{pinned} for {need['arch']}"
    if need["kind"] == MODEL:
        return f"model {need['source']}" + (f" at {need['revision']}" if need["revision"] else "")
    if need["kind"] == GIT:
        return f"git tree {need['url']} at {need['version']}"
    if need["kind"] == WHEELS:
        return f"Python packages of {need['role']} for image {need['base']} on {need['arch']}"
    if need["kind"] == DATA:
        more = f" and {len(need['files']) - 1} more" if len(need["files"]) > 1 else ""
        return f"data {need['files'][0]['url']}{more}"
    if need["kind"] == PACKAGES:
        what = {ENGINE: "the engine", FURTHER: "fleet_bundle_os"}.get(need["part"], f"the client of {need['part']}")
        return f"packages of {what} for {need['image']} on {need['arch']}"
    return f"file {need.get('url') or need['source']}"
