# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names of the vendor's packages and of what they hold. Private to the collection."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Iterable, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _soc
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

PATTERN = "AscendCloud-*.zip"
PLACE = (
    "It is published on Support-E under ModelArts; where that shows no such software, the access comes from the "
    "vendor's technical support contact of your company."
)

_PACKAGE = re.compile(
    r"^AscendCloud-(?:(?P<kind>(?!\d+\.)[A-Za-z0-9_]+)-)?(?P<version>\d+(?:\.\d+)+)(?:-(?P<stamp>.+))?\.zip$"
)
_WHEEL = re.compile(r"^(?P<stem>[^-]+)-[^-]+(?:-\d[^-]*)?-(?P<py>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl$")
_EXTENSION = re.compile(
    r"^(?P<stem>[^.]+)\.(?:cpython-(?P<python>\d+)[a-z]*-(?P<machine>[a-z0-9_]+)-linux-\w+|abi3)\.so$"
)
_RUN = re.compile(r"^(?P<stem>.+?)[-_]v?\d+(?:\.[0-9A-Za-z]+)+[-_.](?P<rest>.+)\.run$")
_MACHINE = re.compile(r"(aarch64|arm64|x86_64|amd64)$")
_MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
_SOC = re.compile(r"(?:^|[-_.])ascend[-_]?(\d+[A-Za-z0-9]*(?:_\d+)?)(?=$|[-_.])", re.IGNORECASE)


class Name(NamedTuple):
    """What the name of a package says; the outer one has no kind."""

    path: str
    kind: str | None
    version: str
    stamp: str

    @property
    def file(self) -> str:
        return os.path.basename(self.path)


class Target(NamedTuple):
    """What the contents must run on; None where nobody asks."""

    python: str | None = None
    machine: str | None = None
    soc: str | None = None

    def __str__(self) -> str:
        words = [f"Python {self.python}" if self.python else "", self.machine or "", self.soc or ""]
        return ", ".join(word for word in words if word)


class Choice(NamedTuple):
    """Where the parts come from: packages of their own by kind, and the outer one for the rest."""

    alone: dict[str, Name]
    outer: Name | None


class Wanted(NamedTuple):
    """A part of the package: ``match`` tells files of one kind apart, ``include`` names what is taken of it."""

    kind: str
    match: str = "*"
    include: tuple[str, ...] = ()
    sha256: str | None = None


def parse(path: str) -> Name | None:
    found = _PACKAGE.match(os.path.basename(path))
    return Name(path, found["kind"], found["version"], found["stamp"] or "") if found else None


def choose(paths: Iterable[str], parts: Iterable[Wanted], version: str | None, asked: str) -> Choice:
    """Exactly one file for each part; a part's own package goes before the outer one that holds it."""
    wanted, given = list(parts), sorted(set(paths))
    named = [name for name in map(parse, given) if name]
    fitting = [name for name in named if version in (None, name.version)]
    if not fitting:
        raise _missing(asked, version, wanted, named, given)
    outer = [name for name in fitting if name.kind is None]
    alone: dict[str, Name] = {}
    for part in wanted:
        own = [name for name in fitting if name.kind == part.kind and fnmatch.fnmatchcase(name.file, part.match)]
        if not own and not outer:
            raise _missing(asked, version, [part], named, given)
        chosen = _only(own or outer, part, asked)
        if chosen.kind is not None:
            alone[part.kind] = chosen
    nested = [part for part in wanted if part.kind not in alone]
    used = [*alone.values(), *(outer if nested else [])]
    versions = sorted({name.version for name in used} | {name.version for name in outer})
    if len(versions) > 1:
        raise FleetError(
            "package-ambiguous",
            f"{asked} matches packages of the versions {' and '.join(versions)}.",
            "Say which one with version, or leave the files of one version there.",
            key="src",
            value=asked,
        )
    return Choice(alone, outer[0] if nested else None)


def inner(entries: Iterable[str], part: Wanted, outer: Name) -> Name:
    """The entry of the outer package that holds a part."""
    named = [name for name in map(parse, entries) if name and name.kind]
    own = [name for name in named if name.kind == part.kind and fnmatch.fnmatchcase(name.file, part.match)]
    if not own:
        there = ", ".join(sorted(name.file for name in named)) or "no package of a part"
        raise FleetError(
            "package-missing",
            f"{outer.path} holds no AscendCloud-{part.kind}-*.zip; it holds {there}.",
            "Correct parts, or give the package that holds the part.",
            key="parts",
            value=part.kind,
        )
    chosen = _only(own, part, outer.path)
    if chosen.version != outer.version:
        raise FleetError(
            "package-invalid",
            f"{outer.path} says version {outer.version}, but holds {chosen.file}.",
            "Get the package again; the versions of both have to agree.",
            key="src",
            value=outer.path,
        )
    return chosen


