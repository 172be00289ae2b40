# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Startup scripts of custom nodes; a failure is printed and passed over."""

from __future__ import annotations

import importlib.util
import os
import time


def run(folders: list[str]) -> None:
    times = []
    for folder in folders:
        for name in os.listdir(folder):
            module = os.path.join(folder, name)
            script = os.path.join(module, "prestartup_script.py")
            if module.endswith(".disabled") or not os.path.isfile(script):
                continue
            started = time.perf_counter()
            times.append((_execute(script), time.perf_counter() - started, module))
    if times:
        print("\nPrestartup times for custom nodes:")
        for worked, seconds, module in times:
            print("{:6.1f} seconds{}:".format(seconds, "" if worked else " (PRESTARTUP FAILED)"), module)
        print()


def _execute(script: str) -> bool:
    try:
        spec = importlib.util.spec_from_file_location(os.path.splitext(script)[0], script)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as error:
        print(f"Failed to execute startup-script: {script} / {error}")
        return False
    return True
