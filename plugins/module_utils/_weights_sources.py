# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights come from: each source turns its address into a list of files. Private to the collection.

A source is written as one text, ``huggingface:ORG/NAME`` for instance; SOURCES holds one row for each kind.
"""

from __future__ import annotations

import fnmatch
import json
import os
import posixpath
import re
from typing import Any, Callable, Mapping, NamedTuple, Sequence
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.ascend.fleet.plugins.module_utils import _transfer, _weights_git
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import (
    TRANSPORT_ERRORS,
    Client,
    RefusedError,
    origin_of,
    shown,
)
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import (
    FORMS,
    MANIFEST_NAMES,
    Wish,
    kind_and_place,
)

HUGGINGFACE = "https://huggingface.co"
MODELSCOPE = "https://www.modelscope.cn"
# Files of the repository, not of the model.
REPOSITORY_FILES = (".gitattributes", ".gitignore")

SUM_LINE = re.compile(r"^(?P<sha256>[0-9a-f]{64}) [ *](?P<path>.+)$")
NEXT_PAGE = re.compile(r'<(?P<url>[^>]+)>\s*;\s*rel="next"')


class Place(NamedTuple):
    """A source as it is written, and how it is reached."""

    kind: str
    where: str
    revision: str | None
    endpoint: str | None
    token: str | None
    scratch: str
    """A folder that goes when the work is done."""

    @property
    def login(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class Listing(NamedTuple):
    """The files of a source, at the revision that was found."""

    revision: str | None
    items: list[Item]


class Source(NamedTuple):
    list: Callable[[Place, Client], Listing] | None
    """None where the files are brought to the node by others."""
    explain: Callable[[Place, RefusedError], FleetError | None]
    endpoint: str | None = None
    revision: str | None = None


def place(
    wish: Wish, scratch: str, token: str | None = None, endpoints: Mapping[str, str | None] | None = None
) -> Place:
    kind, where = kind_and_place(wish.source)
    row = SOURCES[kind]
    endpoint = (endpoints or {}).get(kind) or row.endpoint
    return Place(kind, where, wish.revision or row.revision, endpoint and endpoint.rstrip("/"), token, scratch)


def listing(wanted: Place, client: Client, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Listing:
    """The files of a source that the patterns leave."""
    row = SOURCES[wanted.kind]
    if row.list is None:
        form = FORMS[wanted.kind].written
        raise FleetError("model-source", f"{form} is brought by the controller; the node cannot fetch it.")
    try:
        found = row.list(wanted, client)
    except RefusedError as refused:
        raise row.explain(wanted, refused) or _refused(wanted, refused) from None
    except TRANSPORT_ERRORS as error:
        reason = str(getattr(error, "reason", None) or error).rstrip(".")
        raise FleetError(
            "transfer-failed", f"The list of files of {wanted.where} cannot be fetched: {reason}.", value=wanted.where
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise FleetError(
            "model-source",
            f"The list of files of {wanted.where} cannot be understood: {error!r}.",
            "Look at what the address answers; a proxy or a portal may answer in its place.",
            value=wanted.where,
        ) from error
    items = [item for item in found.items if selected(item.path, include, exclude)]
    if not items:
        raise FleetError(
            "model-source",
            f"Of the {len(found.items)} files of {wanted.where} the patterns leave none.",
            "Correct include and exclude.",
            key="model.include",
            value=list(include),
        )
    return Listing(found.revision, items)


def selected(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Patterns are those of a shell over the whole path."""
    if posixpath.basename(path) in REPOSITORY_FILES + MANIFEST_NAMES:
        return False
    if include and not any(fnmatch.fnmatchcase(path, pattern) for pattern in include):
        return False
    return not any(fnmatch.fnmatchcase(path, pattern) for pattern in exclude)


def explain(wanted: Place) -> Callable[[RefusedError], FleetError | None]:
    return lambda refused: SOURCES[wanted.kind].explain(wanted, refused)


def _refused(wanted: Place, refused: RefusedError) -> FleetError:
    message = f"{wanted.where} cannot be listed: {shown(refused.url)} answers {refused.status}."
    return FleetError("transfer-refused", message, value=wanted.where)


# Hugging Face --------------------------------------------------------------------------------------------------------


def _huggingface(wanted: Place, client: Client) -> Listing:
    revision = quote(wanted.revision or "main", safe="")
    info, _headers = client.json(f"{wanted.endpoint}/api/models/{wanted.where}/revision/{revision}", wanted.login)
    commit = str(info["sha"])
    items = []
    page: str | None = f"{wanted.endpoint}/api/models/{wanted.where}/tree/{commit}?recursive=true"
    while page:
        rows, headers = client.json(page, wanted.login)
        items += [_huggingface_item(wanted, commit, row) for row in rows if row["type"] == "file"]
        following = NEXT_PAGE.search(headers.get("Link") or headers.get("link") or "")
        page = _through(str(wanted.endpoint), following["url"]) if following else None
    return Listing(commit, items)


def _through(endpoint: str, url: str) -> str:
    """A mirror may name the next page at the address of the original."""
    parts = urlsplit(url)
    return f"{endpoint}{parts.path}?{parts.query}"


def _huggingface_item(wanted: Place, commit: str, row: Mapping[str, Any]) -> Item:
    url = f"{wanted.endpoint}/{wanted.where}/resolve/{commit}/{quote(row['path'])}"
    large = row.get("lfs")
    if large:
        sha256 = str(large.get("oid") or large.get("sha256"))
        return Item(row["path"], url, int(large["size"]), sha256.rpartition(":")[2], None, tuple(wanted.login.items()))
    return Item(row["path"], url, int(row["size"]), None, str(row["oid"]), tuple(wanted.login.items()))


