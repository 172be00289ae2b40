# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads what a fleet needs into a bundle; what is there already is not fetched again. Private to the collection."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible import release

from ansible_collections.ascend.fleet.plugins.module_utils import _hashing
from ansible_collections.ascend.fleet.plugins.module_utils._document import digest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item, Staging, Transfer, human
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access, Client
from ansible_collections.ascend.fleet.plugins.module_utils._weights_bring import Delivery, Order
from ansible_collections.ascend.fleet.plugins.module_utils._weights_share import Board
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Wish
from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _bundle,
    _bundle_image,
    _bundle_os,
    _bundle_python,
    _bundle_wheels,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle_run import run

Json = dict[str, Any]
Tell = Callable[[str], None]

WORK = ".work"
# What of a checkout is the collection.
PARTS = ("meta", "playbooks", "plugins", "roles")
COMMIT = re.compile(r"^[0-9a-f]{40}$")
GIT_SECONDS = 3600
PIP_SECONDS = 3600
TOLD_EVERY = 64 << 20


class Surroundings(NamedTuple):
    """How the controller reaches the outside."""

    access: Access
    endpoints: Mapping[str, str | None]
    token: Callable[[str], str]
    tell: Tell
    environment: Mapping[str, str] = {}
    """Of the programs that are run: the proxy."""


class Bake(NamedTuple):
    """An image that is baked, as far as pip is concerned."""

    inputs: Mapping[str, Any]
    install: str
    """Digest of the files that the role installs with."""
    archive: Path
    base_id: str
    source: Path | None
    source_id: str | None
    further: Sequence[str]
    find: Path | None


