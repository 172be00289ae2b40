# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out what is planned for images: pulls with patience, loads, proves what came. Private to the collection."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any, Callable, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _image_history
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import (
    Found,
    ImageEngine,
    Listed,
    Progress,
    PullError,
)
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference, parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

RETRIES = 4
LONGEST_PAUSE = 60.0


class Bringer:
    """Image after image: an engine fetches the layers of one in parallel already."""

    def __init__(
        self,
        system: System,
        engine: ImageEngine,
        sources: Sources,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._system = system
        self._engine = engine
        self._sources = sources
        self._retries = retries
        self._sleep = sleep
        self.seconds: dict[str, float] = {}

    def carry_out(self, act: Json, files: Json, services: list[str], progress: Progress) -> None:
        if act["action"] == "write_ca":
            self._system.write(act["target"], files[act["target"]], 0o644)
            return
        if act["action"] == "write_hosts":
            self._system.write(act["target"], act["after"], 0o644)
            return
        if act["action"] == "remove":
            self._remove(act)
            return
        started = time.monotonic()
        reference = parse(act["target"])
        if act["action"] == "load":
            found = self._load(act, reference, progress)
        else:
            self._pull(act, reference, progress)
            found = self._proven(act, reference)
        if found.id:
            _image_history.note(self._system, found.id, act["target"], services)
        self.seconds[act["target"]] = time.monotonic() - started

    def _pull(self, act: Json, reference: Reference, progress: Progress) -> None:
        tries = self._retries + 1
        for number in range(1, tries + 1):
            try:
                self._pull_once(act, reference, progress)
                return
            except FleetError as error:
                again = error.again if isinstance(error, PullError) else _passing(error)
                again = again or (number == 1 and _expired(act, error))
                if not again or number == tries:
                    raise
                # Nodes that failed together must not come back together.
                pause = min(LONGEST_PAUSE, 2.0**number) * random.uniform(0.5, 1.0)
                progress(f"{act['target']}: try {number + 1} of {tries} in {pause:.0f} s ({error})")
                self._sleep(pause)

    def _pull_once(self, act: Json, reference: Reference, progress: Progress) -> None:
        """From the mirror where there is one; from the registry itself where the mirror fails."""
        failure: FleetError | None = None
        progress(f"{act['target']}: pulling")
        for registry, mirrored in self._sources.origins(reference):
            try:
                origin = self._sources.origin(registry, mirrored, reference, in_file=self._engine.kind == "containerd")
                self._engine.pull(reference, act["after"]["digest"], origin, act["after"].get("size"), progress)
                return
            except FleetError as error:
                failure = failure if mirrored is False and failure else error
        raise failure or AssertionError("there is a registry for every name")

    def _load(self, act: Json, reference: Reference, progress: Progress) -> Found:
        archive = act["after"]["archive"]
        progress(f"{act['target']}: loading {archive}")
        before = self._engine.images()
        try:
            names = self._engine.load(self._system.path(archive), progress)
        except OSError as error:
            raise _archive(act, f"cannot be read: {error.strerror}") from error
        except FleetError as error:
            raise _archive(act, f"cannot be loaded: {str(error).rstrip('.')}") from error
        try:
            if reference.full not in {parse(name).full for name in names if ":" in name}:
                raise _archive(act, f"holds {', '.join(names) or 'no named image'}, not {act['target']}")
            found = self._proven(act, reference)
        except FleetError:
            for name in names:
                # What stands in the way of tidying up is not what was wrong.
                with contextlib.suppress(FleetError):
                    self._take_back(name, before)
            raise
        if act["after"]["on"] == "controller":
            self._system.remove(archive)
        return found

    def _take_back(self, name: str, before: list[Listed]) -> None:
        """What a name meant before it was loaded it means again; content that was there already stays."""
        there = {image.id: image.names for image in before}
        if name in there:
            return
        if name.startswith("sha256:"):
            self._engine.remove(name)
            return
        reference = parse(name)
        loaded = self._engine.find(reference)
        was = next((image for image in before if reference.full in {parse(one).full for one in image.names}), None)
        if loaded is None or (was and was.id == loaded.id) or there.get(loaded.id or "") == []:
            return
        if was is None:
            self._engine.remove(name)
            return
        self._engine.tag(was.id, reference)
        if loaded.id and loaded.id not in there:
            self._engine.remove(loaded.id)

    def _proven(self, act: Json, reference: Reference) -> Found:
        """What the engine has now, asked anew, is what was to come."""
        found = self._engine.find(reference)
        wanted = act["after"]["digest"]
        if found is None or (wanted and wanted not in found.known_as()):
            has = found.id if found else "nothing"
            if act["action"] == "load":
                raise _archive(act, f"holds the image {has}, not {wanted or act['target']}")
            message = f"Image {act['target']} was pulled as {wanted}, but the engine has {has} under this name."
            raise FleetError("image-pull", message, key="image", value=act["target"])
        return found

    def _remove(self, act: Json) -> None:
        for name in act["before"]["names"] or [act["before"]["id"]]:
            self._engine.remove(name)
        _image_history.forget(self._system, act["before"]["id"])


def _passing(error: FleetError) -> bool:
    return isinstance(error, RegistryError) and error.check == "registry-unreachable"


def _expired(act: Json, error: FleetError) -> bool:
    """The registry has told this login the image's size before, so that a token ran out on the way."""
    return error.finding["check"] == "registry-login" and bool(act["after"].get("size"))


def _archive(act: Json, what: str) -> FleetError:
    message = f"The archive {act['after']['source']} of image {act['target']} {what}."
    return FleetError("image-archive", message, key="image.archive", value=act["after"]["source"])
