# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor's package on a node, as it is and as it is wanted. Private to the collection."""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import shutil
from typing import Any, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _package_manifest,
    _package_names,
    _package_write,
    _package_zip,
    _parallel,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._package_manifest import Manifest, Part, Source
from ansible_collections.ascend.fleet.plugins.module_utils._package_names import Choice, Name, Target, Wanted
from ansible_collections.ascend.fleet.plugins.module_utils._package_views import View
from ansible_collections.ascend.fleet.plugins.module_utils._shared_lock import SharedLock

Json = Dict[str, Any]

_SHOWN = 5
_TOP = 20


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


class Opened(NamedTuple):
    """A package opened for unpacking."""

    version: str
    trees: list[_package_write.Tree]
    parts: list[Part]
    sources: list[Source]
    hashes: list[tuple[View, str]]


def converge(want: Want, check_mode: bool) -> Json:
    seen = observe(want)
    steps = plan(want, seen)
    if steps.reasons and check_mode:
        return _result(want, seen, _predict(want, seen), steps)
    if steps.reasons:
        seen, steps, manifest, waited = _apply(want)
        return dict(_result(want, seen, manifest, steps), waited=waited)
    if seen.manifest is None:
        raise AssertionError("nothing to do and nothing there")
    manifest = seen.manifest
    if steps.refresh and not check_mode:
        manifest = manifest._replace(sources=seen.sources)
        _package_manifest.write_origin(want.dest, manifest)
    return _result(want, seen, manifest, steps)


def look(want: Want) -> list[str]:
    """Why the package would be unpacked; the package is not opened for that."""
    return plan(want, observe(want)).reasons


def observe(want: Want, beat: _parallel.Beat | None = None) -> Seen:
    manifest = _package_manifest.read(want.dest)
    choice, gone = None, None
    try:
        choice = _package_names.choose(_found(want.src), want.parts, want.version, want.asked)
    except FleetError as error:
        gone = error
    differing: list[str] = []
    if manifest:
        differing = _package_manifest.differing(want.dest, manifest)
        if want.full and not differing:
            differing = _package_manifest.rotten(want.dest, manifest, want.workers, beat or _no_beat)
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
        reasons.append("other parts are wanted: " + ", ".join(sorted(_told(*part) for part in wanted)))
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
    _refuse_unfit(want, manifest.names() if not reasons else [])
    _refuse_sums(want, manifest if not reasons else None)
    return Plan(reasons, warnings, refresh)


def _apply(want: Want) -> tuple[Seen, Plan, Manifest, bool]:
    """Unpack under the lock. Another node may have done so meanwhile."""
    os.umask(0o022)
    parent, name = os.path.split(want.dest)
    os.makedirs(parent, exist_ok=True)
    prefix = os.path.join(parent, f".{name}.ascend-fleet-")
    with SharedLock(prefix + "lock", want.patience) as lock:
        seen = observe(want, lock.beat)
        steps = plan(want, seen)
        if not steps.reasons and seen.manifest:
            return seen, steps, seen.manifest, lock.waited
        _package_write.clear(prefix)
        opened = _open(want, seen, lock.beat)
        _room(want, opened)
        stage = prefix + lock.token
        try:
            os.mkdir(stage, 0o755)
            views = [view for view, _sum in opened.hashes]
            sums = _package_write.write(opened.trees, stage, views, want.workers, lock.beat)
            _verify_hashes(opened.hashes, sums)
            manifest = _manifest(want, opened)
            _package_manifest.write(stage, manifest)
            if not lock.is_mine():
                raise FleetError(
                    "package-locked",
                    f"Another run took {lock.path} over while this one stood still.",
                    key="dest",
                    value=want.dest,
                )
            _package_write.publish(stage, want.dest)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _package_write.no_space(parent, "it was used up while the package was unpacked") from error
            raise
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        return seen, steps, manifest, lock.waited


def _predict(want: Want, seen: Seen) -> Manifest:
    """What unpacking would make; whatever stands against it is found."""
    opened = _open(want, seen, _no_beat)
    _room(want, opened)
    _verify_hashes(
        opened.hashes, _package_write.digests([view for view, _sum in opened.hashes], want.workers, _no_beat)
    )
    return _manifest(want, opened)


def _open(want: Want, seen: Seen, beat: _parallel.Beat) -> Opened:
    choice = seen.choice
    if choice is None:
        raise seen.gone or AssertionError("neither chosen nor missing")
    outer = View(choice.outer.path) if choice.outer else None
    entries = {one.name: one for one in _package_zip.directory(outer, want.limits)} if outer else {}
    used = [outer] if outer else []
    trees, parts, hashes = [], [], []
    version = ""
    for part in want.parts:
        name = choice.alone.get(part.kind)
        if name:
            view = View(name.path)
            used.append(view)
        elif outer and choice.outer:
            name = _package_names.inner(entries, part, choice.outer)
            view = _package_zip.nested(outer, entries[name.path], beat)
        else:
            raise AssertionError(f"{part.kind} was not chosen")
        members = _selected(_package_zip.directory(view, want.limits), part, view.label)
        _refuse_unfit(want, [f"{part.kind}/{one.name}" for one in members])
        trees.append(_package_write.tree(view, part.kind, members))
        parts.append(Part(part.kind, name.file, part.match, part.include))
        version = name.version
        hashes += [(view, part.sha256)] if part.sha256 else []
        beat()
    if want.sha256:
        hashes.append((_whole(want, used), want.sha256))
    return Opened(version, trees, parts, _noted(want, seen.sources), hashes)


