# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of images of the simulated fleet, and how each comes into the machine's engine.

An image is found in the engine, else loaded from its tar in the cache, else made.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from . import builder, cache, machine
from .errors import SimError
from .progress import say, step

_REPOSITORY = "ascend-fleet-sim"
_FILES = Path(__file__).parent / "files"
_PULLED_BASE = "debian:bookworm-slim"
# Documentation and translations only cost time and space here.
_SLIM = "".join(f"path-exclude=/usr/share/{folder}/*\n" for folder in ("doc", "man", "locale", "info"))
_SLIM_FILE = {"/etc/dpkg/dpkg.cfg.d/90-slim": (0o644, _SLIM.encode())}


@dataclass(frozen=True)
class Recipe:
    """An image = its parent, the files of some folders, and a script run in between."""

    parent: str
    script: str
    folders: Mapping[str, str] = field(default_factory=dict)


RECIPES = {
    "services": Recipe("base", "services/install.sh", {"services": "/opt/services"}),
    "node-fresh": Recipe("base", "node/install.sh", {"node/sbin": "/usr/local/sbin"}),
    "node": Recipe("node-fresh", "node/install-engine.sh"),
    "dnf-fresh": Recipe("node", "rpm/install.sh", {"rpm": "/opt/ascend-sim/rpm"}),
    "dnf": Recipe("dnf-fresh", "rpm/install-engine.sh"),
    "python": Recipe("base", "vllm/install.sh"),
    "workbench": Recipe("base", "workbench/install.sh"),
}


def digest(name: str) -> str:
    """The hash of everything the image is made from."""
    if name == "base":
        sources = machine.apt_sources()
        named = [part for item in sorted(sources.items()) for part in item]
        return cache.digest(platform.machine(), machine.apt_settings(), _SLIM, *named)
    recipe = RECIPES[name]
    folders = [cache.tree_digest(_FILES / folder) for folder in recipe.folders]
    script = (_FILES / recipe.script).read_bytes()
    return cache.digest(digest(recipe.parent), script, *folders)


def repository() -> str:
    """Where the engine keeps the images that belong to this cache: another cache begins without any."""
    if cache.is_default():
        return _REPOSITORY
    return f"{_REPOSITORY}-{cache.digest(str(cache.root().resolve()))}"


def tag(name: str) -> str:
    """The image's name in the machine's engine."""
    return f"{repository()}/{name}:{digest(name)}"


def tar_path(name: str) -> Path:
    """Where the cache keeps the image."""
    return cache.root() / "images" / f"{name}-{digest(name)}.tar"


def ensure(client: docker.DockerClient, name: str) -> str:
    """The image's tag, with the image in the engine."""
    wanted = tag(name)
    if _present(client, wanted):
        return wanted
    with cache.locked(f"image-{name}"):
        if _present(client, wanted):
            return wanted
        if name == "base":
            _base(client, wanted)
        elif tar_path(name).exists():
            with step(f"Load image {name} from the cache"), tar_path(name).open("rb") as handle:
                [loaded] = client.images.load(handle)
            # A cache that was moved, or belongs to another HOME, knows it by another name.
            loaded.tag(*wanted.rsplit(":", 1))
        else:
            _made(client, name, wanted)
    return wanted


def _present(client: docker.DockerClient, wanted: str) -> bool:
    try:
        client.images.get(wanted)
    except ImageNotFound:
        return False
    return True


def _made(client: docker.DockerClient, name: str, wanted: str) -> None:
    recipe = RECIPES[name]
    parent = ensure(client, recipe.parent)
    files = dict(_SLIM_FILE)
    for folder, target in recipe.folders.items():
        files.update(builder.folder_files(_FILES / folder, target))
    script = (_FILES / recipe.script).read_text(encoding="utf-8")
    place, _colon, version = wanted.rpartition(":")
    with step(f"Make image {name}"), builder.ran(client, parent, script, files) as container:
        container.commit(place, version, changes=['CMD ["/bin/sh"]'])
    _save(client, name, wanted)


def _save(client: docker.DockerClient, name: str, wanted: str) -> None:
    def write(partial: Path) -> None:
        with partial.open("wb") as handle:
            for chunk in client.images.get(wanted).save(named=wanted):
                handle.write(chunk)

    cache.kept(tar_path(name), write)
    cache.keep_newest(tar_path(name).parent, name)


def _base(client: docker.DockerClient, wanted: str) -> None:
    """A minimal Debian: from the cache, by pulling, or from the machine's package mirror."""
    place, _colon, version = wanted.rpartition(":")
    if not tar_path("base").exists() and _pulled(client):
        client.images.get(_PULLED_BASE).tag(place, version)
        return
    tar = cache.kept(tar_path("base"), _bootstrap)
    with step("Import the base image"), tar.open("rb") as handle:
        client.api.import_image_from_data(handle, repository=place, tag=version)


def _pulled(client: docker.DockerClient) -> bool:
    say(f"Try to pull {_PULLED_BASE}")
    try:
        client.images.pull(_PULLED_BASE)
    except (APIError, NotFound, DockerException) as error:
        say(f"It cannot be pulled ({str(error)[:160]}); use the machine's package mirror instead")
        return False
    return True


def _bootstrap(partial: Path) -> None:
    """mmdebstrap of the machine's own suite and sources."""
    release = machine.os_release()
    suite = release.get("VERSION_CODENAME")
    if not suite or not shutil.which("apt-get"):
        raise SimError(
            f"{_PULLED_BASE} cannot be pulled and this machine has no apt to build a base image "
            f"from; run once `docker pull {_PULLED_BASE}` from a registry that can be reached (or "
            "load it with `docker load`), then run this again."
        )
    _need_mmdebstrap()
    settings = partial.with_name(partial.name + ".apt.conf")
    settings.write_text(machine.apt_settings(), encoding="utf-8")
    sources = [path for path in machine.apt_sources() if "sources.list" in path]
    slim = [f"--dpkgopt={line}" for line in _SLIM.splitlines()]
    command = ["mmdebstrap", "--variant=apt", "--format=tar", f"--aptopt={settings}", *slim]
    with step(f"Build a minimal {suite} from the machine's package mirror"):
        done = subprocess.run([*command, suite, str(partial), *sources], capture_output=True, text=True, check=False)
    settings.unlink()
    if done.returncode:
        raise SimError(
            f"mmdebstrap of {suite} failed: {done.stderr.strip()[-600:]}; check that `apt-get "
            "update` works on this machine."
        )


def _need_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    with step("Install mmdebstrap from the machine's package sources"):
        for arguments in (["update", "-qq"], ["install", "-y", "-qq", "mmdebstrap"]):
            done = subprocess.run(["apt-get", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SimError(
            f"mmdebstrap is missing and cannot be installed ({done.stderr.strip()[-300:]}); "
            "as root run `apt-get install mmdebstrap`."
        )


def forget(client: docker.DockerClient) -> None:
    """Remove every image of this cache from the engine; the cached tars stay."""
    for image in client.images.list(filters={"reference": f"{repository()}/*"}):
        for name in image.tags:
            if name.startswith(f"{repository()}/"):
                client.images.remove(name, force=True)
