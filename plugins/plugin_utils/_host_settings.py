# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``fleet_*`` variables of a host: checked, typed, as part of the document. Private to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _soc
from ansible_collections.ascend.fleet.plugins.module_utils._document import STATE_DIR
from ansible_collections.ascend.fleet.plugins.plugin_utils import _daemon_keys, _data, _options
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds._base import HIGHEST_PORT, SYSTEM_PATHS, of_system
from ansible_collections.ascend.fleet.plugins.plugin_utils._merge import VARIABLE
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

PREFIX = "fleet_"
NFS_SOURCE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/\[\]]+):/.*")
PORT_OF = re.compile(r"^(?:https?://)?(?:[^/@]*@)?[^/@:]+:(\d+)(?:/|$)")
ALIASES = {"npus_expected": "fleet_npus_expected"}
CA_BUNDLE = f"{STATE_DIR}/ca-bundle.pem"
SDK_FOLDER = f"{STATE_DIR}/sdk"

# What argument_specs has no words for.
REFINED: dict[str, dict[str, Any]] = {
    "fleet_services": {"type": "any"},
    "fleet_jobs": {"type": "any"},
    "fleet_cpu_jobs": {"min": 1, "max": 1024},
    "fleet_ready_timeout": {"min": 1, "max": 86400},
    "fleet_lease_seconds": {"min": 30, "max": 86400},
    "fleet_address": {"pattern": r"^[A-Za-z0-9._:-]+$", "expects": "an address or a host name"},
    "fleet_work_dir": {"type": "path"},
    "fleet_npus_expected": {"min": 0, "max": 64},
    "fleet_npu_smi": {"type": "path"},
    "fleet_npu_smi_timeout": {"min": 1, "max": 600},
    "fleet_dev": {"type": "path"},
    "fleet_sysfs": {"type": "path"},
    "fleet_ascend_root": {"type": "path"},
    "fleet_docker_socket": {"type": "path"},
    "fleet_docker_package_dir": {"type": "path"},
    "fleet_ca_bundle": {"type": "file"},
    "fleet_sdk_wheels": {"type": "folder"},
    "fleet_registry": {
        "pattern": r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._-]+)*$",
        "expects": "a registry's host[:port], perhaps with a path, without http://",
    },
    "fleet_metadata_addresses": {"elements": {"type": "address"}},
    "fleet_metadata_except_ports": {"elements": {"type": "int", "min": 1, "max": HIGHEST_PORT}},
    "fleet_proxy": {"default": {}},
    "fleet_image_retries": {"min": 0, "max": 100},
    "fleet_pull_limit": {"min": 0},
    "fleet_image_peer_port": {"min": 1, "max": HIGHEST_PORT},
    "fleet_dragonfly": {"pattern": r"^https?://[^/\s@]+$", "expects": "a URL such as http://127.0.0.1:4001"},
}
REFINED_PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "fleet_directories": {
        "path": {"type": "path"},
        "owner": {"min": 0},
        "group": {"min": 0},
        "mode": {"pattern": "^0[0-7]{3}$", "expects": "a mode such as '0755', in quotes"},
    },
    "fleet_mounts": {
        "path": {"type": "path"},
        "source": {"pattern": r"^[^\s,]+$", "expects": "a source such as 192.0.2.20:/share, without blanks and commas"},
        "type": {"pattern": r"^[a-z0-9]+(\.[a-z0-9]+)?$", "expects": "a type such as nfs"},
        "options": {"elements": {"type": "str", "pattern": r"^[^\s,]+$", "expects": "one option, such as vers=3"}},
        "timeout": {"min": 1, "max": 300},
        "mount_timeout": {"min": 1, "max": 3600},
    },
    "fleet_registries": {
        "address": {
            "pattern": r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$",
            "expects": "a registry's host[:port], without http:// and path",
        },
        "mirror": {
            "pattern": r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._/-]+)?$",
            "expects": "a mirror's host[:port][/path], without http://",
        },
        "password_file": {"type": "file"},
        "ca_file": {"type": "file"},
    },
    "fleet_proxy": {
        "http": {"pattern": r"^https?://\S+$", "expects": "a URL such as http://proxy:3128"},
        "https": {"pattern": r"^https?://\S+$", "expects": "a URL such as http://proxy:3128"},
    },
}
# NFS that waits for its server rather than fail a read. With nolock a lock holds on its own node only.
NFS_OPTIONS = ["vers=3", "hard", "nolock", "noresvport", "timeo=600", "retrans=2", "nosuid", "nodev"]
OPTIONS = {"nfs": NFS_OPTIONS, "nfs4": ["hard", "timeo=600", "retrans=2", "nosuid", "nodev"]}
NETWORK = ["_netdev", "nosuid", "nodev"]
BATCH = re.compile(r"^(?:[1-9]\d*|(?:100|[1-9]?\d)%)$")
LOGIN = re.compile(r"^(https?://)[^/]*@")


