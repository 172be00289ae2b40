# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a source of weights, and what was delivered. Private to the collection."""

from __future__ import annotations

import re
from typing import NamedTuple

MANIFEST_NAME = ".ascend-fleet-model.json"
# What the collection writes into directories of models and of data; in a source it is of another directory.
MANIFEST_NAMES = (MANIFEST_NAME, ".ascend-fleet-data.json")
_REPOSITORY = r"^[\w.-]+/[\w.-]+$"


class Wish(NamedTuple):
    """What is wanted of which source."""

    source: str
    revision: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Done(NamedTuple):
    """A verified file of the tree."""

    path: str
    size: int
    sha256: str
    mtime_ns: int
    key: str | None = None
    """Of the item that it was, where that is known."""


class Form(NamedTuple):
    """How a kind of source is written, and what may follow the name of the kind."""

    written: str
    pattern: str


FORMS = {
    "huggingface": Form("huggingface:ORG/NAME", _REPOSITORY),
    "modelscope": Form("modelscope:ORG/NAME", _REPOSITORY),
    "git": Form("git+https://HOST/REPOSITORY", r"^https?://[^/]+/.+"),
    "manifest": Form("https://HOST/.../MANIFEST", r"^https?://[^/]+/.*[^/]$"),
    "controller": Form("controller:/DIRECTORY-OR-TAR", r"^[/~]"),
    "node": Form("node:/DIRECTORY", r"^/"),
}
ALIASES = {"hf": "huggingface", "ms": "modelscope"}
WEB_FORMS = (
    ("https://huggingface.co/", "huggingface"),
    ("https://modelscope.cn/models/", "modelscope"),
    ("https://www.modelscope.cn/models/", "modelscope"),
)


def kind_and_place(source: str) -> tuple[str, str]:
    """A source's kind and what follows; ValueError says what is wrong with it."""
    for prefix, kind in WEB_FORMS:
        if source.startswith(prefix):
            return _matched(kind, "/".join(source[len(prefix) :].split("/")[:2]), source)
    scheme, colon, rest = source.partition(":")
    if scheme in ("https", "http") and colon:
        return _matched("manifest", source, source)
    if scheme in ("git+https", "git+http") and colon:
        return _matched("git", source[len("git+") :], source)
    kind = ALIASES.get(scheme, scheme)
    if not colon or kind not in FORMS:
        raise ValueError("is no source; write one of {}".format(", ".join(form.written for form in FORMS.values())))
    return _matched(kind, rest, source)


def _matched(kind: str, where: str, source: str) -> tuple[str, str]:
    if not re.match(FORMS[kind].pattern, where):
        raise ValueError(f"is no source of that kind; write it as {FORMS[kind].written}")
    return kind, where
