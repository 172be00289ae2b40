# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between a spec and the engine's own words: what to create, and what a container is. Private to the collection.

``expected`` and ``actual`` give the same form, a *view*; two views that are equal need no change.
"""

from __future__ import annotations

import datetime
import posixpath
import re
from typing import Any, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import (
    DEFAULT_SHM,
    Spec,
    parse_capability,
    parse_host,
    parse_security_option,
    sort_key,
    spec_digest,
)
from ansible_collections.ascend.fleet.plugins.module_utils._document import (
    LABEL_JOB,
    LABEL_KIND,
    LABEL_NPUS,
    LABEL_RUN,
    LABEL_SCHEMA,
    LABEL_SERVICE,
    LABEL_SPEC,
    SCHEMA,
)

View = Dict[str, Any]
Json = Dict[str, Any]

HIDDEN = "(hidden)"
SHORT_ID = 12
# A replaced container would be no better for a change in these: they tell the run and the version that made it.
UNCOMPARED_LABELS = (LABEL_SPEC, LABEL_RUN)
_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
_DAVINCI = re.compile(r"/v?davinci(\d+)$")
_CARD_RANGE = re.compile(r"^(?:Ascend\w*-)?(\d+)(?:-(\d+))?$")
_FRACTION = re.compile(r"\.(\d{1,6})\d*")
_NANO = 10**9


class EngineDefaults(NamedTuple):
    """What the engine adds by its own configuration; options are None where that file could not be read."""

    name: str = ""
    log_driver: str = "json-file"
    log_options: dict[str, str] | None = None
    ulimits: dict[str, dict[str, int]] = {}  # noqa: RUF012 - never written to


# (key of the view, part of the inspect document, name there, value of a container nobody tampered with)
_FIXED: tuple[tuple[str, str, str, Any], ...] = (
    ("privileged", "HostConfig", "Privileged", False),
    ("read_only", "HostConfig", "ReadonlyRootfs", False),
    ("publish_all_ports", "HostConfig", "PublishAllPorts", False),
    ("auto_remove", "HostConfig", "AutoRemove", False),
    ("pid", "HostConfig", "PidMode", ""),
    ("uts", "HostConfig", "UTSMode", ""),
    ("userns", "HostConfig", "UsernsMode", ""),
    ("device_cgroup_rules", "HostConfig", "DeviceCgroupRules", []),
    ("device_requests", "HostConfig", "DeviceRequests", []),
    ("volumes_from", "HostConfig", "VolumesFrom", []),
    ("group_add", "HostConfig", "GroupAdd", []),
    ("links", "HostConfig", "Links", []),
    ("dns", "HostConfig", "Dns", []),
    ("dns_options", "HostConfig", "DnsOptions", []),
    ("dns_search", "HostConfig", "DnsSearch", []),
    ("sysctls", "HostConfig", "Sysctls", {}),
    ("tty", "Config", "Tty", False),
    ("domainname", "Config", "Domainname", ""),
)


def fleet_labels(spec: Spec) -> dict[str, str]:
    return {
        LABEL_SCHEMA: str(SCHEMA),
        LABEL_SERVICE: spec["service"] or spec["name"],
        LABEL_KIND: spec["kind"],
        LABEL_NPUS: ",".join(str(card) for card in spec["npus"]),
        **({LABEL_JOB: spec["job"]} if spec["job"] else {}),
    }


def expected(spec: Spec, image: Json, defaults: EngineDefaults) -> View:
    """The view of a container that is just what the spec and its image say."""
    config = image.get("Config") or {}
    entrypoint, command = spec["entrypoint"], spec["command"]
    if not entrypoint:
        command = command or config.get("Cmd")
    if entrypoint is None:
        entrypoint = config.get("Entrypoint")
    view: View = {
        "image": image["Id"],
        "entrypoint": list(entrypoint or []),
        "command": list(command or []),
        "user": spec["user"] or config.get("User") or "",
        "working_dir": _folder(spec["working_dir"] or config.get("WorkingDir")),
        "hostname": spec["hostname"],
        "env": dict(_env(config.get("Env")), **spec["env"]),
        "devices": spec["devices"],
        "mounts": [_plain_mount(mount) for mount in spec["mounts"]],
        "ports": spec["ports"],
        "network": spec["network"],
        "shm_size": spec["shm_size"],
        "memory": spec["memory"],
        "cpus": spec["cpus"],
        "labels": dict(config.get("Labels") or {}, **spec["labels"], **fleet_labels(spec)),
        "init": spec["init"],
        "restart": spec["restart"],
        "stop_timeout": spec["stop_timeout"],
        "ulimits": dict(defaults.ulimits, **spec["ulimits"]),
        "cap_add": spec["cap_add"],
        "cap_drop": spec["cap_drop"],
        "security_opt": [option for option in spec["security_opt"] if not _implied(option, spec["ipc"])],
        "ipc": spec["ipc"],
        "pids_limit": spec["pids_limit"],
        "extra_hosts": spec["extra_hosts"],
        "log": _expected_log(spec["log"], defaults),
        "cgroup_parent": spec["cgroup_parent"],
        "healthcheck": config.get("Healthcheck") or None,
        "stop_signal": config.get("StopSignal") or "",
    }
    view.update({key: value for key, _part, _name, value in _FIXED})
    return view


def actual(container: Json, image: Json, defaults: EngineDefaults) -> View:
    """The view of a container that exists; ``image`` is the one its spec names now."""
    config, host = container["Config"], container["HostConfig"]
    ipc = "host" if host.get("IpcMode") == "host" else None
    log = host.get("LogConfig") or {}
    view: View = {
        "image": container["Image"],
        "entrypoint": list(config.get("Entrypoint") or []),
        "command": list(config.get("Cmd") or []),
        "user": config.get("User") or "",
        "working_dir": _folder(config.get("WorkingDir")),
        "hostname": "" if config.get("Hostname") == container["Id"][:SHORT_ID] else config.get("Hostname") or "",
        "env": _env(config.get("Env")),
        "devices": [
            {
                "host": device["PathOnHost"],
                "container": device["PathInContainer"],
                "permissions": device["CgroupPermissions"],
            }
            for device in host.get("Devices") or []
        ],
        "mounts": _actual_mounts(config, host, image),
        "ports": published_ports(container),
        "network": _networks(container),
        "shm_size": host.get("ShmSize") or DEFAULT_SHM,
        "memory": host.get("Memory") or None,
        "cpus": _actual_cpus(host),
        "labels": dict(config.get("Labels") or {}),
        "init": bool(host.get("Init")),
        "restart": (host.get("RestartPolicy") or {}).get("Name") or "no",
        "stop_timeout": config.get("StopTimeout"),
        "ulimits": {
            limit["Name"]: {"soft": limit["Soft"], "hard": limit["Hard"]} for limit in host.get("Ulimits") or []
        },
        "cap_add": [parse_capability(name) for name in host.get("CapAdd") or []],
        "cap_drop": [parse_capability(name) for name in host.get("CapDrop") or []],
        "security_opt": [
            option for option in map(parse_security_option, host.get("SecurityOpt") or []) if not _implied(option, ipc)
        ],
        "ipc": ipc,
        "pids_limit": host["PidsLimit"] if (host.get("PidsLimit") or 0) > 0 else None,
        "extra_hosts": [parse_host(entry) for entry in host.get("ExtraHosts") or []],
        "log": {"driver": log.get("Type") or "", "options": dict(log.get("Config") or {})},
        "cgroup_parent": host.get("CgroupParent") or "",
        "healthcheck": config.get("Healthcheck") or None,
        "stop_signal": config.get("StopSignal") or "",
    }
    parts = {"HostConfig": host, "Config": config}
    view.update({key: parts[part].get(name) or value for key, part, name, value in _FIXED})
    return view


def differences(want: View, have: View) -> dict[str, tuple[Any, Any]]:
    """For every key that differs, what is there and what shall be; order in lists of things never matters."""
    found = {}
    for key, after in want.items():
        before = have.get(key)
        if key == "log" and after["options"] is None:
            before, after = dict(before or {}, options=None), dict(after)
        elif key == "labels":
            before, after = _compared_labels(before or {}), _compared_labels(after)
        elif key == "hostname" and not after and want["network"] == "host":
            continue
        if _comparable(key, before) != _comparable(key, after):
            found[key] = (before, after)
    return found


def shown(key: str, pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """A difference as it may be printed: values of variables that look like credentials are hidden."""
    before, after = pair
    if key != "env" or not isinstance(before, dict) or not isinstance(after, dict):
        return pair
    hidden = [name for name in set(before) | set(after) if _SECRET_NAME.search(name)]
    left, right = dict(before), dict(after)
    for name in hidden:
        changed = name in left and name in right and left[name] != right[name]
        if name in left:
            left[name] = HIDDEN
        if name in right:
            right[name] = f"{HIDDEN[:-1]}, changed)" if changed else HIDDEN
    return left, right


def create_body(spec: Spec, run_id: str, restart: str = "no") -> Json:
    """The engine's own description of the container to make."""
    labels = dict(spec["labels"], **fleet_labels(spec))
    labels[LABEL_SPEC] = spec_digest(spec)
    labels[LABEL_RUN] = run_id
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in spec["ports"]:
        bindings.setdefault(f"{port['container_port']}/{port['protocol']}", []).append(
            {"HostIp": port["host_ip"], "HostPort": str(port["host_port"])}
        )
    host: Json = {
        "Devices": [
            {
                "PathOnHost": device["host"],
                "PathInContainer": device["container"],
                "CgroupPermissions": device["permissions"],
            }
            for device in spec["devices"]
        ],
        "Mounts": [
            {"Type": m["type"], "Source": m["source"], "Target": m["target"], "ReadOnly": m["read_only"]}
            for m in spec["mounts"]
        ],
        "PortBindings": bindings,
        "NetworkMode": spec["network"],
        "ShmSize": spec["shm_size"],
        "Memory": spec["memory"] or 0,
        "NanoCpus": round((spec["cpus"] or 0) * _NANO),
        "Init": spec["init"],
        "RestartPolicy": {"Name": restart},
        "Ulimits": [
            {"Name": name, "Soft": limit["soft"], "Hard": limit["hard"]} for name, limit in spec["ulimits"].items()
        ],
        "CapAdd": spec["cap_add"],
        "CapDrop": spec["cap_drop"],
        "SecurityOpt": spec["security_opt"],
        "IpcMode": spec["ipc"] or "private",
        "ExtraHosts": spec["extra_hosts"],
        "CgroupParent": spec["cgroup_parent"],
    }
    if spec["pids_limit"]:
        host["PidsLimit"] = spec["pids_limit"]
    if spec["log"]:
        host["LogConfig"] = {"Type": spec["log"]["driver"], "Config": spec["log"]["options"]}
    body: Json = {
        "Image": spec["image"],
        "User": spec["user"],
        "WorkingDir": spec["working_dir"],
        "Hostname": spec["hostname"],
        "Env": [f"{name}={value}" for name, value in sorted(spec["env"].items())],
        "Labels": labels,
        "StopTimeout": spec["stop_timeout"],
        "ExposedPorts": {name: {} for name in bindings},
        "HostConfig": host,
    }
    if spec["command"]:
        body["Cmd"] = spec["command"]
    if spec["entrypoint"] is not None:
        body["Entrypoint"] = spec["entrypoint"]
    return body


