# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a registry and of what it has, without asking it. Private to the collection."""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import Any, Dict, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference

Json = Dict[str, Any]

INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)


class Access(NamedTuple):
    """How a registry is reached."""

    host: str
    prefix: str = ""
    """Path below which a mirror keeps the repositories of other registries."""
    insecure: bool = False
    login: tuple[str, str] | None = None
    ca: tuple[str, ...] = ()
    """Texts of further certificate authorities."""
    proxy: Json | None = None

    def repository(self, reference: Reference) -> str:
        return f"{self.prefix}/{reference.repository}" if self.prefix else reference.repository

    def basic(self) -> str | None:
        if self.login is None:
            return None
        return "Basic " + base64.b64encode(":".join(self.login).encode()).decode()


class Content(NamedTuple):
    """What a registry has behind a name."""

    digest: str
    """Of what the name points to, be it an index or a manifest."""
    manifest: str
    """Digest of the manifest for this machine."""
    platforms: list[str]
    size: int | None = None
    """Bytes that travel."""
    layers: tuple[tuple[str, int], ...] = ()
    """(digest, bytes) of each layer, the lowest first."""
    diff_ids: tuple[str, ...] = ()
    config: str | None = None


class RegistryError(FleetError):
    """A registry that does not give what it is asked for; ``check`` tells why."""

    @property
    def check(self) -> str:
        return str(self.finding["check"])


def inside(host: str, names: Sequence[str]) -> bool:
    """Whether a host is one of those that no proxy leads to: names, domains, addresses and networks."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        address: Any = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return any(entry == "*" or f".{name}".endswith("." + entry.lstrip(".")) for entry in names)
    for entry in names:
        try:
            if address in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False
