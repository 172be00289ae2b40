# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether pip still finds the packages that the catalogue says go together, on the index it is configured with."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui, _data

# requirements.txt of ComfyUI 0.3.7, as recorded.
COMFYUI = """\
torch
torchsde
torchvision
torchaudio
einops
transformers>=4.28.1
tokenizers>=0.13.3
sentencepiece
safetensors>=0.4.2
aiohttp
pyyaml
Pillow
scipy
tqdm
psutil

#non essential dependencies:
kornia>=0.7.1
spandrel
soundfile
"""
TORCH = "2.1.0"
PINNED = {"torch": "2.1.0", "numpy": "1.26.4", "transformers": "4.53.3", "tokenizers": "0.21.4"}


class Asked(NamedTuple):
    requirements: list[str]
    constraints: list[str]


def helper(role: str) -> Any:
    """The script that chooses the packages inside a builder."""
    spec = importlib.util.spec_from_file_location(f"{role}_prepare", _data.ROLES / role / "files/bake/prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def comfyui() -> Asked:
    prepare = helper("comfyui")
    row = prepare.choose(_comfyui.constraints((0, 3, 7)), TORCH)
    return Asked([prepare.pinned(COMFYUI, TORCH), *row["add"]], prepare.constraints(row, [], {"torch": TORCH}))


def diffusers(torch: str = TORCH) -> Asked:
    prepare = helper("diffusers")
    row = prepare.choose(_data.catalogue("diffusers")["constraints"], torch)
    return Asked([f"torch=={torch}", *prepare.packages(row, None, None)], prepare.limits(row, [], {"torch": torch}))


def resolved(folder: Path, asked: Asked, python: str, machine: str) -> dict[str, str]:
    """Name and version of what would be installed; nothing is."""
    (folder / "requirements.txt").write_text("\n".join(asked.requirements))
    (folder / "constraints.txt").write_text("\n".join(asked.constraints))
    platforms = [f"manylinux{year}_{machine}" for year in ("2014", "_2_17", "_2_28")]
    argv = ["--dry-run", "--ignore-installed", "--only-binary=:all:", "--target", "none", "--python-version", python]
    argv += [word for platform in platforms for word in ("--platform", platform)]
    argv += ["--quiet", "--requirement", "requirements.txt", "--constraint", "constraints.txt", "--report", "found"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *argv], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (folder / "none").exists()
    told = [item["metadata"] for item in json.loads((folder / "found").read_text())["install"]]
    return {item["name"].lower().replace("-", "_"): item["version"].partition("+")[0] for item in told}


def test_both_sets_still_resolve_on_the_servers_of_the_guide(tmp_path: Path) -> None:
    """At once: what resolves together does so alone, for neither has a package that the other keeps out."""
    both = Asked(*(first + second for first, second in zip(comfyui(), diffusers(), strict=True)))
    found = resolved(tmp_path, both, "3.10", "aarch64")
    assert {name: found[name] for name in (*PINNED, "diffusers")} == {**PINNED, "diffusers": "0.33.0"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("asked", [comfyui(), diffusers()], ids=["comfyui", "diffusers"])
def test_each_set_still_resolves_where_it_was_run(tmp_path: Path, asked: Asked) -> None:
    found = resolved(tmp_path, asked, "3.11", "x86_64")
    assert {name: found[name] for name in PINNED} == PINNED


@pytest.mark.exhaustive
def test_the_set_of_newer_torches_still_resolves(tmp_path: Path) -> None:
    found = resolved(tmp_path, diffusers("2.13.0"), "3.11", "x86_64")
    assert (found["torch"], found["diffusers"]) == ("2.13.0", "0.42.1")
