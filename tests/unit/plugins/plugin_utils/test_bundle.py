# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bundle holds, what stands in for what, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access
from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _bundle,
    _bundle_data,
    _bundle_files,
    _bundle_index,
    _bundle_make,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle import Bundle, BundleError
from tests.doubles.hub_server import HubServer

SHA = 64 * "a"
INPUTS = {
    "version": "v0.3.7",
    "source": {"git": "https://git.example/comfy.git", "archive": None},
    "workflows": [
        {"name": "far", "url": "https://x.example/far.json", "path": None, "sha256": SHA},
        {"name": "near", "url": None, "path": "/srv/near.json", "sha256": SHA},
    ],
    "pip": {"index_url": None, "wheels": {"path": "/srv/wheels", "sha256": SHA}},
}
MODEL = {"path": "/m/x", "revision": None, "include": [], "exclude": ["*.md"], "token_file": None, "services": ["a"]}


def document(**artefacts: Any) -> dict[str, Any]:
    return {"artefacts": {"images": [], "models": [], **artefacts}, "bakes": []}


def image(reference: str = "reg:5000/web:1", digest: str | None = None, archive: Any = None) -> dict[str, Any]:
    return {"reference": reference, "digest": digest, "archive": archive, "services": ["a"]}


# What is needed


def test_needs_are_what_nodes_would_fetch():
    models = [
        {**MODEL, "source": "huggingface:acme/tiny"},
        {**MODEL, "source": "node:/srv/tiny"},
        {**MODEL, "source": "controller:/srv/tiny"},
        {**MODEL, "source": None},
    ]
    images = [
        image(),
        image(archive={"path": "/srv/web.tar", "on": "controller"}),
        image(archive={"path": "/srv/web.tar", "on": "node"}),
    ]
    found = list(_bundle.needs({**document(models=models, images=images), "bakes": [{"inputs": INPUTS}]}, "aarch64"))
    assert [(need["kind"], need.get("reference") or need.get("source") or need["url"]) for need in found] == [
        ("image", "reg:5000/web:1"),
        ("local", "/srv/web.tar"),
        ("model", "huggingface:acme/tiny"),
        ("local", "/srv/tiny"),
        ("git", "https://git.example/comfy.git"),
        ("file", "https://x.example/far.json"),
        ("local", "/srv/near.json"),
        ("local", "/srv/wheels"),
    ]


@pytest.mark.parametrize(
    ("need", "place"),
    [
        (
            {"kind": "image", "reference": "reg:5000/a/web:1", "digest": None, "arch": "aarch64"},
            "images/web_1-aarch64-",
        ),
        ({"kind": "model", "source": "huggingface:acme/tiny", "revision": "x"}, "models/tiny-"),
        ({"kind": "git", "url": "https://git.example/comfy.git", "version": "v1"}, "git/comfy-"),
        ({"kind": "file", "url": "https://x.example/a/far.json?x=1", "sha256": SHA}, "files/"),
    ],
)
def test_a_place_tells_people_what_it_is(need, place):
    assert _bundle.place(need).startswith(place)
    assert _bundle.place(need) != _bundle.place(
        {**need, "arch": "x86_64", "version": "v2", "sha256": "b", "revision": "y"}
    )


# What stands in for it


def bundle(*needs: dict[str, Any], wrong: str | None = None) -> Bundle:
    rows = [
        {"kind": n["kind"], "need": n, "path": _bundle.place(n), "id": "sha256:" + SHA, "sha256": SHA} for n in needs
    ]
    return Bundle("/b", {"artefacts": rows, "files": []}, lambda *_: wrong)


def test_an_image_becomes_its_archive_with_its_own_id():
    need = {"kind": "image", "reference": "reg:5000/web:1", "digest": None, "arch": "aarch64"}
    held = bundle(need)
    (row,) = held.images([image()], "aarch64")
    assert row["archive"] == {"path": f"/b/{_bundle.place(need)}", "on": "controller"}
    assert row["digest"] == "sha256:" + SHA
    assert held.taken() == []
    held.images([image()], "x86_64")
    assert held.taken() == ["does not hold image reg:5000/web:1 for x86_64"]
    assert held.taken() == []


