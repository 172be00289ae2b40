# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels that pip would fetch while an image is baked, for the Python of that image. Private to the collection."""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.plugin_utils import _data, _tar
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle_python import Interpreter
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle_run import ProgramFailedError, run

Json = dict[str, Any]

PIP_SECONDS = 3600
PROGRAM = Path(__file__).with_name("_pip_elsewhere.py")
FAMILY = ("torch", "torch_npu", "torchvision", "torchaudio")
# What pip brings for itself to install from source, whatever the image has.
BUILD = ("setuptools", "wheel")
# The oldest C libraries that wheels are made for, and older names of theirs.
OLDEST_GLIBC, OLDEST_MUSL = 5, 0
LEGACY = {"2.17": "manylinux2014", "2.12": "manylinux2010", "2.5": "manylinux1"}
MOST_SDISTS = 50
_LACKING = re.compile(r"No matching distribution found for ([^\s(]+)")


class Wanted(NamedTuple):
    """What pip is asked for while an image is baked."""

    lines: Sequence[str]
    limits: Sequence[str]
    tree: Path | None = None
    """A source archive whose own requirements count."""
    builds: Sequence[str] = ()
    """For what is installed from source, without regard to what the image has."""


def wanted(role: str, inputs: Mapping[str, Any], python: Interpreter, source: Path | None) -> Wanted:
    there = {name: version for name, version in python.installed().items() if name in FAMILY}
    return _KINDS[role](inputs, python, there, source)


def _comfyui(inputs: Mapping[str, Any], python: Interpreter, there: dict[str, str], source: Path | None) -> Wanted:
    own: Any = _own("comfyui")
    row = own.choose(inputs["constraints"], there.get("torch") or inputs["torch"])
    torch = there.get("torch") or inputs["torch"] or row["version"]
    text = source and _member(source, "requirements.txt")
    if text is None:
        raise _incomplete(f"{source} holds no requirements.txt of ComfyUI", "Correct the key source of the entry.")
    libraries = (inputs["ascendcloud"] or {}).get("libraries")
    limits = own.constraints(row, list(inputs["pins"]), there)
    return Wanted([*_lines(own.pinned(text, torch)), *row["add"]], limits, None, BUILD if libraries else ())


def _diffusers(inputs: Mapping[str, Any], python: Interpreter, there: dict[str, str], source: Path | None) -> Wanted:
    own: Any = _own("diffusers")
    if "torch" not in there:
        remedy = "Use an image of the catalogue for these cards, or name the image's Python in the key python."
        raise _incomplete(f"the base image has no torch in the Python {' '.join(inputs['python'])}", remedy)
    row = own.choose(inputs["constraints"], there["torch"])
    lines = own.packages(row, inputs["diffusers"], python.installed().get("diffusers"))
    return Wanted(lines, own.limits(row, list(inputs["pins"]), there), None, BUILD if inputs["libraries"] else ())


def _wan_video(inputs: Mapping[str, Any], python: Interpreter, there: dict[str, str], source: Path | None) -> Wanted:
    limits = [f"{name}=={version}" for name, version in sorted(there.items())] + list(inputs["pins"])
    if source is None or not inputs["diffusers"]["dependencies"]:
        return Wanted([], limits)
    project = tomllib.loads(_member(source, "pyproject.toml") or "")
    return Wanted([], limits, source, [*BUILD, *project.get("build-system", {}).get("requires", [])])


_KINDS: dict[str, Callable[[Mapping[str, Any], Interpreter, dict[str, str], Path | None], Wanted]] = {
    "comfyui": _comfyui,
    "diffusers": _diffusers,
    "wan_video": _wan_video,
}


@cache
def _own(role: str) -> object:
    """The helper with which the role itself chooses packages inside the image; nothing is left beside it."""
    path = _data.ROLES / role / "files" / "bake" / "prepare.py"
    module = ModuleType(f"_ascend_fleet_{role}_prepare")
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), module.__dict__)
    return module


def _lines(text: str) -> list[str]:
    return [line for line in (one.partition(" #")[0].strip() for one in text.splitlines()) if line and line[0] != "#"]


def _incomplete(message: str, remedy: str | None = None) -> FleetError:
    return FleetError("bundle-incomplete", f"{message[0].upper()}{message[1:]}.", remedy)


# Source archives


