# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a node's document, with the engine that keeps them and the registries they come from.

Private to the collection.
"""

from __future__ import annotations

import functools
import platform
from typing import Any, Callable, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _image_detect, _image_history, _node_images
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import ImageEngine
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]


class Looked(NamedTuple):
    engine: ImageEngine | None
    seen: dict[str, _node_images.Seen]


class AboutImages(NamedTuple):
    actions: list[Json]
    findings: list[Json]
    lines: list[Json]


NOTHING = AboutImages([], [], [])


class ImageScope:
    def __init__(
        self,
        system: System,
        artefacts: Json,
        host: Json,
        logins: list[Json],
        reader: EngineReader,
        peer: str | None = None,
    ) -> None:
        self.system = system
        self._reader = reader
        self.files: Json = host["files"]
        self.images: list[Json] = artefacts["images"]
        self._registries: list[Json] = artefacts.get("registries") or []
        self.store: Json = artefacts.get("image_store") or {}
        self.sources = _sources(self._registries, host, logins)._replace(peer=peer)
        self.seconds: dict[str, float] = {}

    @property
    def on_docker(self) -> bool:
        """Whether the document leaves no choice."""
        return _image_detect.is_docker(self.store)

    def look(self, engine_there: bool) -> Looked:
        engine = self.engine() if engine_there else None
        return Looked(engine, _node_images.observe(self.images, engine, self.asking(engine), platform.machine()))

    def plan(
        self,
        looked: Looked,
        npu: Json | None,
        engine_coming: str | None,
        unseen: str | None,
        ways_back: Callable[[set[str]], set[str]],
    ) -> AboutImages:
        """``ways_back`` gives the images that services go back to, those named changing in this run."""
        engine, seen = looked
        actions = _node_images.plan(self.images, seen, engine_coming, unseen)
        if self.on_docker:
            actions = _node_images.authorities(self._registries, self.system, self.files) + actions
        if engine and self.store.get("prune"):
            history = _image_history.read(self.system)
            coming = {act["target"] for act in actions}
            changing = {name for image in self.images if image["reference"] in coming for name in image["services"]}
            actions = actions + _node_images.removals(history, engine.images(), seen, ways_back(changing))
        findings: list[Json] = []
        folder, proxy = self.store.get("hosts_dir"), self.store.get("dragonfly")
        if engine and engine.kind == _image_detect.CONTAINERD and folder and proxy:
            from ansible_collections.ascend.fleet.plugins.module_utils._containerd_hosts import plan_dragonfly

            registries = [parse(image["reference"]).host for image in self.images]
            mirrors, findings = plan_dragonfly(self.system, folder, proxy, registries)
            actions = mirrors + actions
        if actions or any(one.problem for one in seen.values()):
            chips = npu or {}
            free = _node_images.free_bytes(self.system, engine) if engine else None
            machine = _node_images.Machine(platform.machine(), chips.get("soc"), chips.get("driver_version"), free)
            findings = findings + _node_images.findings(self.images, seen, machine)
        return AboutImages(actions, findings, _node_images.lines(self.images, seen, engine, self.seconds))

    def lines(self) -> list[Json]:
        """What the engine has now; the registries have been asked already."""
        engine = self.engine()
        wanted = [dict(image, check=None) for image in self.images]
        seen = _node_images.observe(wanted, engine, self.sources, platform.machine())
        return _node_images.lines(wanted, seen, engine, self.seconds)

    def reaching(self) -> Sources:
        """The sources for others that ask registries."""
        return self.asking(self.engine())

    def asking(self, engine: ImageEngine | None) -> Sources:
        """The sources as the engine would reach them; it is asked once, and only where a registry is."""
        return self.sources._replace(network=functools.lru_cache(maxsize=1)(engine.network)) if engine else self.sources

    def engine(self) -> ImageEngine:
        return _image_detect.engine(self.system, self._reader, self.store)


def _sources(registries: list[Json], host: Json, logins: list[Json]) -> Sources:
    bundle = (host.get("ca_bundle") or {}).get("path")
    return Sources(
        {row["address"]: row for row in registries},
        {row["address"]: row for row in logins},
        tuple(host["files"][path] for path in [bundle] if path in host["files"]),
        host["files"],
        host["engine"]["proxy"],
    )
