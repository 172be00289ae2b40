# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins of registries, as the controller has them: from files, or from a command that makes short-lived ones.

Private to the collection.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.ascend.fleet.plugins.plugin_utils._secret_files import read_secret

COMMAND_SECONDS = 60
REFUSED = "registry-login"


def read(registries: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Address, name and password of each registry that has a login."""
    return [{"address": row["address"], **_login(row)} for row in registries if row.get("login")]


def may_be_stale(result: Mapping[str, Any], registries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a registry refused a login that a command could make anew."""
    if not any((row.get("login") or {}).get("command") for row in registries):
        return False
    return any(item.get("check") == REFUSED for item in result.get("findings") or [])


def _login(row: Mapping[str, Any]) -> dict[str, str]:
    login = row["login"]
    if "command" not in login:
        return {"username": login["username"], "password": read_secret(login["password_file"])}
    command = login["command"]
    told = f"The login_command of registry {row['address']} ({command[0]})"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AnsibleActionFail(f"{told} cannot be run: {error}; correct it in fleet_registries.") from None
    if done.returncode:
        # What it printed may hold a half of a secret; what it complained of does not.
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise AnsibleActionFail(f"{told} failed: {last}; run it by hand on the controller.")
    try:
        found = json.loads(done.stdout)
        return {"username": str(found["username"]), "password": str(found["password"])}
    except (ValueError, KeyError, TypeError):
        wanted = '{"username": "...", "password": "..."}'
        raise AnsibleActionFail(f"{told} does not print {wanted} on its standard output.") from None
