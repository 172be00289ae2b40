# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the ssh connection of the ansible-core that runs, whichever version that is."""

from __future__ import annotations

from typing import Any

import yaml
from ansible.plugins.connection import ssh

# Their versions are those of ansible-core, which mean nothing in a collection.
VERSION = "version_added"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if key != VERSION}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


class ModuleDocFragment:
    """A connection that goes by ssh and takes each option that ssh takes."""


# Outside of the class: ansible-test takes what is assigned inside for a literal.
ModuleDocFragment.DOCUMENTATION = yaml.safe_dump(
    {"options": _plain(yaml.safe_load(ssh.DOCUMENTATION)["options"])}, sort_keys=False
)
