# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of weights: what each lists, and what each of its refusals means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _weights_sources as sources
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Limits, Staging, Transfer
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access, Client
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Wish
from tests.doubles.hub_server import COMMIT, Faults, HubServer
from tests.doubles.lfs_server import LfsServer

REPO = "acme/tiny"
FILES = {
    "model-00001.safetensors": bytes(range(256)) * 40,
    "model-00002.safetensors": b"\1" * 5000,
    "config.json": b"{}",
    "original/weights.pth": b"\2" * 3000,
    ".gitattributes": b"* text",
    "empty.txt": b"",
}
WANTED = {name: body for name, body in FILES.items() if not name.startswith((".git", "original/"))}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({REPO: dict(FILES)}) as server:
        server.endpoints = {"huggingface": server.url, "modelscope": server.url}  # type: ignore[attr-defined]
        yield server


def bring(hub: Any, folder: Path, wish: Wish, token: str | None = None) -> sources.Listing:
    """List, fetch and leave the files in ``folder``/tree."""
    client = Client(Access(timeout=5))
    place = sources.place(wish, str(folder), token, getattr(hub, "endpoints", None))
    listing = sources.listing(place, client, wish.include, wish.exclude)
    transfer = Transfer(Staging(str(folder)), client, Limits(attempts=2, backoff=0.01), explain=sources.explain(place))
    transfer.run(listing.items)
    return listing


def tree(folder: Path) -> dict[str, bytes]:
    top = folder / "tree"
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("source", "revision"),
    [
        (f"huggingface:{REPO}", COMMIT),
        (f"hf:{REPO}", COMMIT),
        (f"https://huggingface.co/{REPO}", COMMIT),
        (f"modelscope:{REPO}", "master"),
        (f"https://modelscope.cn/models/{REPO}", "master"),
    ],
)
def test_hubs(hub: HubServer, tmp_path: Path, source: str, revision: str | None) -> None:
    listing = bring(hub, tmp_path, Wish(source, exclude=("original/*",)))
    assert tree(tmp_path) == WANTED
    assert listing.revision == revision


def test_a_long_list_comes_in_pages(tmp_path: Path) -> None:
    files = {f"part-{number:03}.bin": b"%d" % number for number in range(120)}
    with HubServer({REPO: dict(files)}) as hub:
        place = sources.place(Wish(f"huggingface:{REPO}"), str(tmp_path), None, {"huggingface": hub.url})
        listing = sources.listing(place, Client())
    assert {item.path for item in listing.items} == set(files)


