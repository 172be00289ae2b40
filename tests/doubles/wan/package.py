# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor's package with Wan2.1, and Diffusers as the archive of a commit, made for the test image."""

from __future__ import annotations

import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests.doubles import packages
from tests.simfleet import cache

INFER = Path(__file__).with_name("infer.py")
LOCK = Path(__file__).parents[2] / "simfleet/files/diffusers/lock.txt"
COMMIT = "d55f41102a93e7fa7736516e06e023b2baf73f54"
# The Python of the test image; the vendor's package is for another one.
EXTENSION = f"cpython-311-{platform.machine()}-linux-gnu.so"
SETUP = """from setuptools import find_packages, setup
setup(name="diffusers", version="0.42.2.dev0", package_dir={"": "src"}, packages=find_packages("src"),
      include_package_data=True)
"""


def package(folder: Path, extension: str = EXTENSION) -> Path:
    """The outer package; its infer.py runs a real pipeline on the CPU."""
    files = {
        f"{packages.WAN}/AscendX_Video.{extension}": b"\x7fELF",
        f"{packages.WAN}/sp_fsdp.{extension}": b"\x7fELF",
        f"{packages.WAN}/infer.py": INFER.read_bytes(),
        f"{packages.WAN}/inference.sh": b"torchrun infer.py\n",
        f"{packages.WAN}/requirements.txt": b"ftfy\nzipp\n",
        f"{packages.WAN}/README.md": b"# Wan2.1\n",
        "aigc_inference/large": b"not wanted",
    }
    return packages.outer(folder, {"AIGC": packages.zipped(files), "OPP": packages.zipped(packages.PARTS["OPP"])})


def diffusers_archive() -> Path:
    """The real Diffusers, laid out as its repository is; kept in the cache, so that its digest stays the same."""
    [version] = [line for line in LOCK.read_text().split() if line.startswith("diffusers==")]
    archive = cache.root() / "wan" / cache.digest(version, SETUP) / f"{COMMIT}.tar.gz"
    with cache.locked("wan"), tempfile.TemporaryDirectory() as name:
        if archive.exists():
            return archive
        folder = Path(name)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--cache-dir",
            str(cache.root() / "pip"),
        ]
        subprocess.run([*pip, "--dest", name, version], check=True)
        root = folder / f"diffusers-{COMMIT}"
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(root / "src", [one for one in wheel.namelist() if one.startswith("diffusers/")])
        (root / "setup.py").write_text(SETUP)
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial")
        with tarfile.open(partial, "w:gz", compresslevel=1) as made:
            made.add(root, root.name)
        partial.rename(archive)
    return archive
