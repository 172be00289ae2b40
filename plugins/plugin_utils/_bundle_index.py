# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a bundle that people read. Private to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._transfer import human
from ansible_collections.ascend.fleet.plugins.plugin_utils import _bundle

TITLES = {
    _bundle.IMAGE: "Images",
    _bundle.MODEL: "Models",
    _bundle.DATA: "Data",
    _bundle.GIT: "Git trees",
    _bundle.FILE: "Files",
    _bundle.WHEELS: "Python packages",
    _bundle.COLLECTIONS: "Collections",
    _bundle.PACKAGES: "Packages of the operating system",
    _bundle.EXTRA: "Further files",
}
USE = """
## Use

1. Copy this whole directory to the controller without a way out, and the inventory with the files that it names.
2. Compare the sums (`sha256sum --check --quiet SHA256SUMS`) and the signature (`gpg --verify manifest.json.asc
   manifest.json`).
3. Where the controller has them not yet:
   `pip install --no-index --find-links wheels/controller -r wheels/controller/requirements.txt` and
   `for one in collections/*.tar.gz; do tar -xzf "$one" -C ~/.ansible/collections; done`.
4. Run every playbook with `fleet_bundle` in the inventory, or with `-e fleet_bundle=/path/of/this/directory`.

A signature for cosign instead, made where the key is and not made by the playbook:
`cosign sign-blob --key cosign.key --output-signature manifest.json.sig manifest.json`
"""


def render(manifest: Mapping[str, Any], beside: Mapping[str, Sequence[str]]) -> str:
    lines = [f"# Bundle for {', '.join(manifest['hosts'])}", ""]
    total = sum(one["size"] for one in manifest["files"])
    lines += [
        f"{len(manifest['files'])} files, {human(total)}. Every file and its sha256 stand in `manifest.json`.",
        "",
    ]
    for kind, title in TITLES.items():
        rows = [row for row in manifest["artefacts"] if row["kind"] == kind]
        if rows:
            lines += [f"## {title}", "", "| what | path | size |", "|---|---|---|"]
            lines += [f"| {_what(row)} | `{row['path']}` | {_size(manifest, row)} |" for row in rows]
            lines.append("")
    lines += _beside(manifest, beside)
    return "\n".join(lines) + USE


def _what(row: Mapping[str, Any]) -> str:
    if row["need"]:
        return _bundle.told(row["need"])
    return str(row.get("source") or row["path"].rpartition("/")[2])


def _size(manifest: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    return human(sum(one["size"] for one in _bundle.files_of(manifest, row["path"])))


def _beside(manifest: Mapping[str, Any], beside: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield "## Not in this bundle"
    yield ""
    if not any(row["kind"] == _bundle.PACKAGES for row in manifest["artefacts"]):
        yield "- Packages of the operating system: nodes have an engine already, or get one by `fleet_bundle_packages`."
    if beside[_bundle.ON_NODE]:
        yield "- What the vendor's package itself requires of pip, unknown here: `fleet_bundle_requirements`."
    for path in beside[_bundle.LOCAL]:
        yield f"- `{path}`, a file of the controller: it travels with the inventory that names it."
    for path in beside[_bundle.ON_NODE]:
        yield f"- `{path}`, the vendor's package on the nodes: put it there by hand."
    yield ""
