# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns a run: ``user@host:pid``. Private to the collection."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any


def current(pid: int | None = None) -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid() if pid is None else pid}"


def is_gone(owner: str) -> bool:
    """True only when the owner ran on this controller and its process has ended."""
    place, _colon, pid = owner.rpartition(":")
    host = place.rpartition("@")[2]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def dead_holder(result: dict[str, Any]) -> str | None:
    """The run that holds the lease which a result names, when its process ran on this controller and has ended."""
    for item in result.get("findings") or []:
        if item["check"] == "lease-held":
            holder = item["value"]
            return str(holder["run_id"]) if is_gone(str(holder.get("owner") or "")) else None
    return None
