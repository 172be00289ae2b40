# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A git repository with large files: git brings the small, the batch API names the large. Private to the collection.

Only git itself is needed on the node: its large files come by the transfer engine, resumed and in parallel.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from typing import Any
from urllib.parse import quote, urlsplit

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import run_process
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Client, origin_of, shown

LFS_JSON = "application/vnd.git-lfs+json"
POINTER = re.compile(
    r"^version https://git-lfs\.github\.com/spec/v1\n"
    r"(?:ext-.*\n)*oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>\d+)\n"
)
POINTER_SIZE = 1024
AT_ONCE = 100
SECONDS = 600

# The checkout shall hold pointers, whatever the node's own git is set to, and run nothing.
INERT = (
    ("filter.lfs.smudge", ""),
    ("filter.lfs.process", ""),
    ("filter.lfs.required", "false"),
    ("core.hooksPath", os.devnull),
    ("core.symlinks", "false"),
)


def listing(url: str, revision: str | None, token: str | None, scratch: str, client: Client) -> tuple[str, list[Item]]:
    """Commit and files of a repository; its small files lie in ``scratch`` afterwards."""
    git = _Git(url, token, os.path.join(scratch, "git"), client)
    commit = git.checkout(revision or "HEAD")
    small, pointers = [], []
    for path, size, blob in git.tree():
        local = os.path.join(git.folder, path)
        pointer = _pointer(local) if size <= POINTER_SIZE else None
        if pointer:
            pointers.append((path, *pointer))
        else:
            small.append(Item(path, f"file://{quote(local)}", size, None, blob))
    return commit, small + _batch(url, pointers, login(token), client)


def login(token: str | None) -> dict[str, str]:
    """A token, or a name and a password joined by a colon."""
    if not token:
        return {}
    if ":" in token:
        return {"Authorization": "Basic " + base64.b64encode(token.encode()).decode()}
    return {"Authorization": f"Bearer {token}"}


def _pointer(path: str) -> tuple[str, int] | None:
    with open(path, encoding="utf-8", errors="replace") as stream:
        found = POINTER.match(stream.read(POINTER_SIZE))
    return (found["oid"], int(found["size"])) if found else None


def _batch(url: str, pointers: list[tuple[str, str, int]], headers: dict[str, str], client: Client) -> list[Item]:
    # The address of the API is that of the repository, which then ends with .git.
    base = url.rstrip("/")
    base = base if base.endswith(".git") else base + ".git"
    items = []
    for start in range(0, len(pointers), AT_ONCE):
        some = pointers[start : start + AT_ONCE]
        wanted = {
            "operation": "download",
            "transfers": ["basic"],
            "objects": [{"oid": oid, "size": size} for _path, oid, size in some],
        }
        answer, _headers = client.json(
            f"{base}/info/lfs/objects/batch", {**headers, "Accept": LFS_JSON, "Content-Type": LFS_JSON}, wanted
        )
        by_oid = {one["oid"]: one for one in answer["objects"]}
        items += [_large(path, oid, size, by_oid.get(oid) or {}, url, headers) for path, oid, size in some]
    return items


def _large(path: str, oid: str, size: int, found: dict[str, Any], url: str, headers: dict[str, str]) -> Item:
    download = (found.get("actions") or {}).get("download")
    if not download:
        why = (found.get("error") or {}).get("message") or "it is not there"
        raise FleetError("transfer-refused", f"{shown(url)} does not give the large file {path}: {why}.", value=path)
    given = download.get("header") or {}
    if not given and origin_of(download["href"]) == origin_of(url):
        given = headers
    return Item(path, download["href"], size, oid, None, tuple(given.items()))


class _Git:
    def __init__(self, url: str, token: str | None, folder: str, client: Client) -> None:
        self.url = url
        self.folder = folder
        self._environment = _environment(url, token, client)

    def checkout(self, revision: str) -> str:
        # A killed git leaves locks, at which every later one would fail.
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)
        self.run("init", "--quiet", ".")
        self.run("fetch", "--quiet", "--depth", "1", "--no-tags", self.url, revision)
        self.run("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        return self.run("rev-parse", "HEAD").strip()

    def tree(self) -> list[tuple[str, int, str]]:
        """Path, size and blob of every file."""
        found = []
        for line in self.run("ls-tree", "-r", "-z", "--long", "HEAD").split("\0"):
            head, _tab, path = line.partition("\t")
            words = head.split()
            if path and words[1] == "blob" and words[0] != "120000":
                found.append((path, int(words[3]), words[2]))
        return found

    def run(self, *words: str) -> str:
        ran = run_process(["git", "-C", self.folder, *words], timeout=SECONDS, env=self._environment)
        if ran.rc == 0:
            return ran.out
        if ran.rc == 127:
            raise FleetError("model-source", "git is not on the node.", "Install git (role git_lfs), then run again.")
        lines = [line for line in ran.err.splitlines() if line.strip()] or [f"it ended with {ran.rc}"]
        raise FleetError(
            "transfer-refused", f"git cannot read {shown(self.url)}: {lines[-1].strip()}.", value=shown(self.url)
        )


def _environment(url: str, token: str | None, client: Client) -> dict[str, str]:
    """Settings by the environment, which shows a token to nobody but the process's own user."""
    parts = urlsplit(url)
    settings = list(INERT)
    settings += [
        (f"http.{parts.scheme}://{parts.netloc}/.extraHeader", f"{name}: {value}")
        for name, value in login(token).items()
    ]
    access = client.access
    found = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings):
        found[f"GIT_CONFIG_KEY_{index}"] = key
        found[f"GIT_CONFIG_VALUE_{index}"] = value
    for scheme in ("http", "https"):
        if access.proxy.get(scheme):
            found[f"{scheme}_proxy"] = access.proxy[scheme]
    if access.no_proxy:
        found["no_proxy"] = ",".join(access.no_proxy)
    if access.ca_file:
        found["GIT_SSL_CAINFO"] = access.ca_file
    if not access.validate_certs:
        found["GIT_SSL_NO_VERIFY"] = "1"
    return found
