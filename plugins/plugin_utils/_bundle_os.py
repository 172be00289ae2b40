# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the nodes' operating system with all they need, downloaded in a container of that system.

Private to the collection.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _host_mounts, _host_packages
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle import ENGINE, FURTHER
from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle_run import ProgramFailedError, run

Json = dict[str, Any]

PROGRAMS = ("docker", "podman", "nerdctl")
PLATFORMS = {"aarch64": "linux/arm64", "x86_64": "linux/amd64"}
LOOK_SECONDS, SECONDS = 600, 3600
REMEDY = (
    "Run the playbook where a container of this image can run, or name a folder of packages in fleet_bundle_packages."
)

APT = """set -e
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends --download-only \
  -o Dir::Cache::archives=/out -o APT::Sandbox::User=root "$@"
rm -rf /out/partial /out/lock
"""
# The companions come where the repositories have them; without weak dependencies, as a server would install them.
DNF = """set -e
for name in $COMPANIONS; do
  if dnf -q list --available "$name" > /dev/null 2>&1; then set -- "$@" "$name"; fi
done
dnf -y -q install --downloadonly --downloaddir=/out --setopt=install_weak_deps=False "$@"
"""
SCRIPTS = {"apt": APT, "dnf": DNF}


class System(NamedTuple):
    """An operating system, and the container engine that runs it here."""

    program: str
    image: str
    arch: str
    manager: str
    release: dict[str, str]


def system(image: str, arch: str, tell: Callable[[str], None]) -> System:
    """The operating system in this image; a sentence with the reason where it cannot be run."""
    program = next((name for name in PROGRAMS if shutil.which(name)), None)
    if program is None:
        message = f"Packages for {image} cannot be downloaded: the controller has none of {', '.join(PROGRAMS)}."
        raise FleetError("bundle-incomplete", message, REMEDY, key="fleet_bundle_os.image", value=image)
    tell(f"the operating system in {image}")
    argv = [program, "run", "--rm", f"--platform={PLATFORMS[arch]}", "--entrypoint=cat", image, "/etc/os-release"]
    try:
        text = run(argv, LOOK_SECONDS)
    except FleetError as error:
        said = error.output.strip() if isinstance(error, ProgramFailedError) else str(error.finding["message"])
        why = said.splitlines()[-1] if said else "no reason was given"
        message = f"Packages for {image} cannot be downloaded: {program} cannot run it for {arch}: {why.rstrip('.')}."
        raise FleetError("bundle-incomplete", message, REMEDY, key="fleet_bundle_os.image", value=image) from None
    release = _host_packages.parse_release(text)
    known = _host_packages.package_set(release)
    if known is None:
        message = f"Nobody knows which packages {release.get('PRETTY_NAME', image)} has for a Docker Engine."
        raise FleetError("bundle-incomplete", message, REMEDY, key="fleet_bundle_os.image", value=image)
    return System(program, image, arch, known.manager, release)


def names(found: System, part: str, further: Sequence[str]) -> tuple[list[str], list[str]]:
    """Packages of a part, and those that come along where the repositories have them."""
    if part == FURTHER:
        return list(further), []
    if part != ENGINE:
        return list(_host_mounts.CLIENTS[part][1][found.manager]), []
    known = _host_packages.package_set(found.release) or _host_packages.DEBIAN
    wanted, more = ([one.format(arch=found.arch) for one in row] for row in (known.packages, known.companions))
    return wanted, more


def download(
    found: System, part: str, wanted: tuple[Sequence[str], Sequence[str]], folder: Path, environment: Mapping[str, str]
) -> None:
    """The packages of one part and what they need; what has arrived in ``folder`` is not fetched again."""
    folder.mkdir(parents=True, exist_ok=True)
    packages, companions = wanted
    given = {**{name: os.environ[name] for name in environment_names() if name in os.environ}, **environment}
    given["COMPANIONS"] = " ".join(companions)
    name = f"ascend-fleet-bundle-{uuid.uuid4().hex[:12]}"
    argv = [found.program, "run", "--rm", f"--name={name}", "--network=host", f"--platform={PLATFORMS[found.arch]}"]
    # Where SELinux is enforcing, a folder of the controller is no container's without saying so.
    argv += ["--security-opt=label=disable", *(f"--env={key}" for key in given)]
    argv += [f"--volume={folder}:/out", "--entrypoint=sh", found.image, "-c", SCRIPTS[found.manager], "sh", *packages]
    try:
        run(argv, SECONDS, given)
    except ProgramFailedError as error:
        said = (error.output.strip().splitlines() or ["no reason was given"])[-1]
        message = f"The packages {' '.join(packages)} of {found.image} were not downloaded: {said.rstrip('.')}."
        raise FleetError("bundle-incomplete", message, key="fleet_bundle_os.image", value=found.image) from None
    finally:
        _removed(found.program, name)
    if not any(one.name.endswith(_host_packages.SUFFIXES[found.manager]) for one in folder.iterdir()):
        message = f"The image {found.image} has {' '.join(packages)}, so that its package manager fetches nothing."
        remedy = "Use an image of the system without them."
        raise FleetError("bundle-incomplete", message, remedy, key="fleet_bundle_os.image", value=found.image)


def environment_names() -> list[str]:
    return ["http_proxy", "https_proxy", "no_proxy"]


def _removed(program: str, name: str) -> None:
    """A container that outlived its client."""
    try:
        run([program, "rm", "--force", name], LOOK_SECONDS)
    except FleetError:
        return
