# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages bring the Docker Engine to which operating system. Private to the collection."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._system import System


class PackageSet(NamedTuple):
    manager: str
    packages: tuple[str, ...]
    # Installed where the repositories offer them; some releases of the system have them built in.
    companions: tuple[str, ...] = ()


# Huawei's guide for Lite Server names these three, with the architecture in the name.
HUAWEI = PackageSet("dnf", ("docker-engine.{arch}",), ("docker-engine-selinux.noarch", "docker-runc.{arch}"))
DEBIAN = PackageSet("apt", ("docker.io", "iptables"))

# By ID of /etc/os-release, in lower case.
PACKAGES = {
    "debian": DEBIAN,
    "euleros": HUAWEI,
    "hce": HUAWEI,
    "openeuler": HUAWEI,
    "ubuntu": DEBIAN,
}
SUFFIXES = {"apt": ".deb", "dnf": ".rpm"}


def os_release(system: System) -> dict[str, str]:
    return parse_release(system.read("/etc/os-release") or system.read("/usr/lib/os-release") or "")


def parse_release(text: str) -> dict[str, str]:
    values = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            values[name.strip()] = value.strip().strip("\"'")
    return values


def package_set(release: dict[str, str]) -> PackageSet | None:
    for name in [release.get("ID", ""), *release.get("ID_LIKE", "").split()]:
        if name.lower() in PACKAGES:
            return PACKAGES[name.lower()]
    return None


def manager(system: System, release: dict[str, str]) -> str | None:
    """The package manager; a system that is not in the table still has one that installs given files."""
    known = package_set(release)
    if known is not None:
        return known.manager
    if system.exists("/usr/bin/apt-get"):
        return "apt"
    return "dnf" if system.exists("/usr/bin/dnf") or system.exists("/usr/bin/yum") else None


def wanted(
    system: System, architecture: str, package_dir: str | None, given: dict[str, Any] | None = None
) -> dict[str, Any] | None:
    """What the role installs; None where nothing is known for this system.

    ``given`` are files of the controller, which come to ``package_dir`` before.
    """
    release = os_release(system)
    name = manager(system, release)
    if name is None:
        return None
    if package_dir:
        names = given["files"] if given else system.listdir(package_dir)
        files = [f"{package_dir}/{file}" for file in names if file.endswith(SUFFIXES[name])]
        offline = {"manager": name, "packages": files, "companions": [], "offline": True}
        return dict(offline, source=given["source"]) if given else offline
    known = package_set(release)
    if known is None:
        return None
    return {
        "manager": name,
        "packages": [package.format(arch=architecture) for package in known.packages],
        "companions": [package.format(arch=architecture) for package in known.companions],
        "offline": False,
    }
