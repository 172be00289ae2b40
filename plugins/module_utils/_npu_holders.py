# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which running containers have NPUs, asked of the container engine. Private to the collection."""

from __future__ import annotations


def running_holders(socket_path: str | None = None) -> list[str]:
    """Names of the containers; none where no engine answers, for this only explains another failure."""
    # Reading the engine costs more to import than the rest of the module, and is needed on failure only.
    from ansible_collections.ascend.fleet.plugins.module_utils import _container_engine as container
    from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import read_containers
    from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import DEFAULT_SOCKET, EngineReader
    from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

    try:
        found = read_containers(EngineReader(socket_path or DEFAULT_SOCKET, timeout=5.0))
    except FleetError:
        return []
    return sorted(name for name, one in found.items() if container.is_running(one) and container.cards_of(one))
