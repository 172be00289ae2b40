# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of an entry: where it lies, where it comes from. Private to the collection."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import kind_and_place
from ansible_collections.ascend.fleet.plugins.plugin_utils import _catalogue
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw, suggestion

ARCHIVE = re.compile(r"(\.git|\.tar|\.tar\.gz|\.tgz|\.tar\.xz)$")
# Where a kind says no more than path, source and revision.
REST: dict[str, Any] = {"include": [], "exclude": [], "token_file": None, "shared": False}
KEYS = ("path", "source", "revision", *REST)


def named(model: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[Flaw]]:
    """The model with what the catalogue says of its name; what the entry says itself stays."""
    if not model:
        return model, []
    rest = {key: value for key, value in model.items() if key != "name"}
    if not model.get("name"):
        return rest, []
    row = _catalogue.model(model["name"])
    if row is None:
        told = "is no model of the catalogue"
        return rest, [Flaw("model.name", model["name"], told, suggestion(model["name"], _catalogue.model_names()))]
    if rest["source"]:
        told = "stands beside a source of its own"
        return rest, [Flaw("model.name", model["name"], told, "Give the name or the source.")]
    patterns = {} if rest["include"] or rest["exclude"] else {key: list(row[key]) for key in ("include", "exclude")}
    return {**rest, "source": f"huggingface:{row['repository']}", **patterns}, []


def flaws(model: Mapping[str, Any] | None, problem: Callable[[str], str | None]) -> Iterator[Flaw]:
    """What is wrong with a model before it is known on which node it goes."""
    if not model:
        return
    source = model["source"]
    if not source:
        if not model["path"]:
            yield Flaw("model.path", None, "is missing", "Give the directory on the node, a source, or both.")
        for key in ("revision", "include", "exclude", "token_file"):
            if model[key]:
                yield Flaw(f"model.{key}", model[key], "says nothing without a source", "Give model.source as well.")
        return
    try:
        kind, place = kind_and_place(source)
    except ValueError as error:
        yield Flaw("model.source", source, str(error), "A directory that is there already needs no source.")
        return
    if kind == "controller":
        wrong = problem(place)
        if wrong:
            yield Flaw("model.source", source, wrong, "Name a directory or a tar archive of the controller.")


def placed(model: Mapping[str, Any] | None, work_dir: str) -> dict[str, Any] | None:
    """The model with its directory, by default below the work directory under its own name."""
    if not model:
        return None
    return {**model, "path": model["path"] or posixpath.join(work_dir, "models", name_of(model["source"]))}


def name_of(source: str) -> str:
    kind, place = kind_and_place(source)
    if kind == "manifest":
        place = posixpath.dirname(place)
    return ARCHIVE.sub("", posixpath.basename(place.rstrip("/")))


def documents(wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of the document from pairs of service and model; each model once."""
    found: dict[str, dict[str, Any]] = {}
    for service, model in wanted:
        row = {key: {**REST, **model}[key] for key in KEYS}
        first = found.setdefault(_identity(row), {**row, "services": []})
        if service not in first["services"]:
            first["services"].append(service)
    return list(found.values())


def _identity(row: Mapping[str, Any]) -> str:
    return repr([row[key] for key in KEYS])


def conflicts(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Flaw]]:
    """Two sources for one directory: each run would bring the one and then the other. Service and flaw."""
    seen: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if not row["source"]:
            continue
        first = seen.setdefault(row["path"], row)
        if first is not row:
            told = f"is the directory of {first['services'][0]} too, which brings something else there"
            remedy = "Write the same model in both entries, or give one of them another path."
            yield row["services"][0], Flaw("model.path", row["path"], told, remedy)
