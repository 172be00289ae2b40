# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the inventory's nodes would fetch, into one directory of the controller; no node is contacted."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, finding, unwritable
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access
from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _bundle,
    _bundle_bakes,
    _bundle_data,
    _bundle_files,
    _bundle_image,
    _bundle_index,
    _data,
    _problems,
    _registry_logins,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle_make import Bake, Maker, Surroundings
from ansible_collections.ascend.fleet.plugins.plugin_utils._compile import Compiled, compile_fleet
from ansible_collections.ascend.fleet.plugins.plugin_utils._inventory import Inventory
from ansible_collections.ascend.fleet.plugins.plugin_utils._secret_files import read_secret

Json = dict[str, Any]

ARGUMENTS: dict[str, Any] = {
    "endpoints": {"type": "dict", "default": {}},
    "data": {"type": "list", "elements": "dict", "default": []},
}
BY_HAND = (_bundle.LOCAL, _bundle.ON_NODE)
OWN = Path(__file__).resolve().parents[2]
COLLECTIONS = ("ansible.posix", "community.docker", "community.library_inventory_filtering_v1", "kubernetes.core")
SDK = _data.ROLES / "host_prep" / "files" / "sdk-requirements.txt"
REQUIREMENTS = OWN / "meta" / "ee-requirements.txt"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        inventory = Inventory(task_vars or {}, self._loader, self._templar.template)
        hosts = inventory.play_hosts()
        # What the sources are is wanted here, also where the inventory names a bundle already.
        compiled = compile_fleet(hosts, dataclasses.replace(inventory.world(), bundle=None))
        if compiled.errors:
            errors = _problems.findings(compiled.errors)
            return {"failed": True, "changed": False, "msg": _problems.message(compiled.errors), "findings": errors}
        settings = _bundle.placed(compiled.settings[hosts[0]], functools.partial(inventory.beside, hosts[0]))
        root = settings["fleet_bundle_dir"]
        wanted = _wanted(compiled, args["data"])
        if self._task.check_mode:
            told = [_bundle.told(need) for need, _document in wanted]
            return {"changed": True, "path": str(root), "wanted": told, "findings": []}
        try:
            with _bundle_files.alone(root):
                return self._made(root, hosts, wanted, settings, args)
        except _bundle.BundleError as error:
            told = finding("bundle-incomplete", f"The bundle is not made: {error}.")
            return {"failed": True, "changed": False, "msg": f"{told['message']} {told['remedy']}", "findings": [told]}

    def _made(
        self, root: Path, hosts: Sequence[str], wanted: list[tuple[Json, Json]], settings: Json, args: Json
    ) -> Json:
        before = _bundle_files.read(root)
        maker = Maker(root, before, self._around(settings, args))
        failures: list[Json] = []

        def attempt(bring: Callable[[], Json]) -> Iterator[Json]:
            try:
                yield bring()
            except FleetError as error:
                failures.append(error.finding)
            except OSError as error:
                told = unwritable(error)
                if told is None:
                    raise
                failures.append(told.finding)

        rows: list[Json] = []

        def found(need: Json, document: Json) -> Bake:
            return _bundle_bakes.of(need, document, rows, root, settings)

        def brought(need: Json, document: Json) -> Json:
            return _bring(maker, need, document, settings, args["data"])

        for need, document in wanted:
            if need["kind"] == _bundle.WHEELS:
                rows += attempt(lambda need=need, document=document: maker.wheels(need, found(need, document)))
            elif need["kind"] == _bundle.PACKAGES:
                rows += attempt(lambda need=need: maker.packages(need))
            elif need["kind"] not in BY_HAND:
                rows += attempt(lambda need=need, document=document: brought(need, document))
        rows += attempt(lambda: maker.sdk_wheels(SDK))
        if settings["fleet_bundle_controller"]:
            rows += attempt(lambda: maker.controller_wheels(REQUIREMENTS))
            for name, folder in _collections():
                rows += attempt(lambda name=name, folder=folder: maker.collection(name, folder))
        given = [(path, _bundle.EXTRA) for path in settings["fleet_bundle_extra"]]
        given += [(path, _bundle.PACKAGES) for path in filter(None, [settings["fleet_bundle_packages"]])]
        for path, kind in given:
            rows += attempt(lambda path=path, kind=kind: maker.extra(path, kind))
        if failures:
            # The manifest stays as it was; what has arrived stays as well.
            told = "; ".join(str(one["message"]).rstrip(".") for one in failures)
            return {"failed": True, "changed": False, "msg": f"The bundle is incomplete: {told}.", "findings": failures}
        maker.prune(rows)
        needs = [need for need, _document in wanted]
        beside = {kind: sorted(need["source"] for need in needs if need["kind"] == kind) for kind in BY_HAND}
        changed = self._written(root, hosts, rows, before, beside, settings["fleet_bundle_sign"])
        files = (_bundle_files.read(root) or {"files": []})["files"]
        return {
            "changed": changed,
            "path": str(root),
            "artefacts": len(rows),
            "bytes": sum(one["size"] for one in files),
            "received": maker.received,
            "signed": (root / _bundle.SIGNATURE).is_file(),
            "findings": [],
        }

    @staticmethod
    def _written(
        root: Path,
        hosts: Sequence[str],
        rows: list[Json],
        before: Json | None,
        beside: dict[str, list[str]],
        key: str | None,
    ) -> bool:
        known = {one["path"]: one for one in (before or {}).get("files", [])}
        files = _bundle_files.listing(root, [row["path"] for row in rows], known)
        digests = {one["path"]: one["sha256"] for one in files}
        for row in rows:
            if row["kind"] == _bundle.GIT:
                row["sha256"] = digests[row["path"]]
        manifest = {"schema": _bundle.SCHEMA, "hosts": list(hosts), "artefacts": rows, "files": files}
        changed = _bundle_files.write(root, manifest, _bundle_index.render(manifest, beside))
        if key and not (root / _bundle.SIGNATURE).is_file():
            _bundle_files.sign(root, key)
            changed = True
        return changed

    def _around(self, settings: Json, args: Json) -> Surroundings:
        proxy = settings["fleet_proxy"]
        access = Access(
            proxy={scheme: proxy[scheme] for scheme in ("http", "https") if proxy.get(scheme)},
            no_proxy=tuple(proxy.get("no_proxy") or ()),
            ca_file=settings["fleet_ca_bundle"] or None,
        )
        tell: Callable[[str], None] = self._display.display
        environment = {f"{scheme}_proxy": url for scheme, url in access.proxy.items()}
        if access.no_proxy:
            environment["no_proxy"] = ",".join(access.no_proxy)
        return Surroundings(access, args["endpoints"], read_secret, lambda text: tell(f"bundle: {text}"), environment)


