# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a raw entry to typed services: kind, keys, files of the controller, instances. Private to the collection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.plugin_utils import _jobs, _models, _options
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds._base import Kind
from ansible_collections.ascend.fleet.plugins.plugin_utils._merge import RawEntry
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw
from ansible_collections.ascend.fleet.plugins.plugin_utils._problems import Place

FileProblem = Callable[[str], str | None]


class Files(NamedTuple):
    """Files of the controller as the compiler sees them."""

    secret_problem: FileProblem
    """Why a file cannot serve as a secret, or None."""
    problem: FileProblem
    """Why a path cannot be read, or None."""
    file_problem: FileProblem
    """Why a path cannot be read as a file, or None."""
    folder_problem: FileProblem
    """Why a path cannot serve as a folder of files, or None."""
    bundle_problem: FileProblem
    """Why a file cannot serve as a bundle of certificates, or None."""
    digest: Callable[[str], str]
    """Of a text file."""
    content: Callable[[str], str]
    """Of the bytes of a file, or of names and sizes in a folder."""


class Entry(NamedTuple):
    """A typed entry of one host."""

    place: Place
    kind: Kind
    values: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.values["name"])


class Checker:
    """Entries against the schema; the tables are put together once."""

    def __init__(self, schema: Mapping[str, Any], kinds: Mapping[str, Kind], files: Files) -> None:
        self._common = schema["common"]
        self._kinds = kinds
        self._files = files
        self._options = {name: _with_defaults(self._common, kind) for name, kind in kinds.items()}

    def check(self, raw: RawEntry, folder: str) -> tuple[Entry | None, list[Flaw]]:
        """The entry, or None when it has flaws; ``folder`` is where relative files of the controller are."""
        kind = self._kinds.get(str(raw.values.get("kind")))
        if kind is None or kind.family != raw.family:
            known = {key: value for key, value in raw.values.items() if key in self._common and key != "kind"}
            common = {key: option for key, option in self._common.items() if key != "kind"}
            return None, [self._kind_flaw(raw), *_options.check(common, known)[1]]
        typed, flaws = _options.check(self._options[kind.name], raw.values, what=f"entry of kind {kind.name}")
        if kind.family == _jobs.FAMILY:
            flaws += _jobs.flaws(raw.values)
        absent = typed["state"] == "absent"
        if not absent:
            flaws += [
                Flaw(key, None, "is missing", f"Kind {kind.name} needs it: {_describe(self._common[key])}")
                for key in kind.requires
                if typed[key] is None and not any(flaw.key.split(".")[0] == key for flaw in flaws)
            ]
            flaws += self._resolve_files(self._options[kind.name], typed, folder, "")
        if flaws:
            return None, flaws
        typed["model"], flaws = _models.named(typed["model"])
        if flaws:
            return None, flaws
        flaws = [
            *_base.common_flaws(typed),
            *self._archive_flaws(typed, folder),
            *_models.flaws(typed["model"], self._files.problem),
        ]
        return (None, flaws) if flaws else (Entry(raw.place, kind, typed), [])

    def _kind_flaw(self, raw: RawEntry) -> Flaw:
        given = raw.values.get("kind")
        names = [name for name, kind in self._kinds.items() if kind.family == raw.family]
        listed = f"Kinds of a {raw.family}: {', '.join(names) or 'none yet'}."
        if given is None:
            return Flaw("kind", None, "is missing", listed)
        other = self._kinds.get(str(given))
        if other is not None:
            return Flaw("kind", given, f"is a {other.family}", f"Move the entry to a fleet_{other.family}s variable.")
        near = _options.suggestion(str(given), names)
        return Flaw("kind", given, "is no kind", f"{near} {listed}" if near.startswith("Did") else listed)

    def _resolve_files(
        self, options: _options.Options, typed: dict[str, Any], folder: str, prefix: str
    ) -> Iterator[Flaw]:
        for key, option in options.items():
            value = typed.get(key)
            if not value:
                continue
            if option.get("type") in ("file", "folder"):
                typed[key] = _absolute(value, folder)
                look, remedy = self._look_at(option)
                problem = look(typed[key])
                if problem:
                    yield Flaw(f"{prefix}{key}", value, problem, remedy)
            elif option.get("type") == "dict" and isinstance(option.get("options"), Mapping):
                yield from self._resolve_files(option["options"], value, folder, f"{prefix}{key}.")
            elif option.get("type") == "list" and isinstance(option.get("elements"), Mapping):
                inner = option["elements"].get("options")
                for index, item in enumerate(value) if inner else ():
                    yield from self._resolve_files(inner, item, folder, f"{prefix}{key}[{index}].")

    def _look_at(self, option: Mapping[str, Any]) -> tuple[FileProblem, str]:
        if option["type"] == "folder":
            return self._files.folder_problem, "Name a directory of the controller that holds them."
        if option.get("secret", True):
            return self._files.secret_problem, "Name a file that only its owner may read (chmod 0600)."
        return self._files.file_problem, "Correct the path."

    def _archive_flaws(self, typed: dict[str, Any], folder: str) -> Iterator[Flaw]:
        image = typed["image"]
        if not image or not image["archive"]:
            return
        flaws = list(archive_flaws(image, self._files, lambda path: _absolute(path, folder), "image.archive"))
        if typed["state"] != "absent":
            yield from flaws


def archive_flaws(image: dict[str, Any], files: Files, absolute: Callable[[str], str], key: str) -> Iterator[Flaw]:
    """What is wrong with the archive of an image; one of the controller gets its whole path."""
    if not image["archive"]:
        return
    if image["archive_on"] == "node":
        if not image["archive"].startswith("/"):
            yield Flaw(key, image["archive"], "is not an absolute path", "Write the whole path on the node.")
        return
    given, image["archive"] = image["archive"], absolute(image["archive"])
    problem = files.file_problem(image["archive"])
    if problem:
        yield Flaw(key, given, problem, "Correct the path, or set archive_on: node.")


def _with_defaults(common: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    options = {**common, **kind.options}
    for key, value in kind.defaults.items():
        options[key] = {**options[key], "default": value}
    # The default of npus is written as people write it; typed values are all the same.
    npus = options["npus"]
    options["npus"] = {**npus, "default": _options.parse(npus, npus["default"], "npus")[0]}
    return options


def _describe(option: Mapping[str, Any]) -> str:
    text = str(option["description"])
    return text[:1].lower() + text[1:]


def _absolute(path: str, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def expand(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One dict per container; ``entry`` keeps the entry's name. A list of cards is shared out evenly."""
    instances = values["instances"]
    if instances is None:
        yield {**values, "entry": values["name"]}
        return
    npus = values["npus"]
    share = npus["count"] // instances if npus["cards"] else npus["count"]
    for index in range(instances):
        cards = npus["cards"][index * share : (index + 1) * share] if npus["cards"] else None
        yield {
            **values,
            "entry": values["name"],
            "name": f"{values['name']}-{index}",
            "port": values["port"] + index if values["port"] else None,
            "npus": {"count": share, "cards": cards},
            "instance": index,
        }