class Needs(NamedTuple):
    """What services want of their host."""

    npus: bool
    """Whether a service of the document uses cards."""
    wait_npus: bool
    """Whether any service of the node does."""
    wait_mounts: list[str]
    """Paths that any service of the node mounts."""


def options() -> dict[str, dict[str, Any]]:
    """The variables of role ``fleet`` with their finer types."""
    found: dict[str, dict[str, Any]] = {}
    for name, option in _data.specification().items():
        found[name] = {**option, **REFINED.get(name, {})}
        parts = REFINED_PARTS.get(name)
        if parts:
            found[name]["options"] = {key: {**inner, **parts.get(key, {})} for key, inner in option["options"].items()}
    return found


def gather(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of a host under their proper names."""
    found = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    for alias, name in ALIASES.items():
        if found.get(name) is None and variables.get(alias) is not None:
            found[name] = variables[alias]
    return found


def check(
    known: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any], reserved: set[str]
) -> tuple[dict[str, Any], list[Flaw]]:
    own = {name: value for name, value in variables.items() if not VARIABLE.match(name) and name not in reserved}
    unknown = [name for name in own if name not in known]
    flaws = [
        Flaw(
            name,
            own[name],
            f"is no variable of the collection, to which the prefix {PREFIX} belongs",
            _options.suggestion(name, known, PREFIX),
        )
        for name in unknown
    ]
    settings, found = _options.check(known, {name: value for name, value in own.items() if name in known})
    return settings, flaws + found + list(_rules(settings))


def _rules(settings: Mapping[str, Any]) -> Iterator[Flaw]:
    yield from _batch(settings["fleet_batch"])
    yield from _daemon_keys.flaws(settings["fleet_docker_daemon"], "fleet_docker_daemon")
    soc = settings["fleet_soc"]
    if soc and _soc.family(soc) is None:
        known = ", ".join(_soc.FAMILIES)
        yield Flaw("fleet_soc", soc, "is no chip of the table", f"Write a name such as 910B3; families: {known}.")
    yield from _work_dir(settings["fleet_work_dir"])
    yield from _directories(settings["fleet_directories"], settings["fleet_work_dir"])
    yield from _mounts(settings["fleet_mounts"])
    yield from _ports(settings)
    for index, text in enumerate((settings["fleet_proxy"] or {}).get("no_proxy") or []):
        if "://" in text:
            where = f"fleet_proxy.no_proxy[{index}]"
            yield Flaw(where, text, "is a URL", "Write the host, domain or network alone.")


def _work_dir(path: str) -> Iterator[Flaw]:
    if of_system(path):
        yield Flaw("fleet_work_dir", path, "belongs to the system", "Name a folder of its own, such as /srv/ascend.")


def _directories(rows: Sequence[Mapping[str, Any]], work_dir: str) -> Iterator[Flaw]:
    seen = {work_dir: "fleet_work_dir"}
    for index, row in enumerate(rows):
        where, path = f"fleet_directories[{index}]", row["path"]
        if path == "/" or f"{path}/" in SYSTEM_PATHS:
            yield Flaw(f"{where}.path", path, "belongs to the system", "Name a folder below it.")
        elif path in seen:
            # Each run would give it the one mode and then the other.
            yield Flaw(f"{where}.path", path, f"is the folder of {seen[path]} too", "Name each folder once.")
        seen.setdefault(path, where)


def _ports(settings: Mapping[str, Any]) -> Iterator[Flaw]:
    """Of addresses; a pattern counts digits only."""
    proxy = settings["fleet_proxy"] or {}
    given = [("fleet_registry", settings["fleet_registry"]), ("fleet_dragonfly", settings["fleet_dragonfly"])]
    given += [(f"fleet_proxy.{key}", proxy.get(key)) for key in ("http", "https")]
    for index, row in enumerate(settings["fleet_registries"]):
        given += [(f"fleet_registries[{index}].{key}", row[key]) for key in ("address", "mirror")]
    for key, value in given:
        found = PORT_OF.match(value or "")
        if found and not 1 <= int(found.group(1)) <= HIGHEST_PORT:
            yield Flaw(key, value, f"has the port {found.group(1)}, which there is not", "Use one from 1 to 65535.")


def _mounts(mounts: Sequence[Mapping[str, Any]]) -> Iterator[Flaw]:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        where, path = f"fleet_mounts[{index}].path", mount["path"]
        if path in seen:
            yield Flaw(where, path, "is mounted twice", "Name each path once.")
        elif of_system(path):
            yield Flaw(where, path, "belongs to the system", "Mount the storage elsewhere, such as /mnt/sfs_turbo.")
        if mount["type"] in OPTIONS and mount["source"] and not NFS_SOURCE.fullmatch(mount["source"]):
            remedy = "Write host:/folder, such as 192.0.2.20:/share."
            yield Flaw(f"fleet_mounts[{index}].source", mount["source"], f"is no source of {mount['type']}", remedy)
        seen.add(path)


def _batch(value: Any) -> Iterator[Flaw]:
    sizes = value if isinstance(value, list) else [value]
    for size in sizes:
        if isinstance(size, bool) or not BATCH.fullmatch(str(size)) or str(size) == "0%":
            yield Flaw(
                "fleet_batch", size, "is no batch size", "Write a number of nodes, a percentage, or a list of these."
            )
    if not sizes:
        yield Flaw(
            "fleet_batch", value, "is an empty list", "Write a number of nodes, a percentage, or a list of these."
        )


def host_part(
    settings: Mapping[str, Any],
    needs: Needs,
    ca_bundle: Mapping[str, str] | None,
    no_proxy: list[str],
) -> dict[str, Any]:
    return {
        "work_dir": settings["fleet_work_dir"],
        "npus": {
            "needed": needs.npus,
            "expected": settings["fleet_npus_expected"],
            "npu_smi": settings["fleet_npu_smi"],
            "dev": settings["fleet_dev"],
            "sysfs": settings["fleet_sysfs"],
            "ascend_root": settings["fleet_ascend_root"],
            "timeout": settings["fleet_npu_smi_timeout"],
        },
        "engine": {
            "kind": "docker",
            "manage": settings["fleet_docker_manage"],
            "socket": settings["fleet_docker_socket"],
            "package_dir": settings["fleet_docker_package_dir"],
            "daemon": _daemon(settings),
            "proxy": _proxy(settings, no_proxy),
        },
        "sdk": {"manage": settings["fleet_sdk_manage"], "folder": SDK_FOLDER},
        "forwarding": {
            "manage": settings["fleet_ip_forward"] or settings["fleet_ip_forward_ipv6"],
            "ipv4": settings["fleet_ip_forward"],
            "ipv6": settings["fleet_ip_forward_ipv6"],
            "neutralise": settings["fleet_sysctl_neutralise"],
        },
        "metadata_block": {
            "state": settings["fleet_metadata_block"],
            "addresses": settings["fleet_metadata_addresses"],
            "except_ports": settings["fleet_metadata_except_ports"],
        },
        "directories": [
            {"path": settings["fleet_work_dir"], "owner": None, "group": None, "mode": "0755"},
            *settings["fleet_directories"],
        ],
        "ca_bundle": {"path": CA_BUNDLE, **ca_bundle} if ca_bundle else None,
        "wait_npus": needs.wait_npus,
        "wait_mounts": needs.wait_mounts,
        "mounts": [_mount(mount) for mount in settings["fleet_mounts"]],
    }


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    given = mount["options"]
    return {**mount, "options": OPTIONS.get(mount["type"], NETWORK) if given is None else given}


def _daemon(settings: Mapping[str, Any]) -> dict[str, Any]:
    daemon: dict[str, Any] = {"log-driver": "json-file", "log-opts": {"max-size": "100m", "max-file": "5"}}
    given = settings["fleet_docker_daemon"]
    if given.get("log-driver", "json-file") != "json-file":
        # Other drivers know neither option and would keep the engine from starting.
        del daemon["log-opts"]
    daemon = _merged(daemon, given)
    insecure = [registry["address"] for registry in settings["fleet_registries"] if registry["insecure"]]
    if insecure:
        daemon["insecure-registries"] = sorted({*daemon.get("insecure-registries", []), *insecure})
    if settings["fleet_dragonfly"]:
        # Docker asks mirrors for images of Docker Hub only, and Docker Hub itself when they fail.
        daemon["registry-mirrors"] = list(
            dict.fromkeys([*daemon.get("registry-mirrors", []), settings["fleet_dragonfly"]])
        )
    return daemon


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        before = result.get(key)
        result[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def _proxy(settings: Mapping[str, Any], no_proxy: list[str]) -> dict[str, Any] | None:
    proxy = settings["fleet_proxy"]
    if not (proxy.get("http") or proxy.get("https")):
        return None
    given = proxy.get("no_proxy")
    urls = {key: proxy.get(key) for key in ("http", "https")}
    # Documents are shown with -v and kept; the login travels beside them.
    bare = {key: url and LOGIN.sub(r"\1", url) for key, url in urls.items()}
    return {**bare, "no_proxy": no_proxy if given is None else given, "login": bare != urls}
