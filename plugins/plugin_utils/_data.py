# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data files of the collection's roles, for code on the controller. Private to the collection.

Role defaults are not among the variables of other hosts, so they are read from the role itself.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.ascend.fleet.plugins.module_utils._document import digest

ROLES = Path(__file__).resolve().parents[2] / "roles"
# The C loader reads the same language many times faster; it is not in every build of PyYAML.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)


def entry_schema() -> dict[str, Any]:
    schema: dict[str, Any] = read(ROLES / "fleet" / "files" / "schema" / "entry-1.yml")
    return schema


def defaults() -> dict[str, Any]:
    found: dict[str, Any] = read(ROLES / "fleet" / "defaults" / "main.yml")
    return found


def specification() -> dict[str, Any]:
    """The options of role ``fleet``."""
    options: dict[str, Any] = _options(ROLES / "fleet")
    return options


def reserved_names() -> set[str]:
    """Variables that begin like ours because another role of the collection is called so."""
    return {name for role in ROLES.glob("fleet_*") for name in _options(role)}


def _options(role: Path) -> dict[str, Any]:
    path = role / "meta" / "argument_specs.yml"
    entry_points = read(path)["argument_specs"] if path.exists() else {}
    return {name: option for point in entry_points.values() for name, option in (point.get("options") or {}).items()}


# What a role installs into an image lies where these patterns find it, and nowhere else.
INSTALL_FILES = (
    "tasks/bake.yml",
    "tasks/bake_*.yml",
    "tasks/bake/**/*",
    "files/bake/**/*",
    "templates/bake/**/*",
    "vars/bake.yml",
)


@cache
def install_digest(role: str) -> str:
    """Of everything by which a role's entry point ``bake`` installs."""
    folder = ROLES / role
    found = {path for pattern in INSTALL_FILES for path in folder.glob(pattern) if path.is_file()}
    files = {path for path in found if "__pycache__" not in path.parts}
    named = [[str(path.relative_to(folder)), sha256(path.read_bytes()).hexdigest()] for path in sorted(files)]
    return digest(named)


def catalogue(name: str) -> Any:
    """A table of role ``catalogue``: ``images`` or ``models``."""
    return read(ROLES / "catalogue" / "files" / f"{name}.yml")
