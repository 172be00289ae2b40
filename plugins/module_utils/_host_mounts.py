# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared storage of a node: one systemd mount unit for each. Private to the collection.

Nothing mounted is ever taken away under somebody who uses it: new options hold from the next mount on, and another
source at a path that is taken is refused.
"""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _host_packages, _mounts, _units
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

SUFFIX = ".mount"
FSTAB = "/etc/fstab"
HELPERS = ("/sbin", "/usr/sbin", "/usr/bin")
# The program that mounts a type of file system, and the packages that bring it.
CLIENTS = {
    "nfs": ("mount.nfs", {"apt": ["nfs-common"], "dnf": ["nfs-utils"]}),
    "nfs4": ("mount.nfs4", {"apt": ["nfs-common"], "dnf": ["nfs-utils"]}),
    "cifs": ("mount.cifs", {"apt": ["cifs-utils"], "dnf": ["cifs-utils"]}),
    "ceph": ("mount.ceph", {"apt": ["ceph-common"], "dnf": ["ceph-common"]}),
    "fuse.sshfs": ("mount.fuse.sshfs", {"apt": ["sshfs"], "dnf": ["fuse-sshfs"]}),
}
PACKAGES = f"{STATE_DIR}/packages"
MOUNTS_BY_THE_CLIENT = "its client is installed before"


# --- units


def unit_name(path: str) -> str:
    return _units.escaped(path) + SUFFIX


def unit_path(path: str) -> str:
    return f"{_units.UNIT_DIR}/{unit_name(path)}"


def unit(mount: Json) -> str:
    """The mount unit; systemd orders a network file system after the network and before remote-fs.target."""
    options = ",".join(mount["options"])
    return (
        _units.HEADER
        + "[Unit]\n"
        + f"Description=Shared storage at {_percent(mount['path'])}\n\n"
        + "[Mount]\n"
        + f"What={_percent(mount['source'])}\n"
        + f"Where={_percent(mount['path'])}\n"
        + f"Type={mount['type']}\n"
        + (f"Options={_percent(options)}\n" if options else "")
        + f"TimeoutSec={mount['mount_timeout']}\n\n"
        + "[Install]\n"
        + "WantedBy=remote-fs.target\n"
    )


def _percent(text: str) -> str:
    return text.replace("%", "%%")


# --- observe


def remote(want: Json) -> list[Json]:
    return [mount for mount in want.get("mounts") or [] if mount["source"]]


def directories(want: Json) -> list[Json]:
    """Storage without a source is a directory of the node itself."""
    local = [mount["path"] for mount in want.get("mounts") or [] if not mount["source"]]
    return [{"path": path, "owner": None, "group": None, "mode": None} for path in local]


def units(want: Json) -> list[str]:
    return [unit_name(mount["path"]) for mount in remote(want)]


def observe(system: System, want: Json, shown: dict[str, dict[str, str]]) -> Json:
    wanted = remote(want)
    mounted = _mounts.table(system) if wanted else {}
    return {
        "files": {mount["path"]: system.read(unit_path(mount["path"])) for mount in wanted},
        "enabled": {
            mount["path"]: shown.get(unit_name(mount["path"]), {}).get("UnitFileState") == "enabled" for mount in wanted
        },
        "mounted": {
            mount["path"]: mounted[mount["path"]]._asdict() if mount["path"] in mounted else None for mount in wanted
        },
        "clients": {mount["type"]: _has_client(system, mount["type"]) for mount in wanted},
        "fstab": _fstab(system) if wanted else {},
        "manager": _host_packages.manager(system, _host_packages.os_release(system)) if wanted else None,
        "leftover": _leftovers(system, {unit_name(mount["path"]) for mount in wanted}),
    }


def _has_client(system: System, kind: str) -> bool:
    known = CLIENTS.get(kind)
    return known is None or any(system.exists(f"{folder}/{known[0]}") for folder in HELPERS)


def _fstab(system: System) -> dict[str, str]:
    lines = (line.split() for line in (system.read(FSTAB) or "").splitlines())
    return {line[1]: line[0] for line in lines if len(line) > 2 and not line[0].startswith("#")}


def _leftovers(system: System, wanted: set[str]) -> list[str]:
    """Units that an earlier document made and this one does not have."""
    names = [name for name in system.listdir(_units.UNIT_DIR) if name.endswith(SUFFIX) and name not in wanted]
    texts = {f"{_units.UNIT_DIR}/{name}": system.read(f"{_units.UNIT_DIR}/{name}") for name in names}
    return [path for path, text in texts.items() if (text or "").startswith(_units.HEADER)]


# --- plan


def plan(want: Json, observed: Json, partial: bool = False) -> tuple[list[Json], list[Json]]:
    """``partial``: what the document does not name may be there for somebody else."""
    leftover = [] if partial else observed["leftover"]
    actions = [action("host", "remove_mount", path, "The inventory has this mount no more.") for path in leftover]
    findings: list[Json] = []
    coming: set[str] = set()
    for mount in remote(want):
        against = _against(mount, observed)
        if against:
            findings.append(against)
            continue
        if not observed["clients"][mount["type"]]:
            if mount["type"] not in coming:
                actions.append(_client(mount, observed["manager"]))
            coming.add(mount["type"])
        actions += _plan_mount(mount, observed, MOUNTS_BY_THE_CLIENT if mount["type"] in coming else None)
    return actions, findings


def _against(mount: Json, observed: Json) -> Json | None:
    path = mount["path"]
    found, listed = observed["mounted"][path], observed["fstab"].get(path)
    if found and not _same(found["source"], mount["source"]):
        message = f"{path} is mounted from {found['source']} already, not from {mount['source']}."
        return finding("mount-conflict", message, key="fleet_mounts", value=path)
    if listed and not _same(listed, mount["source"]):
        message = f"{FSTAB} mounts {listed} at {path}, not {mount['source']}."
        return finding("mount-conflict", message, key="fleet_mounts", value=path)
    if not observed["clients"][mount["type"]] and observed["manager"] is None:
        message = f"{CLIENTS[mount['type']][0]}, which mounts {mount['type']}, is not on the node."
        return finding(
            "mount-failed", message, "Install the client of this file system.", key="fleet_mounts", value=path
        )
    return None


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _client(mount: Json, manager: str) -> Json:
    reason = f"Nothing on the node mounts {mount['type']}."
    after = {"manager": manager, "packages": CLIENTS[mount["type"]][1][manager]}
    given = mount.get("packages")
    if given:
        paths = [f"{PACKAGES}/{mount['type']}/{name}" for name in given["files"]]
        after = {"manager": manager, "packages": paths, "source": given["source"]}
    return action("host", "install_mount_client", mount["type"], reason, after=after)


def _plan_mount(mount: Json, observed: Json, predicted: str | None) -> list[Json]:
    path = mount["path"]
    text, found = observed["files"][path], observed["mounted"][path]
    actions = []
    if text != unit(mount):
        reason = "The unit of the mount is missing." if text is None else "The unit of the mount differs."
        if found:
            reason += " What is mounted stays as it is until the next boot."
        actions.append(action("host", "write_mount", unit_path(path), reason, before=text, after=unit(mount)))
    if not found or not observed["enabled"][path]:
        before = {"mounted": bool(found), "enabled": observed["enabled"][path]}
        after = {"mounted": True, "enabled": True}
        reason = "The storage must be mounted now and after a boot."
        actions.append(action("host", "mount", path, reason, before, after, predicted_because=predicted))
    return actions


# --- apply


def write(system: System, step: Json) -> None:
    system.write(step["target"], step["after"])
    _units.reload(system)


def mount(system: System, want: Json, step: Json) -> None:
    entry = next(item for item in remote(want) if item["path"] == step["target"])
    name = unit_name(entry["path"])
    result = system.run(["systemctl", "enable", "--now", name], timeout=entry["mount_timeout"] + 30)
    if result.rc == 0:
        return
    journal = system.run(["journalctl", "-u", name, "-n", "5", "--no-pager", "-o", "cat"], timeout=20)
    lines = [line for line in journal.out.splitlines() if "mount" in line.lower()] or result.err.splitlines()
    told = lines[0].strip() if lines else f"exit status {result.rc}"
    message = f"{entry['source']} cannot be mounted at {entry['path']}: {told}"
    raise FleetError("mount-failed", message, key="fleet_mounts", value=entry["path"])


def remove(system: System, step: Json) -> None:
    """Taken out of the boot; taken down only where nobody uses it, which umount itself knows best."""
    name = step["target"].rpartition("/")[2]
    system.run(["systemctl", "disable", name], timeout=60)
    where = [line[6:] for line in (system.read(step["target"]) or "").splitlines() if line.startswith("Where=")]
    system.remove(step["target"])
    if where:
        system.run(["umount", where[0].replace("%%", "%")], timeout=30)
    _units.reload(system)