def update_body(changes: dict[str, Any]) -> Json:
    """What to send for differences that the engine can change in place."""
    body: Json = {}
    if "restart" in changes:
        body["RestartPolicy"] = {"Name": changes["restart"]}
    if "memory" in changes:
        # Left alone, the swap limit of the old size would refuse a larger one. Twice is what the engine itself gives.
        body.update(Memory=changes["memory"], MemorySwap=2 * changes["memory"])
    if "cpus" in changes:
        body["NanoCpus"] = round(changes["cpus"] * _NANO)
    return body


def is_fleet(container: Json) -> bool:
    """Whether the fleet made it; takes an inspect document or an entry of a list."""
    return LABEL_SCHEMA in labels_of(container)


def is_job(container: Json) -> bool:
    return LABEL_JOB in labels_of(container)


def service_of(container: Json) -> str | None:
    """The service of the fleet that a container belongs to; None for a foreign one."""
    return labels_of(container).get(LABEL_SERVICE) if is_fleet(container) else None


def labels_of(container: Json) -> dict[str, str]:
    return container.get("Labels") or (container.get("Config") or {}).get("Labels") or {}


def name_of(container: Json) -> str:
    return str(container.get("Name") or (container.get("Names") or ["/"])[0]).lstrip("/")


def is_running(container: Json) -> bool:
    return bool(container["State"].get("Running"))


