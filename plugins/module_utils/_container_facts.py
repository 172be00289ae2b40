# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node holds that a container's plan depends on. Private to the collection.

Everything is read in one go and without any library; the plan itself then asks nobody.
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
from typing import Any, Dict, Iterable, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    EngineDefaults,
    cards_of,
    name_of,
    published_ports,
    service_of,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import Spec, parse_ulimit
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

DAEMON_JSON = "/etc/docker/daemon.json"
# The old container of a replacement under way; the second name says that it was not running before.
OLD = ".fleet-old"
OLD_IDLE = ".fleet-old-idle"

DEVICE, FOLDER, FILE, MISSING = "device", "directory", "file", "missing"
# (protocol, what the kernel shows, the state in which a socket of it takes packets)
_LISTEN_TABLES = (
    ("tcp", "/proc/net/tcp", "0A"),
    ("tcp", "/proc/net/tcp6", "0A"),
    ("udp", "/proc/net/udp", "07"),
    ("udp", "/proc/net/udp6", "07"),
)


class Neighbour(NamedTuple):
    """A container of the node, as far as it matters to the others."""

    name: str
    service: str | None
    """The fleet's service that it belongs to; None for a foreign one."""
    running: bool
    cards: list[int]
    ports: list[Json]
    shm_size: int
    memory: int


class NodeFacts(NamedTuple):
    defaults: EngineDefaults
    memory_total: int
    cpus: int
    inspected: dict[str, Json]
    neighbours: list[Neighbour]
    listeners: list[Json]
    paths: dict[str, str]
    changed: dict[str, float]
    networks: dict[str, bool]
    images: dict[str, Json | None]


def observe(
    reader: EngineReader,
    system: System,
    specs: Iterable[Spec],
    inspected: dict[str, Json] | None = None,
    info: Json | None = None,
) -> NodeFacts:
    """Everything the plans of these specs need; ``inspected`` and ``info`` spare asking the engine once more."""
    specs = list(specs)
    info = info or reader.info()
    inspected = read_containers(reader) if inspected is None else inspected
    sources = {mount["source"] for spec in specs for mount in spec["mounts"] if mount["type"] == "bind"}
    sources |= {device["host"] for spec in specs for device in spec["devices"]}
    networks = {spec["network"] for spec in specs} - {"bridge", "host", "none"}
    return NodeFacts(
        defaults=_defaults(system, info),
        memory_total=int(info.get("MemTotal") or 0),
        cpus=int(info.get("NCPU") or 0),
        inspected=inspected,
        neighbours=[neighbour(container) for container in inspected.values()],
        listeners=listeners(system),
        paths={path: _kind(system, path) for path in sources},
        changed={path: _changed(system, path) for path in sources},
        networks={name: reader.network(name) is not None for name in networks},
        images={reference: reader.image(reference) for reference in {s["image"] for s in specs if s.get("image")}},
    )


def read_containers(reader: EngineReader) -> dict[str, Json]:
    """Every container of the node by name: one list call, then one inspect each."""
    found = {}
    for entry in reader.containers():
        container = reader.inspect(entry["Id"])
        if container is not None:
            found[name_of(container)] = container
    return found


def neighbour(container: Json) -> Neighbour:
    host = container["HostConfig"]
    state = container["State"]
    return Neighbour(
        name=name_of(container),
        service=service_of(container),
        running=bool(state.get("Running") or state.get("Restarting")),
        cards=cards_of(container),
        ports=published_ports(container),
        shm_size=0 if host.get("IpcMode") == "host" else int(host.get("ShmSize") or 0),
        memory=int(host.get("Memory") or 0),
    )


def held_cards(neighbours: Iterable[Neighbour], leave_out: Iterable[str] = ()) -> dict[int, str]:
    """Card -> the container that holds it: every container of the fleet, and foreign ones while they run."""
    skipped = set(leave_out)
    held: dict[int, str] = {}
    for other in neighbours:
        if other.name not in skipped and (other.service is not None or other.running):
            held.update(dict.fromkeys(other.cards, other.name))
    return held


def listeners(system: System) -> list[Json]:
    """Addresses on which processes of the node listen."""
    found = []
    for protocol, table, listening in _LISTEN_TABLES:
        for line in (system.read(table) or "").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == listening:
                address, _colon, port = fields[1].partition(":")
                found.append({"host_ip": _address(address), "host_port": int(port, 16), "protocol": protocol})
    return found


def _address(text: str) -> str:
    """The kernel prints addresses as 32 bit words in the byte order of the machine: little on all that are served."""
    words = [text[i : i + 8] for i in range(0, len(text), 8)]
    raw = b"".join(bytes.fromhex(word)[::-1] for word in words)
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _defaults(system: System, info: Json) -> EngineDefaults:
    try:
        settings = json.loads(system.read(DAEMON_JSON) or "{}")
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        return EngineDefaults(str(info.get("Name") or ""), str(info.get("LoggingDriver") or ""))
    return EngineDefaults(
        name=str(info.get("Name") or ""),
        log_driver=str(info.get("LoggingDriver") or ""),
        log_options={str(k): str(v) for k, v in (settings.get("log-opts") or {}).items()},
        ulimits={
            name: parse_ulimit({"soft": limit.get("Soft"), "hard": limit.get("Hard")})
            for name, limit in (settings.get("default-ulimits") or {}).items()
        },
    )


def _kind(system: System, path: str) -> str:
    found = system.stat(path)
    if found is None:
        return MISSING
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        return DEVICE
    return FOLDER if stat.S_ISDIR(found.st_mode) else FILE


def _changed(system: System, path: str) -> float:
    found = system.stat(path)
    return 0.0 if found is None else found.st_mtime


def leftover(inspected: dict[str, Json], name: str) -> Json | None:
    """The old container of a replacement of ``name`` that was cut off."""
    return inspected.get(name + OLD) or inspected.get(name + OLD_IDLE)


def is_leftover(name: str) -> bool:
    return os.path.splitext(name)[1] in (OLD, OLD_IDLE)