def _wanted(compiled: Compiled, data: list[Json]) -> list[tuple[Json, Json]]:
    """Each need once, with a document of a node that has it."""
    found: dict[str, tuple[Json, Json]] = {}
    for host, document in compiled.documents.items():
        settings = compiled.settings[host]
        for need in _bundle.needs(document, settings["fleet_bundle_arch"], settings["fleet_bundle_os"]):
            found.setdefault(_bundle.key(need), (need, document))
    for need in _bundle_data.needs(data):
        found.setdefault(_bundle.key(need), (need, next(iter(compiled.documents.values()))))
    # Packages are chosen for an image and by a tree, which have to be there.
    return sorted(found.values(), key=lambda row: row[0]["kind"] == _bundle.WHEELS)


def _bring(maker: Maker, need: Json, document: Json, settings: Json, data: list[Json]) -> Json:
    if need["kind"] == _bundle.IMAGE:
        authority = settings["fleet_ca_bundle"]
        texts = (Path(authority).read_text(encoding="utf-8"),) if authority else ()
        logins = _registry_logins.read(document["artefacts"].get("registries") or [])
        return maker.bring(need, _bundle_image.sources_of(document, logins, texts))
    token_file = None
    if need["kind"] == _bundle.MODEL:
        rows = document["artefacts"]["models"]
        given = [row["token_file"] for row in rows if _bundle.model_identity(row) == need]
        token_file = next(filter(None, [*given, _bundle_data.token_file(data, need)]), None)
    return maker.bring(need, token_file=token_file)


def _collections() -> Iterator[tuple[str, Path]]:
    """This collection and those of its dependencies that the controller has."""
    yield "ascend.fleet", OWN
    for name in COLLECTIONS:
        with contextlib.suppress(ImportError):
            module = importlib.import_module(f"ansible_collections.{name}")
            yield from ((name, Path(folder)) for folder in module.__path__)
