# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``container``: any image, command and probe. Private to the collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._document import LABEL
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw, suggestion

PASSED_ON = (
    "command", "entrypoint", "working_dir", "hostname", "network", "labels", "init", "restart", "stop_timeout",
    "ulimits", "cap_add", "cap_drop", "security_opt", "ipc", "pids_limit", "extra_hosts", "log",
)  # fmt: skip
HOST_GATEWAY = "host-gateway"
# Names the engine knows.
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|PRIVATE_KEY)$", re.IGNORECASE)


def compile_entry(entry: _base.Entry, settings: _base.Settings) -> _base.Parts:
    container = _base.base_container(entry)
    container.update({key: entry[key] for key in PASSED_ON})
    container["devices"] = list(entry["devices"])
    container["ports"] = [] if entry["network"] in ("host", "none") else list(_ports(entry))
    container["secret_files"] = [
        _base.secret_file(entry, secret["name"], secret["file"], secret["target"]) for secret in entry["secrets"]
    ]
    inner = entry["container_port"] or entry["port"]
    parts = _base.Parts(
        container=container,
        probe=_base.probe(entry, settings, {"type": "none", "port": inner}),
        profile=entry["image_profile"],
        flaws=list(_flaws(entry)),
        bake=_base.Bake(entry["bake"]["inputs"], tasks=entry["bake"]["tasks"]) if entry["bake"] else None,
    )
    parts.notes += secret_notes(entry)
    if entry["model"]:
        parts.checks.append({"type": "path", "path": entry["model"]["path"], "must": "directory"})
    if entry["network"] == "host" and entry["port"]:
        parts.checks.append({"type": "port", "host_ip": entry["bind"], "port": entry["port"]})
    return parts


def secret_notes(entry: _base.Entry) -> list[tuple[str, str, str]]:
    return [
        ("secret-in-env", f"env.{name}", f"{name} looks like a secret and can be read with docker inspect.")
        for name in entry["env"]
        if SECRET_NAME.search(name)
    ]


def _ports(entry: _base.Entry) -> Iterator[dict[str, Any]]:
    if entry["port"]:
        yield _base.publish(entry, entry["port"], entry["container_port"] or entry["port"])
    for port in entry["ports"]:
        yield {
            "host_ip": port["host_ip"] or entry["bind"],
            "host_port": port["host_port"],
            "container_port": port["container_port"] or port["host_port"],
            "protocol": port["protocol"],
        }


def _flaws(entry: _base.Entry) -> Iterator[Flaw]:
    network, port, inner = entry["network"], entry["port"], entry["container_port"]
    if inner and not port:
        yield Flaw("container_port", inner, "is of no use without port", "Add port, the port on the node.")
    if network == "host" and inner and inner != port:
        yield Flaw(
            "container_port",
            inner,
            "differs from port, but network host publishes nothing",
            "Leave container_port out.",
        )
    if network in ("host", "none") and entry["ports"]:
        yield Flaw(
            "ports",
            len(entry["ports"]),
            f"cannot be published with network {network}",
            "Leave ports out, or use network bridge.",
        )
    if network == "none" and port:
        yield Flaw("port", port, "cannot be published with network none", "Leave port out, or use network bridge.")
    given = entry["probe"]
    kind = _base.probe(entry, _base.Settings())["type"]
    if given and kind in ("http", "tcp") and not (port or entry["ports"] or given["port"]):
        yield Flaw("probe.type", kind, "needs a port to ask", "Add port, or use a command probe.")
    if given and kind == "http" and not (given["path"] or given["steps"]):
        yield Flaw(
            "probe.path", None, "is missing", "Give the path of a request that answers 200 when the service is ready."
        )
    if given and not given["type"] and kind == "none":
        yield Flaw("probe.type", None, "is missing", "Write http, tcp, command or none.")
    for index, device in enumerate(entry["devices"]):
        if _base.CARD_DEVICE.match(device):
            yield Flaw(
                f"devices[{index}]", device, "is a card", "List cards under npus, so that nobody else gets them."
            )
    for name, value in entry["labels"].items():
        if name.startswith(LABEL):
            yield Flaw(f"labels.{name}", value, "lies in the collection's own name space", "Choose another name.")
    for index, line in enumerate(entry["extra_hosts"]):
        address = line.partition(":")[2]
        if address != HOST_GATEWAY and not _is_address(address):
            remedy = f"Write name:address, with {HOST_GATEWAY} for the node itself."
            yield Flaw(f"extra_hosts[{index}]", line, "has no IP address", remedy)
    yield from ulimit_flaws(entry)
    yield from secret_flaws(entry)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def ulimit_flaws(entry: _base.Entry) -> Iterator[Flaw]:
    for name, limit in entry["ulimits"].items():
        if name not in ULIMITS:
            yield Flaw(f"ulimits.{name}", limit, "is no limit that there is", suggestion(name, ULIMITS))
        elif isinstance(limit, bool) or not re.match(r"^(-1|\d+)(:(-1|\d+))?$", str(limit)):
            yield Flaw(f"ulimits.{name}", limit, "is no limit", "Write a number, -1 for none, or soft:hard.")


def secret_flaws(entry: _base.Entry) -> Iterator[Flaw]:
    names: set[str] = set()
    for index, secret in enumerate(entry["secrets"]):
        if secret["name"] in names:
            yield Flaw(f"secrets[{index}].name", secret["name"], "is used twice", "Name each secret once.")
        names.add(secret["name"])
