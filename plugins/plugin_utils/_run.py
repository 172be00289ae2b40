# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The identity of a run, one per ansible-playbook process. Private to the collection."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants

from ansible_collections.ascend.fleet.plugins.plugin_utils import _lease_owner

# Ansible makes this folder for every process it starts and removes it at the end.
_FILE = "ascend-fleet-run"


def identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": run_id(Path(constants.DEFAULT_LOCAL_TMP)),
        # Tasks run in workers that end with them; their parent is the process of the run.
        "owner": _lease_owner.current(os.getppid()),
        "report_dir": os.path.abspath(os.path.expanduser(settings["fleet_report_dir"])),
        "lease_seconds": settings["fleet_lease_seconds"],
    }


def run_id(folder: Path) -> str:
    path = folder / _FILE
    fresh = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="ascii") as handle:
            handle.write(fresh)
    except FileExistsError:
        return path.read_text(encoding="ascii")
    return fresh
