# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fleet_node and the modules that only look take alike. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._document import SCHEMA
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

Json = Dict[str, Any]

_RUN: Json = {
    "id": {"type": "str", "required": True},
    "owner": {"type": "str", "required": True},
    "report_dir": {"type": "path"},
    "lease_seconds": {"type": "int", "default": 600},
}
_LOGIN: Json = {
    "address": {"type": "str", "required": True},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
}

OPTIONS: Json = {
    "scope": {
        "type": "list",
        "elements": "str",
        "choices": ["host", "mounts", "images", "packages", "bakes", "models", "services", "jobs"],
        "default": ["host", "images", "packages", "bakes", "models", "services", "jobs"],
    },
    "interrupting": {"type": "bool", "default": True},
    "run": {"type": "dict", "options": _RUN},
    "secrets": {"type": "dict", "no_log": True},
    "files": {"type": "dict"},
    "proxy": {"type": "dict", "no_log": True, "options": {"http": {"type": "str"}, "https": {"type": "str"}}},
    "logins": {"type": "list", "elements": "dict", "default": [], "options": _LOGIN},
    "rollback": {"type": "bool", "default": False},
    "peer": {"type": "str"},
}


def check_schema(document: Json | None) -> None:
    if document and document.get("schema") != SCHEMA:
        given = document.get("schema")
        raise FleetError(
            "document-schema",
            f"The document of the node has schema {given}, and only schema {SCHEMA} is understood.",
            key="schema",
            value=given,
        )