def _member(source: Path, name: str) -> str | None:
    """A file at the top of an archive, or of the one folder in it."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as packed:
            found = _top(packed.namelist(), name)
            return packed.read(found).decode("utf-8") if found else None
    with tarfile.open(source) as archive:
        found = _top(archive.getnames(), name)
        stream = archive.extractfile(found) if found else None
        return stream.read().decode("utf-8") if stream else None


def _top(names: Sequence[str], name: str) -> str | None:
    fitting = [one for one in names if posixpath.basename(one) == name and one.removeprefix("./").count("/") < 2]
    return min(fitting, key=len, default=None)


def _unpacked(source: Path, folder: Path) -> Path:
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as packed:
            packed.extractall(folder)
    else:
        with tarfile.open(source) as archive:
            _tar.extract(archive, folder)
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


# pip


class Gathering:
    """One folder of wheels; ``folder`` keeps what has arrived, ``scratch`` is thrown away."""

    def __init__(
        self,
        python: Interpreter,
        arch: str,
        pip: Mapping[str, Any],
        folder: Path,
        scratch: Path,
        find: Path | None,
        environment: Mapping[str, str],
    ) -> None:
        self.python = python
        self.arch = arch
        self.folder = folder
        self.scratch = scratch
        self.environment = environment
        self._built = scratch / "built"
        self._sources = [f"--find-links={self._built}", *([f"--find-links={find}"] if find else [])]
        self._sources += [f"--index-url={pip['index_url']}"] if pip["index_url"] else []
        self._sources += [f"--extra-index-url={url}" for url in pip["extra_index_urls"]]

    def gather(self, wanted: Wanted) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._built.mkdir(parents=True)
        site = self.scratch / "site"
        for name, text in self.python.metadata.items():
            (site / f"{name}.dist-info").mkdir(parents=True)
            (site / f"{name}.dist-info" / "METADATA").write_text(text, encoding="utf-8")
        (self.scratch / "limits.txt").write_text("\n".join([*wanted.limits, ""]), encoding="utf-8")
        tree = _unpacked(wanted.tree, self.scratch / "tree") if wanted.tree else None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._download(self._resolved([*wanted.lines, *([str(tree)] if tree else [])], site))
        self._download(self._resolved(wanted.builds, self.scratch / "none"))
        shutil.rmtree(self.scratch)

    def _resolved(self, lines: Sequence[str], site: Path) -> list[str]:
        """What pip would install, each with version and digest. A source is made a wheel if it is one for all."""
        if not lines:
            return []
        (self.scratch / "wanted.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
        for _each in range(MOST_SDISTS):
            try:
                return self._tried(site)
            except ProgramFailedError as error:
                lacking = _LACKING.search(error.output)
                if lacking is None:
                    raise
                self._build(lacking[1], error)
        raise _incomplete(f"more than {MOST_SDISTS} packages exist as sources only")

    def _tried(self, site: Path) -> list[str]:
        report = self.scratch / "report.json"
        told = json.dumps({"environment": markers(self.python, self.arch), "site": str(site)})
        limits = ["--constraint", str(self.scratch / "limits.txt"), "--requirement", str(self.scratch / "wanted.txt")]
        argv = [sys.executable, "-P", str(PROGRAM), told, "install", "--dry-run", "--report", str(report), "--quiet"]
        run([*argv, *limits, *self._options()], PIP_SECONDS, self._environment())
        rows = json.loads(report.read_text(encoding="utf-8"))["install"]
        return [_pin(row) for row in rows if "dir_info" not in row["download_info"]]

    def _build(self, requirement: str, error: ProgramFailedError) -> None:
        """A source that becomes a wheel for every machine may be built here; any other only where it is to run."""
        before = set(self._built.iterdir())
        argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
        try:
            where = [f"--wheel-dir={self._built}", *self._sources]
            run([*argv, f"--no-binary={_name(requirement)}", *where, requirement], PIP_SECONDS, self._environment())
        except ProgramFailedError as failed:
            told = error.output.strip().splitlines()[-1].removeprefix("ERROR: ")
            why = failed.output.strip().splitlines()[-1].removeprefix("ERROR: ")
            raise _incomplete(f"{told} as a wheel for {self._machine()}, nor as a source: {why}", NO_WHEEL) from None
        made = [path for path in self._built.iterdir() if path not in before]
        if not made or any(not path.name.endswith("-none-any.whl") for path in made):
            why = "and its source needs that machine to be built"
            raise _incomplete(f"package {requirement} has no wheel for {self._machine()}, {why}", NO_WHEEL)

    def _download(self, pins: Sequence[str]) -> None:
        lock = self.scratch / "lock.txt"
        hashed = all("--hash" in pin for pin in pins)
        # pip wants digests of all or of none.
        lines = [pin if hashed else pin.partition(" ")[0] for pin in pins]
        lock.write_text("\n".join([*lines, ""]), encoding="utf-8")
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={self.folder}"]
        if pins:
            run([*argv, "--requirement", str(lock), *self._options()], PIP_SECONDS, self._environment())

    def _options(self) -> list[str]:
        series = self.python.series.replace(".", "")
        fitting = [f"--platform={name}" for name in platforms(self.python.libc, self.arch)]
        fitting += ["--implementation=cp", f"--python-version={self.python.version}"]
        fitting += [f"--abi={abi}" for abi in (f"cp{series}", "abi3", "none")]
        return ["--disable-pip-version-check", "--only-binary=:all:", *fitting, *self._sources]

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "PIP_NO_INPUT": "1"}

    def _machine(self) -> str:
        kind, version = self.python.libc
        return f"Python {self.python.series} on {self.arch} with {kind} {version}"


NO_WHEEL = "Build it in a container of the base image, and put its wheel into a folder named in fleet_bundle_wheels."


def markers(python: Interpreter, arch: str) -> dict[str, str]:
    """What conditions of requirements are read with."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python.version,
        "os_name": "posix",
        "platform_machine": arch,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python.version,
        "python_version": python.series,
        "sys_platform": "linux",
    }


def platforms(libc: tuple[str, str], arch: str) -> list[str]:
    """Names of platforms that this C library serves, the newest first."""
    kind, version = libc
    major, minor = (int(part) for part in version.split(".")[:2])
    if kind == "musl":
        return [f"musllinux_{major}_{one}_{arch}" for one in range(minor, OLDEST_MUSL - 1, -1)]
    found = []
    for one in range(minor, OLDEST_GLIBC - 1, -1):
        found.append(f"manylinux_{major}_{one}_{arch}")
        if f"{major}.{one}" in LEGACY:
            found.append(f"{LEGACY[f'{major}.{one}']}_{arch}")
    return [*found, f"linux_{arch}"]


def _pin(row: Mapping[str, Any]) -> str:
    digest = (row["download_info"].get("archive_info") or {}).get("hashes", {}).get("sha256")
    pin = f"{row['metadata']['name']}=={row['metadata']['version']}"
    return f"{pin} --hash=sha256:{digest}" if digest else pin


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
