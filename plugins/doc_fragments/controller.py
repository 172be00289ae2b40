# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the modules running on the controller share."""

from __future__ import annotations


class ModuleDocFragment:
    """A module that is an action plugin and changes nothing but its own files."""

    DOCUMENTATION = r"""
attributes:
  action:
    support: full
    description: Runs on the controller as an action plugin.
  check_mode:
    support: full
    description: Writes its files in check mode too; they are reports, and no node is changed.
  diff_mode:
    support: none
    description: Changes nothing that could be shown.
"""

    RECORDS = r"""
options:
  run:
    description: The run, as returned by M(ascend.fleet.fleet_compile). Of its keys V(id) and V(report_dir) are used.
    type: dict
    required: true
"""

    CLUSTER = r"""
options:
  cluster:
    description:
      - How to reach the API server, with the keys V(kubeconfig), V(context), V(host), V(api_key), V(ca_cert) and
        V(validate_certs).
      - What is not given is taken from C(K8S_AUTH_*), a pod's own account or the kubeconfig, as in C(kubernetes.core).
    type: dict
    default: {}
requirements:
  - kubernetes >= 24.2 on the controller
"""
