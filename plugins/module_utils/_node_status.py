# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service of a node is, in one line of the report. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._address import endpoint
from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import cards_of, is_running, started_at

Json = Dict[str, Any]


def status(service: Json, container: Json | None, cards: list[int]) -> Json:
    """One line of the report on a service, as it is now; its own cards tell where it has a container."""
    ports = service["container"]["ports"]
    return {
        "name": service["name"],
        "entry": service["entry"],
        "kind": service["kind"],
        "wanted": service["state"],
        "state": state_of(container),
        "ready": None,
        "cards": cards if container is None else cards_of(container),
        # A baked image has its name from the node, which not every step looks up.
        "image": (container or {}).get("Config", {}).get("Image") or service["container"]["image"],
        "image_id": None if container is None else container["Image"],
        "ports": [endpoint(port["host_ip"], port["host_port"]) for port in ports],
        "answer": None,
        "seconds": None,
    }


def state_of(container: Json | None) -> str:
    if container is None:
        return "absent"
    if container["State"].get("Restarting"):
        return "restarting"
    return "running" if is_running(container) else "stopped"


def uptime(container: Json) -> float:
    """Seconds since the start of a running container."""
    started = started_at(container)
    return time.time() - started if started else 0.0
