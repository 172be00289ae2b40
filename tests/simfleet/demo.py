# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a fleet of two servers, the site playbook on it, and what the model says.

`make demo`, or python -m tests.simfleet demo. The fleet stays up afterwards; when something
fails or on Ctrl-C it is removed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import artefacts, images, inventory
from .engine import connect, ensure_engine
from .errors import SimError
from .fleet import Fleet
from .progress import say
from .spec import SHARED, NodeSpec

NAME = "demo"
ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "sim"
HOSTS = INVENTORY / "hosts.yml"
REPORT = ROOT / "fleet-report"
VERDICT = REPORT / "verdict.json"


def start() -> Fleet:
    """The demo's fleet, up, with both images in its registry and its inventory written."""
    ensure_engine()
    _image, models = _prepare()
    fleet = Fleet(NAME, [NodeSpec("n1", mounts={str(models): SHARED}), NodeSpec("n2")]).up()
    try:
        for name in ("light", "vllm"):
            fleet.publish(name)
        inventory.write(fleet, HOSTS)
    except BaseException:
        fleet.down()
        raise
    return fleet


def _prepare() -> tuple[Path, Path]:
    """Images of the servers and of the services at the same time: one waits while one computes."""
    with ThreadPoolExecutor(max_workers=2) as lanes:
        servers = lanes.submit(_server_images)
        model = lanes.submit(lambda: artefacts.vllm(connect()))
        servers.result()
        return model.result()


def _server_images() -> None:
    client = connect()
    for name in ("node", "services"):
        images.ensure(client, name)
    artefacts.light(client)


def main() -> None:
    """Start the fleet, deploy on it, show the result."""
    fleet = start()
    try:
        VERDICT.unlink(missing_ok=True)
        say("Run ansible-playbook site.yml -i inventories/sim")
        status = _play()
        verdict = _verdict()
        _show(fleet, verdict)
        if status or not verdict.get("ok"):
            raise SimError(f"The site playbook ended with {status}; the reasons stand above.")
    except BaseException:
        say("Remove the fleet again")
        fleet.down()
        raise


def _play() -> int:
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), "site.yml", "-i", "inventories/sim"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    if sys.stdout.isatty():
        environment["ANSIBLE_FORCE_COLOR"] = "1"
    try:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    except FileNotFoundError as error:
        raise SimError(f"{program} is missing; run `make setup` first.") from error


def _verdict() -> dict[str, Any]:
    if not VERDICT.exists():
        return {}
    loaded: dict[str, Any] = json.loads(VERDICT.read_text(encoding="utf-8"))
    return loaded


def _show(fleet: Fleet, verdict: Mapping[str, Any]) -> None:
    print()
    for host, service, answer in _answers(verdict):
        print(f"{service} on {host} answers: {answer.strip()!r}")
    print(f"Verdict: {'ok' if verdict.get('ok') else 'NOT ok'}")
    for failure in verdict.get("failures", []):
        where = failure.get("host") or "fleet"
        print(f"  {where}: {failure.get('message')} {failure.get('remedy') or ''}")
    key = f"ssh -i {fleet.private_key} -o UserKnownHostsFile={fleet.known_hosts}"
    print(f"Verdict and records: {REPORT}")
    print(f"Inventory: {HOSTS}")
    for node in fleet.nodes:
        print(f"{node.name}: {key} root@{node.address}")
    print("The fleet stays up; run it again with `.venv/bin/ansible-playbook site.yml -i inventories/sim`,")
    print("remove it with `make fleet-down`.")


def _answers(verdict: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for host, record in (verdict.get("hosts") or {}).items():
        for service in record.get("services") or []:
            if service.get("answer"):
                yield host, service["name"], str(service["answer"])
