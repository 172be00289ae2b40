# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is under way on a node for images that are baked, and where their archives lie. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

RECORDS = f"{STATE_DIR}/bakes"
ARCHIVES = f"{STATE_DIR}/images"


def builder(run_id: str, reference: str) -> str:
    return f"ascend-fleet-bake.{run_id}.{parse(reference).tag}"


def archive(reference: str) -> str:
    """Where an image lies that travels without a registry."""
    return f"{ARCHIVES}/{reference.replace('/', '_').replace(':', '_')}.tar"


def records(system: System) -> list[Json]:
    """What is under way on this node, or was when its run died."""
    found = [system.read_record(f"{RECORDS}/{name}") for name in system.listdir(RECORDS)]
    return [record for record in found if {"run", "reference", "container"} <= set(record)]
