# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real git-lfs, installed by the role, clones from a real server."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import role_run
from tests.doubles import lfs_release
from tests.doubles.lfs_server import LfsServer, pointer

WEIGHTS = {"weights/model.safetensors": bytes(range(256)) * 400}


@dataclass
class Ground:
    """A place with its own system-wide git configuration and its own prefix."""

    folder: Path
    release: lfs_release.Release

    @property
    def config(self) -> Path:
        return self.folder / "gitconfig"

    @property
    def scratch(self) -> Path:
        """Its own folder for temporary files, since other tests make some at the same time."""
        return self.folder / "scratch"

    def installed(self) -> Ground:
        """As after an earlier run, for tests of what comes after it."""
        (self.folder / "prefix" / "bin").mkdir(parents=True)
        shutil.copy(lfs_release.program(), self.folder / "prefix" / "bin")
        return self

    def variables(self, **more: Any) -> dict[str, Any]:
        given = {f"git_lfs_{name}": value for name, value in more.items()}
        return {**self.release.variables, "git_lfs_prefix": str(self.folder / "prefix"), **given}

    def run(self, *arguments: str, path: str = os.environ["PATH"], **more: Any) -> role_run.Ran:
        environment = {"GIT_CONFIG_SYSTEM": str(self.config), "HOME": str(self.folder), "PATH": path}
        environment["TMPDIR"] = str(self.scratch)
        self.scratch.mkdir(exist_ok=True)
        return role_run.run("git_lfs", self.folder, self.variables(**more), *arguments, **environment)

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
    return Ground(tmp_path, lfs_release.release(tmp_path))


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
    folder = ground.folder / "mirror" / f"v{ground.release.version}"
    folder.mkdir(parents=True)
    shutil.copy(ground.release.archive, folder)
    (folder / "sha256sums").write_text(
        f"{'0' * 64}  other.tar.gz\n{ground.release.digest}  {ground.release.archive.name}\n"
    )

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
    assert not list(ground.scratch.glob("ascend-fleet-git-lfs-*"))
    again = ground.run()
    assert (again.rc, again.changed) == (0, 0), again.out


def test_another_version_is_replaced(ground):
    fake = ground.folder / "prefix" / "bin" / "git-lfs"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\necho 'git-lfs/2.13.0 (GitHub; linux amd64; go 1.15)'\n")
    fake.chmod(0o755)
    assert ground.run().rc == 0
    said = subprocess.run([fake, "version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"git-lfs/{ground.release.version} ")


def test_the_archive_comes_from_a_mirror_by_its_file_of_sums(ground, mirror):
    sums = f"{mirror}/v{ground.release.version}/sha256sums"
    done = ground.run(archive=None, mirror=mirror, sha256=None, sha256sums=sums)
    assert done.rc == 0, done.out
    assert (ground.folder / "prefix" / "bin" / "git-lfs").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sha256": None}, "is not known; give it as git_lfs_sha256"),
        ({"sha256": {lfs_release.ARCHITECTURE: "0" * 64}}, "has the sha256"),
        ({"version": "9.9.9"}, "git-lfs/"),
    ],
)
def test_an_archive_that_is_not_the_one_meant_is_refused(ground, options, says):
    done = ground.run(**options)
    assert done.rc != 0
    assert says in done.out
    assert not (ground.folder / "prefix" / "bin").exists()
    assert not list(ground.scratch.glob("ascend-fleet-git-lfs-*"))


def test_a_mirror_that_gives_something_else_is_refused(ground, mirror):
    done = ground.run(archive=None, mirror=mirror, sha256={lfs_release.ARCHITECTURE: "0" * 64})
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


def test_git_goes_through_the_proxy(ground, server):
    assert ground.installed().run(proxy=server.url().rstrip("/")).rc == 0
    assert ground.git("ls-remote", "http://elsewhere.invalid/team/model.git").returncode != 0
    assert server.seen[-1].headers["host"] == "elsewhere.invalid"
