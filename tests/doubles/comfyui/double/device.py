# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it computes on. A startup script of the vendor's node redirects it to the NPU by a variable."""

from __future__ import annotations

import glob
import os
from typing import NamedTuple

REDIRECT = "COMFYUI_DOUBLE_REDIRECTED"


class Device(NamedTuple):
    name: str
    type: str
    index: int | None


def faults() -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in os.environ.get("COMFYUI_DOUBLE_FAULTS", "").split(",") if item)


def find(cpu: bool) -> Device:
    wrong = faults().get("device")
    if wrong:
        return Device(f"{wrong}:0", wrong, 0)
    if cpu:
        return Device("cpu", "cpu", None)
    if os.environ.get(REDIRECT) == "npu" and glob.glob("/dev/davinci[0-9]*"):
        return Device(f"npu:0 Ascend ({os.environ.get('ASCEND_RT_VISIBLE_DEVICES', 'all')})", "npu", 0)
    raise RuntimeError("No accelerator was found, and --cpu was not given.")