def started_at(container: Json) -> float:
    """When its process was started, in seconds; 0 when it never was, for which the engine says year 1."""
    return _moment(container["State"].get("StartedAt"))


def ended_at(container: Json) -> float:
    """When its process last ended, in seconds; 0 when it never did."""
    return _moment(container["State"].get("FinishedAt"))


def _moment(written: Any) -> float:
    text = str(written or "")
    # Python reads microseconds and no Z; the engine writes nanoseconds.
    text = _FRACTION.sub(lambda match: "." + match.group(1).ljust(6, "0"), text).replace("Z", "+00:00")
    try:
        moment = datetime.datetime.fromisoformat(text)
        return moment.timestamp() if moment.year > 1 else 0.0
    except ValueError:
        return 0.0


def cards_of(container: Json) -> list[int]:
    """Davinci numbers a container may use: its devices, or what the vendor's runtime is told by a variable."""
    host = container["HostConfig"]
    found = [_DAVINCI.search(device["PathOnHost"]) for device in host.get("Devices") or []]
    cards = {int(match.group(1)) for match in found if match}
    asked = _env(container["Config"].get("Env")).get("ASCEND_VISIBLE_DEVICES", "")
    if host.get("Runtime") == "ascend" or not cards:
        cards |= _listed_cards(asked)
    return sorted(cards)


