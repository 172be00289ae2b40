# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small package index of files, with wheels and sources that are made on the spot."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

# A backend of its own: nothing has to be installed to build with it.
BACKEND = """
import zipfile

def build_wheel(folder, *more):
    info = "{name}-{version}.dist-info"
    with zipfile.ZipFile(folder + "/{name}-{version}-{tag}.whl", "w") as packed:
        packed.writestr("{name}.py", "")
        packed.writestr(info + "/METADATA", {metadata!r})
        packed.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
        packed.writestr(info + "/RECORD", "")
    return "{name}-{version}-{tag}.whl"
"""
PROJECT = """[build-system]
requires = {builds}
build-backend = "backend"
backend-path = ["."]
"""


def metadata(name: str, version: str, requires: Iterable[str]) -> str:
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"


def source(
    name: str, version: str, requires: Iterable[str] = (), builds: Iterable[str] = (), tag: str = "py3-none-any"
) -> bytes:
    """A source archive that becomes a wheel with this tag."""
    told = metadata(name, version, requires)
    files = {
        "backend.py": BACKEND.format(name=name, version=version, tag=tag, metadata=told),
        "pyproject.toml": PROJECT.format(builds=json.dumps(list(builds))),
        "PKG-INFO": told,
    }
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as packed:
        for inner, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{inner}")
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))
    return memory.getvalue()


class WheelIndex:
    """Below ``folder``; ``url`` is for pip."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{folder}/simple"

    def wheel(self, name: str, version: str, requires: Iterable[str] = (), tag: str = "py3-none-any") -> Path:
        module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
        path = self._place(name) / f"{module}-{version}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(f"{module}.py", f"VERSION = {version!r}\n")
            packed.writestr(f"{info}/METADATA", metadata(name, version, requires))
            packed.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
            packed.writestr(f"{info}/RECORD", "")
        return self._listed(path)

    def source(self, name: str, version: str, tag: str = "py3-none-any") -> Path:
        path = self._place(name) / f"{name}-{version}.tar.gz"
        path.write_bytes(source(name, version, tag=tag))
        return self._listed(path)

    def take(self, path: Path) -> Path:
        """A wheel that is there already."""
        place = self._place(path.name.partition("-")[0].lower().replace("_", "-"))
        copy = place / path.name
        copy.write_bytes(path.read_bytes())
        return self._listed(copy)

    def _place(self, name: str) -> Path:
        place = self.folder / "simple" / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    @staticmethod
    def _listed(path: Path) -> Path:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with (path.parent / "index.html").open("a") as page:
            page.write(f'<a href="{path.name}#sha256={digest}">{path.name}</a>\n')
        return path
