# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the simulated fleet gets what it is made from: an engine, a base image, torch for CPU."""

from __future__ import annotations

import functools
import http.server
import os
import socket
import stat
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images import build_mini
from tests.simfleet import artefacts, builder, engine, images, machine
from tests.simfleet.errors import SimError

NOBODY = 65534
SOCKET = Path("/var/run/docker.sock")

pytestmark = pytest.mark.engine


def as_nobody(groups: list[int], function: Callable[[], Any]) -> str:
    """What came of it in a child that is no root. Whatever it imports must have been imported before."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = f"ok {function()}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not SOCKET.exists(), reason="the engine of this machine listens elsewhere")
def test_an_ordinary_user_needs_a_usable_engine_and_no_more(docker_client: Any) -> None:
    engine.ensure_engine().ping()
    allowed = as_nobody([SOCKET.stat().st_gid], lambda: engine.ensure_engine().ping())
    assert allowed == "ok True"
    assert not SOCKET.stat().st_mode & stat.S_IRWXO
    refused = as_nobody([], engine.ensure_engine)
    assert refused.startswith("SimError: No Docker Engine answers")
    assert "add yourself to the group docker" in refused


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def registry(docker_client: Any) -> Iterator[str]:
    """An image registry on the machine's loopback, which an engine trusts without TLS."""
    port = free_port()
    settings = "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/docker-registry}}\n"
    settings += f"http: {{addr: '127.0.0.1:{port}'}}\n"
    container = docker_client.containers.create(
        images.ensure(docker_client, "services"),
        ["docker-registry", "serve", "/registry.yml"],
        name=f"asim-sources-{uuid.uuid4().hex[:8]}",
        network_mode="host",
    )
    try:
        container.put_archive("/", builder.pack({"/registry.yml": (0o644, settings.encode())}))
        container.start()
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline, container.logs().decode()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        container.remove(force=True, v=True)


def test_a_base_image_is_pulled_where_one_can_be(
    docker_client: Any, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = f"{registry}/base:1"
    subprocess.run(["docker", "tag", build_mini(), offered], check=True)
    try:
        subprocess.run(["docker", "push", "--quiet", offered], check=True, capture_output=True)
        subprocess.run(["docker", "rmi", offered], check=True, capture_output=True)
        monkeypatch.setenv("ASCEND_FLEET_CACHE", str(tmp_path))
        monkeypatch.setattr(images, "_PULLED_BASE", offered)
        monkeypatch.setattr(images, "_bootstrap", lambda _partial: pytest.fail("it was built all the same"))
        made = images.ensure(docker_client, "base")
        assert docker_client.images.get(made).id == docker_client.images.get(build_mini()).id
        assert not images.tar_path("base").exists()
    finally:
        images.forget(docker_client)
        subprocess.run(["docker", "rmi", offered], check=False, capture_output=True)


def test_what_cannot_be_pulled_is_built_from_packages(
    docker_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bootstrap(partial: Path) -> None:
        partial.write_bytes(builder.pack({"/etc/os-release": (0o644, b"ID=built\n")}))

    monkeypatch.setenv("ASCEND_FLEET_CACHE", str(tmp_path))
    monkeypatch.setattr(images, "_PULLED_BASE", f"127.0.0.1:{free_port()}/base:1")
    monkeypatch.setattr(images, "_bootstrap", bootstrap)
    try:
        assert docker_client.images.get(images.ensure(docker_client, "base"))
    finally:
        images.forget(docker_client)


def test_a_cache_that_was_moved_still_gives_its_images(
    docker_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASCEND_FLEET_CACHE", str(tmp_path))
    monkeypatch.setattr(images, "_made", lambda *_arguments: pytest.fail("it was made all the same"))
    kept = images.tar_path("services")
    kept.parent.mkdir(parents=True)
    # Under the name that it had where it was made.
    subprocess.run(["docker", "save", "--output", str(kept), build_mini()], check=True)
    try:
        found = docker_client.images.get(images.ensure(docker_client, "services"))
        assert found.id == docker_client.images.get(build_mini()).id
    finally:
        images.forget(docker_client)


class Index:
    """A package index of wheels, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        index = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, _format: str, *arguments: Any) -> None:
                index.asked.append(str(arguments[0]).split()[1])

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


def offer(folder: Path, version: str) -> str:
    """A wheel named torch without anything in it, offered as an index does; its file name."""
    name = f"torch-{version}-py3-none-any.whl"
    folder.mkdir(parents=True)
    metadata = f"torch-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr(f"{metadata}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        wheel.writestr(f"{metadata}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{metadata}/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{name.replace("+", "%2B")}">{name}</a>')
    return name


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Beside each other, as on the network: an index with the large CUDA build, and one with the CPU build."""
    plain, _plus, _local = artefacts.torch_version().partition("+")
    offer(tmp_path / "usual" / "torch", plain)
    offer(tmp_path / "cpu" / "torch", artefacts.torch_version())
    index = Index(tmp_path)
    yield index
    index.server.shutdown()
    index.server.server_close()


def test_torch_comes_from_the_named_index_of_cpu_builds(
    docker_client: Any, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the container that builds the image, by the very settings it is given there."""
    monkeypatch.setattr(machine, "pip_settings", lambda: {"index-url": f"{index.url}/usual"})
    monkeypatch.delenv(artefacts.TORCH_INDEX, raising=False)
    with pytest.raises(SimError, match="never taken"):
        artefacts.pip_settings()
    monkeypatch.setenv(artefacts.TORCH_INDEX, f"{index.url}/cpu")
    wanted = f"torch=={artefacts.torch_version()}"
    lines = (artefacts.LOCK.read_text(encoding="utf-8")).splitlines()
    assert wanted in lines
    script = f"pip download --quiet --no-deps --no-cache-dir --dest /got {wanted}; echo '== '$(ls /got)"
    environment = artefacts.pip_environment(artefacts.pip_settings())
    said: list[str] = []
    monkeypatch.setattr(builder, "say", said.append)
    with builder.ran(docker_client, images.ensure(docker_client, "python"), script, environment=environment):
        pass
    assert [line.strip() for line in said] == [f"torch-{artefacts.torch_version()}-py3-none-any.whl"]
    assert any(path.startswith("/cpu/torch/torch-") for path in index.asked)
    assert not any(path.startswith("/usual/torch/torch-") for path in index.asked)
