# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hosts.toml: how containerd reaches a registry. Pure; private to the collection."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, Mapping, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._findings import action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import Origin
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import API_HOSTS, Reference
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

DRAGONFLY_HEADER = "X-Dragonfly-Registry"
OURS = "# Written by ascend.fleet; taken away, it is written again."


def hosts_toml(reference: Reference, origin: Origin, authorities: Sequence[str]) -> str:
    """One registry, or one mirror of it, with its login."""
    access = origin.access
    scheme = "http" if origin.plain else "https"
    path = f"/v2/{access.prefix}" if access.prefix else ""
    headers = {"Authorization": origin.authorization} if origin.authorization else {}
    host = f"{scheme}://{access.host}{path}"
    return render(f"{scheme}://{reference.api_host}", host, headers, bool(path), access.insecure, authorities)


def dragonfly(registry: str, proxy: str) -> str:
    """The Dragonfly daemon of the node as mirror of one registry; containerd asks the registry while it is down."""
    server = server_of(registry)
    return f"{OURS}\n{render(server, proxy, {DRAGONFLY_HEADER: server})}"


def plan_dragonfly(system: System, folder: str, proxy: str, registries: Iterable[str]) -> tuple[list[Json], list[Json]]:
    """A hosts.toml for each registry; one that somebody else wrote is named and left alone."""
    actions, findings = [], []
    for registry in sorted(set(registries)):
        path = f"{folder}/{registry}/hosts.toml"
        text, current = dragonfly(registry, proxy), system.read(path)
        if current == text:
            continue
        if current is not None and not current.startswith(OURS):
            message = f"{path} was not written by the fleet and does not lead to Dragonfly at {proxy}."
            findings.append(finding("registry-mirror", message, key="fleet_dragonfly", value=path))
            continue
        reason = f"containerd asks Dragonfly at {proxy} for images of {registry}"
        actions.append(action("images", "write_hosts", path, reason, before=current, after=text))
    return actions, findings


def server_of(registry: str) -> str:
    return f"https://{API_HOSTS.get(registry, registry)}"


def render(
    server: str,
    host: str,
    headers: Mapping[str, str],
    override_path: bool = False,
    skip_verify: bool = False,
    authorities: Sequence[str] = (),
) -> str:
    lines = [f"server = {_text(server)}", "", f"[host.{_text(host)}]", '  capabilities = ["pull", "resolve"]']
    if override_path:
        lines.append("  override_path = true")
    if skip_verify:
        lines.append("  skip_verify = true")
    if authorities:
        lines.append(f"  ca = [{', '.join(_text(path) for path in authorities)}]")
    if headers:
        lines.append(f"  [host.{_text(host)}.header]")
        lines += [f"    {name} = [{_text(value)}]" for name, value in headers.items()]
    return "\n".join([*lines, ""])


def _text(value: str) -> str:
    # The basic strings of TOML are written as those of JSON.
    return json.dumps(value)
