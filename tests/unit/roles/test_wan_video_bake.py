# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What installs Wan2.1 into an image, run on this machine with a Python of its own in the place of the image's."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.doubles.lfs_server import LfsServer
from tests.playbook_run import PROGRAM, ROOT, environment

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
# That of this machine, but with a pip that only notes what it is asked; the real one is asked on the simulated servers.
PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then
    echo "$@" >> {folder}/pip.log
    case "$*" in *--editable*) for last; do :; done; echo "$last/src" > {folder}/editable;; esac
    exit 0
fi
PYTHONPATH=$(cat {folder}/editable 2>/dev/null) exec {python} "$@"
"""
DIFFUSERS = {
    "setup.py": b"from setuptools import setup\nsetup(name='diffusers', version='0.33.0.dev0', package_dir={'': 'src'},"
    b" packages=['diffusers'])\n",
    "src/diffusers/__init__.py": b"class WanPipeline: pass\n",
}


@dataclass
class Image:
    """A folder that stands for an image."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "python"

    @property
    def asked_of_pip(self) -> list[str]:
        return (self.folder / "pip.log").read_text().splitlines()

    @property
    def installed(self) -> Path:
        return self.folder / "home" / "Wan2_1"

    def bake(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        diffusers = {"commit": "0" * 40, "git": None, "archive": None, "url": None, "dependencies": False}
        inputs = {
            "package": str(self.folder / "package"),
            "install_dir": str(self.installed),
            "python": str(self.python),
            "user": None,
            "npu": False,
            "pins": [],
            "pip": {"index_url": None, "extra_index_urls": [], "wheels": None},
            **changes,
            "diffusers": {**diffusers, **changes.get("diffusers", {})},
        }
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": sys.executable, "wan_video_bake": inputs},
            "tasks": [{"ansible.builtin.include_role": {"name": "ascend.fleet.wan_video", "tasks_from": "bake"}}],
        }
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump([play]))
        scratch = f"__wan_video_scratch={self.folder}/scratch"
        return subprocess.run(
            [PROGRAM, "-i", "localhost,", "-e", scratch, str(path)],
            env=environment(str(ROOT / "collections")),
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def image(tmp_path: Path) -> Image:
    python = tmp_path / "python"
    python.write_text(PYTHON.format(folder=tmp_path, python=sys.executable))
    python.chmod(0o755)
    (tmp_path / "home").mkdir()
    (tmp_path / "package").mkdir()
    for name in ("infer.py", "inference.sh", "README.md", "requirements.txt", f"AscendX_Video{SUFFIX}"):
        (tmp_path / "package" / name).write_text("")
    return Image(tmp_path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / f"diffusers-{'0' * 40}"
    for name, content in DIFFUSERS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    path = tmp_path / "archive.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        made.add(root, root.name)
    return path


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[LfsServer]:
    with LfsServer(tmp_path / "served") as served:
        yield served


def imported(image: Image) -> str:
    command = [str(image.python), "-c", "import diffusers; print(diffusers.__file__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_diffusers_comes_from_an_archive(image, archive):
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    done = image.bake(diffusers={"archive": {"path": str(archive), "sha256": digest}})
    assert done.returncode == 0, done.stdout
    assert imported(image) == f"{image.installed}/diffusers/src/diffusers/__init__.py"
    assert (image.installed / "infer.py").exists()
    assert not (image.folder / "scratch").exists()
    requirements, editable = image.asked_of_pip
    assert f"--requirement {image.installed}/requirements.txt" in requirements
    assert "--constraint" in requirements
    assert editable.endswith(f"--editable {image.installed}/diffusers")


def test_diffusers_comes_from_a_mirror_at_its_commit(image, mirror):
    commit = mirror.create("diffusers.git", DIFFUSERS, {})
    done = image.bake(diffusers={"git": mirror.url("diffusers.git"), "commit": commit})
    assert done.returncode == 0, done.stdout
    assert imported(image).startswith(f"{image.installed}/diffusers/")
    head = subprocess.run(
        ["git", "-C", image.installed / "diffusers", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert head.stdout.strip() == commit


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("AscendX_Video.cpython-310-aarch64-linux-gnu.so", {}, "cannot be loaded by the Python of the image"),
        ("x.txt", {"npu": True}, "has no torch_npu"),
        ("infer.py", {}, "has no multimodal_algorithm/Wan2_1/infer.py"),
    ],
)
def test_what_could_not_run_is_refused_before_anything_is_installed(image, name, changes, says):
    file = image.folder / "package" / name
    if name == "infer.py":
        file.unlink()
    else:
        file.write_text("")
    done = image.bake(**changes)
    assert done.returncode != 0
    assert says in " ".join(done.stdout.split())
    assert not image.installed.exists()
