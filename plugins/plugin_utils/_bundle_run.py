# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the controller that fetch what a bundle holds. Private to the collection."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError


class ProgramFailedError(FleetError):
    """A program that ended with another status than 0, and all that it said."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__("bundle-incomplete", message)
        self.output = output


def run(argv: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None) -> str:
    try:
        # Ansible makes the terminal non-blocking for itself, which its own programs refuse.
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FleetError("bundle-incomplete", f"{argv[0]} cannot be run: {error}.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ProgramFailedError(f"{' '.join(argv[:3])} failed: {last}.", done.stderr)
    return done.stdout
