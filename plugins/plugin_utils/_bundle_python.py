# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python of an image, read out of its archive: no engine, and an image of whatever architecture.

Private to the collection.
"""

from __future__ import annotations

import json
import posixpath
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

Json = dict[str, Any]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAX_LINKS = 40
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"

_PROGRAM = re.compile(r"/python[0-9.]*$")
_VERSIONED = re.compile(r"/python([0-9]+\.[0-9]+)$")
_LIBRARY = re.compile(r"/libpython([0-9]+\.[0-9]+)[a-z]*\.so\.[0-9.]+$")
_GLIBC = re.compile(r"/(libc\.so\.6|libc-[0-9.]+\.so)$")
_MUSL = re.compile(r"/ld-musl-[a-z0-9_]+\.so\.1$")
_METADATA = re.compile(r"\.(dist-info/METADATA|egg-info/PKG-INFO)$")
_PATCH = re.compile(rb"\x00(3\.[0-9]+\.[0-9]+)\+?\x00")
_GLIBC_TOLD = re.compile(rb"GNU C Library [^\n]*?version ([0-9]+\.[0-9]+)")
_VENV = "pyvenv.cfg"


class UnknownPythonError(Exception):
    """What wheels an image takes cannot be told; the text says why."""


class Interpreter(NamedTuple):
    """What decides which wheels fit, and what is installed already."""

    version: str
    """With the patch level."""
    libc: tuple[str, str]
    """``glibc`` or ``musl`` with its version."""
    metadata: dict[str, str]
    """The metadata of each installed distribution, by name and version."""

    @property
    def series(self) -> str:
        return ".".join(self.version.split(".")[:2])

    def installed(self) -> dict[str, str]:
        found = {}
        for text in self.metadata.values():
            name, version = _header(text, "Name"), _header(text, "Version")
            found[re.sub(r"[-_.]+", "_", name).lower()] = version
        return found


@dataclass
class _Tree:
    """What of an image's files matters here, after all its layers."""

    files: dict[str, str] = field(default_factory=dict)
    """Text of metadata, what a program or library says of its version; else empty."""
    links: dict[str, str] = field(default_factory=dict)

    def drop(self, path: str, below: bool) -> None:
        for known in (self.files, self.links):
            for one in [one for one in known if (not below and one == path) or one.startswith(f"{path}/")]:
                del known[one]

    def resolve(self, path: str) -> str:
        """The path without symbolic links, whether it is there or not."""
        rest, done, followed = [part for part in path.split("/") if part], "", 0
        while rest:
            part = rest.pop(0)
            here = posixpath.normpath(f"{done}/{part}")
            target = self.links.get(here)
            if target is None or followed > MAX_LINKS:
                done = "" if here == "/" else here
                continue
            followed += 1
            whole = target if target.startswith("/") else f"{done}/{target}"
            rest, done = [one for one in posixpath.normpath(whole).split("/") if one] + rest, ""
        return done or "/"

    def parent(self, path: str) -> str:
        """The path with its last part as it stands, which may be a link."""
        folder, name = posixpath.split(path)
        return posixpath.join(self.resolve(folder), name)


def look(archive: Path, python: str) -> Interpreter:
    """The Python of this name, as a builder made of the image would find it."""
    try:
        with tarfile.open(archive) as packed:
            manifest = _json(packed, "manifest.json")[0]
            config = _json(packed, manifest["Config"]).get("config") or {}
            tree = _Tree()
            for layer in manifest["Layers"]:
                stream = packed.extractfile(layer)
                if stream is not None:
                    _add(tree, stream)
    except (OSError, tarfile.TarError, KeyError, IndexError, ValueError) as error:
        raise UnknownPythonError(f"{archive} is no archive of an image ({error})") from None
    environment = dict(one.partition("=")[::2] for one in config.get("Env") or [])
    return _interpreter(tree, python, environment)


def _json(packed: tarfile.TarFile, name: str) -> Any:
    stream = packed.extractfile(name)
    return json.load(stream) if stream is not None else {}


