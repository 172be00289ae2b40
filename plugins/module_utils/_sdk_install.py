# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks the wheels of the Docker SDK into a folder of their own: whole or not at all. Private to the collection."""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import shutil
import stat
import tempfile
import zipfile

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._sdk_folder import (
    CURRENT,
    DISTRIBUTIONS,
    INCOMING,
    MANIFEST,
    SYSTEM_RECORD,
    Versions,
    incoming,
    probe,
    record,
    system_versions,
)
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

LIMIT = 64 * 1024 * 1024
PURE = ("-py3-none-any.whl", "-py2.py3-none-any.whl")


def use_system(system: System, folder: str, versions: Versions = system_versions) -> None:
    system.write(f"{folder}/{SYSTEM_RECORD}", record(versions()))


def install(system: System, folder: str) -> None:
    """Unpack the wheels that the controller has put into ``<folder>/incoming``."""
    wheels = {name: _bytes(system, f"{folder}/{INCOMING}/{name}") for name in incoming(system, folder)}
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