def _selected(members: list[_package_zip.Member], part: Wanted, label: str) -> list[_package_zip.Member]:
    """The members of the wanted sub-trees; each has to be there."""
    if not part.include:
        return members
    chosen: set[str] = set()
    for pattern in part.include:
        below = [one.name for one in members if _is_within(one.name, pattern.strip("/"))]
        if not below:
            top = sorted({one.name.split("/")[0] for one in members})
            raise FleetError(
                "package-missing",
                f"{label} holds nothing at {pattern}; at its top are {', '.join(top[:_TOP])}.",
                "Correct include of the part.",
                key="parts.include",
                value=pattern,
            )
        chosen.update(below)
    return [one for one in members if one.name in chosen]


def _is_within(name: str, pattern: str) -> bool:
    words = name.split("/")
    depth = pattern.count("/") + 1
    return len(words) >= depth and all(
        fnmatch.fnmatchcase(word, wanted) for word, wanted in zip(words, pattern.split("/"))
    )


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


def _noted(want: Want, sources: list[Source]) -> list[Source]:
    """With the digest that will have been verified, where there is one file that it can mean."""
    return [source._replace(sha256=want.sha256) if len(sources) == 1 else source for source in sources]


def _whole(want: Want, views: list[View]) -> View:
    if len(views) != 1:
        raise FleetError(
            "package-ambiguous",
            f"sha256 is given, but {want.asked} are {len(views)} files.",
            "Give sha256 with each of parts.",
            key="sha256",
            value=want.sha256,
        )
    return views[0]


def _verify_hashes(hashes: list[tuple[View, str]], sums: list[str]) -> None:
    for (view, wanted), found in zip(hashes, sums):
        if wanted.lower() != found:
            raise _wrong_sum(view.label, wanted, found)


def _refuse_sums(want: Want, manifest: Manifest | None) -> None:
    """What was unpacked was verified against a digest then; another one now means another package."""
    if manifest is None:
        return
    for part in want.parts:
        known = manifest.verified.get(part.kind)
        if part.sha256 and known and part.sha256.lower() != known.lower():
            raise _wrong_sum(f"part {part.kind} of {want.dest}", part.sha256, known)
    for source in manifest.sources:
        if want.sha256 and source.sha256 and want.sha256.lower() != source.sha256.lower():
            raise _wrong_sum(source.name, want.sha256, source.sha256)


def _unverified(want: Want, manifest: Manifest) -> list[str]:
    """Digests that nobody has compared with what is there."""
    labels = [part.kind for part in want.parts if part.sha256 and part.kind not in manifest.verified]
    if want.sha256 and not any(source.sha256 for source in manifest.sources):
        labels.append(", ".join(source.name for source in manifest.sources))
    return [f"the sha256 of {label} was not compared yet" for label in labels]


def _wrong_sum(label: str, wanted: str, found: str) -> FleetError:
    return FleetError(
        "package-invalid",
        f"{label} has the sha256 {found}, not {wanted}.",
        "Get the package again, or correct sha256.",
        key="sha256",
        value=wanted,
    )


def _refuse_unfit(want: Want, names: list[str]) -> None:
    against = _package_names.unfit(names, want.target)
    if against:
        raise FleetError(
            "package-unfit",
            f"{', '.join(against[:_SHOWN])} of {want.asked} cannot be used with {want.target}.",
            key="src",
            value=against[0],
        )


def _room(want: Want, opened: Opened) -> None:
    folder = os.path.dirname(want.dest)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    needs = [_package_write.need(tree.members) for tree in opened.trees]
    _package_write.check_space(folder, sum(size for size, _count in needs), sum(count for _size, count in needs))


def _manifest(want: Want, opened: Opened) -> Manifest:
    verified = {part.kind: part.sha256 for part in want.parts if part.sha256}
    files = _package_manifest.files(opened.trees)
    return Manifest(opened.version, opened.parts, files, opened.sources, verified)


def _result(want: Want, seen: Seen, manifest: Manifest, steps: Plan) -> Json:
    fitting = [name for name in manifest.names() if _package_names.fits(name, want.target)]
    below = [os.path.join(want.dest, name) for name in sorted(fitting)]
    before = _summary(seen.manifest) if seen.manifest else ""
    return {
        "changed": bool(steps.reasons),
        "reasons": steps.reasons,
        "warnings": steps.warnings,
        "waited": False,
        "dest": want.dest,
        "version": manifest.version,
        "sources": [source.name for source in manifest.sources],
        "paths": {part.kind: os.path.join(want.dest, part.kind) for part in manifest.parts},
        "wheels": [path for path in below if path.endswith(".whl")],
        "installers": [path for path in below if path.endswith(".run")],
        "files": len(manifest.files),
        "size": manifest.size(),
        "diff": {
            "before_header": want.dest,
            "after_header": want.dest,
            "before": before + "".join(f"changed: {name}\n" for name in seen.differing),
            "after": _summary(manifest),
        },
    }


def _summary(manifest: Manifest) -> str:
    lines = [f"version {manifest.version}\n"]
    for part in manifest.parts:
        own = [facts for name, facts in manifest.files.items() if name.startswith(part.kind + "/")]
        size = sum(facts[0] for facts in own if len(facts) > 1)
        told = _told(part.kind, part.match, part.include)
        lines.append(f"{told} of {part.file}: {len(own)} files, {size} bytes\n")
    return "".join(lines)


def _told(kind: str, match: str, include: tuple[str, ...]) -> str:
    return kind + (f" ({match})" if match != "*" else "") + (f" [{', '.join(include)}]" if include else "")


def _no_beat() -> None:
    """Nobody waits for this work."""
