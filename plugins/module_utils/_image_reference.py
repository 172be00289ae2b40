# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images: registry, repository, tag and digest. Pure; private to the collection."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
# The registry behind the name docker.io answers under another one.
API_HOSTS = {DEFAULT_HOST: "registry-1.docker.io"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class Reference(NamedTuple):
    host: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def full(self) -> str:
        """The whole name, as containerd wants it."""
        return f"{self.name}:{self.tag}" if self.tag else f"{self.name}@{self.digest}"

    @property
    def api_host(self) -> str:
        return API_HOSTS.get(self.host, self.host)

    def pinned(self, digest: str | None) -> str:
        """The name of exactly this content."""
        return f"{self.name}@{digest}" if digest else self.full


def parse(text: str) -> Reference:
    name, _at, digest = text.partition("@")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        host, repository = head, rest
    else:
        host, repository = DEFAULT_HOST, name
    repository, _colon, tag = repository.partition(":")
    if host == DEFAULT_HOST and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(host, repository, tag or (None if digest else DEFAULT_TAG), digest or None)


def architecture(machine: str) -> str:
    """The name that images have for what uname says."""
    return ARCHITECTURES.get(machine, machine)
