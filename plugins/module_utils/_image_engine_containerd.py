# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of containerd in one of its namespaces, by ctr or nerdctl; kubelet's are in k8s.io. Private to the collection.

A login reaches the tools in a directory of hosts that only root can read and that is removed afterwards.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
import re
import shutil
import tempfile
from typing import Any, Dict, Iterator

from ansible_collections.ascend.fleet.plugins.module_utils._containerd_hosts import hosts_toml
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import INDEXES, Content
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import (
    Found,
    ImageEngine,
    Listed,
    Meter,
    Origin,
    Progress,
    PullError,
)
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference, parse
from ansible_collections.ascend.fleet.plugins.module_utils._system import Result, System

Json = Dict[str, Any]

ROOT = "/var/lib/containerd"
# The namespace of kubelet's images.
KUBELETS = "k8s.io"
ASK_SECONDS = 60.0
LOAD_SECONDS = 7200.0
UNPACK_SECONDS = 7200.0
# ctr counts large transfers in tenths of a gigabyte, which take a while over a thin line.
STANDSTILL = 600.0
# Memory only: the login must not reach a disk.
PRIVATE = "/run"

_STATUS = re.compile(
    r"^(?P<ref>\S+)\s+(?P<type>\S+)\s+(?P<digest>sha256:[0-9a-f]{64})\s+(?P<state>complete|incomplete|unavailable)\b"
    r".*?(?P<unpacked>true|false)\s*$",
    re.MULTILINE,
)
_ROW = re.compile(
    r"^(?P<ref>\S+)\s+(?P<type>\S+)\s+(?P<digest>sha256:[0-9a-f]{64})\s+(?P<size>[\d.]+ \S+)", re.MULTILINE
)
_PULLED = re.compile(r"total:\s+([\d.]+ *[KMGT]?i?B?)\s")
_SIZE = re.compile(r"^([\d.]+) *([KMGT]?)(i?)B?$", re.IGNORECASE)
_ROOT = re.compile(r"^\s*root\s+(\S+?)/io\.containerd\.content", re.MULTILINE)


class ContainerdImages(ImageEngine):
    """What ctr and nerdctl have in common."""

    kind = "containerd"

    def __init__(self, system: System, address: str, namespace: str) -> None:
        self._system = system
        self._address = address
        self._namespace = namespace

    def describe(self) -> dict[str, str]:
        return {"engine": self.kind, "tool": self.tool, "namespace": self._namespace, "lister": self._lister()}

    def folder(self) -> str:
        return ROOT

    def images(self) -> list[Listed]:
        return self._seen_by_kubelet() if self._lister() == "crictl" else self._listed()

    def pull(self, reference: Reference, digest: str | None, origin: Origin, size: int | None, told: Progress) -> None:
        """Pulled under the name of its digest, named at the end: a tag never stands for half an image."""
        exact = digest or reference.digest
        source = reference.pinned(exact)
        before = self.find(parse(source)) is not None
        with self._hosts(reference, origin) as folder:
            done = self._fetch(source, folder, Meter(reference.full, size, told))
        if done.rc or done.timed_out:
            if exact and not before:
                self._run("images", "rm", source)
            why = "it got no further for a long time" if done.timed_out else _last(done)
            raise PullError(reference, why)
        if exact and reference.tag:
            self.tag(source, reference)
            if not before:
                self.remove(source)

    @contextlib.contextmanager
    def _hosts(self, reference: Reference, origin: Origin) -> Iterator[str]:
        folder = tempfile.mkdtemp(prefix="ascend-fleet-hosts-", dir=self._system.path(PRIVATE))
        try:
            place = os.path.join(folder, reference.host)
            os.mkdir(place, 0o700)
            authorities = []
            for number, text in enumerate(origin.access.ca):
                authorities.append(os.path.join(place, f"ca{number}.crt"))
                _private(authorities[-1], text)
            _private(os.path.join(place, "hosts.toml"), hosts_toml(reference, origin, authorities))
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _seen_by_kubelet(self) -> list[Listed]:
        """crictl shows what kubelet sees."""
        endpoint = f"unix://{self._address}"
        asked = ["crictl", "--runtime-endpoint", endpoint, "--image-endpoint", endpoint]
        images = self._json([*asked, "images", "--output", "json"])["images"]
        users: dict[str, list[str]] = {}
        for container in self._json([*asked, "ps", "--all", "--output", "json"])["containers"]:
            name = str((container.get("metadata") or {}).get("name"))
            users.setdefault(str(container.get("imageRef")), []).append(name)
        return [
            Listed(row["id"], row.get("repoTags") or [], int(row.get("size") or 0), _users(row, users))
            for row in images
        ]

    def _grouped(self, names: list[str], users: dict[str, list[str]]) -> list[Listed]:
        """Names of the same image together; kubelet's containerd keeps each under its id as well."""
        found: dict[str, Listed] = {}
        for name in names:
            image = self.find(parse(name)) if not name.startswith("sha256:") else None
            if image and image.id:
                row = found.setdefault(image.id, Listed(image.id, [], image.size or 0, list(users.get(image.id, []))))
                row.names.append(name)
                row.used_by.extend(users.get(name, []))
        return list(found.values())

    def _json(self, argv: list[str]) -> Json:
        done = self._checked(argv)
        try:
            found = json.loads(done.out)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise _broken(argv, "does not print JSON")
        return found

    def _lister(self) -> str:
        return "crictl" if program(self._system, "crictl") and self._namespace == KUBELETS else self.tool

    def _run(self, *words: str, timeout: float = ASK_SECONDS) -> Result:
        return self._system.run([*self._command(), *words], timeout)

    def _checked(self, argv: list[str], timeout: float = ASK_SECONDS) -> Result:
        done = self._system.run(argv, timeout)
        if done.rc or done.timed_out:
            raise _broken(argv, "does not end" if done.timed_out else _last(done))
        return done

    @abc.abstractmethod
    def _command(self) -> list[str]: ...

    @abc.abstractmethod
    def _fetch(self, source: str, hosts: str, meter: Meter) -> Result: ...

    @abc.abstractmethod
    def _listed(self) -> list[Listed]: ...


