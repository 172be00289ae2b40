# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated Ascend servers on one machine: real in everything but the silicon.

    from simfleet import Fleet, NodeSpec          # with tests/ on the path

    with Fleet("mine", [NodeSpec("n1"), NodeSpec("n2", cards=0)]) as fleet:
        fleet.node("n1").exec("npu-smi", "info")

The command line is `python -m tests.simfleet --help` from the checkout.
"""

from __future__ import annotations

from .fleet import Fleet
from .spec import NodeSpec

__all__ = ["Fleet", "NodeSpec"]
