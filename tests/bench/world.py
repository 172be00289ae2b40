# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated fleet that is measured: the same services, ours beside the stock playbook's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.simfleet import inventory
from tests.simfleet.fleet import Fleet
from tests.simfleet.spec import NodeSpec

from .measure import InvalidRunError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
# Name; first of its two cards and port, ours and the stock playbook's.
SERVICES = (("one", (0, 8080), (4, 9080)), ("two", (2, 8081), (6, 9081)))
MANAGERS = ("davinci_manager", "devmm_svm", "hisi_hdc")
FORKS = "10"


class World:
    """A fleet of so many servers, and the commands that are timed on it."""

    def __init__(self, size: int) -> None:
        specs = [NodeSpec(f"n{number}") for number in range(1, size + 1)]
        self.fleet = Fleet(f"bench-{os.getpid()}", specs)
        self.folder = self.fleet.folder / "bench"
        self.size = size
        self.environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_FORKS": FORKS,
            "ANSIBLE_PIPELINING": "true",
            "NO_COLOR": "1",
        }

    def __enter__(self) -> World:
        self.fleet.up()
        try:
            self.folder.mkdir()
            self.image = self.fleet.publish("light")
        except BaseException:
            self.fleet.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fleet.down()

    def _ours(self, name: str, card: int, port: int) -> dict[str, Any]:
        probe = {"type": "http", "path": "/health"}
        cards = [card, card + 1]
        service = {"name": name, "kind": "container", "image": self.image, "npus": cards, "port": port}
        return {**service, "container_port": 8080, "env": {"GREETING": name}, "probe": probe}

    def _stock(self, name: str, card: int, port: int) -> dict[str, Any]:
        devices = [f"/dev/{node}" for node in (f"davinci{card}", f"davinci{card + 1}", *MANAGERS)]
        return {
            "name": name,
            "image": self.image,
            "env": {"GREETING": name},
            "devices": [f"{device}:{device}:rwm" for device in devices],
            "published_ports": [f"127.0.0.1:{port}:8080"],
        }

    def inventory(self, size: int) -> Path:
        """The first servers of the fleet, with both descriptions of the services."""
        path = self.folder / f"hosts-{size}.yml"
        document: dict[str, Any] = yaml.safe_load(inventory.render(self.fleet))
        group = document["all"]["children"]["fleet"]
        group["hosts"] = dict(list(group["hosts"].items())[:size])
        group["vars"] = {
            "fleet_report_dir": str(self.folder / "report"),
            "fleet_services": [self._ours(name, *ours) for name, ours, _theirs in SERVICES],
            "stock_services": [self._stock(name, *stock) for name, _ours, stock in SERVICES],
        }
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path

    def commands(self, size: int) -> dict[str, list[str]]:
        hosts = ["-i", str(self.inventory(size))]
        play = str(BIN / "ansible-playbook")
        return {
            "ping": [str(BIN / "ansible"), "fleet", "-m", "ansible.builtin.ping", *hosts],
            "drift": [play, "ascend.fleet.drift", *hosts],
            "site": [play, "ascend.fleet.site", *hosts],
            "stock": [play, str(HERE / "stock.yml"), *hosts],
        }

    def converge(self) -> None:
        """Both descriptions become true before anything is measured."""
        commands = self.commands(self.size)
        for name in ("site", "stock"):
            print(f"converging: {name}", flush=True)
            done = subprocess.run(
                commands[name],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode:
                raise InvalidRunError(f"{name} did not converge:\n{done.stdout[-5000:]}")