class CtrImages(ContainerdImages):
    tool = "ctr"

    def find(self, reference: Reference) -> Found | None:
        done = self._checked([*self._command(), "images", "check", f"name=={reference.full}"])
        row = next((found for found in _STATUS.finditer(done.out) if found["ref"] == reference.full), None)
        if row is None or row["state"] != "complete" or row["unpacked"] != "true":
            return None
        manifest, size = self._manifest(row["digest"])
        config = (manifest.get("config") or {}).get("digest")
        digests = [row["digest"], *([size[0]] if size[0] != row["digest"] else [])]
        return Found(config, digests, size[1])

    def load(self, path: str, told: Progress) -> list[str]:
        told(f"{path}: loading")
        before = {row["ref"]: row["digest"] for row in _ROW.finditer(self._table())}
        # Content without a digest of its own is compressed on request only, which takes longer than it saves.
        done = self._run("images", "import", path, timeout=LOAD_SECONDS)
        if done.rc or done.timed_out:
            raise _broken(["ctr", "images", "import"], _last(done))
        told_names = re.findall(r"^unpacking (\S+) \(", done.out, re.MULTILINE)
        after = {row["ref"]: row["digest"] for row in _ROW.finditer(self._table())}
        changed = [name for name, digest in after.items() if before.get(name) != digest]
        return list(dict.fromkeys([*told_names, *changed]))

    def tag(self, source: str, reference: Reference) -> None:
        self._checked([*self._command(), "images", "tag", "--force", source, reference.full])

    def remove(self, image: str) -> None:
        self._checked([*self._command(), "images", "rm", image])

    def folder(self) -> str:
        told = self._run("plugins", "ls", "--detailed", "id==content")
        found = _ROOT.search(told.out)
        return found[1] if found else ROOT

    def missing(self, content: Content) -> int:
        there = set(self._checked([*self._command(), "content", "ls", "--quiet"]).out.split())
        return sum(size for digest, size in content.layers if digest not in there)

    def _listed(self) -> list[Listed]:
        users: dict[str, list[str]] = {}
        for line in self._checked([*self._command(), "containers", "ls"]).out.splitlines()[1:]:
            words = line.split()
            if len(words) > 1:
                users.setdefault(words[1], []).append(words[0])
        return self._grouped([row["ref"] for row in _ROW.finditer(self._table())], users)

    def _table(self) -> str:
        return self._checked([*self._command(), "images", "ls"]).out

    def _manifest(self, digest: str) -> tuple[Json, tuple[str, int]]:
        """The manifest for this machine behind what a name points to, with its digest and the size of all."""
        content = self._json([*self._command(), "content", "get", digest])
        if content.get("mediaType") in INDEXES or "manifests" in content:
            # Of an index only what this machine can run is fetched.
            for row in content["manifests"]:
                done = self._run("content", "get", row["digest"])
                if done.rc == 0:
                    return self._sized(row["digest"], json.loads(done.out))
            return {}, (digest, 0)
        return self._sized(digest, content)

    def _sized(self, digest: str, manifest: Json) -> tuple[Json, tuple[str, int]]:
        parts = [manifest.get("config") or {}, *(manifest.get("layers") or [])]
        return manifest, (digest, sum(int(part.get("size") or 0) for part in parts))

    def _command(self) -> list[str]:
        return ["ctr", "--address", self._address, "--namespace", self._namespace]

    def _fetch(self, source: str, hosts: str, meter: Meter) -> Result:
        so_far = -1

        def line(text: str) -> float | None:
            nonlocal so_far
            found = _PULLED.search(text)
            if text.startswith("unpacking"):
                # From here on ctr says nothing until it is done.
                meter.say("unpacking")
                return UNPACK_SECONDS
            if found is None or _bytes(found[1]) == so_far:
                return None
            so_far = _bytes(found[1])
            meter.part("all", so_far)
            return STANDSTILL

        argv = [*self._command(), "images", "pull", "--hosts-dir", hosts, source]
        return self._system.follow(argv, line, STANDSTILL)


