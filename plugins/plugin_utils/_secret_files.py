# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret files on the controller: readable by their owner only. Private to the collection."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ansible.errors import AnsibleActionFail


def problem(path: str) -> str | None:
    """Why a file cannot serve as a secret, or None."""
    try:
        mode = os.stat(os.path.expanduser(path)).st_mode
    except OSError as error:
        return f"cannot be read on the controller ({error.strerror})"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"has mode {stat.S_IMODE(mode):04o} and may be read by others than its owner; set mode 0600"
    return None


def read_secret(path: str) -> str:
    reason = problem(path)
    if reason:
        raise AnsibleActionFail(f"The secret file {path} {reason}.")
    try:
        return Path(os.path.expanduser(path)).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        # Its own words would show a part of the secret.
        raise AnsibleActionFail(f"The secret file {path} is no text in UTF-8.") from None
