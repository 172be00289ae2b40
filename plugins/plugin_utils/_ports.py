# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of a node that two services would publish. Private to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

WILDCARDS = frozenset({"0.0.0.0", "::"})


class Publisher(Protocol):
    @property
    def values(self) -> dict[str, Any]: ...

    @property
    def parts(self) -> Any: ...


P = TypeVar("P", bound=Publisher)


class _Port(NamedTuple):
    address: str
    port: int
    protocol: str


def conflicts(services: Iterable[P]) -> Iterator[tuple[P, P, int]]:
    """Each service with the earlier one whose port it would take. One that does not run publishes nothing."""
    seen: dict[tuple[int, str], list[tuple[str, P]]] = {}
    for service in services:
        if service.values["state"] != "present":
            continue
        told = set()
        for port in _ports(service):
            taken = seen.setdefault((port.port, port.protocol), [])
            for address, other in taken:
                if _overlap(address, port.address) and (id(other), port.port) not in told:
                    told.add((id(other), port.port))
                    yield service, other, port.port
            taken.append((port.address, service))


def _ports(service: Publisher) -> Iterator[_Port]:
    container = service.parts.container
    if container["network"] == "host" and service.values["port"]:
        # Where the process binds is its own business, so every address counts.
        yield _Port("0.0.0.0", service.values["port"], "tcp")
    for port in container["ports"]:
        yield _Port(port["host_ip"], port["host_port"], port["protocol"])


def _overlap(one: str, other: str) -> bool:
    return one == other or bool({one, other} & WILDCARDS)