def test_small_files_of_hugging_face_are_held_against_their_git_digest(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.wrong = {"config.json"}
    with pytest.raises(FleetError, match="git digest"):
        bring(hub, tmp_path, Wish(f"huggingface:{REPO}"))


@pytest.mark.parametrize("form", ["sha256sum", "json"])
def test_a_manifest_over_http(tmp_path: Path, form: str) -> None:
    digests = {path: hashlib.sha256(body).hexdigest() for path, body in WANTED.items()}
    if form == "json":
        rows = [{"path": path, "size": len(WANTED[path]), "sha256": value} for path, value in digests.items()]
        manifest = json.dumps({"revision": "7", "files": rows}).encode()
    else:
        manifest = "".join(f"{value}  ./{path}\n" for path, value in digests.items()).encode()
    with HubServer({REPO: {**WANTED, "list": manifest}}) as hub:
        wish = Wish(hub.plain(REPO, "list"))
        listing = bring(hub, tmp_path / "ok", wish)
        assert tree(tmp_path / "ok") == WANTED
        assert listing.revision == ("7" if form == "json" else None)
        hub.faults.wrong = {"config.json"}
        with pytest.raises(FleetError, match=r"config\.json .* has the sha256"):
            bring(hub, tmp_path / "bad", wish)


@pytest.mark.parametrize(
    ("url", "with_login"),
    [
        (None, True),
        ("sub/config.json", True),
        ("{hub}/elsewhere/config.json", True),
        ("//other.example/config.json", False),
        ("https://other.example/config.json", False),
        ("http://127.0.0.1:1/config.json", False),
    ],
)
def test_a_manifest_sends_its_login_to_its_own_server_only(tmp_path: Path, url: str | None, with_login: bool) -> None:
    row = {"path": "config.json", "sha256": "0" * 64}
    with HubServer({REPO: {}}) as hub:
        named = {**row, "url": url.format(hub=hub.url)} if url else row
        hub.repositories[REPO]["list"] = json.dumps({"files": [named]}).encode()
        place = sources.place(Wish(hub.plain(REPO, "list")), str(tmp_path), "SECRET")
        (item,) = sources.listing(place, Client(Access(timeout=5))).items
    assert dict(item.headers) == ({"Authorization": "Bearer SECRET"} if with_login else {})


def test_git_with_large_files(tmp_path: Path) -> None:
    large = {name: body for name, body in WANTED.items() if name.endswith(".safetensors")}
    small = {name: body for name, body in WANTED.items() if name not in large}
    with LfsServer(tmp_path / "srv") as server:
        commit = server.create("tiny.git", small, large, tag="v1")
        wish = Wish(f"git+{server.url('tiny.git')}", "v1")
        listing = bring(None, tmp_path / "ok", wish)
        assert tree(tmp_path / "ok") == WANTED
        assert listing.revision == commit
        server.cut_after = 1000
        bring(None, tmp_path / "cut", wish)
        assert tree(tmp_path / "cut") == WANTED
        server.spoilt = {hashlib.sha256(large["model-00002.safetensors"]).hexdigest()}
        with pytest.raises(FleetError, match="model-00002"):
            bring(None, tmp_path / "bad", wish)
        with pytest.raises(FleetError, match="v9"):
            bring(None, tmp_path / "none", Wish(wish.source, "v9"))


@pytest.mark.parametrize("left", ["shallow.lock", "index.lock", "HEAD.lock", "HEAD"])
def test_what_a_killed_git_leaves_does_not_stop_the_next(tmp_path: Path, left: str) -> None:
    with LfsServer(tmp_path / "srv") as server:
        server.create("tiny.git", {"config.json": b"{}"}, {"a.safetensors": b"x" * 2000})
        scratch = tmp_path / "ok" / "git" / ".git"
        scratch.mkdir(parents=True)
        (scratch / left).touch()
        bring(None, tmp_path / "ok", Wish(f"git+{server.url('tiny.git')}"))
        assert tree(tmp_path / "ok") == {"config.json": b"{}", "a.safetensors": b"x" * 2000}


def test_git_with_a_token(tmp_path: Path) -> None:
    with LfsServer(tmp_path / "srv", token="secret") as server:
        server.create("tiny.git", {"config.json": b"{}"}, {"a.safetensors": b"x" * 2000})
        wish = Wish(f"git+{server.url('tiny.git')}")
        bring(None, tmp_path / "ok", wish, "secret")
        assert set(tree(tmp_path / "ok")) == {"config.json", "a.safetensors"}
        with pytest.raises(FleetError, match="git cannot read"):
            bring(None, tmp_path / "no", wish)


def test_a_directory_of_the_node(tmp_path: Path) -> None:
    for path, body in {**WANTED, ".cache/huggingface/x.lock": b""}.items():
        target = tmp_path / "there" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
    bring(None, tmp_path / "here", Wish(f"node:{tmp_path}/there"))
    assert tree(tmp_path / "here") == WANTED
    with pytest.raises(FleetError, match="is not on the node"):
        bring(None, tmp_path / "none", Wish(f"node:{tmp_path}/nowhere"))


@pytest.mark.parametrize(
    ("source", "faults", "token", "check", "words"),
    [
        ("huggingface:acme/tiny", Faults(gated=True), None, "model-gated", "is gated, and no token was given"),
        ("huggingface:acme/tiny", Faults(gated=True), "t", "model-gated", "has not accepted its licence"),
        ("huggingface:acme/none", Faults(), None, "transfer-refused", "is private or does not exist"),
        ("huggingface:acme/tiny", Faults(token="s"), "wrong", "transfer-refused", "the token is not valid"),
        ("modelscope:acme/none", Faults(), None, "transfer-refused", "is private or does not exist"),
        ("modelscope:acme/tiny", Faults(token="s"), None, "transfer-refused", "is private or does not exist"),
    ],
)
def test_refusals_are_one_sentence_and_a_remedy(
    hub: HubServer, tmp_path: Path, source: str, faults: Faults, token: str | None, check: str, words: str
) -> None:
    hub.faults = faults
    with pytest.raises(FleetError) as caught:
        bring(hub, tmp_path, Wish(source), token)
    assert caught.value.finding["check"] == check
    assert words in str(caught.value)
    assert "token" not in (token or "") or token not in caught.value.told()


def test_a_revision_that_is_none(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="no revision v9"):
        bring(hub, tmp_path, Wish(f"huggingface:{REPO}", "v9"))


def test_patterns_that_leave_nothing(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="leave none"):
        bring(hub, tmp_path, Wish(f"huggingface:{REPO}", include=("*.gguf",)))


@pytest.mark.parametrize(
    ("path", "include", "exclude", "wanted"),
    [
        ("a.safetensors", [], [], True),
        ("sub/a.safetensors", ["*.safetensors"], [], True),
        ("a.bin", ["*.safetensors"], [], False),
        ("original/a.safetensors", ["*.safetensors"], ["original/*"], False),
        ("sub/.gitattributes", [], [], False),
        (".ascend-fleet-model.json", ["*.json"], [], False),
        (".ascend-fleet-data.json", [], [], False),
    ],
)
def test_patterns(path: str, include: list[str], exclude: list[str], wanted: bool) -> None:
    assert sources.selected(path, include, exclude) is wanted


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("https://host/dir/SHA256SUMS", "manifest"),
        ("git+https://host/a/b.git", "git"),
        ("controller:/srv/model.tar", "controller"),
        ("node:/mnt/model", "node"),
    ],
)
def test_forms_of_a_source(source: str, kind: str) -> None:
    assert sources.kind_and_place(source)[0] == kind


@pytest.mark.parametrize(
    "source", ["", "Qwen/Qwen2", "ftp://x/y", "huggingface:Qwen", "node:relative", "https://host/"]
)
def test_what_is_no_source(source: str) -> None:
    with pytest.raises(ValueError, match="is no source"):
        sources.kind_and_place(source)


def test_an_answer_that_is_no_list(tmp_path: Path) -> None:
    with HubServer({REPO: {"list": b"<html>log in</html>"}}) as hub:
        with pytest.raises(FleetError, match="cannot be understood"):
            bring(hub, tmp_path, Wish(hub.plain(REPO, "list")))
