# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container as it is shown to people: in the words of the options, secrets hidden. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    EngineDefaults,
    actual,
    cards_of,
    is_fleet,
    labels_of,
    name_of,
    service_of,
    shown,
)
from ansible_collections.ascend.fleet.plugins.module_utils._document import LABEL_KIND, LABEL_RUN, LABEL_SPEC
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader

Json = Dict[str, Any]


def describe(reader: EngineReader, name: str) -> Json | None:
    container = reader.inspect(name)
    return None if container is None else described(container)


def described(container: Json) -> Json:
    state, labels = container["State"], labels_of(container)
    view = actual(container, {}, EngineDefaults())
    view["env"] = shown("env", ({}, view["env"]))[1]
    view["image_id"] = view.pop("image")
    return {
        "name": name_of(container),
        "id": container["Id"],
        "image": container["Config"].get("Image"),
        "status": str(state.get("Status")),
        "running": bool(state.get("Running")) and not state.get("Restarting"),
        "exit_code": None if state.get("Running") else state.get("ExitCode"),
        "out_of_memory": bool(state.get("OOMKilled")),
        "started_at": state.get("StartedAt"),
        "restart_count": container.get("RestartCount", 0),
        "fleet": is_fleet(container),
        "service": service_of(container),
        "kind": labels.get(LABEL_KIND),
        "spec_digest": labels.get(LABEL_SPEC),
        "run_id": labels.get(LABEL_RUN),
        "cards": cards_of(container),
        "options": view,
    }
