# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages are installed for Diffusers: what goes with the image's torch, which is never replaced."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data
from tests.playbook_run import PROGRAM, ROOT, environment

ROWS = _data.catalogue("diffusers")["constraints"]


@pytest.fixture(scope="module")
def prepare():
    path = _data.ROLES / "diffusers" / "files" / "bake" / "prepare.py"
    spec = importlib.util.spec_from_file_location("diffusers_prepare", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("torch", "version"), [("2.1.0", "0.33.0"), ("2.1.0+cpu", "0.33.0"), ("2.13.0+cpu", "0.42.1"), ("2.10.0", "0.42.1")]
)
def test_the_row_of_the_torch_that_is_there_is_taken(prepare, torch, version):
    assert prepare.choose(ROWS, torch)["diffusers"] == version


def test_what_is_there_goes_before_the_users_limits_and_these_before_the_catalogue(prepare):
    row = {"pins": {"numpy": "==1.26.4", "huggingface_hub": "==0.36.2", "tokenizers": "==0.21.4"}}
    lines = prepare.limits(row, ["huggingface-hub<1", "NumPy == 1.24"], {"torch": "2.1.0", "torch_npu": "2.1.0.post10"})
    assert lines == [
        "torch==2.1.0",
        "torch_npu==2.1.0.post10",
        "huggingface-hub<1",
        "NumPy == 1.24",
        "tokenizers==0.21.4",
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "first"),
    [
        (None, None, "diffusers==0.33.0"),
        ("0.30.3", None, "diffusers==0.30.3"),
        ("0.30.3", "0.29.0", "diffusers==0.30.3"),
        (None, "0.29.0", None),
        ("0.29.0", "0.29.0", None),
    ],
)
def test_a_diffusers_of_the_image_is_kept_unless_another_is_wanted(prepare, wanted, found, first):
    asked = prepare.packages(ROWS[0], wanted, found)
    assert (asked[0] if asked else None) == first
    assert ("transformers" in asked) is bool(first)


# That of this machine with torch and diffusers of ours, and a pip that only notes what it is asked.
PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then
    echo "$@" >> {folder}/pip.log
    exit 0
fi
PYTHONPATH={folder}/site exec {python} "$@"
"""
MODULES = {
    "torch": "class zeros:\n    def __init__(self, n): pass\n    def numpy(self): pass\n",
    "diffusers": "class StableDiffusionPipeline: pass\n",
}
UTILS = "aigc_inference/torch_npu/utils"


class Image:
    """A folder that stands for an image."""

    def __init__(self, folder: Path, **versions: str) -> None:
        self.folder = folder
        self.python = folder / "python"
        self.python.write_text(PYTHON.format(folder=folder, python=sys.executable))
        self.python.chmod(0o755)
        for name, text in MODULES.items():
            (folder / "site" / name).mkdir(parents=True)
            (folder / "site" / name / "__init__.py").write_text(text)
        for name, version in versions.items():
            about = folder / "site" / f"{name}-{version}.dist-info"
            about.mkdir()
            (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def bake(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        inputs = {
            "python": [str(self.python)],
            "npu": False,
            "diffusers": None,
            "pins": [],
            "constraints": ROWS,
            "pip": {"index_url": None, "extra_index_urls": [], "wheels": None},
            "libraries": [],
            "package": None,
            **changes,
        }
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": sys.executable, "diffusers_bake": inputs},
            "tasks": [{"ansible.builtin.include_role": {"name": "ascend.fleet.diffusers", "tasks_from": "bake"}}],
        }
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump([play]))
        places = [f"__diffusers_scratch={self.folder}/scratch", f"__diffusers_libraries={self.folder}/libraries"]
        return subprocess.run(
            [PROGRAM, "-i", "localhost,", str(path), *(word for place in places for word in ("-e", place))],
            env=environment(str(ROOT / "collections")),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def asked_of_pip(self) -> str:
        log = self.folder / "pip.log"
        return log.read_text() if log.exists() else ""


def test_what_is_missing_is_installed_with_the_vendors_libraries(tmp_path: Path) -> None:
    image = Image(tmp_path, torch="2.1.0", torch_npu="2.1.0")
    for name in ("ascend_diffusers", "AscendX-MM"):
        # A library may hold a folder of its own name.
        (tmp_path / "package" / UTILS / name / name).mkdir(parents=True)
        (tmp_path / "package" / UTILS / name / "setup.py").touch()
    vendor = {"package": str(tmp_path / "package"), "libraries": ["ascend_diffusers", "AscendX-MM"]}
    done = image.bake(npu=True, **vendor)
    assert done.returncode == 0, done.stdout
    first, *libraries = image.asked_of_pip.splitlines()
    assert " diffusers==0.33.0 transformers " in first
    assert {line.rpartition("--editable ")[2] for line in libraries} == {
        f"{tmp_path}/libraries/ascend_diffusers",
        f"{tmp_path}/libraries/AscendX-MM",
    }
    assert (tmp_path / "libraries/AscendX-MM/setup.py").exists()
    assert not (tmp_path / "scratch").exists()


def test_an_image_that_has_all_of_it_stays_as_it_is(tmp_path: Path) -> None:
    image = Image(tmp_path, torch="2.13.0", diffusers="0.42.1")
    done = image.bake()
    assert done.returncode == 0, done.stdout
    assert image.asked_of_pip == ""


@pytest.mark.parametrize(
    ("versions", "inputs", "told"),
    [
        ({}, {}, "The base image has no torch in the Python"),
        ({"torch": "2.1.0"}, {"npu": True}, "The base image has no torch with torch_npu"),
        (
            {"torch": "2.1.0"},
            {"package": "/", "libraries": ["AscendX-MM"]},
            "does not hold exactly one of each: AscendX-MM",
        ),
    ],
    ids=["no torch", "no torch_npu", "no library"],
)
def test_what_could_not_work_is_refused(tmp_path: Path, versions: Any, inputs: Any, told: str) -> None:
    (tmp_path / "empty").mkdir()
    if "package" in inputs:
        inputs = {**inputs, "package": str(tmp_path / "empty")}
    done = Image(tmp_path, **versions).bake(**inputs)
    assert done.returncode != 0
    assert told in " ".join(done.stdout.split())
