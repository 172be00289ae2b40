# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real git-lfs, installed by the role, clones from a real server."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import role_run
from tests.doubles.lfs_server import LfsServer, pointer
from tests.simfleet import cache, images

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MACHINE = os.uname().machine
WEIGHTS = {"weights/model.safetensors": bytes(range(256)) * 400}


def real_program() -> Path:
    """That of the machine, or the one in the operating system's package, which is not installed for it."""
    found = shutil.which("git-lfs")
    if found:
        return Path(found)
    program = cache.root() / "git-lfs" / "usr" / "bin" / "git-lfs"
    with cache.locked("git-lfs"):
        if not program.exists():
            folder = program.parents[2]
            folder.mkdir(parents=True, exist_ok=True)
            got = subprocess.run(["apt-get", "download", "git-lfs"], cwd=folder, capture_output=True, check=False)
            if got.returncode:
                pytest.skip("neither git-lfs nor its package can be had here")
            subprocess.run(["dpkg-deb", "-x", next(folder.glob("git-lfs_*.deb")), folder], check=True)
    return program


@dataclass
class Ground:
    """A place with its own system-wide git configuration and its own prefix."""

    folder: Path
    archive: Path
    version: str

    @property
    def config(self) -> Path:
        return self.folder / "gitconfig"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.archive.read_bytes()).hexdigest()

    def installed(self) -> Ground:
        """As after an earlier run, for tests of what comes after it."""
        (self.folder / "prefix" / "bin").mkdir(parents=True)
        shutil.copy(real_program(), self.folder / "prefix" / "bin")
        return self

    def variables(self, **more: Any) -> dict[str, Any]:
        fixed = {"from": "release", "version": self.version, "prefix": str(self.folder / "prefix")}
        source = {"archive": str(self.archive), "sha256": {ARCHITECTURES[MACHINE]: self.digest}}
        return {f"git_lfs_{name}": value for name, value in {**fixed, **source, **more}.items()}

    def run(
        self, *arguments: str, path: str = os.environ["PATH"], hosts: str = "localhost", **more: Any
    ) -> role_run.Ran:
        environment = {"GIT_CONFIG_SYSTEM": str(self.config), "HOME": str(self.folder), "PATH": path}
        environment = environment if hosts == "localhost" else {}
        return role_run.run("git_lfs", self.folder, self.variables(**more), *arguments, hosts=hosts, **environment)

    def git(self, *words: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_SSL")}
        environment = {
            **kept,
            "GIT_CONFIG_SYSTEM": str(self.config),
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": str(self.folder),
            "PATH": role_run.path_with(self.folder / "prefix" / "bin"),
        }
        return subprocess.run(["git", *words], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    program = real_program()
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    version = said.removeprefix("git-lfs/").split()[0]
    archive = tmp_path / f"git-lfs-linux-{ARCHITECTURES[MACHINE]}-v{version}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as made:
        made.add(program, f"git-lfs-{version}/git-lfs")
        (tmp_path / "install.sh").write_text("#!/bin/sh\n")
        made.add(tmp_path / "install.sh", f"git-lfs-{version}/install.sh")
    return Ground(tmp_path, archive, version)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LfsServer]:
    with LfsServer(tmp_path / "served") as served:
        served.create("team/model.git", {"README.md": b"a model\n"}, WEIGHTS)
        yield served


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[LfsServer]:
    """The same behind a certificate of nobody's authority."""
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with LfsServer(tmp_path / "served", host="127.0.0.1", certificate=(certificate, key)) as served:
        served.create("team/model.git", {}, WEIGHTS)
        yield served


@pytest.fixture
def mirror(ground: Ground) -> Iterator[str]:
    """The archive and a file of sums on a web server, laid out as the project's releases."""
    folder = ground.folder / "mirror" / f"v{ground.version}"
    folder.mkdir(parents=True)
    shutil.copy(ground.archive, folder)
    (folder / "sha256sums").write_text(f"{'0' * 64}  other.tar.gz\n{ground.digest}  {ground.archive.name}\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_words: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def cloned(ground: Ground, url: str, name: str = "clone") -> bytes | None:
    """The file of the clone; None when git refused."""
    done = ground.git("clone", "--quiet", url, str(ground.folder / name))
    return (ground.folder / name / next(iter(WEIGHTS))).read_bytes() if done.returncode == 0 else None


def test_a_clone_fetches_the_files_where_before_it_fetched_pointers(ground, server):
    [(_name, content)] = WEIGHTS.items()
    url = server.url("team/model.git")
    assert cloned(ground, url, "before") == pointer(content).encode()
    predicted = ground.run("--check", "--diff")
    assert predicted.rc == 0, predicted.out
    assert predicted.changed > 0
    assert not (ground.folder / "prefix").exists()
    assert not ground.config.exists()
    done = ground.run()
    assert done.rc == 0, done.out
    assert cloned(ground, url) == content
    assert not list(Path("/tmp").glob("ascend-fleet-git-lfs-*"))
    again = ground.run()
    assert (again.rc, again.changed) == (0, 0), again.out


def test_another_version_is_replaced(ground):
    fake = ground.folder / "prefix" / "bin" / "git-lfs"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\necho 'git-lfs/2.13.0 (GitHub; linux amd64; go 1.15)'\n")
    fake.chmod(0o755)
    assert ground.run().rc == 0
    said = subprocess.run([fake, "version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"git-lfs/{ground.version} ")


def test_the_archive_comes_from_a_mirror_by_its_file_of_sums(ground, mirror):
    sums = f"{mirror}/v{ground.version}/sha256sums"
    done = ground.run(archive=None, mirror=mirror, sha256=None, sha256sums=sums)
    assert done.rc == 0, done.out
    assert (ground.folder / "prefix" / "bin" / "git-lfs").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sha256": None}, "is not known; give it as git_lfs_sha256"),
        ({"sha256": {ARCHITECTURES[MACHINE]: "0" * 64}}, "has the sha256"),
        ({"version": "9.9.9"}, "git-lfs/"),
    ],
)
def test_an_archive_that_is_not_the_one_meant_is_refused(ground, options, says):
    done = ground.run(**options)
    assert done.rc != 0
    assert says in done.out
    assert not (ground.folder / "prefix" / "bin").exists()
    assert not list(Path("/tmp").glob("ascend-fleet-git-lfs-*"))


def test_a_mirror_that_gives_something_else_is_refused(ground, mirror):
    done = ground.run(archive=None, mirror=mirror, sha256={ARCHITECTURES[MACHINE]: "0" * 64})
    assert done.rc != 0
    assert "checksum" in done.out
    assert not (ground.folder / "prefix" / "bin").exists()


def test_the_architecture_of_the_node_decides(ground):
    """The table knows 3.2.0, so the archive of that version is looked for, by the name of the architecture."""
    programs = ground.folder / "programs"
    programs.mkdir()
    (programs / "uname").write_text("#!/bin/sh\necho aarch64\n")
    (programs / "uname").chmod(0o755)
    archive = str(ground.folder / "git-lfs-linux-<arch>-v3.2.0.tar.gz")
    done = ground.run(version="3.2.0", sha256=None, archive=archive, path=role_run.path_with(programs))
    assert done.rc != 0
    assert "git-lfs-linux-arm64-v3.2.0.tar.gz" in done.out


def test_another_architecture_is_refused(ground):
    programs = ground.folder / "programs"
    programs.mkdir()
    (programs / "uname").write_text("#!/bin/sh\necho riscv64\n")
    (programs / "uname").chmod(0o755)
    done = ground.run(path=role_run.path_with(programs))
    assert done.rc != 0
    assert "not for riscv64" in done.out


def test_certificates_are_verified_unless_a_host_is_named(ground, tls_server):
    [(_name, content)] = WEIGHTS.items()
    host = f"localhost:{tls_server.port}"
    url = tls_server.url("team/model.git", "localhost")
    warned = ground.installed().run(insecure_hosts=[host])
    assert warned.rc == 0, warned.out
    assert f"verifies no certificate of {host}" in warned.out
    assert ground.git("config", "--system", "http.sslVerify").stdout == ""
    assert cloned(ground, url, "insecure") == content
    assert ground.run().changed > 0
    assert cloned(ground, url, "verified-again") is None
    trusted = ground.run(ca_bundle=str(tls_server.certificate[0]))
    assert trusted.rc == 0, trusted.out
    assert "WARNING" not in trusted.out
    assert cloned(ground, url, "trusted") == content


@pytest.mark.engine
def test_inside_a_container_it_is_the_same(ground, docker_client):
    """Without git's configuration in a place of its own: that of the container is the system's."""
    image = images.ensure(docker_client, "workbench")
    container = docker_client.containers.run(image, ["sleep", "600"], detach=True, init=True, network_mode="none")
    try:
        done = ground.run(
            "-i", f"{container.name},", "-e", "ansible_connection=community.docker.docker",
            "-e", "ansible_python_interpreter=/usr/bin/python3", "-e", "git_lfs_prefix=/usr/local",
            hosts=container.name,
        )  # fmt: skip
        assert done.rc == 0, done.out
        said = container.exec_run(["su", "ma-user", "-c", "git lfs version; git config --system filter.lfs.process"])
        assert said.output.decode().split()[0] == f"git-lfs/{ground.version}"
        assert said.output.decode().endswith("git-lfs filter-process\n")
    finally:
        container.remove(force=True)


def test_git_goes_through_the_proxy(ground, server):
    assert ground.installed().run(proxy=server.url().rstrip("/")).rc == 0
    assert ground.git("ls-remote", "http://elsewhere.invalid/team/model.git").returncode != 0
    assert server.seen[-1].headers["host"] == "elsewhere.invalid"
