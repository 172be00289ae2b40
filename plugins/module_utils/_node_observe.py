# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The call of fleet_node that changes nothing, without the code that would. Private to the collection."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _node_report
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import OneLook
from ansible_collections.ascend.fleet.plugins.module_utils._findings import answered
from ansible_collections.ascend.fleet.plugins.module_utils._node import Node
from ansible_collections.ascend.fleet.plugins.module_utils._node_options import check_schema
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]


def handle(params: Json, npus: Future[Json | None]) -> Json:
    def call() -> Json:
        check_schema(params["document"])
        return observe(System(), {**params, "action": "observe"}, npus=npus)

    return answered(call)


def observe(system: System, params: Json, check_mode: bool = True, npus: Future[Json | None] | None = None) -> Json:
    return _node_report.observed(Node(system, params, npus, OneLook).plan())
