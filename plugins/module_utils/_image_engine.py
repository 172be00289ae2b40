# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every engine that keeps images can do, and what its refusals mean. Private to the collection."""

from __future__ import annotations

import abc
import re
from typing import Callable, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access, Content
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference

Progress = Callable[[str], None]

# Nothing heard from an engine for so long: the transfer hangs, and starting it again costs less.
SILENCE = 180.0


class Found(NamedTuple):
    """An image as the engine has it."""

    id: str | None
    digests: list[str]
    """Digests of manifests and indexes under which a registry gave it."""
    size: int | None = None
    architecture: str | None = None

    def known_as(self) -> set[str]:
        return {digest for digest in [self.id, *self.digests] if digest}


class Listed(NamedTuple):
    id: str
    names: list[str]
    size: int
    used_by: list[str]


class Origin(NamedTuple):
    """Where an engine pulls from: the registry of the name, or a mirror of it."""

    access: Access
    mirrored: bool
    plain: bool = False
    """Whether it speaks HTTP without TLS."""
    authorization: str | None = None
    """Header for engines that cannot be given a login any other way than in a file."""


class Network(NamedTuple):
    insecure: Callable[[str], bool] = lambda host: False
    """Whether a registry may speak HTTP or show any certificate."""
    proxy: dict[str, object] | None = None
    own_way: Callable[[str], bool] = lambda host: False
    """Whether the engine reaches a registry in a way that nobody else can go."""


class ImageEngine(abc.ABC):
    """One engine of a node. Names are those that people write; each engine brings them into its own form."""

    kind: str
    tool: str

    @abc.abstractmethod
    def find(self, reference: Reference) -> Found | None:
        """The image behind a name, or None where it is not there whole."""

    @abc.abstractmethod
    def pull(self, reference: Reference, digest: str | None, origin: Origin, size: int | None, told: Progress) -> None:
        """Bring the content of ``digest`` (or of the tag) and give it the name of ``reference``."""

    @abc.abstractmethod
    def load(self, path: str, told: Progress) -> list[str]:
        """The names of the images that an archive of docker save holds."""

    @abc.abstractmethod
    def tag(self, source: str, reference: Reference) -> None: ...

    @abc.abstractmethod
    def remove(self, image: str) -> None: ...

    @abc.abstractmethod
    def images(self) -> list[Listed]: ...

    @abc.abstractmethod
    def folder(self) -> str:
        """Where the content is kept."""

    @abc.abstractmethod
    def missing(self, content: Content) -> int:
        """Bytes of the content that the engine does not have yet, as far as it can tell."""

    def network(self) -> Network:
        """What the engine itself was told about registries; nothing where it cannot be asked."""
        return Network()

    def describe(self) -> dict[str, str]:
        return {"engine": self.kind, "tool": self.tool}


class Meaning(NamedTuple):
    check: str
    what: str
    again: bool
    """Whether trying again may help."""


# Patterns in what engines say, the first that fits; engines pass on what registries and kernels say, and addresses,
# ports and digests in which any number may stand.
MEANINGS: tuple[tuple[tuple[str, ...], Meaning], ...] = (
    (
        ("no space left on device", "disk quota exceeded"),
        Meaning("image-space", "there is no room left for it", False),
    ),
    (
        ("no match for platform", "no matching manifest for"),
        Meaning("image-platform", "it has nothing for this machine", False),
    ),
    (
        ("manifest unknown", "not found: manifest", "name unknown", ": not found", "manifest for"),
        Meaning("image-unknown", "the registry does not have it", False),
    ),
    (
        (
            r"\bunauthorized\b",
            "authentication required",
            "authorization failed",
            "no basic auth",
            # What the kernel denies is no matter of the login.
            r"(?<!permission )\bdenied\b",
            r"\b(http|status|(status[ _]?)?code)\W{1,3}40[13]\b",
            r"\b40[13]\W{1,2}(unauthorized|forbidden)\b",
        ),
        Meaning("registry-login", "the registry refuses the login", False),
    ),
    (
        ("x509:", "certificate"),
        Meaning("registry-unreachable", "the registry's certificate is not trusted", False),
    ),
    (
        ("http response to https client",),
        Meaning("registry-unreachable", "the registry speaks plain HTTP", False),
    ),
    (
        (
            "digest mismatch",
            "failed to verify",
            "unexpected commit digest",
            "does not match digest",
            "filesystem layer",
        ),
        Meaning("image-pull", "its content is not what its digest says", True),
    ),
)
OTHERWISE = Meaning("image-pull", "it cannot be pulled", True)


def meaning(text: str) -> Meaning:
    low = text.lower()
    return next((found for patterns, found in MEANINGS if any(re.search(one, low) for one in patterns)), OTHERWISE)


class PullError(FleetError):
    """A pull that ended badly; ``again`` says whether to try it again."""

    def __init__(self, reference: Reference, text: str) -> None:
        told = " ".join(text.split()).rstrip(".")
        found = meaning(told)
        message = f"Image {reference.full} cannot be brought: {found.what} ({told})."
        super().__init__(found.check, message, key="image", value=reference.full)
        self.again = found.again


def gigabytes(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


class Meter:
    """Bytes of several parts as one line of progress, told when a tenth more is done."""

    def __init__(self, name: str, size: int | None, told: Progress) -> None:
        self._name, self._size, self._told = name, size, told
        self._parts: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._last = ""

    def part(self, name: str, done: int, size: int | None = None) -> None:
        self._parts[name] = done
        if size:
            self._sizes[name] = size
        whole = max(self._size or 0, sum(self._sizes.values()))
        if whole:
            tenths = min(10, int(10 * sum(self._parts.values()) / whole)) * 10
            self.say(f"{tenths} % of {gigabytes(whole)}")

    def say(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._told(f"{self._name}: {text}")
