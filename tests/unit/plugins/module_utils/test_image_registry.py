# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a registry's certificate convinces, against a registry that speaks TLS."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access, RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_registry import Registry, _Redirect
from tests.doubles import authority, token_registry

LAYERS = [b"layer"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return authority.certificates(tmp_path_factory.mktemp("authority"), "127.0.0.1")


@pytest.fixture(scope="module")
def registry(certificates: tuple[Path, Path]) -> Iterator[token_registry.Running]:
    with token_registry.running(certificate=certificates[1]) as running:
        running.state.keep("team/x", "1", LAYERS)
        yield running


def digest(registry: token_registry.Running, insecure: bool, ca: tuple[str, ...] = ()) -> str:
    access = Access(registry.address(), insecure=insecure, ca=ca)
    return Registry(access).digest(parse(f"{registry.address()}/team/x:1"))


def test_an_unknown_certificate_is_refused(registry: token_registry.Running) -> None:
    with pytest.raises(RegistryError) as refused:
        digest(registry, insecure=False)
    assert refused.value.check == "registry-unreachable"


def test_its_own_authority_and_an_insecure_registry_are_trusted(
    registry: token_registry.Running, certificates: tuple[Path, Path]
) -> None:
    own = certificates[0].read_text(encoding="utf-8")
    assert digest(registry, insecure=False, ca=(own,)) == digest(registry, insecure=True)


@pytest.mark.parametrize(
    ("elsewhere", "kept"),
    [
        ("https://registry:5000/blob", True),
        ("https://storage:5000/blob", False),
        ("https://registry/blob", False),
        ("http://registry:5000/blob", False),
    ],
)
def test_only_the_registry_itself_gets_its_login(elsewhere: str, kept: bool) -> None:
    request = urllib.request.Request("https://registry:5000/v2/x", headers={"Authorization": "Basic eA=="})
    again = _Redirect().redirect_request(request, None, 307, "Temporary Redirect", HTTPMessage(), elsewhere)
    assert again.has_header("Authorization") is kept
