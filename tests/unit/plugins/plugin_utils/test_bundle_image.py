# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images out of a registry into archives, without an engine; the registry is a double with trouble on demand."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _transfer
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.plugin_utils import _bundle_image
from tests.doubles import token_registry
from tests.doubles.token_registry import Running, Trouble

LAYERS = [random.Random(seed).randbytes(200_000) for seed in range(3)]
ROOT = Path(__file__).resolve().parents[4]
LOGIN = {"ops": "secret"}


def sources(registry: Running, login: bool = False, mirror: str | None = None) -> Sources:
    rows = [{"address": registry.address(), "insecure": True, "mirror": mirror, "ca": None}]
    engine = {"daemon": {}, "proxy": None}
    logins = [{"address": registry.address(), "username": "ops", "password": "secret"}] if login else []
    return _bundle_image.sources_of({"artefacts": {"registries": rows}, "host": {"engine": engine}}, logins, ())


def fetch(folder: Path, registry: Running, name: str = "team/web:1", arch: str = "x86_64", **how: Any) -> Any:
    target = folder / "web.tar"
    text = f"{registry.address()}/{name}"
    given = sources(registry, **how)
    return _bundle_image.fetch(given, text, None, arch, target, folder / "work", lambda count: None)


def content(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {entry.name: opened.extractfile(entry).read() for entry in opened}  # type: ignore[union-attr]


def test_the_archive_is_what_engines_load(tmp_path):
    with token_registry.running() as registry:
        digest = registry.state.keep("team/web", "1", [*LAYERS, LAYERS[0]])
        held = fetch(tmp_path, registry)
        assert held.resolved == digest
        assert _bundle_image.current(sources(registry), f"{registry.address()}/team/web:1", None) == digest
        files = content(tmp_path / "web.tar")
        (row,) = json.loads(files["manifest.json"])
        assert row["RepoTags"] == [f"{registry.address()}/team/web:1"]
        assert [files[name] for name in row["Layers"]] == [*LAYERS, LAYERS[0]]
        assert held.id == "sha256:" + hashlib.sha256(files[row["Config"]]).hexdigest()
        assert [path.name for path in tmp_path.iterdir()] == ["web.tar"]


def test_the_same_image_gives_the_same_archive(tmp_path):
    with token_registry.running() as registry:
        registry.state.keep("team/web", "1", LAYERS)
        digests = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            fetch(tmp_path / name, registry)
            digests.append(hashlib.sha256((tmp_path / name / "web.tar").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_of_an_index_the_architecture_of_the_nodes_is_taken(tmp_path):
    with token_registry.running() as registry:
        state = registry.state
        manifests = {arch: state.keep("team/web", arch, [arch.encode()], arch) for arch in ("amd64", "arm64")}
        index = state.keep_index("team/web", "1", manifests)
        held = fetch(tmp_path, registry, arch="aarch64")
        assert held.resolved == index
        assert b"arm64" in content(tmp_path / "web.tar").values()


def test_an_image_for_other_machines_is_refused_by_name(tmp_path):
    with token_registry.running() as registry:
        registry.state.keep_index("team/web", "1", {"amd64": registry.state.keep("team/web", "a", LAYERS)})
        with pytest.raises(FleetError, match="is not made for aarch64, but for amd64"):
            fetch(tmp_path, registry, arch="aarch64")
    assert not (tmp_path / "web.tar").exists()


def test_a_login_is_used_and_a_missing_one_told(tmp_path):
    with token_registry.running(auth="bearer", logins=LOGIN) as registry:
        registry.state.keep("team/web", "1", LAYERS)
        with pytest.raises(FleetError, match="wants a login"):
            fetch(tmp_path, registry)
        fetch(tmp_path, registry, login=True)
    assert (tmp_path / "web.tar").exists()


def test_a_token_that_expires_between_layers_is_asked_for_anew(tmp_path, monkeypatch):
    one_by_one = functools.partial(_transfer.Transfer, limits=_transfer.Limits(parallel=1))
    monkeypatch.setattr(_bundle_image, "Transfer", one_by_one)
    with token_registry.running(auth="bearer", logins=LOGIN, token_seconds=0.5) as registry:
        registry.state.keep("team/web", "1", LAYERS)
        registry.state.trouble = Trouble(bytes_per_second=500_000)
        fetch(tmp_path, registry, login=True)
        assert len([one for one in registry.state.asked if one.path.startswith("/token")]) > 1
    assert len(content(tmp_path / "web.tar")) == len(LAYERS) + 2


def test_a_cut_connection_is_taken_up_again(tmp_path):
    with token_registry.running() as registry:
        registry.state.keep("team/web", "1", LAYERS)
        registry.state.trouble = Trouble(cut_after=100_000, cuts=2)
        fetch(tmp_path, registry)
    assert len(content(tmp_path / "web.tar")) == len(LAYERS) + 2


def test_a_killed_run_keeps_the_layers_that_have_arrived(tmp_path):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.unit.plugins.plugin_utils import test_bundle_image as t\n"
        "from tests.doubles.token_registry import Running\n"
        "t.fetch(Path(sys.argv[1]), Running(None, int(sys.argv[2])))\n"
    )
    with token_registry.running() as registry:
        registry.state.keep("team/web", "1", [*LAYERS, bytes(50)])
        registry.state.trouble = Trouble(bytes_per_second=300_000)
        argv = [sys.executable, "-c", script, str(tmp_path), str(registry.port)]
        with subprocess.Popen(
            argv, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        ) as process:
            deadline = time.monotonic() + 30
            journal = tmp_path / "work" / "journal"
            while not (journal.exists() and len(journal.read_text().splitlines()) > 1):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
        assert not (tmp_path / "web.tar").exists()
        registry.state.trouble = Trouble()
        registry.state.asked.clear()
        fetch(tmp_path, registry)
        blobs = {one.path for one in registry.state.asked if "/blobs/" in one.path}
        # The configuration is read to know the architecture; of the small blobs that were there nothing else is asked.
        assert len(blobs) < len(LAYERS) + 2
    assert len(content(tmp_path / "web.tar")) == len(LAYERS) + 3


def test_wrong_content_is_never_in_an_archive(tmp_path):
    with token_registry.running() as registry:
        registry.state.keep("team/web", "1", LAYERS)
        registry.state.trouble = Trouble(wrong_content=1000)
        with pytest.raises(FleetError, match="has the sha256"):
            fetch(tmp_path, registry)
    assert not (tmp_path / "web.tar").exists()


def test_a_mirror_is_asked_first(tmp_path):
    with token_registry.running() as origin, token_registry.running(prefix="mirrored") as mirror:
        origin.state.keep("team/web", "1", LAYERS)
        mirror.state.keep("team/web", "1", LAYERS)
        fetch(tmp_path, origin, mirror=f"{mirror.address()}/mirrored")
        assert not [one for one in origin.state.asked if "/blobs/" in one.path]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("reg:5000/a/b:1", "reg:5000/a/b:1"),
        ("reg:5000/a/b", "reg:5000/a/b:latest"),
        ("reg:5000/a/b:1@sha256:" + 64 * "0", "reg:5000/a/b:1"),
        ("reg:5000/a/b@sha256:" + 64 * "0", None),
    ],
)
def test_the_name_in_the_archive_is_that_of_the_entry(text, tag):
    assert _bundle_image._tag(text) == tag