def unfit(names: Iterable[str], target: Target) -> list[str]:
    """Files of which nothing fits the target. Files of one name made for several targets need one that fits."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        stem = _stem(os.path.basename(name))
        if stem:
            groups.setdefault((os.path.dirname(name), stem), []).append(name)
    return sorted(name for group in groups.values() if not any(fits(name, target) for name in group) for name in group)


def fits(name: str, target: Target) -> bool:
    """Whether a wheel, an extension module or an installer says that it is for the target, or says nothing."""
    file = os.path.basename(name)
    wheel, extension, installer = _WHEEL.match(file), _EXTENSION.match(file), _RUN.match(file)
    if wheel:
        return _python_fits(wheel["py"], wheel["abi"], target.python) and _platform_fits(
            wheel["platform"], target.machine
        )
    if extension:
        # The stable ABI has no tags of its own.
        return extension["python"] is None or (
            target.python in (None, _dotted(extension["python"]))
            and target.machine in (None, kernel_name(extension["machine"]))
        )
    if installer:
        made_for = re.search(r"(aarch64|arm64|x86_64|amd64)", installer["rest"])
        soc = _SOC.search(installer["rest"])
        return (made_for is None or target.machine in (None, kernel_name(made_for[1]))) and (
            soc is None or target.soc in (None, family(soc[1]))
        )
    return True


def family(soc: str) -> str | None:
    """The chip family of a name such as 910B, ascend910b or Ascend910B4."""
    bare = re.sub(r"^ascend[-_ ]?", "", soc.strip(), flags=re.IGNORECASE)
    short = {key.lower(): key for key in _soc.FAMILIES}
    return short.get(bare.lower()) or _soc.family(bare)


def kernel_name(name: str) -> str:
    """An architecture by the name that the kernel gives it."""
    return _MACHINES.get(name, name)


def _stem(file: str) -> str | None:
    for expression in (_WHEEL, _EXTENSION, _RUN):
        found = expression.match(file)
        if found:
            return found["stem"] + os.path.splitext(file)[1]
    return None


def _python_fits(py: str, abi: str, python: str | None) -> bool:
    if python is None:
        return True
    major, minor = (int(word) for word in python.split(".")[:2])
    for tag in py.split("."):
        found = re.match(r"^(py|cp)(\d)(\d*)$", tag)
        if found is None or int(found[2]) != major:
            continue
        older = not found[3] or int(found[3]) <= minor
        exact = found[3] and int(found[3]) == minor
        if exact or (older and (found[1] == "py" or "abi3" in abi.split("."))):
            return True
    return False


def _platform_fits(platform: str, machine: str | None) -> bool:
    if machine is None:
        return True
    for tag in platform.split("."):
        found = _MACHINE.search(tag)
        if tag == "any" or (found and kernel_name(found[1]) == machine):
            return True
    return False


def _dotted(digits: str) -> str:
    return f"{digits[0]}.{digits[1:]}"


def _only(names: list[Name], part: Wanted, asked: str) -> Name:
    if len(names) == 1:
        return names[0]
    raise FleetError(
        "package-ambiguous",
        f"{asked} matches {len(names)} packages for {part.kind}: {', '.join(name.file for name in names)}.",
        "Name one file, set version, or set match for the part.",
        key="src",
        value=asked,
    )


def _missing(asked: str, version: str | None, parts: list[Wanted], named: list[Name], given: list[str]) -> FleetError:
    release = version or "<version>"
    kinds = sorted({part.kind for part in parts})
    patterns = [f"AscendCloud-{release}-<stamp>.zip", *(f"AscendCloud-{kind}-{release}-<stamp>.zip" for kind in kinds)]
    there = ", ".join(name.file for name in named) or ", ".join(os.path.basename(path) for path in given)
    found = f" There is {there}." if there else ""
    return FleetError(
        "package-missing",
        f"No package {' or '.join(patterns)} of the release ModelArts {release} at {asked}.{found}",
        f"Put it there. {PLACE}",
        key="src",
        value=asked,
    )
