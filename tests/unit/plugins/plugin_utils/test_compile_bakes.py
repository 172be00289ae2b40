# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services whose image is made on the way."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data


@pytest.fixture
def install(tmp_path):
    path = tmp_path / "install.yml"
    path.write_text("---\n- name: Do nothing\n  ansible.builtin.command: 'true'\n")
    return path


def bakes_of(compile_inventory, *entries, **values):
    return compile_inventory.document({"fleet_services": list(entries), **values})["bakes"]


def test_equal_content_is_baked_once(compile_inventory, web, install):
    bake = {"tasks": "install.yml", "inputs": {"version": 3}}
    entries = [
        web(bake=bake),
        web(name="twin", port=8081, bake=bake, instances=2),
        web(name="other", port=8090, bake={**bake, "inputs": {"version": 4}}),
        web(name="card", port=8091, bake=bake, npus=1),
        web(name="plain", port=8092),
        web(name="gone", bake=bake, state="absent"),
    ]
    rows = bakes_of(compile_inventory, *entries)
    assert [row["services"] for row in rows] == [["web", "twin-0", "twin-1"], ["other"], ["card"]]
    assert [row["npus"] for row in rows] == [False, False, True]
    assert rows[0]["tasks"] == str(install)
    assert rows[0]["inputs"] == {"version": 3}
    assert rows[0]["base"] == "reg:5000/web:1"
    assert len({row["id"] for row in rows}) == 3


def test_the_base_is_staged_and_the_service_waits_for_its_name(compile_inventory, web, install):
    document = compile_inventory.document({"fleet_services": [web(bake="install.yml"), web(name="two", port=8081)]})
    assert [image["reference"] for image in document["artefacts"]["images"]] == ["reg:5000/web:1"]
    number = document["bakes"][0]["id"].rpartition("-")[2]
    images = [service["container"]["image"] for service in document["services"]]
    assert images == [f"ascend-fleet/container:bake-{number}", "reg:5000/web:1"]


def test_a_changed_file_of_tasks_is_another_bake(compile_inventory, web, install):
    before = bakes_of(compile_inventory, web(bake="install.yml"))
    install.write_text(install.read_text() + "- name: Do more\n  ansible.builtin.command: 'true'\n")
    assert bakes_of(compile_inventory, web(bake="install.yml"))[0]["id"] != before[0]["id"]


def test_a_missing_file_of_tasks_is_told(compile_inventory, web):
    error = compile_inventory({"n1": {"fleet_services": [web(bake="install.yml")]}}).errors[0]
    assert (error["key"], error["value"]) == ("bake.tasks", "install.yml")


@pytest.mark.parametrize("registry", [None, "reg:5000", "reg.example/ai/images"])
def test_the_registry_goes_along(compile_inventory, web, install, registry):
    entry = web(bake="install.yml")
    proxy = {"http": "http://proxy:3128"}
    document = compile_inventory.document({"fleet_services": [entry], "fleet_registry": registry, "fleet_proxy": proxy})
    assert document["bakes"][0]["registry"] == registry
    host = (registry or "").partition("/")[0].partition(":")[0]
    assert (host in document["host"]["engine"]["proxy"]["no_proxy"]) == bool(registry)


@pytest.mark.parametrize("registry", ["https://reg", "reg:5000/", "REG:port"])
def test_what_is_no_registry_is_told(compile_inventory, registry):
    errors = compile_inventory({"n1": {"fleet_services": [], "fleet_registry": registry}}).errors
    assert [error["key"] for error in errors] == ["fleet_registry"]


def test_install_files_of_a_role_are_told_by_their_place(tmp_path, monkeypatch):
    monkeypatch.setattr(_data, "ROLES", tmp_path)
    role = tmp_path / "draw"
    for name in ("tasks/bake.yml", "tasks/main.yml", "files/bake/patch.diff", "README.md"):
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text("one")

    def digest_after(name):
        (role / name).write_text("two")
        _data.install_digest.cache_clear()
        return _data.install_digest("draw")

    _data.install_digest.cache_clear()
    first = _data.install_digest("draw")
    assert digest_after("tasks/main.yml") == digest_after("README.md") == first
    changed = digest_after("files/bake/patch.diff")
    assert changed != first
    assert digest_after("tasks/bake.yml") not in (first, changed)
    _data.install_digest.cache_clear()


def test_every_role_that_bakes_can_be_called():
    """image_bake names each, so that none gets its inputs by a name made up at run time."""
    roles = {path.parents[1].name for path in _data.ROLES.glob("*/tasks/bake.yml")} - {"fleet"}
    called = {path.stem.removeprefix("kind_") for path in (_data.ROLES / "image_bake/tasks").glob("kind_*.yml")}
    assert called == roles
    for role in called:
        (task,) = _data.read(_data.ROLES / "image_bake/tasks" / f"kind_{role}.yml")
        assert task["ansible.builtin.include_role"]["name"] == f"ascend.fleet.{role}"
        assert list(task["vars"]) == [f"{role}_bake"]