def test_a_model_becomes_a_directory_of_the_controller_without_patterns():
    row = {**MODEL, "source": "huggingface:acme/tiny", "token_file": "/secret"}
    held = bundle(_bundle.model_identity(row))
    (found,) = held.models([row])
    assert found["source"] == f"controller:/b/{_bundle.place(_bundle.model_identity(row))}"
    assert (found["exclude"], found["token_file"], found["path"]) == ([], None, "/m/x")
    local = {**MODEL, "source": "controller:/srv/x"}
    assert held.models([local]) == [local]
    held.models([{**row, "revision": "other"}])
    assert held.taken() == ["does not hold model huggingface:acme/tiny at other"]


def test_what_a_kind_installs_comes_from_the_bundle_too():
    git = {"kind": "git", "url": "https://git.example/comfy.git", "version": "v0.3.7"}
    far = {"kind": "file", "url": "https://x.example/far.json", "sha256": SHA}
    found = bundle(git, far).inputs(INPUTS)
    archive = {"path": f"/b/{_bundle.place(git)}", "url": None, "sha256": SHA}
    assert found["source"] == {"git": None, "url": None, "archive": archive}
    assert found["workflows"][0]["path"] == f"/b/{_bundle.place(far)}"
    assert found["workflows"][0]["url"] is None
    assert found["workflows"][1] == INPUTS["workflows"][1]
    assert found["pip"] == INPUTS["pip"]


@pytest.mark.parametrize(
    ("source", "need"),
    [
        (
            {"commit": "d55f", "git": "https://git.example/diffusers", "archive": None, "url": None},
            {"kind": "git", "url": "https://git.example/diffusers", "version": "d55f"},
        ),
        (
            {
                "commit": "d55f",
                "git": None,
                "archive": None,
                "url": {"url": "https://x.example/d.tar.gz", "sha256": SHA},
            },
            {"kind": "file", "url": "https://x.example/d.tar.gz", "sha256": SHA},
        ),
    ],
)
def test_a_tree_of_any_kind_becomes_an_archive(source, need):
    inputs = {"diffusers": source}
    assert list(_bundle.needs({**document(), "bakes": [{"inputs": inputs}]}, "aarch64")) == [need]
    found = bundle(need).inputs(inputs)["diffusers"]
    assert found["archive"]["path"] == f"/b/{_bundle.place(need)}"
    assert (found["git"], found["url"], found["commit"]) == (None, None, "d55f")


HOST: dict[str, Any] = {
    "engine": {"package_dir": None, "manage": True},
    "sdk": {"manage": True, "folder": "/f"},
    "mounts": [],
}


def test_the_sdk_of_nodes_comes_from_the_bundle():
    held = Bundle(
        "/b", {"artefacts": [{"kind": "wheels", "need": None, "path": "wheels/sdk"}], "files": []}, lambda *_: None
    )
    assert held.host(HOST)["sdk"]["wheels"] == "/b/wheels/sdk"
    unmanaged = {**HOST, "sdk": {"manage": False, "folder": "/f"}}
    assert held.host(unmanaged) == unmanaged


def test_nodes_without_an_engine_install_the_bundles_packages():
    files = [
        {"path": "packages/debs/a.deb", "size": 1, "sha256": SHA},
        {"path": "images/x.tar", "size": 1, "sha256": SHA},
    ]
    rows = [{"kind": "packages", "need": None, "path": "packages/debs"}]
    held = Bundle("/b", {"artefacts": rows, "files": files}, lambda *_: None)
    engine = held.host(HOST)["engine"]
    assert engine["package_dir"] == "/var/lib/ascend-fleet/packages"
    assert engine["packages"] == {"source": "/b/packages/debs", "files": ["a.deb"]}
    own = {**HOST, "engine": {"package_dir": "/srv/own"}}
    assert held.host(own) == own
    damaged = Bundle("/b", {"artefacts": rows, "files": files}, lambda *_: "a.deb is missing")
    damaged.host(HOST)
    assert damaged.taken() == ["has no usable packages of the engine: a.deb is missing"]


