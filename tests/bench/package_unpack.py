# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long ascendcloud_package takes beside ansible.builtin.unarchive and bsdtar, and how much memory, as JSON.

A package of 0.7 GB is made: an outer zip that holds three zips, of large binaries and of thousands of small files.
Each way then unpacks all of it, in turns: the module in one task; unarchive in one task for the outer zip and one for
each zip in it; bsdtar likewise, by itself without Ansible. A second run of each follows on what is there. Aims: the
first run takes at most 0.4 of unarchive's time, the second one 0.25, and memory does not grow with the package. Of each
the least of several runs counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.doubles import packages  # noqa: E402 - a folder of the checkout

FIRST_AIM, AGAIN_AIM, MEMORY_AIM = 0.4, 0.25, 256 << 20
SIZE = 700 << 20
KINDS = ("AIGC", "LLM", "OPP")
BLOCK = 1 << 20
SAMPLING = 0.02


def blocks(chance: random.Random, size: int) -> Iterator[bytes]:
    """Bytes of which deflate saves about a third, as of a compiled library."""
    for _block in range(size // BLOCK):
        noise = chance.randbytes(BLOCK * 2 // 3)
        yield noise + b"a symbol's name " * ((BLOCK - len(noise)) // 16)


def make(folder: Path, size: int) -> Path:
    chance = random.Random(902)
    inner = {}
    for kind in KINDS:
        path = folder / packages.file_name(kind)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(1000):
                text = f"value_{number} = {chance.random()}\n" * chance.randrange(20, 400)
                archive.writestr(packages.entry(f"{kind.lower()}/module_{number % 40}/file_{number}.py"), text)
            number = 0
            while path.stat().st_size < size // len(KINDS):
                with archive.open(packages.entry(f"{kind.lower()}/lib/lib{number}.so"), "w") as out:
                    for block in blocks(chance, 16 << 20):
                        out.write(block)
                archive.fp.flush()
                number += 1
        inner[kind] = path
    outer = folder / packages.file_name()
    with zipfile.ZipFile(outer, "w") as archive:
        for path in inner.values():
            archive.write(path, path.name)
            path.unlink()
    return outer


def playbook(folder: Path, tasks: list[dict[str, Any]]) -> list[str]:
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    path = folder / f"play-{len(list(folder.glob('play-*')))}.yml"
    path.write_text(json.dumps(play))
    program = Path(sys.executable).parent / "ansible-playbook"
    return [str(program), "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", str(path)]


def ours(folder: Path, outer: Path, dest: Path) -> list[list[str]]:
    arguments = {
        "src": str(outer),
        "dest": str(dest / "tree"),
        "architecture": "any",
        "parts": [{"name": kind} for kind in KINDS],
    }
    return [playbook(folder, [{"name": "Unpack", "ascend.fleet.ascendcloud_package": arguments}])]


def unarchive(folder: Path, outer: Path, dest: Path) -> list[list[str]]:
    sources = [(outer, dest), *((dest / packages.file_name(kind), dest / kind) for kind in KINDS)]
    tasks: list[dict[str, Any]] = [
        {"name": "Make a folder", "ansible.builtin.file": {"path": str(dest / kind), "state": "directory"}}
        for kind in KINDS
    ]
    tasks += [
        {
            "name": "Unpack",
            "ansible.builtin.unarchive": {"src": str(source), "dest": str(target), "remote_src": True},
        }
        for source, target in sources
    ]
    return [playbook(folder, tasks)]


def bsdtar(folder: Path, outer: Path, dest: Path) -> list[list[str]]:
    for kind in KINDS:
        (dest / kind).mkdir(parents=True)
    inner = [["bsdtar", "-xf", str(dest / packages.file_name(kind)), "-C", str(dest / kind)] for kind in KINDS]
    return [["bsdtar", "-xf", str(outer), "-C", str(dest)], *inner]


WAYS: dict[str, Callable[[Path, Path, Path], list[list[str]]]] = {
    "ascendcloud_package": ours,
    "unarchive": unarchive,
    "bsdtar": bsdtar,
}


def seconds(commands: list[list[str]]) -> float:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    os.sync()
    began = time.monotonic()
    for command in commands:
        subprocess.run(command, env=environment, capture_output=True, check=True)
    return time.monotonic() - began


def tree_memory(pid: int) -> int:
    """Bytes that a process and all below it hold, what they share counted once."""
    try:
        found = Path(f"/proc/{pid}/smaps_rollup").read_text()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    held = next((int(line.split()[1]) << 10 for line in found.splitlines() if line.startswith("Pss:")), 0)
    return held + sum(tree_memory(int(child)) for child in below)


def memory(folder: Path, outer: Path, dest: Path) -> int:
    """The most that the module itself holds while it unpacks, without Ansible's own processes."""
    parts = [{"name": kind, "match": "*", "include": [], "sha256": None} for kind in KINDS]
    params = {
        "src": [str(outer)], "dest": str(dest), "parts": parts, "version": None, "sha256": None, "python": None,
        "architecture": "any", "soc": None, "verify": "fast", "lock_timeout": 60, "workers": None,
        "max_size": "100G", "max_ratio": 200,
    }  # fmt: skip
    program = (
        "import json, sys\n"
        "from ansible_collections.ascend.fleet.plugins.module_utils import _package\n"
        "from ansible_collections.ascend.fleet.plugins.modules import ascendcloud_package as module\n"
        "_package.converge(module.wanted(json.loads(sys.argv[1])), False)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    process = subprocess.Popen([sys.executable, "-c", program, json.dumps(params)], env=environment)
    most = 0
    while process.poll() is None:
        most = max(most, tree_memory(process.pid))
        threading.Event().wait(SAMPLING)
    if process.returncode:
        raise SystemExit("the module failed")
    return most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of the package")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ways = {name: way for name, way in WAYS.items() if name != "bsdtar" or shutil.which("bsdtar")}
    times: dict[str, dict[str, list[float]]] = {name: {"first": [], "again": []} for name in ways}
    with tempfile.TemporaryDirectory(prefix="ascend-fleet-bench-") as name:
        folder = Path(name)
        outer = make(folder, options.size)
        for round_number in range(options.rounds):
            for way, commands in ways.items():
                dest = folder / f"{way}-{round_number}"
                dest.mkdir()
                prepared = commands(folder, outer, dest)
                for run in ("first", "again"):
                    times[way][run].append(round(seconds(prepared), 2))
                shutil.rmtree(dest)
        most = memory(folder, outer, folder / "memory" / "tree")
        unpacked = sum(path.stat().st_size for path in (folder / "memory").rglob("*") if path.is_file())
        size = outer.stat().st_size
    least = {way: {run: min(values) for run, values in runs.items()} for way, runs in times.items()}
    ratios = {run: least["ascendcloud_package"][run] / least["unarchive"][run] for run in ("first", "again")}
    ok = ratios["first"] <= FIRST_AIM and ratios["again"] <= AGAIN_AIM and most <= MEMORY_AIM
    result = {
        "package_bytes": size,
        "unpacked_bytes": unpacked,
        "cores": len(os.sched_getaffinity(0)),
        "seconds": {
            way: {run: [round(v, 2) for v in values] for run, values in runs.items()} for way, runs in times.items()
        },
        "ratio_to_unarchive": {run: round(value, 3) for run, value in ratios.items()},
        "ratio_to_bsdtar": round(least["ascendcloud_package"]["first"] / least["bsdtar"]["first"], 3)
        if "bsdtar" in least
        else "bsdtar is not on this machine (Debian, Ubuntu: libarchive-tools)",
        "peak_memory_bytes": most,
        "aims": {"first": FIRST_AIM, "again": AGAIN_AIM, "memory": MEMORY_AIM},
        "ok": ok,
    }
    print(json.dumps(result, indent=2))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
