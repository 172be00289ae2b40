# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that fleet_node and fleet_node_observe share. Private to the collection."""

from __future__ import annotations

from typing import Any

_RUN: dict[str, Any] = {
    "id": {"type": "str", "required": True},
    "owner": {"type": "str", "required": True},
    "report_dir": {"type": "path"},
    "lease_seconds": {"type": "int", "default": 600},
}
_LOGIN: dict[str, Any] = {
    "address": {"type": "str", "required": True},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
}

OPTIONS: dict[str, Any] = {
    "scope": {
        "type": "list",
        "elements": "str",
        "choices": ["host", "mounts", "images", "packages", "bakes", "models", "services", "jobs", "probes"],
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
