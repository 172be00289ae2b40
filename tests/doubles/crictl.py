#!/bin/sh
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
""":"
exec /usr/bin/python3 "$0" "$@"

A double of crictl, which is in no package index of the tests: two of its lists as JSON, from the real ctr.

Containers are those of the file named in DOUBLE_CONTAINERS, as `crictl ps --all --output json` lists them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys

CTR = os.environ.get("DOUBLE_CTR", "/opt/real/ctr")
CONTAINERS = os.environ.get("DOUBLE_CONTAINERS", "/opt/real/containers.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="crictl")
    parser.add_argument("--runtime-endpoint", required=True)
    parser.add_argument("--image-endpoint", required=True)
    parser.add_argument("command", choices=["images", "ps"])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--output", choices=["json"], required=True)
    asked = parser.parse_args()
    ctr = [CTR, "--address", asked.image_endpoint.removeprefix("unix://"), "--namespace", "k8s.io"]
    print(json.dumps(images(ctr) if asked.command == "images" else containers(), indent=2))
    return 0


def containers() -> dict[str, object]:
    if not os.path.exists(CONTAINERS):
        return {"containers": []}
    with open(CONTAINERS, encoding="utf-8") as handle:
        found: dict[str, object] = json.load(handle)
    return found


def images(ctr: list[str]) -> dict[str, object]:
    table = subprocess.run([*ctr, "images", "ls"], capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, object]] = {}
    for name, digest in re.findall(r"^(\S+)\s+\S+\s+(sha256:\w{64})", table, re.MULTILINE):
        if name.startswith("sha256:"):
            continue
        told = subprocess.run([*ctr, "content", "get", digest], capture_output=True, text=True, check=True).stdout
        manifest = json.loads(told)
        row = found.setdefault(
            manifest["config"]["digest"],
            {
                "id": manifest["config"]["digest"],
                "repoTags": [],
                "repoDigests": [],
                "size": str(sum(layer["size"] for layer in manifest["layers"])),
                "uid": None,
                "username": "",
                "spec": None,
                "pinned": False,
            },
        )
        if "@" in name:
            row["repoDigests"].append(name)  # type: ignore[attr-defined]
        else:
            row["repoTags"].append(name)  # type: ignore[attr-defined]
    return {"images": list(found.values())}


if __name__ == "__main__":
    sys.exit(main())
