# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data in a bundle, as ``training_dataset_items`` name them. Pure. Private to the collection."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _bundle
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle import Bundle

Json = dict[str, Any]

REMOTE = ("http://", "https://")
# What the bundle stands in for.
INSTEAD = ("files", "archive", "source", "token_file")
PLAIN: Json = {"revision": None, "include": [], "exclude": []}


def needs(items: Iterable[Mapping[str, Any]]) -> Iterator[Json]:
    """What nodes would fetch for these items."""
    for item in items:
        need = _need(item)
        if need:
            yield need


def token_file(items: Iterable[Mapping[str, Any]], need: Json) -> str | None:
    """The file with the token for what an item asks for."""
    return next((item["token_file"] for item in items if item.get("token_file") and _need(item) == need), None)


def _need(item: Mapping[str, Any]) -> Json | None:
    """One thing for an item; none where it lies on the nodes already, or travels with the inventory."""
    if item.get("source"):
        return _bundle.source_of_data({**PLAIN, "source": item["source"]})
    archive = item.get("archive")
    files = [{**archive, "path": _name(archive)}] if archive else item.get("files") or []
    remote = [one for one in files if _remote(one)]
    if not remote:
        return None
    rows = [{"path": one["path"], "url": one["url"], "sha256": one.get("sha256")} for one in remote]
    return {"kind": _bundle.DATA, "files": rows}


def _remote(file: Mapping[str, Any]) -> bool:
    return str(file["url"]).startswith(REMOTE)


def _name(archive: Mapping[str, Any]) -> str:
    return posixpath.basename(str(archive["url"]).partition("?")[0].rstrip("/")) or "archive"


def resolved(items: Iterable[Mapping[str, Any]], bundle: Bundle) -> list[Json]:
    """The items with the bundle's copies, which come to the nodes from the controller."""
    return [_resolved(item, bundle) for item in items]


def _resolved(item: Mapping[str, Any], bundle: Bundle) -> Json:
    need = _need(item)
    if need is None or need["kind"] == _bundle.LOCAL:
        return dict(item)
    found = {key: value for key, value in item.items() if key not in INSTEAD}
    # The bundle holds a source, or the files that are fetched; others come from where they came before.
    kept = [one for one in item.get("files") or [] if item.get("source") or not _remote(one)]
    if kept:
        found["files"] = kept
    found["source"] = f"controller:{bundle.held(need)}"
    archive = item.get("archive")
    if archive:
        found["archive"] = {**archive, "url": f"{str(item['path']).rstrip('/')}.source/{_name(archive)}"}
    return found