def _add(tree: _Tree, stream: IO[bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="r|*") as layer:
        for entry in layer:
            path = "/" + posixpath.normpath(entry.name).strip("./")
            folder, name = posixpath.split(path)
            if name == OPAQUE:
                tree.drop(folder, below=True)
            elif name.startswith(WHITEOUT):
                tree.drop(posixpath.join(folder, name.removeprefix(WHITEOUT)), below=False)
            elif entry.issym():
                tree.files.pop(path, None)
                tree.links[path] = entry.linkname
            elif entry.islnk() and _matters(path):
                tree.files[path] = tree.files.get("/" + entry.linkname.strip("./"), "")
            elif entry.isreg():
                tree.links.pop(path, None)
                if _matters(path):
                    tree.files[path] = _told(path, layer.extractfile(entry))


def _matters(path: str) -> bool:
    named = (_PROGRAM, _LIBRARY, _GLIBC, _MUSL, _METADATA)
    return path.endswith(f"/{_VENV}") or any(pattern.search(path) for pattern in named)


def _told(path: str, stream: IO[bytes] | None) -> str:
    content = stream.read() if stream is not None else b""
    if _METADATA.search(path) or path.endswith(_VENV):
        return content.decode("utf-8", "replace")
    found = (_GLIBC_TOLD if _GLIBC.search(path) else _PATCH).search(content)
    return found[1].decode() if found else ""


def _interpreter(tree: _Tree, python: str, environment: dict[str, str]) -> Interpreter:
    given = _found(tree, python, environment.get("PATH") or DEFAULT_PATH)
    if given is None:
        raise UnknownPythonError(f"the image has no {python}")
    program = tree.resolve(given)
    home = posixpath.dirname(posixpath.dirname(given))
    settings = tree.files.get(f"{home}/{_VENV}")
    named = _VERSIONED.search(program) or re.search(r"(?m)^version[_info]*\s*=\s*([0-9]+\.[0-9]+)", settings or "")
    if named is None:
        raise UnknownPythonError(f"{program} of the image does not say which Python it is")
    series, base = named[1], posixpath.dirname(posixpath.dirname(program))
    patched = re.compile(rf"^{re.escape(series)}\.[0-9]+$")
    tellers = [program, *sorted(one for one in tree.files if (lib := _LIBRARY.search(one)) and lib[1] == series)]
    told = [tree.files.get(one, "") for one in tellers] + [environment.get("PYTHON_VERSION", "")]
    version = next((one for one in told if patched.match(one)), None)
    if version is None:
        raise UnknownPythonError(f"neither {program} nor its library says which release of Python {series} it is")
    sites = list(_sites(home if settings is not None else base, series))
    if settings is not None and re.search(r"(?mi)^include-system-site-packages\s*=\s*true", settings):
        sites += _sites(base, series)
    sites = [*filter(None, environment.get("PYTHONPATH", "").split(":")), *sites]
    return Interpreter(version, _libc(tree), _distributions(tree, sites))


def _found(tree: _Tree, python: str, path: str) -> str | None:
    places = [python] if "/" in python else [posixpath.join(folder, python) for folder in path.split(":")]
    for place in places:
        if tree.resolve(place) in tree.files:
            return tree.parent(place)
    return None


def _sites(prefix: str, series: str) -> Iterator[str]:
    # Debian keeps what pip installs apart from its own packages.
    for root in (["/usr/local"] if prefix == "/usr" else []) + [prefix]:
        for library in ("lib", "lib64"):
            for kind in ("site-packages", "dist-packages"):
                yield f"{root}/{library}/python{series}/{kind}"
    yield f"{prefix}/lib/python3/dist-packages"


def _distributions(tree: _Tree, sites: Sequence[str]) -> dict[str, str]:
    """The first place of the path wins, as it does when Python looks for a module."""
    found: dict[str, str] = {}
    names: set[str] = set()
    for site in dict.fromkeys(tree.resolve(one) for one in sites):
        for path, text in sorted(tree.files.items()):
            name = _header(text, "Name").lower()
            inside = _METADATA.search(path) and posixpath.dirname(posixpath.dirname(path)) == site
            if inside and name and name not in names:
                names.add(name)
                found[posixpath.basename(posixpath.dirname(path)).rpartition(".")[0]] = text
    return found


def _libc(tree: _Tree) -> tuple[str, str]:
    versions = [told for path, told in tree.files.items() if _GLIBC.search(path) and told]
    if versions:
        return "glibc", max(versions, key=lambda told: [int(part) for part in told.split(".")])
    if any(_MUSL.search(path) for path in tree.files):
        # The oldest that wheels are made for; its library does not say more than that it is musl.
        return "musl", "1.1"
    raise UnknownPythonError("the image has no C library that wheels are made for")


def _header(text: str, name: str) -> str:
    found = re.search(rf"(?mi)^{name}:[ \t]*(\S+)", text.partition("\n\n")[0])
    return found[1] if found else ""
