# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether unpacked files still hold what was unpacked. Private to the collection."""

from __future__ import annotations

import os
import zlib

from ansible_collections.ascend.fleet.plugins.module_utils import _parallel
from ansible_collections.ascend.fleet.plugins.module_utils._package_manifest import Manifest
from ansible_collections.ascend.fleet.plugins.module_utils._package_views import BLOCK

_FULL_PIECES = 16


def rotten(folder: str, manifest: Manifest, workers: int, beat: _parallel.Beat) -> list[str]:
    """Files whose content is not the one that was unpacked; all of it is read."""
    regular = [(name, facts[2]) for name, facts in manifest.files.items() if len(facts) > 1]
    shares = [regular[start :: max(1, _FULL_PIECES)] for start in range(_FULL_PIECES)]
    found: list[list[str]] = _parallel.run([_checking(folder, share) for share in shares if share], workers, beat)
    return sorted(name for names in found for name in names)


def _checking(folder: str, share: list[tuple[str, int]]) -> _parallel.Task:
    def work(beat: _parallel.Beat) -> list[str]:
        return [name for name, crc in share if _crc(os.path.join(folder, name), beat) != crc]

    return work


def _crc(path: str, beat: _parallel.Beat) -> int | None:
    found = 0
    try:
        with open(path, "rb", buffering=0) as handle:
            while True:
                block = handle.read(BLOCK)
                if not block:
                    return found
                found = zlib.crc32(block, found)
                beat()
    except OSError:
        return None
