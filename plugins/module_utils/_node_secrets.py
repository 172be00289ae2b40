# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret files of services on the node: compared, written, never shown. Private to the collection."""

from __future__ import annotations

import os
import shutil
from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._document import SECRETS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]


READ_BY_OTHERS = "the secret may be read by others than its owner"


def path_of(identity: str) -> str:
    return f"{SECRETS_DIR}/{identity}"


def content(system: System, identity: str, secrets: dict[str, str]) -> str:
    """As the run brings it, else as it lies on the node."""
    return secrets.get(identity) or system.read(path_of(identity)) or ""


def leftovers(system: System, service: str) -> list[Json]:
    """Secrets of a service that goes."""
    folder = f"{SECRETS_DIR}/{service}"
    if not system.isdir(folder):
        return []
    return [action("services", "remove_secrets", folder, "its service is not wanted any more", "(hidden)", None)]


def remove(system: System, act: Json) -> None:
    shutil.rmtree(system.path(act["target"]))


def plan(system: System, service: Json, secrets: dict[str, str]) -> list[Json]:
    return [
        action(
            "services",
            "write_secret",
            path_of(wanted["id"]),
            reason,
            before="(hidden)" if found else None,
            after="(hidden)",
        )
        for wanted, found, reason in (
            _compared(system, wanted, secrets) for wanted in service["container"]["secret_files"]
        )
        if reason
    ]


def _compared(system: System, wanted: Json, secrets: dict[str, str]) -> tuple[Json, bool, str | None]:
    path = path_of(wanted["id"])
    found = system.read(path)
    if found is None:
        return wanted, False, "the secret is not on the node"
    if wanted["id"] in secrets and found != secrets[wanted["id"]]:
        return wanted, True, "the secret has another content"
    there = system.stat(path)
    # Written with 0600, it gets its own mode together with its owner when the container is made.
    if there is not None and there.st_mode & 0o777 & ~(int(wanted["mode"], 8) | 0o600):
        return wanted, True, READ_BY_OTHERS
    return wanted, True, None


def write(system: System, act: Json, secrets: dict[str, str]) -> None:
    identity = act["target"][len(SECRETS_DIR) + 1 :]
    if identity not in secrets:
        raise FleetError(
            "secret-missing",
            f"The content of the secret {identity} did not reach the node.",
            service=identity.partition("/")[0],
            key="secrets",
            value=identity,
        )
    os.makedirs(system.path(os.path.dirname(act["target"])), 0o711, exist_ok=True)
    previous = system.stat(act["target"])
    owner = None if previous is None else previous.st_uid
    system.write(act["target"], secrets[identity], mode=0o600, owner=owner)
