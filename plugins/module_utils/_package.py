# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor's package on a node, as it is and as it is wanted. Private to the collection."""

from __future__ import annotations

import errno
import fnmatch
import os
import shutil
from typing import Any, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _package_check,
    _package_look,
    _package_manifest,
    _package_names,
    _package_write,
    _package_zip,
    _parallel,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._package_look import (
    Plan,
    Seen,
    Want,
    plan,
    refuse_unfit,
    told,
    wrong_sum,
)
from ansible_collections.ascend.fleet.plugins.module_utils._package_manifest import Manifest, Part, Source
from ansible_collections.ascend.fleet.plugins.module_utils._package_names import Wanted
from ansible_collections.ascend.fleet.plugins.module_utils._package_views import View
from ansible_collections.ascend.fleet.plugins.module_utils._shared_lock import SharedLock

Json = Dict[str, Any]

_TOP = 20


class Opened(NamedTuple):
    """A package opened for unpacking."""

    version: str
    trees: list[_package_write.Tree]
    parts: list[Part]
    sources: list[Source]
    hashes: list[tuple[View, str]]


def converge(want: Want, check_mode: bool) -> Json:
    seen = observe(want, _no_beat)
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


def observe(want: Want, beat: _parallel.Beat) -> Seen:
    seen = _package_look.observe(want)
    if want.full and seen.manifest and not seen.differing:
        return seen._replace(differing=_package_check.rotten(want.dest, seen.manifest, want.workers, beat))
    return seen


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
        refuse_unfit(want, [f"{part.kind}/{one.name}" for one in members])
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
            raise wrong_sum(view.label, wanted, found)


def _room(want: Want, opened: Opened) -> None:
    folder = os.path.dirname(want.dest)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    needs = [_package_write.need(tree.members) for tree in opened.trees]
    _package_write.check_space(folder, sum(size for size, _count in needs), sum(count for _size, count in needs))


def _manifest(want: Want, opened: Opened) -> Manifest:
    verified = {part.kind: part.sha256 for part in want.parts if part.sha256}
    files = _package_write.listed(opened.trees)
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
        label = told(part.kind, part.match, part.include)
        lines.append(f"{label} of {part.file}: {len(own)} files, {size} bytes\n")
    return "".join(lines)


def _no_beat() -> None:
    """Nobody waits for this work."""