def test_a_damaged_artefact_is_as_good_as_none():
    need = {"kind": "image", "reference": "reg:5000/web:1", "digest": None, "arch": "aarch64"}
    held = bundle(need, wrong="x.tar is missing")
    held.images([image()], "aarch64")
    assert held.taken() == ["has no usable image reg:5000/web:1 for aarch64: x.tar is missing"]


# On disk


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "bundle"
    (root / "files").mkdir(parents=True)
    (root / "files/x").write_bytes(b"content")
    files = _bundle_files.listing(root, ["files/x"], {})
    manifest = {"schema": 1, "hosts": ["n1"], "artefacts": [], "files": files}
    assert _bundle_files.write(root, manifest, "index") is True
    assert _bundle_files.write(root, manifest, "index") is False
    return root


def check(root: Path) -> str | None:
    return _bundle_files.Checker(root).problem("files", (_bundle_files.read(root) or {})["files"])


def test_files_are_read_once_and_again_when_they_changed(made, monkeypatch):
    assert check(made) is None
    read: list[str] = []
    real = _bundle_files._hashing.sha256_of_all
    monkeypatch.setattr(_bundle_files._hashing, "sha256_of_all", lambda paths: read.extend(paths) or real(paths))
    assert check(made) is None
    assert read == []
    (made / "files/x").write_bytes(b"CONTENT")
    os.utime(made / "files/x", ns=(1, 1))
    assert "has the sha256" in str(check(made))
    (made / "files/x").write_bytes(b"longer content")
    assert "has 14 bytes instead of 7" in str(check(made))
    (made / "files/x").unlink()
    assert "is missing" in str(check(made))


def test_an_artefact_without_any_file_is_refused(made):
    assert _bundle_files.Checker(made).problem("files", []) == "the manifest lists no file of it"


@pytest.fixture
def key(tmp_path, monkeypatch):
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    for user in ("ops@example.com", "other@example.com"):
        subprocess.run(["gpg", "--batch", "--passphrase", "", "--quick-gen-key", user], check=True, capture_output=True)
        exported = subprocess.run(["gpg", "--armor", "--export", user], check=True, capture_output=True).stdout
        (tmp_path / user).write_bytes(exported)
    yield lambda user: str(tmp_path / user)
    subprocess.run(["gpgconf", "--kill", "all"], check=True)


def test_only_a_valid_signature_of_the_right_key_opens_a_bundle(made, key):
    with pytest.raises(BundleError, match="is not signed"):
        _bundle_files.open_bundle(str(made), True, None)
    assert _bundle_files.open_bundle(str(made), False, None).root == str(made)
    _bundle_files.sign(made, "ops@example.com")
    assert _bundle_files.open_bundle(str(made), True, None)
    assert _bundle_files.open_bundle(str(made), True, key("ops@example.com"))
    with pytest.raises(BundleError, match="gpg refuses"):
        _bundle_files.open_bundle(str(made), True, key("other@example.com"))
    manifest = made / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"n1"', '"n2"'))
    with pytest.raises(BundleError, match="BAD signature"):
        _bundle_files.open_bundle(str(made), True, None)


def test_a_new_manifest_takes_the_old_signature_away(made, key):
    _bundle_files.sign(made, "ops@example.com")
    _bundle_files.write(made, {**(_bundle_files.read(made) or {}), "hosts": ["n1", "n2"]}, "index")
    assert not (made / "manifest.json.asc").exists()


@pytest.mark.parametrize("text", [None, "[]", "{", '{"schema": 99}'])
def test_a_directory_that_is_no_bundle_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"holds no manifest.json"):
        _bundle_files.open_bundle(str(tmp_path), False, None)
    with pytest.raises(BundleError, match="no directory"):
        _bundle_files.open_bundle(str(tmp_path / "none"), False, None)


