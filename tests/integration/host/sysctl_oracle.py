# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the machine's own programs what a set of sysctl files comes to, inside namespaces of its own.

Run by test_sysctl_precedence.py under unshare: reads cases as JSON from stdin, writes answers to stdout.
Only net.ipv4 keys may stand in a case: they belong to the network namespace, other keys to the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

KEY = Path("/proc/sys/net/ipv4/ip_forward")
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/lib/sysctl.d")
READERS = {
    "systemd-sysctl": ["/lib/systemd/systemd-sysctl"],
    "sysctl --system": ["sysctl", "-q", "--system"],
}


def cover() -> None:
    """Hide the machine's own files, as far as they exist."""
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for folder in ("/etc/sysctl.d", "/run", "/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d"):
        if os.path.isdir(folder):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    Path("/run/empty").touch()
    subprocess.run(["mount", "--bind", "/run/empty", "/etc/sysctl.conf"], check=True)


def lay_out(files: dict[str, str]) -> None:
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir(exist_ok=True)
        for entry in Path(folder).iterdir():
            entry.unlink()
    Path("/etc/sysctl.conf").write_text("")
    for path, text in files.items():
        if text.startswith("->"):
            Path(path).symlink_to(text[2:])
        else:
            Path(path).write_text(text)


def ask(argv: list[str]) -> bool | None:
    """The value it comes to, or None where the start value stays."""
    values = []
    for start in ("0", "1"):
        KEY.write_text(start)
        subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        values.append(KEY.read_text().strip())
    return None if values == ["0", "1"] else values[1] == "1"


def main() -> None:
    cover()
    answers = []
    for files in json.load(sys.stdin):
        lay_out(files)
        answers.append({name: ask(argv) for name, argv in READERS.items()})
    json.dump(answers, sys.stdout)


main()
