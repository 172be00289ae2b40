# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries, logins and images of an inventory: what the document says of them, and what it never holds."""

from __future__ import annotations

import json
import sys

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.ascend.fleet.plugins.plugin_utils import _registry_logins

VLLM = "quay.example/copies/vllm-ascend:v0.23.0-a3"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def secret(folder, text="s3cret\n", mode=0o600):
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_registry_with_everything(compile_inventory, tmp_path):
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    row = {
        "address": "reg.lan:5000",
        "mirror": "m.example/quay.io",
        "username": "joe",
        "password_file": secret(tmp_path),
        "ca_file": str(tmp_path / "ca.pem"),
    }
    document = compile_inventory.document({"fleet_registries": [row]})
    [found] = document["artefacts"]["registries"]
    assert found["login"] == {"username": "joe", "password_file": row["password_file"]}
    assert found["mirror"] == "m.example/quay.io"
    assert found["ca"]["path"] == "/etc/docker/certs.d/reg.lan:5000/ca.crt"
    assert "s3cret" not in json.dumps(document)


@pytest.mark.parametrize(
    ("row", "key", "message"),
    [
        ({"username": "joe"}, "password_file", "is missing"),
        ({"password_file": "{secret}"}, "username", "is missing"),
        ({"username": "joe", "password_file": "{open}"}, "password_file", "may be read by others"),
        ({"username": "joe", "password_file": "/none"}, "password_file", "cannot be read"),
        ({"username": "j", "password_file": "{secret}", "login_command": ["x"]}, "login_command", "second login"),
        ({"ca_file": "/none"}, "ca_file", "cannot be read"),
        ({"mirror": "https://m.example"}, "mirror", "is not a mirror"),
    ],
)
def test_what_is_wrong_with_a_registry(compile_inventory, tmp_path, row, key, message):
    places = {"secret": secret(tmp_path)}
    (tmp_path / "x").mkdir()
    places["open"] = secret(tmp_path / "x", mode=0o644)
    filled = {name: value.format(**places) if isinstance(value, str) else value for name, value in row.items()}
    compiled = compile_inventory({"n1": {"fleet_registries": [{"address": "r:5000", **filled}]}})
    [error] = compiled.errors
    assert error["key"] == f"fleet_registries[0].{key}"
    assert message in error["message"]


def test_what_the_catalogue_knows_of_an_image_travels_with_it(compile_inventory):
    web = {"name": "web", "kind": "container", "probe": "none"}
    entries = [{**web, "image": VLLM}, {**web, "name": "own", "image": "r:5000/own:1"}]
    document = compile_inventory.document({"fleet_services": entries, "fleet_image_check": "missing"})
    known, own = document["artefacts"]["images"]
    assert known["needs"] == {
        "release": "vllm-ascend v0.23.0",
        "family": "910_93",
        "arch": ["aarch64", "x86_64"],
        "driver": None,
    }
    assert own["needs"] is None
    assert {known["check"], own["check"]} == {"missing"}


def test_the_store_follows_the_settings(compile_inventory):
    store = compile_inventory.document({"fleet_image_prune": True, "fleet_image_retries": 1})["artefacts"][
        "image_store"
    ]
    assert (store["engine"], store["retries"], store["prune"]) == ("docker", 1, True)


@pytest.mark.parametrize(
    ("only", "entries", "prunes"),
    [([], None, True), (["web"], None, False), (["web", "chat"], None, False), ([], [], False), (["web"], [], False)],
    ids=["whole", "one of two", "each by name", "a role", "a role beside a selection"],
)
def test_images_are_pruned_only_where_all_wanted_ones_are_known(compile_inventory, chat, web, only, entries, prunes):
    values = {"fleet_services": [web(), chat()], "fleet_only": only, "fleet_image_prune": True}
    document = compile_inventory.document(values, entries=entries)
    assert document["artefacts"]["image_store"]["prune"] is prunes
    unasked = compile_inventory.document({**values, "fleet_image_prune": False}, entries=entries)
    assert unasked["artefacts"]["image_store"]["prune"] is False


def test_dragonfly_is_a_mirror_beside_those_of_the_inventory(compile_inventory):
    values = {
        "fleet_dragonfly": "http://127.0.0.1:4001",
        "fleet_docker_daemon": {"registry-mirrors": ["https://mirror.example"]},
    }
    daemon = compile_inventory.document(values)["host"]["engine"]["daemon"]
    assert daemon["registry-mirrors"] == ["https://mirror.example", "http://127.0.0.1:4001"]
    assert "registry-mirrors" not in compile_inventory.document({})["host"]["engine"]["daemon"]


def test_the_peer_is_the_first_node_for_all_and_every_engine_trusts_it(compile_inventory):
    shared = {"fleet_image_peer": True, "fleet_image_peer_image": "registry:2", "fleet_image_peer_port": 5009}
    hosts = {"n1": {**shared, "ansible_host": "10.0.0.1"}, "n2": {**shared, "ansible_host": "10.0.0.2"}}
    for documents in (compile_inventory(hosts).documents, compile_inventory(hosts, limit=["n2"]).documents):
        found = documents["n2"]
        assert found["artefacts"]["image_store"]["peer"] == {"host": "n1", "address": "10.0.0.1", "port": 5009}
        assert found["host"]["engine"]["daemon"]["insecure-registries"] == ["10.0.0.1:5009"]


def test_a_peer_needs_an_image(compile_inventory):
    [error] = compile_inventory({"n1": {"fleet_image_peer": True}}).errors
    assert error["key"] == "fleet_image_peer_image"
    assert "is missing" in error["message"]


def command(text):
    return [sys.executable, "-c", text]


def test_logins_come_from_files_and_commands(tmp_path):
    made = command('print(\'{"username": "region@AK", "password": "derived"}\')')
    rows = [
        {"address": "a", "login": {"username": "joe", "password_file": secret(tmp_path)}},
        {"address": "b", "login": {"command": made}},
        {"address": "c", "login": None},
    ]
    assert _registry_logins.read(rows) == [
        {"address": "a", "username": "joe", "password": "s3cret"},
        {"address": "b", "username": "region@AK", "password": "derived"},
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (command('print(\'{"password": "half"}\')'), "does not print"),
        (command("import sys; print('s3cret'); sys.exit('expired key')"), "failed: expired key"),
        (["/none/login"], "cannot be run"),
    ],
)
def test_a_command_that_makes_no_login_is_named_and_its_output_is_not_shown(given, told):
    with pytest.raises(AnsibleActionFail) as failure:
        _registry_logins.read([{"address": "swr.example", "login": {"command": given}}])
    assert told in str(failure.value)
    assert "swr.example" in str(failure.value)
    assert not any(word in str(failure.value) for word in ("half", "s3cret"))


@pytest.mark.parametrize(
    ("check", "login", "again"),
    [
        ("registry-login", {"command": ["x"]}, True),
        ("registry-login", {"username": "u", "password_file": "p"}, False),
        ("image-unknown", {"command": ["x"]}, False),
    ],
)
def test_a_refused_login_is_made_again_where_a_command_can(check, login, again):
    result = {"findings": [{"check": check}]}
    assert _registry_logins.may_be_stale(result, [{"address": "a", "login": login}]) is again
