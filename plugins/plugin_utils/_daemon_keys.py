# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keys of ``daemon.json`` may hold: dockerd does not start with a value of another type.

Keys that are not in the tables are left to dockerd. Private to the collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

# Keys that the collection gives to the engine by other ways.
OWN = {"hosts": "Name the socket in fleet_docker_socket.", "proxies": "Use fleet_proxy."}


class Type(NamedTuple):
    holds: Callable[[Any], bool]
    flaw: str
    remedy: str


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


TYPES = {
    Type(_switch, "is neither true nor false", "Write true or false, without quotes, or leave the key out."): (
        "debug", "experimental", "icc", "init", "ip-forward", "ip-masq", "ip6tables", "iptables", "ipv6",
        "live-restore", "no-new-privileges", "raw-logs", "selinux-enabled", "tls", "tlsverify", "userland-proxy",
    ),
    Type(_whole, "is not a whole number", "Write a number, without quotes, or leave the key out."): (
        "max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts", "mtu",
        "network-control-plane-mtu", "shutdown-timeout",
    ),
    Type(_text, "is not a text", "Write one text, in quotes where it looks like a number, or leave the key out."): (
        "bip", "bridge", "cgroup-parent", "data-root", "default-cgroupns-mode", "default-gateway",
        "default-gateway-v6", "default-ipc-mode", "default-runtime", "default-shm-size", "exec-root", "fixed-cidr",
        "fixed-cidr-v6", "group", "init-path", "ip", "log-driver", "log-format", "log-level", "metrics-addr",
        "pidfile", "seccomp-profile", "storage-driver", "tlscacert", "tlscert", "tlskey", "userland-proxy-path",
        "userns-remap",
    ),
    Type(_texts, "is not a list of texts", "Write a list, one item a line with a dash, or leave the key out."): (
        "allow-nondistributable-artifacts", "authorization-plugins", "dns", "dns-opts", "dns-search", "exec-opts",
        "insecure-registries", "labels", "node-generic-resources", "registry-mirrors", "storage-opts",
    ),
}  # fmt: skip
OPTIONS = "log-opts"


def flaws(daemon: Mapping[str, Any], name: str) -> Iterator[Flaw]:
    for key, remedy in OWN.items():
        if key in daemon:
            yield Flaw(f"{name}.{key}", daemon[key], "is set by the collection", f"Remove it. {remedy}")
    for kind, keys in TYPES.items():
        for key in keys:
            if key in daemon and not kind.holds(daemon[key]):
                yield Flaw(f"{name}.{key}", daemon[key], kind.flaw, kind.remedy)
    if OPTIONS in daemon:
        yield from _option_flaws(daemon[OPTIONS], f"{name}.{OPTIONS}")


def _option_flaws(options: Any, where: str) -> Iterator[Flaw]:
    if not isinstance(options, Mapping):
        yield Flaw(where, options, "is not a mapping", "Write one key: value a line.")
        return
    for option, value in options.items():
        if not _text(value):
            yield Flaw(f"{where}.{option}", value, "is not a text", f"Write it in quotes: {option}: '{value}'.")
