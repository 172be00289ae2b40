# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the modules comparing a node with its document share."""

from __future__ import annotations


class ModuleDocFragment:
    """What of the document a call is about, and what the controller adds to it."""

    DOCUMENTATION = r"""
options:
  scope:
    description:
      - The parts that the call is about, of V(host), V(mounts), V(images), V(packages), V(bakes), V(models),
        V(services) and V(jobs).
      - V(packages) are parts of the vendor's package, unpacked as by M(ascend.fleet.ascendcloud_package).
      - V(models) is observed and planned only; the role P(ascend.fleet.model_weights#role) brings what is missing.
      - V(mounts) is the part of V(host) that is about shared storage, for use alone.
      - V(jobs) are the jobs that are not done yet; as many run at a time as there are cards for.
    type: list
    elements: str
    choices: [host, mounts, images, packages, bakes, models, services, jobs]
    default: [host, images, packages, bakes, models, services, jobs]
  interrupting:
    description:
      - Whether actions that interrupt running services may be carried out, such as a restart of the engine.
    type: bool
    default: true
  run:
    description:
      - Identity of the run, as returned by M(ascend.fleet.fleet_compile).
    type: dict
    suboptions:
      id:
        description: Unique id of the run.
        type: str
        required: true
      owner:
        description: Who runs it, as user, host and process id.
        type: str
        required: true
      report_dir:
        description: Directory on the controller for records and verdicts. No records are written without it.
        type: path
      lease_seconds:
        description: Seconds for which the node stays leased to the run after each call.
        type: int
        default: 600
  secrets:
    description:
      - Contents of the secret files that services mount, by id. Set by the action plugin from files on the controller.
    type: dict
  files:
    description:
      - Contents of plain files that the document names, by path on the node. Set by the action plugin.
    type: dict
  proxy:
    description:
      - The URLs of the engine's proxy with their login, which the document leaves out.
        Set by the action plugin from C(fleet_proxy).
    type: dict
    suboptions:
      http:
        description: URL for HTTP.
        type: str
      https:
        description: URL for HTTPS.
        type: str
  rollback:
    description:
      - Take each service as it was before its last change on this node, as the file below
        C(/var/lib/ascend-fleet/services) says, instead of as the document has it.
      - A service that was never changed here, or does not run what its entry says, stays as it is, with a finding.
        Nothing but the services and their images is looked at then.
    type: bool
    default: false
  peer:
    description:
      - Host and port of a registry on another node that is asked for images first.
    type: str
"""
