# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians and ratios of the samples, and the aims they are held against."""

from __future__ import annotations

import os
import platform
from statistics import median
from typing import Any

from .measure import Sample

# (this command, against that one, at most this ratio of the seconds)
AIMS = (("drift", "ping", 2.0), ("site", "stock", 0.5))


def result(samples: list[Sample]) -> dict[str, Any]:
    medians: dict[int, dict[str, dict[str, float]]] = {}
    for size in sorted({s.nodes for s in samples}):
        for name in dict.fromkeys(s.command for s in samples):
            mine = [s for s in samples if (s.nodes, s.command) == (size, name)]
            medians.setdefault(size, {})[name] = {
                "seconds": median(s.seconds for s in mine),
                "cpu_seconds": median(s.cpu_seconds for s in mine),
            }
    aims = [
        {
            "nodes": size,
            "command": ours,
            "against": theirs,
            "at_most": limit,
            "ratio": (ratio := round(rows[ours]["seconds"] / rows[theirs]["seconds"], 3)),
            "cpu_ratio": round(rows[ours]["cpu_seconds"] / rows[theirs]["cpu_seconds"], 3),
            "met": ratio <= limit,
        }
        for size, rows in medians.items()
        for ours, theirs, limit in AIMS
    ]
    return {
        "schema": 1,
        "machine": {"processors": os.cpu_count(), "system": platform.platform()},
        "aims": aims,
        "medians": {str(size): rows for size, rows in medians.items()},
        "samples": [s.as_dict() for s in samples],
    }


def table(result: dict[str, Any]) -> str:
    lines = ["nodes  command  seconds  cpu"]
    for size, rows in result["medians"].items():
        for name, row in rows.items():
            lines.append(f"{size:5}  {name:7}  {row['seconds']:7.2f}  {row['cpu_seconds']:.2f}")
    for aim in result["aims"]:
        verdict = "met" if aim["met"] else "MISSED"
        lines.append(
            f"{aim['nodes']} nodes: {aim['command']} takes {aim['ratio']:.2f} x {aim['against']}"
            f" (aim {aim['at_most']}): {verdict}"
        )
    return "\n".join(lines)
