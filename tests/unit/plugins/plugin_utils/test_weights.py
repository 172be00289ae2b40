# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes a model from whom, and what of the controller is sent."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.ascend.fleet.plugins.filter import model_rows
from ansible_collections.ascend.fleet.plugins.plugin_utils import _weights_rows, _weights_upload

FILES = {"config.json": b"{}", "sub/model.safetensors": bytes(range(256)) * 20000, "empty": b""}


def seen(reason: str | None, path: str = "/m/a", wanted: str = "1", shared: bool = False) -> dict[str, Any]:
    return {"path": path, "wanted": wanted, "reason": reason, "shared": shared}


ADDRESSES = {f"n{number}": f"10.0.0.{number}" for number in range(1, 5)}


def rows(looks: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return _weights_rows.rows(looks, ADDRESSES, 9000)


def test_where_nobody_lacks_anything_nobody_acts() -> None:
    assert rows({"n1": [seen(None)], "n2": [seen(None)]}) == {}


def test_who_has_it_stands_first_and_takes_from_nobody() -> None:
    found = rows({"n1": [seen("missing")], "n2": [seen(None)], "n3": [seen("missing")], "n4": [seen(None)]})
    share = {host: parts["/m/a"]["share"] for host, parts in found.items()}
    assert share["n2"]["peers"] == share["n4"]["peers"] == []
    assert share["n1"]["peers"] == ["http://10.0.0.2:9000", "http://10.0.0.4:9000"]
    assert share["n3"]["peers"][0] == "http://10.0.0.4:9000"
    assert share["n1"]["address"] == "10.0.0.1"


def test_only_two_of_those_who_have_it_take_part() -> None:
    found = rows({"n1": [seen(None)], "n2": [seen(None)], "n3": [seen(None)], "n4": [seen("missing")]})
    assert sorted(found) == ["n1", "n2", "n4"]


@pytest.mark.parametrize(
    "looks",
    [
        {"n1": [seen("missing")]},
        {"n1": [seen("missing", shared=True)], "n2": [seen("missing", shared=True)]},
        {"n1": [seen("missing", wanted="1")], "n2": [seen("missing", wanted="2")]},
    ],
)
def test_who_is_alone_or_shares_storage_gives_nothing(looks: dict[str, Any]) -> None:
    found = rows(looks)
    assert {host: parts["/m/a"]["share"] for host, parts in found.items()} == dict.fromkeys(looks)


def test_each_model_has_a_port_of_its_own_on_every_host() -> None:
    both = [seen("missing", "/m/a"), seen("missing", "/m/b")]
    found = rows({"n1": both, "n2": both[::-1]})
    assert {parts[path]["share"]["port"] for parts in found.values() for path in ("/m/b",)} == {9001}
    assert {parts[path]["share"]["port"] for parts in found.values() for path in ("/m/a",)} == {9000}


def test_a_host_without_an_address_is_asked_by_nobody_and_ipv6_has_brackets() -> None:
    looks = {"n1": [seen("missing")], "n2": [seen("missing")], "n3": [seen("missing")]}
    found = _weights_rows.rows(looks, {"n1": None, "n2": "fd00::2"}, 9000)
    assert found["n2"]["/m/a"]["share"]["peers"] == []
    assert found["n3"]["/m/a"]["share"]["peers"] == ["http://[fd00::2]:9000"]


def test_hosts_that_could_not_be_looked_at_are_left_out() -> None:
    assert rows({"n1": [{"msg": "unreachable"}], "n2": []}) == {}


def test_the_filter_reads_what_the_hosts_said_and_where_they_are() -> None:
    look = {"__model_weights_seen": {"results": [seen("missing")]}}
    hostvars = {
        "n1": {**look, "ansible_host": "10.0.0.1", "fleet_address": "192.0.2.1"},
        "n2": {**look, "ansible_host": "10.0.0.2"},
        "n3": look,
        "n4": {"__model_weights_seen": {"unreachable": True}},
        "n5": look,
    }
    found = model_rows.model_rows(["n1", "n2", "n3", "n4"], hostvars, 9000)
    shares = {host: parts["/m/a"]["share"] for host, parts in found.items()}
    assert {host: share["address"] for host, share in shares.items()} == {
        "n1": "192.0.2.1",
        "n2": "10.0.0.2",
        "n3": "n3",
    }
    assert shares["n3"]["peers"] == ["http://192.0.2.1:9000", "http://10.0.0.2:9000"]


def packed(folder: Path, form: str) -> Path:
    if form == "directory":
        for path, body in FILES.items():
            (folder / "model" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "model" / path).write_bytes(body)
        return folder / "model"
    archive = folder / f"model.{form}"
    with tarfile.open(archive, "w:gz" if form.endswith("gz") else "w") as tar:
        for path, body in FILES.items():
            member = tarfile.TarInfo(f"./Model-1/{path}")
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return archive


@pytest.mark.parametrize("form", ["directory", "tar", "tar.gz"])
def test_directories_and_archives_give_the_same_files_from_any_byte_on(tmp_path: Path, form: str) -> None:
    files = _weights_upload.files(str(packed(tmp_path, form)), [], [])
    assert {file.path: b"".join(file.read(0)) for file in files} == FILES
    large = next(file for file in files if file.path == "sub/model.safetensors")
    assert b"".join(large.read(1_500_000)) == FILES["sub/model.safetensors"][1_500_000:]
    listing = _weights_upload.listing(files, "7")
    assert {row[0]: row[2] for row in listing["items"]} == {path: len(body) for path, body in FILES.items()}


def test_patterns_hold_for_the_controller_too(tmp_path: Path) -> None:
    folder = str(packed(tmp_path, "directory"))
    assert [file.path for file in _weights_upload.files(folder, ["*.json"], [])] == ["config.json"]
    with pytest.raises(AnsibleActionFail, match="leave none"):
        _weights_upload.files(folder, ["*.gguf"], [])


def test_a_changed_directory_is_another_state(tmp_path: Path) -> None:
    folder = packed(tmp_path, "directory")
    before = _weights_upload.fingerprint(_weights_upload.files(str(folder), [], []))
    (folder / "config.json").write_text("{ }")
    assert _weights_upload.fingerprint(_weights_upload.files(str(folder), [], [])) != before


def test_an_archive_that_leads_out_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "bad.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/passwd"))
    with pytest.raises(Exception, match="outside"):
        _weights_upload.files(str(archive), [], [])


@pytest.mark.parametrize(
    ("kind", "place", "below"),
    [
        ("huggingface", "acme/tiny", "huggingface/acme/tiny"),
        ("git", "https://host/a/b.git", "git/host/a/b.git"),
        ("manifest", "https://host/a/SHA256SUMS", "manifest/host/a"),
    ],
)
def test_copies_of_sources_in_a_mirror(tmp_path: Path, kind: str, place: str, below: str) -> None:
    assert _weights_upload.copy_in(str(tmp_path), kind, place) is None
    (tmp_path / below).mkdir(parents=True)
    copy = _weights_upload.copy_in(str(tmp_path), kind, place)
    assert copy == str(tmp_path / below)
    assert _weights_upload.revision_of(copy) is None
    (tmp_path / below / ".ascend-fleet-model.json").write_text('{"resolved": "abc"}')
    assert _weights_upload.revision_of(copy) == "abc"


def test_what_is_neither_directory_nor_archive(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(AnsibleActionFail, match="neither a directory nor a tar"):
        _weights_upload.files(str(tmp_path / "x"), [], [])
