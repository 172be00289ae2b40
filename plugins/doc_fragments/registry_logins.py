# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the modules asking registries on a node share."""

from __future__ import annotations


class ModuleDocFragment:
    """Logins that the controller reads and the node never keeps."""

    DOCUMENTATION = r"""
options:
  logins:
    description:
      - Logins of registries, which the document leaves out. Set by the action plugin from C(fleet_registries).
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: Host and port of the registry.
        type: str
        required: true
      username:
        description: Name to log in with.
        type: str
        required: true
      password:
        description: Password or key.
        type: str
        required: true
"""