def published_ports(container: Json) -> list[dict[str, Any]]:
    ports = []
    for exposed, bindings in (container["HostConfig"].get("PortBindings") or {}).items():
        number, _slash, protocol = exposed.partition("/")
        for binding in bindings or []:
            ports.append(
                {
                    "host_ip": binding.get("HostIp") or "0.0.0.0",
                    "host_port": int(binding.get("HostPort") or 0),
                    "container_port": int(number),
                    "protocol": protocol or "tcp",
                }
            )
    return ports


def _listed_cards(text: str) -> set[int]:
    """The numbers in 0,2 or 0-3 or Ascend910-0,Ascend910-1."""
    cards: set[int] = set()
    for part in text.split(","):
        match = _CARD_RANGE.match(part.strip())
        if match:
            first = int(match.group(1))
            cards.update(range(first, int(match.group(2) or first) + 1))
    return cards


def _env(entries: list[str] | None) -> dict[str, str]:
    return {name: value for name, found, value in (entry.partition("=") for entry in entries or []) if found}


def _folder(path: str | None) -> str:
    return "" if path in (None, "", "/") else posixpath.normpath(str(path))


def _plain_mount(mount: Json) -> Json:
    return {key: mount[key] for key in ("type", "source", "target", "read_only")}


def _implied(option: str, ipc: str | None) -> bool:
    """With the host's ipc the engine adds this by itself."""
    return ipc == "host" and option in ("label=disable", "label=disabled")


def _expected_log(log: Json | None, defaults: EngineDefaults) -> Json:
    if log is None:
        return {"driver": defaults.log_driver, "options": defaults.log_options}
    inherited = defaults.log_options or {} if log["driver"] == defaults.log_driver else {}
    return {"driver": log["driver"], "options": dict(inherited, **log["options"])}


def _actual_mounts(config: Json, host: Json, image: Json) -> list[Json]:
    mounts = []
    for mount in host.get("Mounts") or []:
        propagation = (mount.get("BindOptions") or {}).get("Propagation") or ""
        mounts.append(
            _view_mount(mount["Type"], mount.get("Source"), mount["Target"], mount.get("ReadOnly"), propagation)
        )
    for bind in host.get("Binds") or []:
        source, target, options = [*bind.split(":"), "", ""][:3]
        flags = [flag for flag in options.split(",") if flag]
        propagation = next((flag for flag in flags if flag.lstrip("r") in ("private", "shared", "slave")), "")
        kind = "bind" if source.startswith("/") else "volume"
        mounts.append(_view_mount(kind, source, target, "ro" in flags, propagation))
    mounts.extend(_view_mount("tmpfs", "", target, False, "") for target in host.get("Tmpfs") or {})
    known = {mount["target"] for mount in mounts} | set((image.get("Config") or {}).get("Volumes") or {})
    mounts.extend(_view_mount("volume", "", target, False, "") for target in set(config.get("Volumes") or {}) - known)
    return mounts


def _view_mount(kind: str, source: str | None, target: str, read_only: bool | None, propagation: str) -> Json:
    clean = posixpath.normpath(source) if source and source.startswith("/") else source or ""
    mount = {"type": kind, "source": clean, "target": posixpath.normpath(target), "read_only": bool(read_only)}
    if propagation not in ("", "rprivate"):
        mount["propagation"] = propagation
    return mount


def _networks(container: Json) -> str:
    mode = container["HostConfig"].get("NetworkMode") or "bridge"
    mode = "bridge" if mode == "default" else mode
    attached = (container.get("NetworkSettings") or {}).get("Networks")
    if attached is None or (not attached and not is_running(container)):
        return str(mode)
    names = {name for name, network in attached.items() if mode not in (name, network.get("NetworkID"))}
    return ", ".join([mode if len(names) < len(attached) else "none", *sorted(names)])


def _actual_cpus(host: Json) -> float | None:
    if host.get("NanoCpus"):
        return round(float(host["NanoCpus"]) / _NANO, 9)
    if host.get("CpuQuota", 0) > 0:
        return round(float(host["CpuQuota"]) / (host.get("CpuPeriod") or 100000), 9)
    return None


def _compared_labels(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in UNCOMPARED_LABELS}


_ORDERED = ("command", "entrypoint")


def _comparable(key: str, value: Any) -> Any:
    return sorted(value, key=sort_key) if isinstance(value, list) and key not in _ORDERED else value
