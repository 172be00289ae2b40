# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker SDK for Python on a node: the system's where it works, else a complete private copy.

Private to the collection. The copy is unpacked from pure-Python wheels into ``<folder>/<digest>``;
the link ``<folder>/current`` names the one in use. It is never mixed with the system's packages.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import posixpath
import shutil
import stat
import sys
import tempfile
import zipfile
from typing import Any, Callable

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

DISTRIBUTIONS = ("docker", "requests", "urllib3", "idna", "charset_normalizer", "certifi")
OPTIONAL = ("charset_normalizer", "chardet", "websocket-client", "packaging")
INCOMING = "incoming"
CURRENT = "current"
MANIFEST = ".manifest.json"
SYSTEM_RECORD = "system.json"
LIMIT = 64 * 1024 * 1024
PURE = ("-py3-none-any.whl", "-py2.py3-none-any.whl")

# Asks an engine of its own making, so that the answer does not depend on the state of the real one:
# some versions of docker and requests import together and fail at the first request.
PROBE = """
import os, socket, sys, tempfile, threading
sys.path[:0] = sys.argv[1:]
import docker
folder = tempfile.mkdtemp()
path = os.path.join(folder, "s")
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(4)
def answer():
    peer = server.accept()[0]
    peer.recv(65536)
    head = ["HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 2", "Connection: close", "", "OK"]
    peer.sendall("\\r\\n".join(head).encode())
    peer.close()
threading.Thread(target=answer, daemon=True).start()
try:
    client = docker.DockerClient(base_url="unix://" + path, version="1.41", timeout=5)
    if not client.ping():
        raise SystemExit(1)
finally:
    os.unlink(path)
    os.rmdir(folder)
"""

Versions = Callable[[], "dict[str, str]"]


def system_versions() -> dict[str, str]:
    """Versions that this interpreter would import; reading metadata is far cheaper than importing."""
    found = {"python": sys.executable or "python3"}
    for name in (*DISTRIBUTIONS, *OPTIONAL):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def active(system: System, folder: str) -> str | None:
    """The path to put first in ``sys.path``, or None where the system's packages serve."""
    path = f"{folder}/{CURRENT}"
    return system.path(path) if system.exists(f"{path}/{MANIFEST}") else None


# --- observe


def observe(system: System, want: dict[str, Any], versions: Versions = system_versions) -> dict[str, Any]:
    folder = str(want["folder"])
    private = _private(system, folder)
    if private["complete"]:
        return {"private": private, "system": {"works": None}, "incoming": _incoming(system, folder)}
    found = versions()
    recorded = system.read(f"{folder}/{SYSTEM_RECORD}") == _record(found)
    works = recorded or ("docker" in found and probe(system, [])[0])
    return {
        "private": private,
        "system": {"works": works, "recorded": recorded, "versions": found},
        "incoming": _incoming(system, folder),
    }


def _record(found: dict[str, str]) -> str:
    return json.dumps(found, sort_keys=True) + "\n"


def _incoming(system: System, folder: str) -> list[str]:
    return [name for name in system.listdir(f"{folder}/{INCOMING}") if name.endswith(".whl")]


def _private(system: System, folder: str) -> dict[str, Any]:
    base = f"{folder}/{CURRENT}"
    text = system.read(f"{base}/{MANIFEST}")
    if text is None:
        return {"complete": False, "versions": {}, "damaged": []}
    try:
        manifest = json.loads(text)
    except ValueError:
        return {"complete": False, "versions": {}, "damaged": [MANIFEST]}
    damaged = [name for name, size in manifest["files"].items() if _size(system, f"{base}/{name}") != size]
    return {"complete": not damaged, "versions": manifest["versions"], "damaged": damaged[:5]}


def _size(system: System, path: str) -> int | None:
    found = system.stat(path)
    return None if found is None else found.st_size


def probe(system: System, paths: list[str]) -> tuple[bool, str]:
    """Whether the SDK at these paths, or the system's, imports and talks."""
    flags = ["-I"] if paths else []
    result = system.run([sys.executable or "python3", *flags, "-c", PROBE, *paths], timeout=60)
    last = (result.err.strip().splitlines() or [""])[-1]
    return result.rc == 0, last


# --- plan


def plan(want: dict[str, Any], observed: dict[str, Any]) -> list[dict[str, Any]]:
    if not want.get("manage", True) or observed["private"]["complete"]:
        return []
    folder = str(want["folder"])
    found = observed["system"]
    if found["works"]:
        if found["recorded"]:
            return []
        reason = "The Docker SDK of the operating system works."
        return [action("host", "use_system_sdk", folder, reason, after=found["versions"])]
    damaged = observed["private"]["damaged"]
    reason = f"Damaged: {', '.join(damaged)}." if damaged else "No Docker SDK that works is on the node."
    return [
        action(
            "host", "install_sdk", folder, reason, before=found.get("versions"), after={"packages": list(DISTRIBUTIONS)}
        )
    ]


