# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the modules bringing files to a node share."""

from __future__ import annotations


class ModuleDocFragment:
    """A directory with a manifest, and how its files are fetched."""

    DOCUMENTATION = r"""
options:
  verify:
    description:
      - V(size) believes a file whose size and time of change are those of the manifest.
      - V(full) reads every file again and compares its digest, on all cores.
    type: str
    choices: [size, full]
    default: size
  parallel:
    description:
      - Files that are fetched at the same time.
    type: int
    default: 4
  proxy:
    description:
      - Proxy for sources outside. Other nodes are always reached directly.
    type: dict
    suboptions:
      http:
        description: URL for HTTP.
        type: str
      https:
        description: URL for HTTPS.
        type: str
      no_proxy:
        description: Hosts and domains that are reached without it.
        type: list
        elements: str
  ca_file:
    description:
      - File on the node with further certificates to trust. By default the bundle that P(ascend.fleet.host_prep#role)
        installs, where it is there.
    type: path
  validate_certs:
    description:
      - Whether certificates are checked.
    type: bool
    default: true
attributes:
  idempotent:
    support: full
    description: A second call finds the manifest and changes nothing.
  platform:
    support: full
    platforms: linux
    description: Linux.
"""
