#!/bin/sh
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
""":"
exec /usr/bin/python3 "$0" "$@"

A double of nerdctl, which is in no package index of the tests: its command line and its output over the real ctr.

Only what the collection calls. Output as nerdctl 1.7 prints it (image inspect in its Docker-compatible form).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys

CTR = os.environ.get("DOUBLE_CTR", "/opt/real/ctr")


def main() -> int:
    parser = argparse.ArgumentParser(prog="nerdctl")
    parser.add_argument("--address", default="/run/containerd/containerd.sock")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--hosts-dir")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    ctr = [CTR, "--address", asked.address, "--namespace", asked.namespace]
    words = asked.words
    if words[:2] == ["image", "inspect"]:
        return inspect(ctr, words[2])
    if words[0] == "pull":
        return pull(ctr, asked.hosts_dir, words[1])
    if words[:2] == ["load", "--input"]:
        return load(ctr, words[2])
    if words[0] == "tag":
        return call([*ctr, "images", "tag", "--force", *words[1:]])
    if words[0] == "rmi":
        return call([*ctr, "images", "rm", words[1]])
    if words[0] == "images":
        return images(ctr)
    if words[0] == "ps":
        return 0
    return fatal(f"unknown command {words[0]!r}")


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def call(argv: list[str]) -> int:
    done = run(argv)
    return 0 if done.returncode == 0 else fatal(done.stderr.strip().removeprefix("ctr: "))


def fatal(message: str) -> int:
    print(f'time="2026-01-01T00:00:00Z" level=fatal msg="{message}"', file=sys.stderr)
    return 1


def rows(ctr: list[str]) -> list[re.Match[str]]:
    table = run([*ctr, "images", "ls"]).stdout
    return list(re.finditer(r"^(\S+)\s+\S+\s+(sha256:\w{64})\s+([\d.]+ \w+)", table, re.MULTILINE))


def inspect(ctr: list[str], name: str) -> int:
    digest = next((row[2] for row in rows(ctr) if row[1] == name), None)
    if digest is None:
        print("[]")
        return fatal(f"1 errors: [no such image: {name}]")
    manifest = json.loads(run([*ctr, "content", "get", digest]).stdout)
    config = json.loads(run([*ctr, "content", "get", manifest["config"]["digest"]]).stdout)
    found = {
        "Id": manifest["config"]["digest"],
        "RepoTags": [name],
        "RepoDigests": [f"{name.rpartition(':')[0]}@{digest}"],
        "Architecture": config["architecture"],
        "Os": "linux",
        "Size": sum(layer["size"] for layer in manifest["layers"]),
    }
    print(json.dumps([found], indent=4))
    return 0


def pull(ctr: list[str], hosts: str | None, name: str) -> int:
    done = run([*ctr, "images", "pull", *(["--hosts-dir", hosts] if hosts else []), name])
    if done.returncode:
        return fatal(done.stderr.strip().splitlines()[-1].removeprefix("ctr: "))
    print(f"{name}: resolved |++++++++++++++++++++++++++++++++++++++|")
    return 0


def load(ctr: list[str], path: str) -> int:
    done = run([*ctr, "images", "import", path])
    if done.returncode:
        return fatal(done.stderr.strip().removeprefix("ctr: "))
    for name in re.findall(r"^unpacking (\S+) \(", done.stdout, re.MULTILINE):
        print(f"unpacking {name}...\nLoaded image: {name}")
    return 0


def images(ctr: list[str]) -> int:
    for row in rows(ctr):
        name, _colon, tag = row[1].rpartition(":")
        told = {"ID": row[2], "Repository": name, "Tag": tag, "Digest": row[2], "Size": row[3], "BlobSize": row[3]}
        print(json.dumps({"CreatedAt": "2026-01-01 00:00:00 +0000 UTC", "CreatedSince": "1 day ago", **told}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
