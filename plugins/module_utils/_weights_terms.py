# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a source of weights, and what was delivered. Private to the collection."""

from __future__ import annotations

from typing import NamedTuple

MANIFEST_NAME = ".ascend-fleet-model.json"


class Wish(NamedTuple):
    """What is wanted of which source."""

    source: str
    revision: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Done(NamedTuple):
    """A verified file of the tree."""

    path: str
    size: int
    sha256: str
    mtime_ns: int
