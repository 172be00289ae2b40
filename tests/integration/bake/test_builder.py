# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container in which an image is baked, on this machine's real engine, seen through the engine's own command."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _bake_builder, _bake_records
from ansible_collections.ascend.fleet.plugins.module_utils._bake_builder import Builder
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.images import build_mini
from tests.integration.bake import pushed

pytestmark = pytest.mark.engine

LABELS = {"io.ascend.fleet-bake.kind": "page"}
BASES = {
    "command": (),
    "entrypoint": ('ENTRYPOINT ["/bin/cat"]',),
    "entrypoint alone": ('ENTRYPOINT ["/bin/cat"]', "CMD []"),
    "user, healthcheck, volume, port": (
        "USER ma-user",
        'HEALTHCHECK CMD ["true"]',
        "VOLUME /data",
        "EXPOSE 80",
        "LABEL of.base=kept",
    ),
}


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def images(reference: str) -> list[str]:
    return docker("images", "--quiet", reference).split()


class Bakery:
    """A builder of a name that is nobody else's."""

    def __init__(self, root: Path, registry: str = "") -> None:
        self.mark = uuid.uuid4().hex[:12]
        self.system = System(str(root))
        self.reader = EngineReader()
        self.reference = f"{registry}ascend-fleet-test/page:amd64-cpu-{self.mark}"
        self.builder = Builder(self.system, self.reader, f"run-{self.mark}", self.reference)

    def base(self, *changes: str) -> dict[str, Any]:
        tag = build_mini(f"ascend-fleet-test/bake-base:{self.mark}", changes=changes)
        return json.loads(docker("image", "inspect", tag))[0]

    def inside(self, command: str) -> str:
        return docker("exec", "--user", "root", self.builder.name, "sh", "-c", command)

    def volumes(self) -> list[str]:
        mounts = json.loads(docker("inspect", "--format", "{{json .Mounts}}", self.builder.name))
        return [mount["Name"] for mount in mounts if mount["Type"] == "volume"]

    def clean(self) -> None:
        self.builder.discard(image_too=True)
        subprocess.run(["docker", "rmi", f"ascend-fleet-test/bake-base:{self.mark}"], capture_output=True, check=False)


@pytest.fixture
def bakery(tmp_path: Path) -> Iterator[Bakery]:
    found = Bakery(tmp_path)
    yield found
    found.clean()


@pytest.mark.parametrize("changes", BASES.values(), ids=BASES)
def test_an_image_says_of_its_containers_what_its_base_says(bakery: Bakery, changes: tuple[str, ...]):
    base = bakery.base(*changes)
    bakery.builder.start(base, [])
    bakery.inside("echo new > /srv/new")
    bakery.builder.commit(base, LABELS)
    made = json.loads(docker("image", "inspect", bakery.reference))[0]["Config"]
    for key in _bake_builder.CONFIG:
        mine, theirs = made.get(key) or None, base["Config"].get(key) or None
        assert mine == ({**theirs, **LABELS} if key == "Labels" else theirs), key
    assert docker("run", "--rm", "--entrypoint", "/bin/cat", bakery.reference, "/srv/new") == "new"


def test_only_what_lies_below_the_root_gets_into_the_image(bakery: Bakery, tmp_path: Path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "part").write_text("from the node")
    base = bakery.base()
    bakery.builder.start(base, [{"source": str(folder), "target": "/tmp/package"}])
    assert bakery.inside("cat /tmp/package/part") == "from the node"
    refused = subprocess.run(
        ["docker", "exec", bakery.builder.name, "touch", "/tmp/package/x"], capture_output=True, check=False
    )
    assert refused.returncode != 0, "the node's folder is read-only"
    bakery.inside("echo kept > /srv/kept; echo secret > /dev/shm/secret; echo draft > /tmp/draft")
    bakery.builder.commit(base, {})
    saved = tmp_path / "saved.tar"
    docker("save", "--output", str(saved), bakery.reference)
    layers = []
    with tarfile.open(saved) as archive:
        for member in archive:
            if member.name.endswith("layer.tar") and member.isfile():
                with tarfile.open(fileobj=archive.extractfile(member)) as layer:
                    layers.append(set(layer.getnames()))
    (top,) = [names for names in layers if "srv/kept" in names]
    assert {name for name in top if name != "srv"} == {"srv/kept"}


def test_discarding_leaves_nothing_at_all(bakery: Bakery):
    base = bakery.base()
    bakery.builder.start(base, [])
    (volume,) = bakery.volumes()
    assert [row["container"] for row in _bake_records.records(bakery.system)] == [bakery.builder.name]
    bakery.builder.commit(base, LABELS)
    bakery.builder.save(None)
    bakery.builder.discard(image_too=True)
    assert bakery.builder.name not in docker("ps", "--all", "--format", "{{.Names}}")
    assert volume not in docker("volume", "ls", "--quiet")
    assert images(bakery.reference) == []
    assert _bake_records.records(bakery.system) == []
    assert list(Path(bakery.system.path(_bake_records.ARCHIVES)).iterdir()) == []
    bakery.builder.discard(image_too=True)


def test_an_archive_is_for_its_reader_only_and_holds_the_image_by_its_name(bakery: Bakery):
    base = bakery.base()
    bakery.builder.start(base, [])
    bakery.builder.commit(base, LABELS)
    path = Path(bakery.system.path(bakery.builder.save(os.getuid())))
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, os.getuid())
    before = images(bakery.reference)
    docker("rm", "--force", "--volumes", bakery.builder.name)
    docker("rmi", bakery.reference)
    assert bakery.reference in docker("load", "--input", str(path))
    assert images(bakery.reference) == before


def test_a_container_that_is_gone_cannot_be_committed(bakery: Bakery):
    base = bakery.base()
    bakery.builder.start(base, [])
    docker("rm", "--force", "--volumes", bakery.builder.name)
    with pytest.raises(FleetError, match="refused to commit"):
        bakery.builder.commit(base, LABELS)
    assert images(bakery.reference) == []


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Bakery, pushed.Pushed]]:
    with pushed.running("joe", "s3cret") as registry:
        found = Bakery(tmp_path, f"{registry.address}/")
        base = found.base()
        found.builder.start(base, [])
        found.builder.commit(base, LABELS)
        yield found, registry
        found.clean()


def test_an_image_is_pushed_with_the_login(shop: tuple[Bakery, pushed.Pushed]):
    bakery, registry = shop
    bakery.builder.push(Access(registry.address, login=("joe", "s3cret")), lambda _text: None)
    assert registry.manifests == {f"amd64-cpu-{bakery.mark}"}
    assert registry.blobs


@pytest.mark.parametrize("login", [None, ("joe", "wrong")])
def test_a_registry_that_refuses_the_login_is_told_without_it(
    shop: tuple[Bakery, pushed.Pushed], login: tuple[str, str] | None
):
    bakery, registry = shop
    with pytest.raises(FleetError) as caught:
        bakery.builder.push(Access(registry.address, login=login), lambda _text: None)
    assert caught.value.finding["check"] == "registry-login"
    assert "wrong" not in caught.value.told()
    assert registry.manifests == set()