# --- apply


def use_system(system: System, folder: str, versions: Versions = system_versions) -> None:
    system.write(f"{folder}/{SYSTEM_RECORD}", _record(versions()))


def install(system: System, folder: str) -> None:
    """Unpack the wheels that the controller has put into ``<folder>/incoming``."""
    wheels = {name: _bytes(system, f"{folder}/{INCOMING}/{name}") for name in _incoming(system, folder)}
    versions = _check_complete(wheels, folder)
    digest = hashlib.sha256(json.dumps({n: hashlib.sha256(c).hexdigest() for n, c in sorted(wheels.items())}).encode())
    name = digest.hexdigest()[:16]
    base = system.path(folder)
    new = tempfile.mkdtemp(prefix=".new-", dir=base)
    try:
        files: dict[str, int] = {}
        for wheel, content in sorted(wheels.items()):
            files.update(_unpack(wheel, content, new))
        with open(os.path.join(new, MANIFEST), "w", encoding="utf-8") as handle:
            json.dump({"versions": versions, "files": files}, handle, indent=1, sort_keys=True)
        os.chmod(new, 0o755)
        works, reason = probe(system, [new])
        if not works:
            raise FleetError("sdk-missing", f"The Docker SDK in {folder} does not work: {reason}.", key="sdk")
        target = os.path.join(base, name)
        if os.path.isdir(target):
            os.rename(target, new + ".old")
            shutil.rmtree(new + ".old", ignore_errors=True)
        os.rename(new, target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    _activate(base, name)
    shutil.rmtree(os.path.join(base, INCOMING), ignore_errors=True)


def _activate(base: str, name: str) -> None:
    link = os.path.join(base, CURRENT)
    previous = os.path.basename(os.readlink(link)) if os.path.islink(link) else None
    temporary = link + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(name, temporary)
    os.rename(temporary, link)
    # The one before stays: work that is still running may import from it.
    for entry in os.listdir(base):
        path = os.path.join(base, entry)
        if entry not in (name, previous, INCOMING) and os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)


def _bytes(system: System, path: str) -> bytes:
    with open(system.path(path), "rb") as handle:
        return handle.read(LIMIT + 1)


def _check_complete(wheels: dict[str, bytes], folder: str) -> dict[str, str]:
    foreign = [name for name in wheels if not name.endswith(PURE)]
    if foreign:
        raise FleetError(
            "sdk-missing",
            f"{', '.join(foreign)} in {folder}/{INCOMING} is no pure-Python wheel.",
            "Give wheels whose names end in py3-none-any.whl.",
            key="sdk",
        )
    versions = {}
    for name in wheels:
        distribution, version = name.split("-")[:2]
        key = distribution.lower().replace(".", "_")
        if key in versions:
            raise FleetError("sdk-missing", f"{folder}/{INCOMING} holds two versions of {key}.", key="sdk")
        versions[key] = version
    absent = [name for name in DISTRIBUTIONS if name not in versions]
    if absent:
        raise FleetError("sdk-missing", f"Wheels are missing in {folder}/{INCOMING}: {', '.join(absent)}.", key="sdk")
    if tuple(int(part) for part in versions["docker"].split(".")[:2]) < (7, 1):
        raise FleetError("sdk-missing", f"docker {versions['docker']} is older than 7.1.", key="sdk")
    return versions


def _unpack(wheel: str, content: bytes, folder: str) -> dict[str, int]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = [member for member in archive.infolist() if not member.is_dir()]
        if sum(member.file_size for member in members) > LIMIT:
            raise FleetError("sdk-missing", f"The wheel {wheel} unpacks to more than {LIMIT} bytes.", key="sdk")
        return dict(_extract(archive, member, wheel, folder) for member in members)
    except zipfile.BadZipFile as error:
        raise FleetError("sdk-missing", f"The wheel {wheel} is damaged: {error}.", key="sdk") from error


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, wheel: str, folder: str) -> tuple[str, int]:
    name = member.filename
    parts = name.split("/")
    link = stat.S_ISLNK(member.external_attr >> 16)
    if link or "\\" in name or posixpath.isabs(name) or ".." in parts or "" in parts or parts[0].endswith(".data"):
        raise FleetError("sdk-missing", f"The wheel {wheel} holds {name}, which may not be unpacked.", key="sdk")
    target = os.path.join(folder, *parts)
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    with open(target, "wb") as handle:
        handle.write(archive.read(member))
    os.chmod(target, 0o644)
    return name, member.file_size
