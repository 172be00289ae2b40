# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalogue knows of the models that services use. Private to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data


def card_note(path: str, cards: int) -> tuple[str, str, str] | None:
    """A note when a model, known by the last part of its path, gets fewer cards than it needs at best.

    The memory of a card is not known before the node was seen, so only what fits on no card is said.
    """
    name = path.rstrip("/").rpartition("/")[2].lower()
    model = _models().get(name)
    if model is None or not cards:
        return None
    least = min(need["cards"] for need in model["needs"].values() if need)
    if cards >= least:
        return None
    message = f"{model['name']} is known to need {least} cards of 64 GB, but npus gives {cards}."
    return "model-needs-cards", "npus", message


@cache
def _models() -> dict[str, Mapping[str, Any]]:
    return {model["name"].lower(): model for model in _data.catalogue("models")["models"]}
