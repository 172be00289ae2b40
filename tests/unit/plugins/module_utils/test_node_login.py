# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login of a proxy: left out of the document, given to the node beside it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.ascend.fleet.plugins.action.fleet_node import ActionModule
from ansible_collections.ascend.fleet.plugins.module_utils._node import Node
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

BARE = {"http": "http://p:3128", "https": None, "no_proxy": ["localhost"]}
URLS = {"http": "http://joe:s3cret@p:3128", "https": None}


def document(proxy):
    engine = {"socket": "/run/none.sock", "daemon": {}, "proxy": proxy}
    host = {"engine": engine, "metadata_block": {}, "forwarding": {}}
    return {"host": host, "artefacts": {"images": []}, "bakes": [], "services": []}


@pytest.mark.parametrize(
    ("proxy", "given"),
    [(None, None), (dict(BARE, login=False), None), (dict(BARE, login=True), URLS)],
)
def test_the_login_is_read_from_the_variable(proxy, given):
    action = SimpleNamespace(_templar=SimpleNamespace(template=lambda value: value))
    assert ActionModule._proxy(action, document(proxy), {"fleet_proxy": {**URLS, "no_proxy": ["x"]}}) == given


@pytest.mark.parametrize(("urls", "http"), [(None, "http://p:3128"), (URLS, "http://joe:s3cret@p:3128")])
def test_the_node_uses_the_urls_with_the_login(tmp_path, urls, http):
    params = {
        "action": "observe",
        "document": document(dict(BARE, login=bool(urls))),
        "scope": ["host"],
        "interrupting": True,
        "secrets": None,
        "files": None,
        "proxy": urls,
    }
    proxy = Node(System(root=str(tmp_path)), params).host["engine"]["proxy"]
    assert (proxy["http"], proxy["no_proxy"]) == (http, ["localhost"])
    assert params["document"]["host"]["engine"]["proxy"]["http"] == "http://p:3128"