class Maker:
    def __init__(self, root: Path, before: Mapping[str, Any] | None, around: Surroundings) -> None:
        self.root = root
        self.around = around
        self.received = 0
        self._systems: dict[tuple[str, str], _bundle_os.System] = {}
        self._before = {_bundle.key(row["need"]): row for row in (before or {}).get("artefacts", []) if row.get("need")}

    # What documents need ------------------------------------------------------------------

    def bring(self, need: Json, sources: Sources | None = None, token_file: str | None = None) -> Json:
        """One artefact, complete in its place; the row of the manifest for it."""
        row = {"kind": need["kind"], "need": need, "path": _bundle.place(need)}
        self.around.tell(_bundle.told(need))
        if need["kind"] == _bundle.IMAGE and sources:
            return {**row, **self._image(need, sources)}
        if need["kind"] == _bundle.MODEL:
            return {**row, **self._model(need, token_file)}
        if need["kind"] == _bundle.GIT:
            return {**row, **self._git(need)}
        if need["kind"] == _bundle.DATA:
            self._data(need)
            return row
        return {**row, **self._file(need)}

    def _known(self, need: Json) -> Json:
        row = self._before.get(_bundle.key(need))
        return row if row and (self.root / row["path"]).exists() else {}

    def _image(self, need: Json, sources: Sources) -> Json:
        known = self._known(need)
        if known and known["resolved"] == _bundle_image.current(sources, need["reference"], need["digest"]):
            return {"resolved": known["resolved"], "id": known["id"]}
        target = self.root / _bundle.place(need)
        held = _bundle_image.fetch(
            sources, need["reference"], need["digest"], need["arch"], target, self._work(need), self._count
        )
        return held._asdict()

    def _model(self, need: Json, token_file: str | None) -> Json:
        wish = Wish(need["source"], need["revision"], tuple(need["include"]), tuple(need["exclude"]))
        order = Order(
            path=str(self.root / _bundle.place(need)),
            wish=wish,
            token=self.around.token(token_file) if token_file else None,
            endpoints=self.around.endpoints,
            access=self.around.access,
        )
        outcome = Delivery(System(), order, Board({}), self.around.tell).run()
        self.received += outcome.source_bytes
        return {"revision": outcome.revision}

    def _file(self, need: Json) -> Json:
        target = self.root / _bundle.place(need)
        if not target.is_file():
            staging = Staging(str(self._work(need)))
            transfer = Transfer(staging, Client(self.around.access), progress=self._count)
            transfer.run([Item("file", need["url"], None, need["sha256"])])
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging.path("file"), target)
            staging.remove()
        return {"sha256": need["sha256"]}

    def _data(self, need: Json) -> None:
        """Files without a digest are as they were when they came first."""
        if self._known(need):
            return
        staging = Staging(str(self._work(need)))
        items = [Item(one["path"], one["url"], None, one["sha256"]) for one in need["files"]]
        Transfer(staging, Client(self.around.access), progress=self._count).run(items)
        target = self.root / _bundle.place(need)
        shutil.rmtree(target, ignore_errors=True)
        for one in need["files"]:
            (target / one["path"]).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging.path(one["path"]), target / one["path"])
        staging.remove()

    def _git(self, need: Json) -> Json:
        """The tree of one version as an archive; a version that is a commit is never asked for again."""
        known, version = self._known(need), need["version"] or "HEAD"
        commit = version if COMMIT.match(version) else self._commit(need["url"], version)
        if known.get("commit") == commit:
            return {"commit": commit, "sha256": known["sha256"]}
        target, work = self.root / _bundle.place(need), self._work(need)
        shutil.rmtree(work, ignore_errors=True)
        run(["git", "clone", "--quiet", "--bare", need["url"], str(work)], GIT_SECONDS, self.around.environment)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}")
        name = target.name.rpartition("-")[0]
        options = ["--format=tar.gz", f"--prefix={name}/", f"--output={beside}"]
        run(["git", "-C", str(work), "archive", *options, commit], GIT_SECONDS)
        beside.rename(target)
        shutil.rmtree(work)
        self.received += target.stat().st_size
        return {"commit": commit, "sha256": None}

    def _commit(self, url: str, version: str) -> str:
        names = _references(version)
        lines = run(["git", "ls-remote", url, *names], 120, self.around.environment).splitlines()
        # git takes a name for the end of a reference: of branch main, also that of user/main.
        told = {name: commit for commit, name in (line.split() for line in lines)}
        found = next((told[name] for name in names if name in told), None)
        if found is None:
            message = f"{url} has no {version}."
            raise FleetError("bundle-incomplete", message, "Correct the version.", value=version)
        return found

    def wheels(self, need: Json, bake: Bake) -> Json:
        """The packages of a bake. They stay as they are while the same things are asked for, whatever the index has."""
        path = _bundle.place(need)
        target, asked = self.root / path, digest([need, bake.base_id, bake.source_id, bake.further, bake.install])
        row: Json = {"kind": _bundle.WHEELS, "need": need, "path": path, "asked": asked}
        known = self._known(need)
        self.around.tell(_bundle.told(need))
        if known.get("asked") == asked:
            return {**row, "sha256": known["sha256"]}
        work = self._work({**need, "asked": asked})
        before = _names(work)
        try:
            self._gather(need, bake, work)
        except _bundle_python.UnknownPythonError as error:
            raise _not_gathered(need, f"{error}.", "Give a folder of wheels in pip.wheels.") from None
        except FleetError as error:
            raise _not_gathered(need, error.finding["message"], error.finding["remedy"]) from None
        self.received += sum(one.stat().st_size for one in work.iterdir() if one.name not in before)
        self._publish(work, target)
        return {**row, "sha256": digest([[one.name, _hashing.sha256_of(str(one))] for one in sorted(target.iterdir())])}

    def _gather(self, need: Json, bake: Bake, work: Path) -> None:
        inputs = bake.inputs
        python = _bundle_python.look(bake.archive, _program(inputs["python"]))
        wanted = _bundle_wheels.wanted(need["role"], inputs, python, bake.source)
        wanted = wanted._replace(lines=[*wanted.lines, *bake.further])
        scratch = work.with_name(f"{work.name}.scratch")
        environment = self.around.environment
        gathering = _bundle_wheels.Gathering(python, need["arch"], inputs["pip"], work, scratch, bake.find, environment)
        gathering.gather(wanted)

    def packages(self, need: Json) -> Json:
        """Packages of the operating system. They stay as they are while the same ones are asked for."""
        path = _bundle.place(need)
        row: Json = {"kind": _bundle.PACKAGES, "need": need, "path": path}
        self.around.tell(_bundle.told(need))
        if self._known(need):
            return row
        where = (need["image"], need["arch"])
        if where not in self._systems:
            self._systems[where] = _bundle_os.system(*where, self.around.tell)
        found, work = self._systems[where], self._work(need)
        before = _names(work)
        wanted = _bundle_os.names(found, need["part"], need["names"])
        _bundle_os.download(found, need["part"], wanted, work, self.around.environment)
        self.received += sum(one.stat().st_size for one in work.iterdir() if one.name not in before)
        self._publish(work, self.root / path)
        return row

    @staticmethod
    def _publish(work: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        work.rename(target)

    # What every fleet needs ---------------------------------------------------------------

    def sdk_wheels(self, requirements: Path) -> Json:
        """The Docker SDK for Python of nodes, as role host_prep installs it."""
        pins = re.findall(r"(?m)^([\w-]+)==", requirements.read_text(encoding="utf-8"))
        folder = self.root / _bundle.SDK_WHEELS
        if len(list(folder.glob("*-py3-none-any.whl"))) < len(pins):
            self.around.tell("the Docker SDK for Python")
            portable = ["--implementation=py", "--abi=none", "--platform=any", "--python-version=3.8"]
            self._pip(folder, ["--no-deps", "--require-hashes", *portable, "--requirement", str(requirements)])
        return {"kind": _bundle.WHEELS, "need": None, "path": _bundle.SDK_WHEELS}

    def controller_wheels(self, requirements: Path) -> Json:
        folder = self.root / "wheels" / "controller"
        listed = folder / "requirements.txt"
        text = f"ansible-core=={release.__version__}\n{requirements.read_text(encoding='utf-8')}"
        if not listed.is_file() or listed.read_text(encoding="utf-8") != text:
            self.around.tell("Python packages of a controller")
            wanted = [line for line in text.splitlines() if line]
            self._pip(folder, wanted)
            listed.write_text(text, encoding="utf-8")
        return {"kind": _bundle.WHEELS, "need": None, "path": "wheels/controller"}

    def _pip(self, folder: Path, arguments: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        before = {one.name for one in folder.iterdir()}
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        run([*argv, "--only-binary=:all:", f"--dest={folder}", *arguments], PIP_SECONDS, self.around.environment)
        self.received += sum(one.stat().st_size for one in folder.iterdir() if one.name not in before)

    def collection(self, name: str, folder: Path) -> Json:
        """An installed collection as an archive that is unpacked in a path of collections."""
        path = f"collections/{name}.tar.gz"
        target = self.root / path
        if (folder / "galaxy.yml").is_file():
            self._built(name, folder, target)
            return {"kind": _bundle.COLLECTIONS, "need": None, "path": path}
        # Its own list of files, with their digests; every release has another.
        release = [(folder / one).read_bytes() for one in ("MANIFEST.json", "FILES.json") if (folder / one).is_file()]
        if self._renewed(target, digest([one.decode("utf-8") for one in release])):
            beside = target.with_name(f".{target.name}")
            with tarfile.open(beside, "w:gz") as archive:
                for one in sorted(folder.iterdir()):
                    archive.add(one, f"{_home(name)}/{one.name}", filter=_plain)
            beside.rename(target)
        return {"kind": _bundle.COLLECTIONS, "need": None, "path": path}

    def _built(self, name: str, folder: Path, target: Path) -> None:
        """A checkout has no manifest yet; it is built again when one of its files has changed."""
        parts = [one for part in PARTS for one in sorted((folder / part).rglob("*")) if one.is_file()]
        sources = [one for one in parts if "__pycache__" not in one.parts]
        if not self._renewed(
            target, digest([[str(one.relative_to(folder)), _hashing.sha256_of(str(one))] for one in sources])
        ):
            return
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
            galaxy = [sys.executable, "-m", "ansible.cli.galaxy"]
            run([*galaxy, "collection", "build", "--output-path", scratch, str(folder)], GIT_SECONDS)
            whole = Path(scratch) / "whole"
            with tarfile.open(next(Path(scratch).glob("*.tar.gz"))) as built, tarfile.open(whole, "w:gz") as archive:
                for entry in built:
                    content = built.extractfile(entry) if entry.isreg() else None
                    entry.name = f"{_home(name)}/{entry.name}"
                    archive.addfile(entry, content)
            whole.rename(target)

    @staticmethod
    def _renewed(target: Path, now: str) -> bool:
        """Whether an archive has to be made of what ``now`` is the digest of; an older one is then gone."""
        stamp = target.with_name(f".{target.name}.digest")
        if target.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == now:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        stamp.write_text(now, encoding="utf-8")
        return True

    def extra(self, source: Path, kind: str = _bundle.EXTRA) -> Json:
        """A file or directory of the operator, linked where the file system allows."""
        if not source.exists():
            message = f"{source} is not on the controller."
            raise FleetError("bundle-incomplete", message, f"Correct fleet_bundle_{kind}.", value=str(source))
        path = f"{kind}/{source.name}"
        target = self.root / path
        if source.is_dir():
            for one in (one for one in source.rglob("*") if one.is_file()):
                _link(one, target / one.relative_to(source))
        else:
            _link(source, target)
        return {"kind": kind, "need": None, "path": path, "source": str(source)}

    # ----------------------------------------------------------------------------------------

    def prune(self, rows: Sequence[Json]) -> None:
        """Take out what no document needs any more."""
        wanted = {row["path"] for row in rows}
        for kind in ("images", "models", "git", "files", _bundle.DATA, _bundle.WHEELS, _bundle.PACKAGES, _bundle.EXTRA):
            for one in (self.root / kind).glob("*"):
                if f"{kind}/{one.name}" in wanted:
                    continue
                if one.is_dir():
                    shutil.rmtree(one)
                else:
                    one.unlink()
        shutil.rmtree(self.root / WORK, ignore_errors=True)

    def _work(self, need: Json) -> Path:
        work = self.root / WORK
        work.mkdir(parents=True, exist_ok=True)
        return work / _bundle.key(need)[:16]

    def _count(self, count: int) -> None:
        before = self.received // TOLD_EVERY
        self.received += count
        if self.received // TOLD_EVERY > before:
            self.around.tell(f"{human(self.received)} received")


def _not_gathered(need: Json, why: str, remedy: str) -> FleetError:
    return FleetError("bundle-incomplete", f"{_bundle.told(need)} cannot be gathered: {why}", remedy)


def _references(version: str) -> list[str]:
    """What a version may name, the first that exists. Of an annotated tag ``^{}`` is the commit."""
    if version == "HEAD":
        return [version]
    if version.startswith("refs/"):
        return [f"{version}^{{}}", version]
    places = (f"refs/tags/{version}", f"refs/heads/{version}", f"refs/{version}")
    return [name for place in places for name in (f"{place}^{{}}", place)]


def _names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()} if folder.is_dir() else set()


def _program(python: str | Sequence[str]) -> str:
    """The program of a command such as ``/usr/bin/env python3``."""
    words = [python] if isinstance(python, str) else list(python)
    return words[-1]


def _home(collection: str) -> str:
    return f"ansible_collections/{collection.replace('.', '/')}"


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name or entry.name.endswith(".pyc") else entry


def _link(source: Path, target: Path) -> None:
    if target.exists() and target.stat().st_mtime_ns == source.stat().st_mtime_ns:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
