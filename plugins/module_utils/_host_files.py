# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, the CA bundle and mounts of a node. Private to the collection."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _host_mounts, _units
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


class TrustStore(NamedTuple):
    folder: str
    anchor: str
    update: tuple[str, ...]


# Where an operating system takes further certificate authorities from; the first that is there.
TRUST_STORES = (
    TrustStore("/etc/pki/ca-trust/source/anchors", "ascend-fleet.pem", ("update-ca-trust", "extract")),
    TrustStore("/usr/local/share/ca-certificates", "ascend-fleet.crt", ("update-ca-certificates",)),
)


# --- directories


def observe_directories(system: System, wanted: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["path"]: _directory(system, entry["path"]) for entry in wanted}


def _directory(system: System, path: str) -> dict[str, Any] | None:
    found = system.stat(path)
    if found is None:
        return {"blocked": True} if os.path.lexists(system.path(path)) else None
    if not stat.S_ISDIR(found.st_mode):
        return {"blocked": True}
    return {"owner": found.st_uid, "group": found.st_gid, "mode": f"{stat.S_IMODE(found.st_mode):04o}"}


def wanted_directories(host: dict[str, Any]) -> list[dict[str, Any]]:
    named = [*(host.get("directories") or []), *_host_mounts.directories(host)]
    if host["work_dir"] and host["work_dir"] not in [entry["path"] for entry in named]:
        named.insert(0, {"path": host["work_dir"], "owner": None, "group": None, "mode": None})
    return named


def plan_directories(
    wanted: list[dict[str, Any]], observed: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    actions, findings = [], []
    for entry in wanted:
        path, found = entry["path"], observed[entry["path"]]
        if found and found.get("blocked"):
            message = f"{path} is wanted as a directory and is something else."
            findings.append(finding("directory-blocked", message, key="directories", value=path))
            continue
        want = {key: entry.get(key) for key in ("owner", "group", "mode") if entry.get(key) is not None}
        if "mode" in want:
            want["mode"] = f"{int(str(want['mode']), 8):04o}"
        if found is None:
            actions.append(action("host", "create_directory", path, "The directory is missing.", after=want))
            continue
        before = {key: found[key] for key, value in want.items() if found[key] != value}
        if before:
            reason = f"Its {', '.join(before)} differs."
            after = {key: want[key] for key in before}
            actions.append(action("host", "set_directory", path, reason, before=before, after=after))
    return actions, findings


def apply_directory(system: System, step: dict[str, Any]) -> None:
    path, after = system.path(step["target"]), step["after"]
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        if "owner" in after or "group" in after:
            os.chown(path, after.get("owner", -1), after.get("group", -1))
        if "mode" in after:
            os.chmod(path, int(after["mode"], 8))
    except OSError as error:
        message = f"The directory {step['target']} cannot be made as wanted: {error.strerror}."
        raise FleetError("directory-blocked", message, key="directories", value=step["target"]) from error


# --- CA bundle


def trust_store(system: System) -> TrustStore | None:
    return next((store for store in TRUST_STORES if system.isdir(store.folder)), None)


def observe_ca(system: System, want: dict[str, Any] | None) -> dict[str, Any]:
    store = trust_store(system)
    anchor = f"{store.folder}/{store.anchor}" if store else None
    return {
        "file": _digest(system, want["path"]) if want else None,
        "anchor_path": anchor,
        "anchor": _digest(system, anchor) if anchor else None,
    }


def _digest(system: System, path: str) -> str | None:
    text = system.read(path)
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def plan_ca(want: dict[str, Any] | None, observed: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if not want:
        if observed["anchor"] is None:
            return [], []
        reason = "The inventory names no CA bundle any more."
        return [action("host", "remove_ca", observed["anchor_path"], reason, before=observed["anchor"])], []
    found = {"file": observed["file"], "anchor": observed["anchor"]}
    right = {"file": want["sha256"], "anchor": want["sha256"] if observed["anchor_path"] else None}
    if found == right:
        return [], []
    reason = "The node does not trust the CA bundle of the inventory."
    return [action("host", "write_ca", want["path"], reason, before=found, after=right)], []


def write_ca(system: System, want: dict[str, Any], files: dict[str, str]) -> None:
    text = files.get(want["path"])
    if text is None:
        text = system.read(want["path"])
    if text is None or hashlib.sha256(text.encode()).hexdigest() != want["sha256"]:
        message = f"The content of the CA bundle {want['path']} did not come with the document."
        raise FleetError("ca-bundle-missing", message, key="fleet_ca_bundle", value=want["path"])
    system.write(want["path"], text)
    store = trust_store(system)
    if store is not None:
        system.write(f"{store.folder}/{store.anchor}", text)
        _update(system, store)


def remove_ca(system: System) -> None:
    store = trust_store(system)
    if store is not None:
        system.remove(f"{store.folder}/{store.anchor}")
        _update(system, store)


def _update(system: System, store: TrustStore) -> None:
    result = system.run(store.update, timeout=120)
    if result.rc != 0:
        message = f"{store.update[0]} failed: {' '.join(result.err.split())}"
        raise FleetError(
            "ca-bundle-missing", message, f"Run {' '.join(store.update)} on the node.", key="fleet_ca_bundle"
        )


# --- mounts


def observe_mounts(system: System, wanted: list[str]) -> dict[str, bool]:
    """Whether each wanted path will be there at boot: on the root file system, or on one that systemd mounts."""
    if not wanted:
        return {}
    mounted = {line.split()[1] for line in (system.read("/proc/mounts") or "").splitlines() if line.count(" ") > 1}
    known = set()
    for line in (system.read("/etc/fstab") or "").splitlines():
        fields = line.split()
        if len(fields) > 2 and not fields[0].startswith("#"):
            known.add(os.path.normpath(fields[1]))
    return {path: _persistent(system, _mount_point(os.path.normpath(path), mounted), known) for path in wanted}


def _mount_point(path: str, mounted: set[str]) -> str:
    """Where the file system of a path is mounted now; a path that is not there yet may wait for its own."""
    place = path
    while place != "/" and place not in mounted:
        place = os.path.dirname(place)
    return place


def _persistent(system: System, path: str, known: set[str]) -> bool:
    if path == "/":
        return True
    while path != "/":
        names = [f"{folder}/{_units.escaped(path)}" for folder in ("/etc/systemd/system", "/usr/lib/systemd/system")]
        if path in known or any(system.exists(f"{name}{kind}") for name in names for kind in (".mount", ".automount")):
            return True
        path = os.path.dirname(path)
    return False


def mount_findings(observed: dict[str, bool]) -> list[dict[str, Any]]:
    return [
        finding(
            "mount-not-persistent",
            f"{path} is neither in /etc/fstab nor a mount unit: containers would start without it after a reboot.",
            key="wait_mounts",
            value=path,
        )
        for path, persistent in observed.items()
        if not persistent
    ]