def _huggingface_explain(wanted: Place, refused: RefusedError) -> FleetError | None:
    code = next((value for name, value in refused.headers.items() if name.lower() == "x-error-code"), "")
    page = f"{wanted.endpoint}/{wanted.where}"
    if code == "GatedRepo":
        return gated(wanted, page)
    if code == "RevisionNotFound":
        return _no_revision(wanted)
    if refused.status == 401 or code == "RepoNotFound":
        message = f"{page} is private or does not exist, or the token is not valid (HTTP {refused.status})."
        return FleetError("transfer-refused", message, "Correct the name, or give a valid token.", value=wanted.where)
    return gated(wanted, page) if refused.status == 403 else None


def gated(wanted: Place, page: str) -> FleetError:
    what = "the account of the token has not accepted its licence" if wanted.token else "no token was given"
    return FleetError(
        "model-gated",
        f"{wanted.where} is gated, and {what}.",
        f"Accept the licence at {page} and give a token of that account in a file (token_file).",
        key="model.token_file",
        value=wanted.where,
    )


def _no_revision(wanted: Place) -> FleetError:
    message = f"{wanted.where} has no revision {wanted.revision}."
    return FleetError(
        "model-source", message, "Name a branch, a tag or a commit of it.", key="model.revision", value=wanted.revision
    )


# ModelScope ----------------------------------------------------------------------------------------------------------


def _modelscope(wanted: Place, client: Client) -> Listing:
    base = f"{wanted.endpoint}/api/v1/models/{wanted.where}/repo"
    revision = quote(wanted.revision or "master", safe="")
    answer, _headers = client.json(f"{base}/files?Revision={revision}&Recursive=true", wanted.login)
    rows = [row for row in answer["Data"]["Files"] if row.get("Type") != "tree"]
    return Listing(
        wanted.revision,
        [
            Item(
                row["Path"],
                f"{base}?Revision={revision}&FilePath={quote(row['Path'], safe='')}",
                int(row["Size"]),
                row.get("Sha256") or None,
                None,
                tuple(wanted.login.items()),
                row.get("Revision"),
            )
            for row in rows
        ],
    )


def _modelscope_explain(wanted: Place, refused: RefusedError) -> FleetError | None:
    page = f"{wanted.endpoint}/models/{wanted.where}"
    if refused.status == 403:
        return gated(wanted, page)
    if refused.status in (401, 404):
        message = f"{page} is private or does not exist, or has no revision {wanted.revision} (HTTP {refused.status})."
        return FleetError("transfer-refused", message, "Correct the name or the revision, or give a valid token.")
    return None


# A manifest over HTTPS -----------------------------------------------------------------------------------------------


def _manifest(wanted: Place, client: Client) -> Listing:
    with client.open(wanted.where, wanted.login) as answer:
        text = answer.read().decode("utf-8", "replace")
    rows, revision = _rows(text)
    return Listing(revision, [_manifest_item(wanted, row) for row in rows])


def _manifest_item(wanted: Place, row: Mapping[str, Any]) -> Item:
    url = urljoin(wanted.where, row.get("url") or quote(row["path"]))
    given = wanted.login if origin_of(url) == origin_of(wanted.where) else {}
    return Item(row["path"], url, row.get("size"), row["sha256"], None, tuple(given.items()))


def _rows(text: str) -> tuple[list[dict[str, Any]], str | None]:
    """The lines of sha256sum, or a JSON object with files."""
    if text.lstrip().startswith("{"):
        manifest = json.loads(text)
        return list(manifest["files"]), manifest.get("revision")
    found = [SUM_LINE.match(line) for line in text.splitlines() if line.strip()]
    if not found or None in found:
        raise ValueError("neither JSON with files nor lines of sha256sum")
    return [{"path": one["path"].replace("./", "", 1), "sha256": one["sha256"]} for one in found if one], None


# What is on the node -------------------------------------------------------------------------------------------------


def _node(wanted: Place, client: Client) -> Listing:
    if not os.path.isdir(wanted.where):
        raise FleetError(
            "model-source",
            f"The directory {wanted.where} is not on the node.",
            "Mount the storage that holds it, or correct the source.",
            key="model.source",
            value=wanted.where,
        )
    items = files_below(wanted.where)
    _transfer.check_links(_transfer.local(item) for item in items)
    return Listing(None, items)


def files_below(folder: str) -> list[Item]:
    items = []
    for current, folders, names in os.walk(folder):
        # Caches of download tools and git's own store are no part of a model.
        folders[:] = [name for name in folders if name not in (".git", ".cache")]
        for name in names:
            path = os.path.join(current, name)
            if name not in MANIFEST_NAMES and os.path.isfile(path):
                relative, size = os.path.relpath(path, folder), os.path.getsize(path)
                items.append(Item(relative, f"file://{quote(path)}", size, state=_transfer.time_of(path)))
    return sorted(items)


def _git(wanted: Place, client: Client) -> Listing:
    revision, items = _weights_git.listing(wanted.where, wanted.revision, wanted.token, wanted.scratch, client)
    return Listing(revision, items)


def _unexplained(_wanted: Place, _refused: RefusedError) -> FleetError | None:
    return None


SOURCES: dict[str, Source] = {
    "huggingface": Source(_huggingface, _huggingface_explain, HUGGINGFACE, "main"),
    "modelscope": Source(_modelscope, _modelscope_explain, MODELSCOPE, "master"),
    "git": Source(_git, _unexplained),
    "manifest": Source(_manifest, _unexplained),
    "controller": Source(None, _unexplained),
    "node": Source(_node, _unexplained),
}