def test_two_runs_do_not_fill_one_bundle(tmp_path):
    with _bundle_files.alone(tmp_path / "bundle"), pytest.raises(BundleError, match="another run is filling"):
        with _bundle_files.alone(tmp_path / "bundle"):
            pass
    with _bundle_files.alone(tmp_path / "bundle"):
        pass


@pytest.mark.parametrize("added", ["files/evil.py", "files/sub/.evil", "files/link"])
def test_a_file_that_the_manifest_does_not_list_is_refused(made, added):
    (made / "elsewhere").write_text("x")
    (made / added).parent.mkdir(exist_ok=True)
    (made / added).symlink_to(made / "elsewhere")
    assert check(made) == f"the manifest does not list {added}"


# Making


def maker(root: Path, hub: HubServer | None = None, before: Any = None) -> _bundle_make.Maker:
    endpoints = {"huggingface": hub.url} if hub else {}
    around = _bundle_make.Surroundings(Access(timeout=5), endpoints, lambda path: "token", lambda text: None)
    return _bundle_make.Maker(root, before, around)


def test_a_model_and_a_file_come_once(tmp_path):
    content = {"config.json": b"{}", "a.safetensors": bytes(200_000), "README.md": b"x"}
    with HubServer({"acme/tiny": content}) as hub:
        model = {**_bundle.model_identity({**MODEL, "source": "huggingface:acme/tiny"})}
        url = hub.plain("acme/tiny", "config.json")
        file = {"kind": "file", "url": url, "sha256": hashlib.sha256(b"{}").hexdigest()}
        rows = [maker(tmp_path, hub).bring(need) for need in (model, file)]
        folder = tmp_path / rows[0]["path"]
        assert sorted(one.name for one in folder.iterdir() if one.name[0] != ".") == ["a.safetensors", "config.json"]
        assert (tmp_path / rows[1]["path"]).read_bytes() == b"{}"
        sent = hub.bytes_sent
        second = maker(tmp_path, hub, {"artefacts": rows})
        assert [second.bring(need) for need in (model, file)] == rows
        assert (hub.bytes_sent, second.received) == (sent, 0)


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        argv = ["git", "-C", str(folder), *identity, *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    folder.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    (folder / "main.py").write_text("print(1)\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "One")
    git("tag", "-a", "-m", "one", "v1")
    return folder, git


def test_a_git_tree_is_archived_at_its_version_and_asked_for_no_more_than_needed(tmp_path, repository):
    folder, git = repository
    need = {"kind": "git", "url": f"file://{folder}", "version": "v1"}
    row = maker(tmp_path).bring(need)
    assert row["commit"] == git("rev-parse", "HEAD")
    listed = subprocess.run(["tar", "-tzf", tmp_path / row["path"]], check=True, capture_output=True, text=True).stdout
    assert "repository/main.py" in listed.split()
    second = maker(tmp_path, before={"artefacts": [{**row, "sha256": SHA}]})
    assert second.bring(need)["sha256"] == SHA
    assert second.received == 0
    with pytest.raises(Exception, match="has no v9"):
        maker(tmp_path).bring({**need, "version": "v9"})


@pytest.mark.parametrize(
    ("version", "subject"),
    [
        (None, "One"),
        ("main", "One"),
        ("refs/heads/main", "One"),
        ("heads/main", "One"),
        ("v1", "One"),
        ("refs/tags/v1", "One"),
        ("tags/zz/v1", "Two"),
        ("user/main", "Two"),
        ("zz/v1", "Two"),
    ],
)
def test_a_version_is_never_the_end_of_another_name(tmp_path, repository, version, subject):
    folder, git = repository
    git("checkout", "--quiet", "-b", "user/main")
    git("commit", "--quiet", "--allow-empty", "-m", "Two")
    git("tag", "zz/v1")
    git("checkout", "--quiet", "main")
    row = maker(tmp_path).bring({"kind": "git", "url": f"file://{folder}", "version": version})
    assert git("show", "--no-patch", "--format=%s", row["commit"]) == subject


def test_extra_files_are_linked_and_what_is_not_wanted_goes(tmp_path):
    source = tmp_path / "packages"
    source.mkdir()
    (source / "a.deb").write_bytes(b"deb")
    root = tmp_path / "bundle"
    (root / "images").mkdir(parents=True)
    (root / "images/old.tar").write_bytes(b"x")
    making = maker(root)
    row = making.extra(source)
    making.prune([row])
    assert (root / "extra/packages/a.deb").samefile(source / "a.deb")
    assert not (root / "images/old.tar").exists()


def test_a_collection_is_an_archive_for_a_path_of_collections(tmp_path):
    installed = tmp_path / "installed"
    (installed / "plugins/__pycache__").mkdir(parents=True)
    (installed / "plugins/__pycache__/x.pyc").write_bytes(b"x")
    (installed / "MANIFEST.json").write_text("{}")
    row = maker(tmp_path / "bundle").collection("acme.tools", installed)
    listed = subprocess.run(
        ["tar", "-tzf", tmp_path / "bundle" / row["path"]], check=True, capture_output=True, text=True
    )
    home = "ansible_collections/acme/tools"
    assert listed.stdout.split() == [f"{home}/MANIFEST.json", f"{home}/plugins/"]


def test_another_release_of_a_collection_takes_the_place_of_the_former(tmp_path):
    installed, root = tmp_path / "installed", tmp_path / "bundle"
    installed.mkdir()

    def taken(version: str) -> bytes:
        (installed / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": version}}))
        return (root / maker(root).collection("acme.tools", installed)["path"]).read_bytes()

    first = taken("1.0.0")
    os.utime(root / "collections/acme.tools.tar.gz", ns=(1, 1))
    taken("1.0.0")
    assert (root / "collections/acme.tools.tar.gz").stat().st_mtime_ns == 1
    assert taken("1.1.0") != first


ITEM = {"path": "/srv/data", "format": "alpaca"}
FILE = {"path": "a.json", "url": "https://x.example/a.json", "sha256": SHA}
NEAR = {"path": "b.json", "url": "/mnt/b.json"}
ARCHIVE = {"url": "https://x.example/set.zip?download=1", "folder": "set"}


@pytest.mark.parametrize(
    ("item", "need", "stands"),
    [
        ({"files": [FILE]}, {"kind": "data", "files": [FILE]}, {}),
        (
            {"archive": ARCHIVE},
            {"kind": "data", "files": [{"path": "set.zip", "url": ARCHIVE["url"], "sha256": None}]},
            {"archive": {**ARCHIVE, "url": "/srv/data.source/set.zip"}},
        ),
        (
            {"source": "huggingface:acme/data"},
            {"kind": "model", "source": "huggingface:acme/data", "revision": None, "include": [], "exclude": []},
            {},
        ),
        ({"files": [FILE, NEAR]}, {"kind": "data", "files": [FILE]}, {"files": [NEAR]}),
        (
            {"source": "huggingface:acme/data", "files": [NEAR]},
            {"kind": "model", "source": "huggingface:acme/data", "revision": None, "include": [], "exclude": []},
            {"files": [NEAR]},
        ),
        ({"files": [NEAR]}, None, None),
        ({"directory": "/mnt/data"}, None, None),
        ({"source": "controller:/srv/data"}, {"kind": "local", "source": "/srv/data"}, None),
        ({"source": "node:/srv/data"}, None, None),
    ],
)
def test_data_come_out_of_the_bundle(item, need, stands):
    whole = {**ITEM, **item}
    assert list(_bundle_data.needs([whole])) == ([need] if need else [])
    held = bundle(*([need] if need and need["kind"] != "local" else []))
    (found,) = _bundle_data.resolved([whole], held)
    expected = whole if stands is None else {**ITEM, "source": f"controller:/b/{_bundle.place(need)}", **stands}
    assert found == expected
    assert held.taken() == []


def test_data_are_gathered_with_their_token_which_no_node_needs_then():
    items = [{**ITEM, "source": "huggingface:acme/open"}, {**ITEM, "source": "hf:acme/data", "token_file": "/secret"}]
    needs = list(_bundle_data.needs(items))
    assert [_bundle_data.token_file(items, need) for need in needs] == [None, "/secret"]
    found = _bundle_data.resolved(items, bundle(*needs))
    assert [sorted(item) for item in found] == [["format", "path", "source"]] * 2


def test_each_place_in_the_settings_begins_at_the_same_folder():
    settings = {
        "fleet_bundle_dir": "bundle",
        "fleet_bundle_packages": "../packages",
        "fleet_bundle_wheels": None,
        "fleet_bundle_extra": ["a", "/b"],
        "fleet_bundle_requirements": ["more"],
    }
    assert _bundle.placed(settings, Path("/inventory").joinpath) == {
        **settings,
        "fleet_bundle_dir": Path("/inventory/bundle"),
        "fleet_bundle_packages": Path("/inventory/../packages"),
        "fleet_bundle_extra": [Path("/inventory/a"), Path("/b")],
    }
    assert _bundle.placed({"fleet_bundle_wheels": "wheels"}, Path("/i").joinpath) == {
        "fleet_bundle_wheels": Path("/i/wheels")
    }


def test_data_that_the_bundle_has_not_are_told():
    held = bundle()
    _bundle_data.resolved([{**ITEM, "files": [FILE, FILE]}], held)
    assert held.taken() == ["does not hold data https://x.example/a.json and 1 more"]


def test_the_index_says_what_is_in_it_what_is_not_and_how_to_go_on():
    need = {"kind": "image", "reference": "reg:5000/web:1", "digest": None, "arch": "aarch64"}
    path = _bundle.place(need)
    row = {"kind": "image", "need": need, "path": path}
    files = [{"path": path, "size": 3_000_000, "sha256": SHA}]
    page = _bundle_index.render(
        {"hosts": ["n1"], "artefacts": [row], "files": files},
        {"local": ["/srv/near.json"], "node": ["/srv/Ascend*.zip"]},
    )
    assert "fleet_bundle_packages" in page
    for text in (
        "image reg:5000/web:1 for aarch64",
        f"`{path}`",
        "3 MB",
        "/srv/near.json",
        "/srv/Ascend*.zip",
        "cosign sign-blob",
    ):
        assert text in page


# In the compiler


def test_compile_takes_every_source_out_of_the_bundle(compile_inventory, web, tmp_path):
    need = {"kind": "image", "reference": "reg:5000/web:1", "digest": None, "arch": "aarch64"}
    target = tmp_path / "bundle" / _bundle.place(need)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"archive")
    row = {
        "kind": "image",
        "need": need,
        "path": _bundle.place(need),
        "id": "sha256:" + SHA,
        "resolved": "sha256:" + SHA,
    }
    files = _bundle_files.listing(tmp_path / "bundle", [row["path"]], {})
    (tmp_path / "bundle/manifest.json").write_text(json.dumps({"schema": 1, "artefacts": [row], "files": files}))
    given = {"fleet_bundle": "bundle", "fleet_bundle_signed": False}
    (found,) = compile_inventory.document({"fleet_services": [web()], **given})["artefacts"]["images"]
    assert (found["archive"]["path"], found["digest"]) == (str(target), "sha256:" + SHA)
    lacking = compile_inventory(
        {"n1": {"fleet_services": [web(), web(name="b2", port=1, image="reg:5000/b:1")], **given}}
    )
    assert [(error["key"], error["message"]) for error in lacking.errors] == [
        ("fleet_bundle", "does not hold image reg:5000/b:1 for aarch64")
    ]
    assert lacking.documents == {}
    signed = compile_inventory({"n1": {"fleet_services": [web()], "fleet_bundle": "bundle"}})
    assert "is not signed" in signed.errors[0]["message"]
