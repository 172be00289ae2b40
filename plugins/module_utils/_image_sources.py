# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From where a node gets an image: its registry, or a mirror that is asked first. Private to the collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, NamedTuple, TypeVar

from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access, RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import Network, Origin
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference

if TYPE_CHECKING:
    from ansible_collections.ascend.fleet.plugins.module_utils._image_registry import Registry

Json = Dict[str, Any]
_T = TypeVar("_T")


class Sources(NamedTuple):
    """What the document and the run say about registries."""

    rows: dict[str, Json]
    """By address: insecure, mirror, ca."""
    logins: dict[str, Json]
    """By address: username and password; they travel beside the document."""
    authorities: tuple[str, ...] = ()
    files: Json | None = None
    proxy: Json | None = None
    network: Callable[[], Network] = Network
    peer: str | None = None
    """Address of a registry on another node that has what the fleet needs."""

    def origins(self, reference: Reference) -> Iterator[tuple[Registry, bool]]:
        """Registries that may have the image, the one to ask first first, and whether it is a mirror."""
        # What is all there is asked of nobody, and a node reads the source of everything anew at each call.
        from ansible_collections.ascend.fleet.plugins.module_utils._image_registry import Registry

        if self.peer:
            whole = peer_repository(reference)
            yield Registry(Access(self.peer, whole[: -len(reference.repository) - 1], insecure=True)), True
        mirror = (self.rows.get(reference.host) or {}).get("mirror")
        if mirror:
            host, _slash, prefix = mirror.partition("/")
            yield Registry(self._access(host, host, prefix.strip("/"))), True
        yield Registry(self._access(reference.host, reference.api_host, "")), False

    def ask(self, reference: Reference, question: Callable[[Registry], _T]) -> _T:
        """The answer of the first registry that gives one; else why the last one gave none."""
        refusal: RegistryError | None = None
        for registry, _mirrored in self.origins(reference):
            try:
                return question(registry)
            except RegistryError as error:
                refusal = error
        raise refusal or AssertionError("there is a registry for every name")

    def origin(self, registry: Registry, mirrored: bool, reference: Reference, in_file: bool) -> Origin:
        if not in_file:
            return Origin(registry.access, mirrored)
        authorization = registry.token(reference)
        return Origin(registry.access, mirrored, registry.base.startswith("http://"), authorization)

    def _access(self, address: str, host: str, prefix: str) -> Access:
        row, login = self.rows.get(address) or {}, self.logins.get(address)
        network = self.network()
        own = (self.files or {}).get(str((row.get("ca") or {}).get("path")))
        return Access(
            host,
            prefix,
            bool(row.get("insecure")) or network.insecure(address),
            (login["username"], login["password"]) if login else None,
            (*self.authorities, *([own] if own else [])),
            self.proxy or network.proxy,
        )


def peer_repository(reference: Reference) -> str:
    """Where a peer registry keeps an image; a port may not stand in the name of a repository."""
    return f"{reference.host.replace(':', '-').lower()}/{reference.repository}"
