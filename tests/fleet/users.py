# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of a simulated server whose sudo asks for a password."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

from tests.simfleet.node import Node

ASKED = "asked"
# A careless shell would take it apart.
PASSWORD = "Grüße' \"$HOME\\n `id` %s"
MAKE = f"""
useradd --create-home --shell /bin/bash {ASKED}
printf '%s' {shlex.quote(f"{ASKED}:{PASSWORD}")} | chpasswd
echo '{ASKED} ALL=(ALL) ALL' > /etc/sudoers.d/{ASKED}
cp /etc/ssh/ops_authorized_keys /etc/ssh/{ASKED}_authorized_keys
"""


@contextlib.contextmanager
def asked(node: Node) -> Iterator[dict[str, str]]:
    """With the variables of a connection as that user."""
    node.exec("bash", "-ec", MAKE)
    try:
        yield {"ansible_user": ASKED, "ansible_become_password": PASSWORD}
    finally:
        node.exec(
            "bash",
            "-c",
            f"rm /etc/sudoers.d/{ASKED} /etc/ssh/{ASKED}_authorized_keys; userdel --force --remove {ASKED}",
        )
