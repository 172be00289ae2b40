# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds Python interpreters that really start: a pyenv shim of an absent version does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PROBE = """
import importlib.util as u, sys
print(*sys.version_info[:3], int(bool(u.find_spec("ensurepip") and u.find_spec("venv"))))
"""


class Python(NamedTuple):
    path: str
    version: tuple[int, int, int]
    makes_venvs: bool

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]


def probe(path: str) -> Python | None:
    try:
        done = subprocess.run(
            [path, "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    major, minor, micro, venvs = (int(word) for word in done.stdout.split())
    return Python(path, (major, minor, micro), bool(venvs))


def candidates(minors: list[tuple[int, int]]) -> list[str]:
    """Programs that may be one of these versions: on PATH first, then what pyenv keeps aside."""
    names = [f"python{major}.{minor}" for major, minor in minors]
    folders = [Path(p) for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if p]
    found = [sys.executable, *(str(f / n) for n in names for f in folders if (f / n).exists())]
    kept = [f.parent / "versions" for f in folders if f.name == "shims"]
    kept.append(Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions")
    for major, minor in minors:
        for folder in kept:
            found += [str(p) for p in sorted(folder.glob(f"{major}.{minor}.*/bin/python"))]
    return list(dict.fromkeys(found))


def find(minors: list[tuple[int, int]], *, venvs: bool = True) -> Python | None:
    """The first interpreter of the first of these versions that starts (and can make a venv)."""
    chosen = os.environ.get("PYTHON")
    paths = [chosen] if chosen and os.sep in chosen else []
    found = [p for p in map(probe, [*paths, *candidates(minors)]) if p]
    for minor in minors:
        for python in found:
            if python.minor == minor and (python.makes_venvs or not venvs):
                return python
    return None
