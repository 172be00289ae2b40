# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out what is planned for the images of a node. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._image_bring import RETRIES, Bringer
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import Progress
from ansible_collections.ascend.fleet.plugins.module_utils._node_image_scope import ImageScope

Json = Dict[str, Any]


def apply(scope: ImageScope, actions: list[Json], progress: Progress) -> None:
    if not actions:
        return
    owners = {image["reference"]: image["services"] for image in scope.images}
    engine = scope.engine()
    bringer = Bringer(scope.system, engine, scope.asking(engine), scope.store.get("retries", RETRIES))
    for act in actions:
        bringer.carry_out(act, scope.files, owners.get(act["target"], []), progress)
    scope.seconds = bringer.seconds
