# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo of image and video workloads: `make demo-aigc`, or python -m tests.simfleet demo-aigc.

The site playbook runs twice on inventories/aigc; the second time nothing may change. The fleet stays up afterwards;
when something fails or on Ctrl-C it is removed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.doubles import packages
from tests.doubles.wan import package

from . import artefacts, inventory
from .engine import ensure_engine
from .errors import SimError
from .fleet import Fleet
from .progress import say
from .spec import SHARED, NodeSpec

NAME = "aigc"
ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "aigc"
REPORT = ROOT / "fleet-report"
# What is pushed into the fleet's registry before the playbook runs.
IMAGES = ("diffusers", "comfyui-base")
# Packages on the storage that the servers share.
PACKAGES = "/mnt/sfs_turbo/packages"
# The vendor's package with Wan2.1 lies on one server.
FILMS = "/srv/packages"
_CHANGED = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", re.MULTILINE)


def main() -> None:
    """Start the fleet, run the playbook twice, show what was made."""
    _image, pipelines = artefacts.diffusers(ensure_engine())
    kit = artefacts.comfyui_kit()
    mounts = {str(pipelines): SHARED, str(kit): PACKAGES}
    more = {"sim_packages": PACKAGES, "sim_comfyui": str(kit), "sim_wheels": str(artefacts.comfyui_wheels())}
    fleet = Fleet(NAME, [NodeSpec("n1", mounts=mounts), NodeSpec("n2", mounts=mounts)]).up()
    try:
        for name in IMAGES:
            fleet.publish(name)
        _bring_package(fleet)
        more |= {"sim_films": FILMS, "sim_diffusers": str(package.diffusers_archive())}
        inventory.write(fleet, INVENTORY / "hosts.yml", more)
        _play("Run ansible-playbook site.yml -i inventories/aigc")
        made = sorted((REPORT / _verdict()["run_id"] / "jobs").glob("*/*/*"))
        again = _play("Run it again: all of it is done")
        changed = {host: number for host, number in _CHANGED.findall(again) if int(number)}
        if changed:
            raise SimError(f"The second run changed something: {changed}.")
        _show(made)
    except BaseException:
        say("Remove the fleet again")
        fleet.down()
        raise


def _bring_package(fleet: Fleet) -> None:
    node = fleet.node("n1")
    node.exec("mkdir", "-p", FILMS)
    with tempfile.TemporaryDirectory() as folder:
        content = package.package(Path(folder)).read_bytes()
    node.put({f"{FILMS}/{packages.file_name()}": (0o644, content)})


def _play(what: str) -> str:
    say(what)
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "site.yml", "-i", "inventories/aigc"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    told = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout or ():
            print(line, end="", flush=True)
            told.append(line)
    if run.returncode or not _verdict()["ok"]:
        raise SimError(f"The site playbook ended with {run.returncode}; the reasons stand above.")
    return "".join(told)


def _verdict() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((REPORT / "verdict.json").read_text(encoding="utf-8"))
    return loaded


def _show(made: list[Path]) -> None:
    print()
    for host, state in _verdict()["hosts"].items():
        for line in state["services"]:
            print(f"{line['name']} on {host}: {line['state']}, {line.get('answer') or ''}".rstrip(" ,"))
    print("The jobs made:")
    for path in made:
        print(f"  {path.relative_to(ROOT)}")
    print("The fleet stays up; remove it with `python -m tests.simfleet --fleet aigc down`.")