class NerdctlImages(ContainerdImages):
    tool = "nerdctl"

    def find(self, reference: Reference) -> Found | None:
        done = self._run("image", "inspect", reference.full)
        if done.rc:
            return None
        try:
            rows = json.loads(done.out)
        except ValueError:
            raise _broken(["nerdctl", "image", "inspect"], "does not print JSON") from None
        if not rows:
            return None
        digests = [entry.rpartition("@")[2] for entry in rows[0].get("RepoDigests") or []]
        return Found(rows[0].get("Id"), digests, rows[0].get("Size"), rows[0].get("Architecture"))

    def load(self, path: str, told: Progress) -> list[str]:
        told(f"{path}: loading")
        done = self._run("load", "--input", path, timeout=LOAD_SECONDS)
        if done.rc or done.timed_out:
            raise _broken(["nerdctl", "load"], _last(done))
        return re.findall(r"^Loaded image: (\S+)", done.out, re.MULTILINE)

    def tag(self, source: str, reference: Reference) -> None:
        self._checked([*self._command(), "tag", source, reference.full])

    def remove(self, image: str) -> None:
        self._checked([*self._command(), "rmi", image])

    def missing(self, content: Content) -> int:
        return content.size or 0

    def _listed(self) -> list[Listed]:
        users: dict[str, list[str]] = {}
        for row in self._rows("ps", "--all", "--no-trunc", "--format", "json"):
            users.setdefault(str(row.get("Image")), []).append(str(row.get("Names")))
        rows = self._rows("images", "--no-trunc", "--format", "json")
        return self._grouped([f"{row.get('Repository')}:{row.get('Tag')}" for row in rows], users)

    def _rows(self, *words: str) -> list[Json]:
        done = self._checked([*self._command(), *words])
        return [json.loads(line) for line in done.out.splitlines() if line.strip()]

    def _command(self) -> list[str]:
        return ["nerdctl", "--address", self._address, "--namespace", self._namespace]

    def _fetch(self, source: str, hosts: str, meter: Meter) -> Result:
        meter.say("pulling")
        argv = [*self._command(), "--hosts-dir", hosts, "pull", source]
        # It does not tell how far it is where nobody looks on.
        return self._system.follow(argv, lambda text: None, UNPACK_SECONDS)


# Each can do all that is needed; ctr comes with containerd itself.
TOOLS: tuple[type[ContainerdImages], ...] = (CtrImages, NerdctlImages)


def detect(system: System, address: str, namespace: str) -> ContainerdImages | None:
    """The containerd that listens there, by the first tool that the node has for it."""
    if not system.exists(address):
        return None
    kind = next((kind for kind in TOOLS if program(system, kind.tool)), None)
    return kind(system, address, namespace) if kind else None


def program(system: System, name: str) -> bool:
    return any(system.exists(f"{folder}/{name}") for folder in ("/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin"))


def _users(row: Json, users: dict[str, list[str]]) -> list[str]:
    names = [row["id"], *(row.get("repoTags") or []), *(row.get("repoDigests") or [])]
    return [user for name in names for user in users.get(name, [])]


def _private(path: str, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def _bytes(text: str) -> int:
    found = _SIZE.match(text.strip())
    if found is None:
        return 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2].upper() or " "))


def _last(done: Result) -> str:
    lines = [line for line in (done.err or done.out).splitlines() if line.strip()]
    text = lines[-1] if lines else f"exit status {done.rc}"
    return re.sub(r"^(ctr: |FATA\[\d+\] |time=\S+ level=fatal msg=)", "", text).strip().strip('"')


def _broken(argv: list[str], what: str) -> FleetError:
    shown = " ".join(word for word in argv if not word.startswith("-"))
    return FleetError("engine-refused", f"{shown}: {what.rstrip('.')}.")
