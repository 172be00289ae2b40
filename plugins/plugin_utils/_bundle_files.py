# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle on disk: its digests, its signature, and whether both hold. Private to the collection."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils import _hashing
from ansible_collections.ascend.fleet.plugins.plugin_utils import _bundle
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle import MANIFEST, SIGNATURE, Bundle, BundleError

Json = dict[str, Any]

GPG_SECONDS = 60
LOCK = ".lock"


def read(root: Path) -> Json | None:
    try:
        found = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == _bundle.SCHEMA else None


def open_bundle(path: str, signed: bool, key: str | None) -> Bundle:
    """The bundle, its signature verified; the files of an artefact are verified when it is used."""
    root = Path(path)
    if not root.is_dir():
        raise BundleError(f"{path} is no directory of the controller")
    if signed:
        verify_signature(root, key)
    manifest = read(root)
    if manifest is None:
        raise BundleError(f"{path} holds no {MANIFEST} of this collection")
    return Bundle(str(root), manifest, Checker(root).problem)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """One run at a time fills a bundle; the kernel gives the lock back when its holder dies."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / LOCK, "w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BundleError(f"another run is filling {root}") from None
        yield


# Digests


class Checker:
    """Compares files with the manifest. What was read once is believed as long as size and time stay the same."""

    def __init__(self, root: Path) -> None:
        self.root = root
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ascend-fleet" / "bundles"
        self._notes = home / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}.json"
        self._known: dict[str, list[Any]] | None = None

    def problem(self, place: str, files: Sequence[Json]) -> str | None:
        """What is wrong with an artefact, of which the manifest lists these files and there may be no other."""
        if not files:
            return "the manifest lists no file of it"
        added = {str(one.relative_to(self.root)) for one in _below(self.root / place)} - {one["path"] for one in files}
        if added:
            return f"the manifest does not list {min(added)}"
        unread = []
        for one in files:
            path = self.root / one["path"]
            try:
                stat = path.stat()
            except OSError:
                return f"{one['path']} is missing"
            if stat.st_size != one["size"]:
                return f"{one['path']} has {stat.st_size} bytes instead of {one['size']}"
            if self._notes_of().get(one["path"]) != [stat.st_mtime_ns, one["sha256"]]:
                unread.append(one)
        found = _hashing.sha256_of_all([str(self.root / one["path"]) for one in unread])
        for one, sha256 in zip(unread, found, strict=True):
            if sha256 != one["sha256"]:
                return f"{one['path']} has the sha256 {sha256} instead of {one['sha256']}"
            self._notes_of()[one["path"]] = [(self.root / one["path"]).stat().st_mtime_ns, sha256]
        if unread:
            self._keep()
        return None

    def _notes_of(self) -> dict[str, list[Any]]:
        if self._known is None:
            try:
                self._known = dict(json.loads(self._notes.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                self._known = {}
        return self._known

    def _keep(self) -> None:
        self._notes.parent.mkdir(parents=True, exist_ok=True)
        beside = self._notes.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(self._known), encoding="utf-8")
        beside.replace(self._notes)


# Signature


def sign(root: Path, user: str) -> None:
    _gpg(["--yes", "--local-user", user, "--armor", "--detach-sign", "--output", SIGNATURE, MANIFEST], root)


def verify_signature(root: Path, key: str | None) -> None:
    """By the public key of a file alone where one is given, else by the keys of whoever runs this."""
    if not (root / SIGNATURE).is_file():
        raise BundleError(f"{root} is not signed ({SIGNATURE} is missing)")
    if key is None:
        _gpg(["--verify", SIGNATURE, MANIFEST], root)
        return
    with tempfile.TemporaryDirectory(prefix="ascend-fleet-") as home:
        _gpg(["--homedir", home, "--quiet", "--import", key], root)
        _gpg(["--homedir", home, "--trust-model", "always", "--verify", SIGNATURE, MANIFEST], root)


def _gpg(arguments: Sequence[str], root: Path) -> None:
    try:
        done = subprocess.run(
            ["gpg", "--batch", "--no-tty", *arguments],
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GPG_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"gpg cannot be run: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise BundleError(f"gpg refuses the bundle {root}: {'; '.join(lines[-2:]) or 'no reason given'}")


# Writing


def _below(whole: Path) -> list[Path]:
    return [whole] if whole.is_file() else sorted(one for one in whole.rglob("*") if one.is_file())


def listing(root: Path, paths: Sequence[str], known: Mapping[str, Json]) -> list[Json]:
    """All files of the artefacts; those that the manifest so far knows by size and time are not read again."""
    found, unread = [], []
    for path in paths:
        for one in _below(root / path):
            stat, name = one.stat(), str(one.relative_to(root))
            row = {"path": name, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": None}
            before = known.get(name)
            if before and (before["size"], before.get("mtime_ns")) == (row["size"], row["mtime_ns"]):
                row["sha256"] = before["sha256"]
            else:
                unread.append(row)
            found.append(row)
    digests = _hashing.sha256_of_all([str(root / str(row["path"])) for row in unread])
    for row, sha256 in zip(unread, digests, strict=True):
        row["sha256"] = sha256
    return found


def write(root: Path, manifest: Json, index: str) -> bool:
    """Manifest, sums and index; whether anything of the manifest is new."""
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    if (root / MANIFEST).is_file() and (root / MANIFEST).read_text(encoding="utf-8") == text:
        return False
    # A signature of an older manifest must not stand beside the new one.
    (root / SIGNATURE).unlink(missing_ok=True)
    sums = "".join(f"{one['sha256']}  {one['path']}\n" for one in manifest["files"])
    for name, content in (("SHA256SUMS", sums), ("INDEX.md", index), (MANIFEST, text)):
        beside = root / f".{name}"
        beside.write_text(content, encoding="utf-8")
        beside.replace(root / name)
    return True
