# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's daemon.json: merged key by key, never replaced. Private to the collection."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

DEFAULT_PATH = "/etc/docker/daemon.json"

# Keys that dockerd takes over on SIGHUP (its daemon/reload.go, in every release since 20.10);
# any other key waits for a restart.
RELOADED = frozenset(
    [
        "authorization-plugins",
        "debug",
        "default-cgroupns-mode",
        "default-ipc-mode",
        "default-runtime",
        "default-shm-size",
        "features",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    ]
)

# Lists of name=value: an entry replaces the one of the same name, dockerd refuses both.
NAMED_LISTS = frozenset(["exec-opts", "labels", "node-generic-resources", "storage-opts"])

# Flags whose key in the file has another name.
FLAG_KEYS = {
    "D": "debug",
    "G": "group",
    "H": "hosts",
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "b": "bridge",
    "cdi-spec-dir": "cdi-spec-dirs",
    "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "feature": "features",
    "g": "data-root",
    "graph": "data-root",
    "host": "hosts",
    "host-gateway-ip": "host-gateway-ips",
    "insecure-registry": "insecure-registries",
    "l": "log-level",
    "label": "labels",
    "log-opt": "log-opts",
    "node-generic-resource": "node-generic-resources",
    "p": "pidfile",
    "registry-mirror": "registry-mirrors",
    "s": "storage-driver",
    "storage-opt": "storage-opts",
}

# Keys that dockerd accepts in both places.
BOTH_ALLOWED = frozenset(["runtimes"])
SWITCHES = frozenset(
    [
        "D",
        "debug",
        "experimental",
        "icc",
        "init",
        "ip-forward",
        "ip-masq",
        "iptables",
        "ip6tables",
        "ipv6",
        "live-restore",
        "no-new-privileges",
        "raw-logs",
        "selinux-enabled",
        "tls",
        "tlsverify",
        "userland-proxy",
        "validate",
    ]
)


CREDENTIALS = re.compile(r"(\w://)[^/@\s\"]+@")


def masked(text: str) -> str:
    """The same text without user and password of the addresses in it."""
    return CREDENTIALS.sub(r"\1***@", text)


def parse(text: str | None, path: str) -> dict[str, Any]:
    if text is None or not text.strip():
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise FleetError("engine-config-invalid", f"{path} is not valid JSON{where}: {reason}.", key=path) from error
    if not isinstance(content, dict):
        raise FleetError("engine-config-invalid", f"{path} holds no JSON object.", key=path)
    return content


def render(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def merge(current: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    """The current keys with the wanted ones merged in: objects by key, lists by element, the rest by value."""
    merged = _merge_objects(current, want)
    driver = want.get("log-driver")
    if driver is not None and current.get("log-driver", driver) != driver:
        # The options of one log driver make dockerd refuse another one.
        merged["log-opts"] = dict(want.get("log-opts") or {})
    return merged


def _merge_objects(current: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    merged = dict(current)
    for key, value in want.items():
        known = merged.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            merged[key] = _merge_objects(known, value)
        elif isinstance(value, list) and isinstance(known, list):
            merged[key] = _merge_lists(known, value, key in NAMED_LISTS)
        else:
            merged[key] = value
    return merged


def _merge_lists(current: list[Any], want: list[Any], named: bool) -> list[Any]:
    if named:
        names = {str(item).partition("=")[0] for item in want}
        kept = [item for item in current if item in want or str(item).partition("=")[0] not in names]
    else:
        kept = list(current)
    return kept + [item for item in want if item not in kept]


def changed_keys(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(key for key in set(before) | set(after) if before.get(key) != after.get(key))


def restart_keys(keys: list[str]) -> list[str]:
    return [key for key in keys if key not in RELOADED]


# --- flags


def flags_of(argv: list[str]) -> dict[str, list[str]]:
    """Values given as flags, by the key they have in the file; a switch without a value is ``true``."""
    found: dict[str, list[str]] = {}
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word in ("-", "--"):
            continue
        if not word.startswith("--") and word[1:2] not in FLAG_KEYS:
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--") and len(name) > 1:
            name, value, equals = word[1], word[2:].lstrip("="), "="
        if not equals:
            value = "true" if name in SWITCHES or not words or words[0].startswith("-") else words.pop(0)
        found.setdefault(FLAG_KEYS.get(name, name), []).append(value)
    return found


def config_path(flags: dict[str, list[str]]) -> str:
    return flags.get("config-file", [DEFAULT_PATH])[-1]


def _flag_says(key: str, values: list[str], want: Any) -> bool:
    if isinstance(want, bool):
        return values[-1].lower() in (("true", "1") if want else ("false", "0"))
    if isinstance(want, list):
        return set(map(str, want)) <= set(values)
    if isinstance(want, dict):
        return {f"{name}={value}" for name, value in want.items()} <= set(values)
    return values[-1] == str(want)


def without_flags(
    want: dict[str, Any], current: dict[str, Any], flags: dict[str, list[str]], path: str
) -> dict[str, Any]:
    """The wanted keys less those that a flag sets already to the wanted value; a different value is refused."""
    left = {}
    for key, value in want.items():
        if key not in flags or key in BOTH_ALLOWED:
            left[key] = value
        elif not _flag_says(key, flags[key], value):
            raise FleetError(
                "engine-flag-conflict",
                f"The engine's unit starts dockerd with a flag for {key} ({masked(', '.join(flags[key]))}), so the key "
                f"may not stand in {path} as well: dockerd would not start.",
                f"Remove the flag from the engine's unit or its environment file, or remove {key} "
                "from fleet_docker_daemon.",
                key=key,
                value=masked(json.dumps(value)),
            )
    both = sorted(key for key in current if key in flags and key not in BOTH_ALLOWED)
    if both:
        raise FleetError(
            "engine-flag-conflict",
            f"{path} and the flags of the engine's unit both set {', '.join(both)}: dockerd will not start again.",
            f"Remove {', '.join(both)} from {path}, or the flags from the engine's unit.",
            key=both[0],
        )
    return left
