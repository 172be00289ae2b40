# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie: the checkout, the cache beside it and what is made in both."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("ASCEND_FLEET_CACHE") or "~/.cache/ascend-fleet").expanduser()
OUTPUT = ROOT / "tests" / "output"
COLLECTIONS = ROOT / "collections" / "ansible_collections"
VENV = ROOT / ".venv"
VENV_NEXT = ROOT / ".venv-next"


def digest(*parts: str | bytes | Path) -> str:
    """A short name for what something is made from; a path stands for the file's content."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes()
        total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()[:12]


def environment(venv: Path = VENV) -> dict[str, str]:
    """The environment in which the project's commands run, whatever the caller's looked like."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONHOME"}
    env["PYTHONPATH"] = str(ROOT)
    env["PATH"] = f"{venv / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    env["VIRTUAL_ENV"] = str(venv)
    env["ASCEND_FLEET_CACHE"] = str(CACHE)
    env["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "collections")
    env["PYTHONUNBUFFERED"] = "1"
    env["NO_COLOR"] = "1"
    return env
