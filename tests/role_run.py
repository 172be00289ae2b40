# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One role on this machine, as a play of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.playbook_run import PROGRAM, ROOT, environment


@dataclass(frozen=True)
class Ran:
    rc: int
    out: str
    changed: int


def run(
    role: str, folder: Path, variables: Mapping[str, Any], *arguments: str, hosts: str = "localhost", **more: str
) -> Ran:
    """``more`` is environment that only the play's tasks see."""
    play = {
        "hosts": hosts,
        **({"connection": "local"} if hosts == "localhost" else {}),
        "gather_facts": False,
        "environment": more,
        "vars": {"ansible_python_interpreter": sys.executable, **variables},
        "roles": [f"ascend.fleet.{role}"],
    }
    path = folder / "play.yml"
    path.write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [PROGRAM, "-i", "localhost,", str(path), *arguments],
        env={**environment(str(ROOT / "collections")), **more, "ANSIBLE_ASYNC_DIR": str(folder / "async")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )
    recap = [line for line in done.stdout.splitlines() if "changed=" in line]
    changed = int(recap[-1].split("changed=")[1].split()[0]) if recap else -1
    return Ran(done.returncode, done.stdout + done.stderr, changed)


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
