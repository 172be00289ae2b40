# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image from one registry to another, when tokens run out on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access, RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._image_copy import Target, copy
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_registry import Registry
from tests.doubles import token_registry

LAYERS = [bytes([number]) * 1000 for number in range(4)]
LOGIN = {"user": "right"}


@dataclass
class Peer(Target):
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)

    def has(self, path: str) -> bool:
        return path.rpartition("/")[2] in self.blobs

    def put(self, path: str, body: bytes, media_type: str) -> None:
        self.manifests[path] = body

    def upload(self, repository: str, digest: str, size: int, content: Any) -> None:
        self.blobs[digest] = b"".join(content)


def source(registry: token_registry.Running) -> Registry:
    return Registry(Access(registry.address(), insecure=True, login=("user", "right")))


@pytest.mark.parametrize("blob", [1, 2, 5])
@pytest.mark.parametrize(("auth", "expired"), [("bearer", 1), ("basic", 0), (None, 0)])
def test_a_copy_outlasts_a_token(auth, expired, blob):
    with token_registry.running(auth=auth, logins=LOGIN) as registry:
        digest = registry.state.keep("team/x", "1", LAYERS)
        registry.state.trouble.expire_at_blob = blob
        peer = Peer()
        sent = copy(source(registry), parse(f"{registry.address()}/team/x:1"), peer, "copy/x", lambda line: None)
    assert sorted(LAYERS) == sorted(content for content in peer.blobs.values() if content in LAYERS)
    assert sent == sum(map(len, peer.blobs.values()))
    assert set(peer.manifests) == {f"/v2/copy/x/manifests/{name}" for name in ("1", digest)}
    assert registry.state.expired == expired


def test_a_login_that_is_taken_back_is_told():
    with token_registry.running(auth="bearer", logins=dict(LOGIN)) as registry:
        digest = registry.state.keep("team/x", "1", LAYERS)
        reference = parse(f"{registry.address()}/team/x:1")
        asked = source(registry)
        layer = asked.manifest(reference, digest).blobs[0]["digest"]
        registry.state.logins.clear()
        registry.state.trouble.expire_at_blob = 1
        with pytest.raises(RegistryError, match="refuses the login for team/x") as raised:
            asked.blob(reference, layer)
    assert raised.value.check == "registry-login"


def test_a_blob_that_is_not_there_is_told():
    with token_registry.running(auth="bearer", logins=LOGIN) as registry:
        registry.state.keep("team/x", "1", LAYERS)
        missing = "sha256:" + "0" * 64
        with pytest.raises(RegistryError, match=f"does not give {missing}") as raised:
            source(registry).blob(parse(f"{registry.address()}/team/x:1"), missing)
    assert raised.value.check == "registry-unreachable"


def test_where_the_blobs_lie_nobody_gets_the_login_of_the_registry():
    with (
        token_registry.running(auth="bearer", logins=LOGIN) as registry,
        token_registry.running(auth="bearer") as store,
    ):
        digest = registry.state.keep("team/x", "1", LAYERS)
        registry.state.trouble.elsewhere = store.address()
        reference = parse(f"{registry.address()}/team/x:1")
        asked = source(registry)
        layer = asked.manifest(reference, digest).blobs[0]["digest"]
        with pytest.raises(RegistryError, match=f"does not give {layer}") as raised:
            asked.blob(reference, layer)
    assert raised.value.check == "registry-unreachable"
    assert [(one.path, one.scheme) for one in store.state.asked] == [(f"/v2/team/x/blobs/{layer}", "")]
