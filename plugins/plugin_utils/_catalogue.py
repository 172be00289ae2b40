# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalogue knows of the models and images that services use. Private to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data

Note = tuple[str, str, str]


class Image(NamedTuple):
    """A row of the table of images with what its release says; None where the source is silent."""

    release: str
    family: str
    arch: list[str] | None
    profile: str
    user: str | None
    cann: str | None
    python: str | None
    driver: str | None
    """Lowest driver the release needs on this family."""


def image(reference: str) -> Image | None:
    """An image by its last name and tag, so that one from a mirror or a registry of one's own is known too."""
    return _images().get(reference.partition("@")[0].rpartition("/")[2])


def model(name: str) -> Mapping[str, Any] | None:
    return _models().get(name.lower())


def model_at(path: str) -> Mapping[str, Any] | None:
    """The model that a directory is named after."""
    return model(path.rstrip("/").rpartition("/")[2])


def model_names() -> list[str]:
    return [str(row["name"]) for row in _data.catalogue("models")["models"]]


def notes(path: str, cards: int, max_model_len: int | None) -> Iterator[Note]:
    """Check id, key and message where a model gets fewer cards, or shall take longer sequences, than is known to work.

    The memory of a card is not known before the node was seen, so only what fits on no card is said.
    """
    row = model_at(path)
    if row is None or not row["needs"] or not cards:
        return
    least = min(need["cards"] for need in row["needs"])
    known = [need for need in row["needs"] if need["cards"] == least]
    if cards < least:
        told = f"{row['name']} is known to need {least} cards of {max(need['memory_gb'] for need in known)} GB"
        yield "model-needs-cards", "npus", f"{told}, but npus gives {cards}."
    longest = max(need["max_model_len"] for need in known)
    if cards == least and max_model_len and max_model_len > longest:
        told = f"{row['name']} is known to take sequences of {longest} tokens on {least} cards"
        yield "model-length", "max_model_len", f"{told}, but max_model_len asks for {max_model_len}."


@cache
def _models() -> dict[str, Mapping[str, Any]]:
    rows = _data.catalogue("models")["models"]
    return {name.lower(): row for row in rows for name in (row["name"], *row["aliases"])}


@cache
def _images() -> dict[str, Image]:
    table = _data.catalogue("images")
    releases = {row["name"]: row for row in table["releases"]}
    drivers = {(row["release"], row["family"]): row["minimum"] for row in table["drivers"]}
    return {
        row["reference"].rpartition("/")[2]: Image(
            row["release"],
            row["family"],
            row["arch"],
            row["profile"],
            row["user"],
            releases[row["release"]]["cann"],
            releases[row["release"]]["python"],
            drivers.get((row["release"], row["family"])),
        )
        for row in table["images"]
    }
