# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ComfyUI double in the forms that people have it in: a git repository with tags, and the zip of a tag.

Beside it the parts of a vendor package that go with it, in the package's own layout.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

TREE = Path(__file__).with_name("comfyui")
TAG = "v0.3.7"
FOLDER = "ComfyUI-0.3.7"
NODE_FOLDER = "aigc_inference/torch_npu/comfyui/0.3.7/comfyui_ascend_node"

# The Python of the test images.
PYTHON = "cp311"

METADATA = "Metadata-Version: 2.1\nName: ascend_cloud_ops_custom\nVersion: 6.5.902\n"
PRESTARTUP = """\
import os

class torch_npu:
    class npu:
        @staticmethod
        def set_compile_mode(jit_compile):
            print(f"jit_compile={jit_compile}")

torch_npu.npu.set_compile_mode(jit_compile=False)
os.environ["COMFYUI_DOUBLE_REDIRECTED"] = "npu"
"""
SETUP = """\
from setuptools import setup
setup(name="{name}", version="0.0.1", packages=["{package}"])
"""
RUN = """\
#!/bin/bash
# An operator package for tests: it takes --install-path, as the vendor's does.
set -e
for word in "$@"; do case "$word" in --install-path=*) target="${word#*=}";; esac; done
mkdir -p "$target/vendors/customize/bin"
printf 'export ASCEND_CUSTOM_OPP_PATH=%s/vendors/customize\\n' "$target" > "$target/vendors/customize/bin/set_env.bash"
"""


def files() -> list[Path]:
    return sorted(path for path in TREE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def repository(folder: Path) -> Path:
    """A repository whose branch has moved on since the tag."""
    for path in files():
        target = folder / path.relative_to(TREE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    _git(folder, "init", "--quiet", "--initial-branch", "master")
    _commit(folder, "Release")
    _git(folder, "tag", TAG)
    (folder / "main.py").write_text("raise SystemExit('This is the branch, not the tag.')\n")
    _commit(folder, "Go on")
    return folder


def archive(path: Path) -> Path:
    """The zip that a download of the tag is; the folder in it carries the version."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for source in files():
            packed.write(source, f"{FOLDER}/{source.relative_to(TREE)}")
    return path


def package(folder: Path, prestartup: str = PRESTARTUP) -> Path:
    """An unpacked vendor package: the node, two editable libraries and the operator package."""
    node = folder / NODE_FOLDER
    node.mkdir(parents=True)
    (node / "prestartup_script.py").write_text(prestartup)
    (node / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    for name, module in (("ascend_diffusers", "ascend_diffusers"), ("AscendX-MM", "ascendx_mm")):
        library = folder / "aigc_inference/torch_npu/utils" / name
        (library / module).mkdir(parents=True)
        (library / module / "__init__.py").touch()
        (library / "setup.py").write_text(SETUP.format(name=name, package=module))
    machine = platform.machine()
    wheel = folder / f"ascend_cloud_ops_custom-6.5.902-{PYTHON}-{PYTHON}-linux_{machine}.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("ascend_cloud_ops_custom/__init__.py", "")
        packed.writestr("ascend_cloud_ops_custom-6.5.902.dist-info/METADATA", METADATA)
        packed.writestr(
            "ascend_cloud_ops_custom-6.5.902.dist-info/WHEEL",
            f"Wheel-Version: 1.0\nTag: {PYTHON}-{PYTHON}-linux_{machine}\n",
        )
        packed.writestr("ascend_cloud_ops_custom-6.5.902.dist-info/RECORD", "")
    run = folder / f"ascend_cloud_ops_custom_opp-6.5.902_linux_{machine}_ascend910b.run"
    run.write_text(RUN)
    run.chmod(0o755)
    return folder


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--no-verify", "--message", message)


def _git(folder: Path, *arguments: str) -> None:
    identity = {f"GIT_{who}_{key}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
        check=True,
        capture_output=True,
    )
