# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of the vendor's package and why it would be unpacked. Private to the collection."""

from __future__ import annotations

import glob
import os
from typing import NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _package_manifest, _package_names, _package_zip
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._package_manifest import Manifest, Source
from ansible_collections.ascend.fleet.plugins.module_utils._package_names import Choice, Name, Target, Wanted
from ansible_collections.ascend.fleet.plugins.module_utils._package_views import View

_SHOWN = 5


class Want(NamedTuple):
    """What a call asks for."""

    src: tuple[str, ...]
    dest: str
    parts: tuple[Wanted, ...]
    version: str | None
    sha256: str | None
    target: Target
    full: bool
    limits: _package_zip.Limits
    workers: int
    patience: float

    @property
    def asked(self) -> str:
        return ", ".join(self.src)


class Seen(NamedTuple):
    """What there is: package files and the folder. ``gone`` is why no package file could be chosen."""

    choice: Choice | None
    gone: FleetError | None
    manifest: Manifest | None
    differing: list[str]
    sources: list[Source]
    dest_exists: bool
    dest_empty: bool


class Plan(NamedTuple):
    """Nothing to do when there is no reason. ``refresh`` only brings the manifest's note of the sources up to date."""

    reasons: list[str]
    warnings: list[str]
    refresh: bool = False


def look(want: Want) -> list[str]:
    """Why the package would be unpacked; the package is not opened for that."""
    return plan(want, observe(want)).reasons


def observe(want: Want) -> Seen:
    manifest = _package_manifest.read(want.dest)
    choice, gone = None, None
    try:
        choice = _package_names.choose(_found(want.src), want.parts, want.version, want.asked)
    except FleetError as error:
        gone = error
    differing: list[str] = []
    if manifest:
        differing = _package_manifest.differing(want.dest, manifest)
    exists = os.path.lexists(want.dest)
    sources = _sources(want, choice, manifest) if choice else []
    empty = exists and os.path.isdir(want.dest) and not os.listdir(want.dest)
    return Seen(choice, gone, manifest, differing, sources, exists, empty)


def plan(want: Want, seen: Seen) -> Plan:
    """Why the package is to be unpacked; refuses what must not be replaced or cannot be had."""
    manifest = seen.manifest
    if manifest is None:
        if seen.dest_exists and not seen.dest_empty:
            raise FleetError(
                "package-target",
                f"{want.dest} is there already and was not unpacked by this collection.",
                key="dest",
                value=want.dest,
            )
        if seen.gone:
            raise seen.gone
        return Plan([f"there is no {want.dest} yet"], [])
    reasons = []
    if want.version not in (None, manifest.version):
        reasons.append(f"version {manifest.version} is there, {want.version} is wanted")
    wanted = {(part.kind, part.match, tuple(sorted(part.include))) for part in want.parts}
    there = {(part.kind, part.match, tuple(sorted(part.include))) for part in manifest.parts}
    if wanted != there:
        reasons.append("other parts are wanted: " + ", ".join(sorted(told(*part) for part in wanted)))
    if seen.differing:
        names = ", ".join(seen.differing[:_SHOWN]) + (", ..." if len(seen.differing) > _SHOWN else "")
        reasons.append(f"{len(seen.differing)} files are missing or changed: {names}")
    reasons += _unverified(want, manifest)
    warnings, refresh = [], False
    if seen.gone:
        if reasons or seen.gone.finding["check"] != "package-missing":
            raise seen.gone
        warnings.append(f"{want.dest} is complete, but its package is gone from {want.asked}.")
    else:
        old = {source.name: source for source in manifest.sources}
        for source in seen.sources:
            known = old.get(source.name)
            if known is None:
                reasons.append(f"the package is {source.name}, not {', '.join(old)}")
            elif known.contents != source.contents:
                reasons.append(f"the content of {source.name} is another one")
        refresh = not reasons and seen.sources != manifest.sources
    refuse_unfit(want, manifest.names() if not reasons else [])
    _refuse_sums(want, manifest if not reasons else None)
    return Plan(reasons, warnings, refresh)


def _found(patterns: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        if os.path.isdir(pattern):
            pattern = os.path.join(glob.escape(pattern), _package_names.PATTERN)
        found += [path for path in glob.glob(pattern) if os.path.isfile(path)]
    return found


def _sources(want: Want, choice: Choice, manifest: Manifest | None) -> list[Source]:
    """The package files; their directory is only read where size or time is another one than last time."""
    known = {source.name: source for source in manifest.sources} if manifest else {}
    used: list[Name] = [*([choice.outer] if choice.outer else []), *choice.alone.values()]
    found = []
    for name in sorted(used):
        facts = os.stat(name.path)
        old = known.get(name.file)
        if old and (old.size, old.mtime) == (facts.st_size, facts.st_mtime_ns):
            found.append(old)
            continue
        contents = _package_manifest.contents(_package_zip.directory(View(name.path), want.limits))
        sha256 = old.sha256 if old and old.contents == contents else None
        found.append(Source(name.file, facts.st_size, facts.st_mtime_ns, contents, sha256))
    return found


def _refuse_sums(want: Want, manifest: Manifest | None) -> None:
    """What was unpacked was verified against a digest then; another one now means another package."""
    if manifest is None:
        return
    for part in want.parts:
        known = manifest.verified.get(part.kind)
        if part.sha256 and known and part.sha256.lower() != known.lower():
            raise wrong_sum(f"part {part.kind} of {want.dest}", part.sha256, known)
    for source in manifest.sources:
        if want.sha256 and source.sha256 and want.sha256.lower() != source.sha256.lower():
            raise wrong_sum(source.name, want.sha256, source.sha256)


def _unverified(want: Want, manifest: Manifest) -> list[str]:
    """Digests that nobody has compared with what is there."""
    labels = [part.kind for part in want.parts if part.sha256 and part.kind not in manifest.verified]
    if want.sha256 and not any(source.sha256 for source in manifest.sources):
        labels.append(", ".join(source.name for source in manifest.sources))
    return [f"the sha256 of {label} was not compared yet" for label in labels]


def wrong_sum(label: str, wanted: str, found: str) -> FleetError:
    return FleetError(
        "package-invalid",
        f"{label} has the sha256 {found}, not {wanted}.",
        "Get the package again, or correct sha256.",
        key="sha256",
        value=wanted,
    )


def refuse_unfit(want: Want, names: list[str]) -> None:
    against = _package_names.unfit(names, want.target)
    if against:
        raise FleetError(
            "package-unfit",
            f"{', '.join(against[:_SHOWN])} of {want.asked} cannot be used with {want.target}.",
            key="src",
            value=against[0],
        )


def told(kind: str, match: str, include: tuple[str, ...]) -> str:
    return kind + (f" ({match})" if match != "*" else "") + (f" [{', '.join(include)}]" if include else "")
