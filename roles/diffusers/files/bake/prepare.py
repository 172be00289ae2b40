# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose Python packages that go together with the torch of the image, which is never replaced.

Reads the inputs of the image (JSON) from the first argument and writes the limits for pip to the second; tells what
is installed and what has to be.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from typing import Any

# What the vendor builds to go together.
FAMILY = ("torch", "torch_npu", "torchvision", "torchaudio")


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def canonical(line: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def choose(rows: list[dict[str, Any]], torch: str) -> dict[str, Any]:
    """The first row for this torch, or for any."""
    series = ".".join(torch.split("+")[0].split(".")[:2])
    return next(row for row in rows if row["torch"] in (series, None))


def limits(row: dict[str, Any], own: list[str], there: dict[str, str]) -> list[str]:
    """What is there comes first, then what the user limits, then what is known to work."""
    lines = [f"{name}=={number}" for name, number in sorted(there.items())] + own
    told = {canonical(line) for line in lines}
    return lines + [f"{name}{limit}" for name, limit in sorted(row["pins"].items()) if canonical(name) not in told]


def packages(row: dict[str, Any], wanted: str | None, found: str | None) -> list[str]:
    """What pip is asked for; nothing where the image has a diffusers and no other is wanted."""
    if found and wanted in (None, found):
        return []
    return [f"diffusers=={wanted or row['diffusers']}", *row["add"]]


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as handle:
        wanted = json.load(handle)
    there = {name: number for name in FAMILY if (number := version(name))}
    told: dict[str, Any] = {"installed": there, "packages": []}
    if "torch" in there:
        row = choose(wanted["constraints"], there["torch"])
        told["packages"] = packages(row, wanted["diffusers"], version("diffusers"))
        with open(sys.argv[2], "w", encoding="utf-8") as handle:
            handle.write("\n".join(limits(row, wanted["pins"], there)) + "\n")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
