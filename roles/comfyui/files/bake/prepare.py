# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose Python packages that go together with the torch of the image, which is never replaced.

Reads the inputs of the image (JSON) from the first argument, and writes constraints.txt beside
requirements.txt in the folder of ComfyUI. With --look, only tells what is installed; with --unfit, which of it
cannot be loaded beside that torch.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import Any

TORCH_LINE = re.compile(r"^torch[ \t]*$", re.MULTILINE)
# What the vendor builds to go together.
FAMILY = ("torch", "torch_npu", "torchvision", "torchaudio")
# Where a source tells its version, from 0.3.11 on.
VERSION_FILES = (("comfyui_version.py", "__version__"), ("pyproject.toml", "version"))
# The first torchaudio that does not say which torch it was built for; pip would put it beside any.
SILENT_AUDIO = (2, 11)


def installed(names: Iterable[str] = FAMILY) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def unfit(there: Iterable[str]) -> list[str]:
    """What is there and cannot be loaded beside torch: built for CUDA, or for another torch."""
    names = [name for name in there if name in ("torchvision", "torchaudio")]
    return [name for name in names if _status([sys.executable, "-c", f"import {name}"])]


def _status(argv: list[str]) -> int:
    return subprocess.run(argv, capture_output=True, check=False).returncode


def choose(rows: list[dict[str, Any]], torch: str | None) -> dict[str, Any]:
    """The first row for this torch; without any torch, the first that says which to install or goes with any."""
    series = ".".join(torch.split(".")[:2]) if torch else None
    for row in rows:
        if row["torch"] in (series, None) or (series is None and row["version"]):
            return row
    return {"torch": None, "version": None, "pins": {}, "add": []}


def with_audio(row: dict[str, Any], torch: str | None) -> dict[str, Any]:
    """The row with a torchaudio that names its torch, where there is one for this torch."""
    numbers = re.match(r"(\d+)\.(\d+)", torch or "")
    if not numbers or (int(numbers[1]), int(numbers[2])) >= SILENT_AUDIO:
        return row
    return {**row, "pins": {"torchaudio": "<{}.{}".format(*SILENT_AUDIO), **row["pins"]}}


def constraints(row: dict[str, Any], own: list[str], there: dict[str, str]) -> list[str]:
    """What is there comes first, then what the user limits, then what is known to work."""
    lines = [f"{name}=={version}" for name, version in sorted(there.items())]
    lines += own
    told = {canonical(line) for line in lines}
    return lines + [f"{name}{limit}" for name, limit in sorted(row["pins"].items()) if canonical(name) not in told]


def canonical(line: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower().replace("-", "_").replace(".", "_")


def pinned(requirements: str, torch: str | None) -> str:
    """The line torch alone; torchsde, torchvision and torchaudio begin like it."""
    return TORCH_LINE.sub(f"torch=={torch}", requirements) if torch else requirements


def told_version(folder: str) -> str | None:
    for name, key in VERSION_FILES:
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as handle:
                found = re.search(rf'^{key} = "(\d+\.\d+\.\d+)"', handle.read(), re.MULTILINE)
        except FileNotFoundError:
            continue
        if found:
            return found[1]
    return None


def same(told: str, wanted: str) -> bool:
    """Whether a source is of a release; some tags were set on a source that tells the release before it."""
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)$", wanted)
    if not numbers:
        return True
    is_of = [int(part) for part in told.split(".")]
    asked = [int(part) for part in numbers.groups()]
    return is_of[:2] == asked[:2] and is_of[2] in (asked[2], asked[2] - 1)


def check_version(folder: str, wanted: str) -> None:
    told = told_version(folder)
    if told and not same(told, wanted):
        sys.exit(f"The source is ComfyUI {told}, and the entry has version: {wanted}. Write version: v{told}.")


def write(folder: str, torch: str | None, limits: list[str]) -> None:
    requirements = os.path.join(folder, "requirements.txt")
    with open(requirements, encoding="utf-8") as handle:
        text = handle.read()
    with open(requirements, "w", encoding="utf-8") as handle:
        handle.write(pinned(text, torch))
    with open(os.path.join(folder, "constraints.txt"), "w", encoding="utf-8") as handle:
        handle.write("\n".join(limits) + "\n")


def main() -> None:
    if "--unfit" in sys.argv:
        print(json.dumps(unfit(installed())))
        return
    with open(sys.argv[1], encoding="utf-8") as handle:
        wanted = json.load(handle)
    if "--look" not in sys.argv:
        check_version(wanted["install_dir"], wanted["version"])
    there = installed()
    row = choose(wanted["constraints"], there.get("torch") or wanted["torch"])
    torch = there.get("torch") or wanted["torch"] or row["version"]
    row = with_audio(row, torch)
    if "--look" not in sys.argv:
        write(wanted["install_dir"], torch, constraints(row, wanted["pins"], there))
    told = {
        "installed": there,
        "add": row["add"],
        "tag": "cp{}{}".format(*sys.version_info),
        "machine": platform.machine(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
