# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated node is asked to be."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import SimError
from .soc import SOCS

# os -> (image with an engine, image without)
SYSTEMS = {
    "debian12": ("node", "node-fresh"),
    "openeuler22.03": ("dnf", "dnf-fresh"),
    "openeuler24.03": ("dnf", "dnf-fresh"),
    "hce2.0": ("dnf", "dnf-fresh"),
}
# The shared storage of a real site: models that every server finds under one path.
SHARED = "/mnt/sfs_turbo/models"
# What the server's owner has done about the driver so far.
DRIVERS = ("ready", "absent", "not-rebooted")


@dataclass(frozen=True)
class NodeSpec:
    """One simulated server.

    cards: how many chips (/dev/davinciN) the server has; None = all of the SoC, 0 = CPU only.
    docker: False = a fresh server on which nobody installed an engine yet.
    driver: absent = cards on the bus but no driver; not-rebooted = installed, needs a reboot.
    npu_smi: where the vendor's tool lies on this server; None = nowhere.
    mounts: folders of this machine -> where the server sees them (as a shared file system).
    writable: whether it may write there.
    """

    name: str
    os: str = "debian12"
    docker: bool = True
    soc: str = "910B3"
    cards: int | None = None
    driver: str = "ready"
    npu_smi: str | None = "/usr/local/sbin/npu-smi"
    mounts: dict[str, str] = field(default_factory=dict)
    writable: bool = False
    state: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for key, value, known in (
            ("os", self.os, SYSTEMS),
            ("soc", self.soc, SOCS),
            ("driver", self.driver, DRIVERS),
        ):
            if value not in known:
                raise SimError(f"Node {self.name}: {key} is {value!r}; use one of {', '.join(known)}.")

    @property
    def image(self) -> str:
        """The name of the node image in the table of images."""
        with_engine, without = SYSTEMS[self.os]
        return with_engine if self.docker else without

    @property
    def chips(self) -> int:
        """How many /dev/davinci nodes the server has when its driver is ready."""
        return SOCS[self.soc].chips if self.cards is None else self.cards

    def as_dict(self) -> dict[str, Any]:
        """For the fleet's own record."""
        return asdict(self)

    @classmethod
    def parse(cls, text: str) -> NodeSpec:
        """From the command line: NAME[:key=value[,key=value...]]."""
        name, _colon, rest = text.partition(":")
        values: dict[str, Any] = {}
        for pair in filter(None, rest.split(",")):
            key, equals, value = pair.partition("=")
            if not equals or key not in ("os", "docker", "soc", "cards", "driver", "npu_smi"):
                raise SimError(
                    f"Node {name}: {pair!r} is no setting; use os=, docker=, soc=, cards=, driver=, npu_smi=."
                )
            if key == "cards":
                values[key] = int(value)
            elif key == "docker":
                values[key] = value.lower() in ("yes", "true", "1")
            else:
                values[key] = value or None
        return cls(name, **values)
