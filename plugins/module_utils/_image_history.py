# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images the fleet brought to a node: old ones can go, and the way back stays. Private to the collection."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, Iterable, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import Listed
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

HISTORY = STATE_DIR + "/images.json"


def read(system: System) -> list[Json]:
    """What was brought, the oldest first."""
    try:
        found = json.loads(system.read(HISTORY) or "[]")
    except ValueError:
        return []
    rows = found if isinstance(found, list) else []
    return [row for row in rows if isinstance(row, dict) and {"id", "reference", "services"} <= set(row)]


def note(system: System, image: str, reference: str, services: Sequence[str]) -> None:
    rows = [row for row in read(system) if (row["id"], row["reference"]) != (image, reference)]
    rows.append({"id": image, "reference": reference, "services": list(services), "time": int(time.time())})
    system.write(HISTORY, json.dumps(rows, indent=1) + "\n", 0o600)


def forget(system: System, image: str) -> None:
    rows = [row for row in read(system) if row["id"] != image]
    system.write(HISTORY, json.dumps(rows, indent=1) + "\n", 0o600)


def superfluous(
    history: Sequence[Json], present: Iterable[Listed], wanted: set[str], ways_back: set[str]
) -> list[Listed]:
    """Images that the fleet brought and nobody needs: neither wanted, nor used, nor the way back of a wanted one.

    ``wanted`` are the ids of the images that the document names, ``ways_back`` those that services would go back to.
    """
    brought = {row["id"] for row in history}
    kept = wanted | ways_back | _ways_back(history, wanted)
    return [image for image in present if image.id in brought - kept and not image.used_by]


def _ways_back(history: Sequence[Json], wanted: set[str]) -> set[str]:
    """For each service and each repository of a wanted image, what was there before."""
    owners = {owner for row in history if row["id"] in wanted for owner in _owners(row)}
    former: dict[str, str] = {}
    for row in history:
        if row["id"] not in wanted:
            former.update(dict.fromkeys(_owners(row) & owners, str(row["id"])))
    return set(former.values())


def _owners(row: Json) -> set[str]:
    return {parse(row["reference"]).name, *(f"service {name}" for name in row["services"])}
