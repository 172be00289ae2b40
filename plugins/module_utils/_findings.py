# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings and actions: what every step says about a node. Private to the collection.

``CHECKS`` is the one registry of check ids. A finding names its check; the verdict, the
report and the documentation take severity, description and remedy from here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ERROR = "error"
WARNING = "warning"
INFO = "info"


class Check(NamedTuple):
    severity: str
    description: str
    remedy: str


CHECKS: dict[str, Check] = {
    # run and node
    "host-unreachable": Check(
        ERROR, "The node answers over its connection.", "Check address, network and credentials of the node."
    ),
    "step-failed": Check(ERROR, "Every task of a step succeeds.", "Read the message, mend its cause and run again."),
    "no-result": Check(
        ERROR,
        "Every node of the run reports a result.",
        "Run again; look for a run that was cut off or a node that left the inventory.",
    ),
    "lease-held": Check(
        ERROR, "No other run works on the node.", "Wait until the other run ends, or until its lease expires."
    ),
    "lock-held": Check(
        ERROR, "No other change is under way on the node.", "Wait for the change that holds the lock, then run again."
    ),
    "node-reach": Check(
        ERROR,
        "Nodes reach each other on the TCP ports that services declare.",
        "Open the port between the nodes (firewall, security group, route).",
    ),
    "model-missing": Check(
        ERROR,
        "A model that only names a path is on the node already.",
        "Put the model there, mount the storage that holds it, or correct model.path.",
    ),
    "model-invalid": Check(
        ERROR,
        "The model's files are complete and agree with the service's options.",
        "Correct the option or the model named in the message.",
    ),
    "path-missing": Check(
        ERROR,
        "Files and directories that a service needs are on the node.",
        "Create the path or mount the storage that holds it.",
    ),
    "hbm-free": Check(
        ERROR,
        "The cards of a service have the free memory that it will ask for.",
        "Stop what uses the card, or lower gpu_memory_utilization.",
    ),
    "python-missing": Check(
        ERROR,
        "A Python that Ansible can use is on the node.",
        "Install Python 3.8 or newer, or set ansible_python_interpreter.",
    ),
}


def finding(
    check: str,
    message: str,
    remedy: str | None = None,
    service: str | None = None,
    key: str | None = None,
    value: Any = None,
    severity: str | None = None,
) -> dict[str, Any]:
    known = CHECKS[check]
    return {
        "check": check,
        "severity": severity or known.severity,
        "service": service,
        "key": key,
        "value": value,
        "message": message,
        "remedy": remedy or known.remedy,
    }


def action(
    scope: str,
    name: str,
    target: str,
    reason: str,
    before: Any = None,
    after: Any = None,
    interrupts: bool = False,
    predicted_because: str | None = None,
) -> dict[str, Any]:
    """One step of a plan; ``scope`` is host, images or services."""
    return {
        "scope": scope,
        "action": name,
        "target": target,
        "reason": reason,
        "before": before,
        "after": after,
        "interrupts": interrupts,
        "predicted_because": predicted_because,
    }


class FleetError(Exception):
    """A failure the user can act on: carries exactly one finding."""

    def __init__(self, check: str, message: str, remedy: str | None = None, **where: Any) -> None:
        super().__init__(message)
        self.finding = finding(check, message, remedy, **where)
