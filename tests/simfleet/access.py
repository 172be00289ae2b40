# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a fleet: who may come in, and by what the servers are recognised."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import SimError


@dataclass(frozen=True)
class KeyPair:
    """The two files of a key."""

    private: Path

    @property
    def public(self) -> Path:
        """Beside the private one."""
        return self.private.with_name(self.private.name + ".pub")


def key_pair(path: Path, comment: str) -> KeyPair:
    """The key at `path`, made when it is not there yet."""
    if not path.exists():
        if not shutil.which("ssh-keygen"):
            raise SimError("ssh-keygen is missing on this machine; install openssh-client.")
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
            check=True,
        )
    return KeyPair(path)


def known_hosts_line(address: str, host_key: KeyPair) -> str:
    """What ssh must know about a server, taken from the key itself and not from the network."""
    kind, key = host_key.public.read_text(encoding="ascii").split()[:2]
    return f"{address} {kind} {key}\n"
