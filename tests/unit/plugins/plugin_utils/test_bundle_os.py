# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of an operating system: which are downloaded, by whom, and where nodes get them from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _host_mounts
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access
from ansible_collections.ascend.fleet.plugins.plugin_utils import _bundle, _bundle_make, _bundle_os

IMAGE = "docker.io/library/debian:12"
MOUNT = {"path": "/mnt/a", "source": "nas:/a", "type": "nfs", "options": [], "timeout": 5, "mount_timeout": 30}
HOST: dict[str, Any] = {
    "engine": {"package_dir": None, "manage": True},
    "sdk": {"manage": False},
    "mounts": [MOUNT, {**MOUNT, "path": "/mnt/b"}, {**MOUNT, "path": "/srv", "source": None, "type": "none"}],
}
DEBIAN = {"ID": "debian", "PRETTY_NAME": "Debian 12"}
HCE = {"ID": "hce", "PRETTY_NAME": "HCE 2.0"}


def parts(host: dict[str, Any], **system: Any) -> list[str]:
    return [need["part"] for need in _bundle.package_needs(host, "aarch64", system)]


def test_what_a_package_manager_of_the_node_would_fetch():
    assert parts(HOST, image=IMAGE, packages=["git-lfs"]) == ["engine", "nfs", "further"]
    assert parts({**HOST, "mounts": []}, image=IMAGE) == ["engine"]
    assert parts({**HOST, "engine": {"package_dir": "/srv/debs", "manage": True}}, image=IMAGE) == ["nfs"]
    assert parts({**HOST, "engine": {"package_dir": None, "manage": False}}, image=IMAGE) == ["nfs"]
    assert parts(HOST) == []


@pytest.mark.parametrize(
    ("release", "part", "names"),
    [
        (DEBIAN, "engine", (["docker.io", "iptables"], [])),
        (HCE, "engine", (["docker-engine.aarch64"], ["docker-engine-selinux.noarch", "docker-runc.aarch64"])),
        (DEBIAN, "nfs", (["nfs-common"], [])),
        (HCE, "nfs", (["nfs-utils"], [])),
        (HCE, "further", (["git-lfs"], [])),
    ],
)
def test_names_are_those_that_the_role_installs(release, part, names):
    manager = "apt" if release is DEBIAN else "dnf"
    found = _bundle_os.System("docker", IMAGE, "aarch64", manager, release)
    assert _bundle_os.names(found, part, ["git-lfs"]) == names


def held(*needs: dict[str, Any]) -> _bundle.Bundle:
    rows = [{"kind": "packages", "need": need, "path": _bundle.place(need)} for need in needs]
    files = [{"path": f"{row['path']}/{name}", "size": 1, "sha256": ""} for row in rows for name in ("a.deb", "b.deb")]
    return _bundle.Bundle("/b", {"artefacts": rows, "files": files}, lambda *_: None)


def test_nodes_get_engine_and_clients_out_of_the_bundle_and_what_is_lacking_is_told():
    system = {"image": IMAGE}
    needs = list(_bundle.package_needs(HOST, "aarch64", system))
    bundle = held(*needs)
    found = bundle.host(HOST, "aarch64", system)
    assert found["engine"]["package_dir"] == "/var/lib/ascend-fleet/packages"
    assert found["engine"]["packages"] == {"source": f"/b/{_bundle.place(needs[0])}", "files": ["a.deb", "b.deb"]}
    client = {"source": f"/b/{_bundle.place(needs[1])}", "files": ["a.deb", "b.deb"]}
    assert [mount.get("packages") for mount in found["mounts"]] == [client, client, None]
    assert bundle.taken() == []
    bundle.host(HOST, "x86_64", system)
    assert bundle.taken() == [
        f"does not hold packages of the engine for {IMAGE} on x86_64",
        f"does not hold packages of the client of nfs for {IMAGE} on x86_64",
    ]


def test_the_plan_of_a_node_names_the_files_of_the_client():
    mount = {**MOUNT, "packages": {"source": "/b/packages/x", "files": ["a.deb"]}}
    after = _host_mounts._client(mount, "apt")["after"]
    path = "/var/lib/ascend-fleet/packages/nfs/a.deb"
    assert after == {"manager": "apt", "packages": [path], "source": "/b/packages/x"}
    assert _host_mounts._client(MOUNT, "dnf")["after"] == {"manager": "dnf", "packages": ["nfs-utils"]}


# With programs in the place of a container engine


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A program called docker that does as the test says, and no other."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(_bundle_os, "PROGRAMS", ("engine-of-the-test",))

    def write(script: str) -> None:
        (programs / "engine-of-the-test").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "engine-of-the-test").chmod(0o755)

    return write


def test_a_controller_without_an_engine_is_told_so(engine):
    with pytest.raises(FleetError, match="controller has none of") as refused:
        _bundle_os.system(IMAGE, "aarch64", lambda text: None)
    assert "fleet_bundle_packages" in refused.value.finding["remedy"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "echo 'exec /bin/cat: exec format error' >&2; exit 1",
            "cannot run it for aarch64: exec /bin/cat: exec format",
        ),
        ("echo ID=plan9; echo PRETTY_NAME=Nine", "packages Nine has for a Docker Engine"),
    ],
)
def test_a_system_that_cannot_be_looked_at_is_told_with_the_reason(engine, script, why):
    engine(script)
    with pytest.raises(FleetError, match=why):
        _bundle_os.system(IMAGE, "aarch64", lambda text: None)


def test_packages_come_once_and_the_container_never_stays(engine, tmp_path):
    log = tmp_path / "log"
    engine(f"""echo "$*" | tr '\\n' ' ' >> {log}; echo >> {log}
case "$*" in *os-release*) echo ID=debian;; run*) for one in "$@"; do case $one in
--volume=*) out=${{one#--volume=}}; touch "${{out%%:*}}/docker.io_1.deb";; esac; done;; esac""")
    (need,) = _bundle.package_needs({**HOST, "mounts": []}, "x86_64", {"image": IMAGE})

    def made(before: Any = None) -> tuple[dict[str, Any], list[str]]:
        log.write_text("")
        around = _bundle_make.Surroundings(Access(), {}, lambda path: "", lambda text: None)
        row = _bundle_make.Maker(tmp_path / "bundle", before, around).packages(need)
        return row, log.read_text().splitlines()

    row, calls = made()
    assert (tmp_path / "bundle" / row["path"] / "docker.io_1.deb").is_file()
    assert "--platform=linux/amd64" in calls[1]
    assert calls[1].rstrip().endswith("sh docker.io iptables")
    assert calls[2].startswith("rm --force ascend-fleet-bundle-")
    assert made({"artefacts": [row]}) == (row, [])


# With a real one


@pytest.mark.engine
def test_dnf_downloads_into_the_folder_with_what_the_repositories_offer_beside(tmp_path):
    import docker

    from tests.simfleet import images

    image = images.ensure(docker.from_env(), "dnf-fresh")
    # A simulated server says which system it is; its image does not.
    found = _bundle_os.System("docker", image, "x86_64", "dnf", {"ID": "openeuler"})
    _bundle_os.download(found, "engine", _bundle_os.names(found, "engine", []), tmp_path, {})
    assert {path.name.rpartition("-")[0].rpartition("-")[0] for path in Path(tmp_path).glob("*.rpm")} == {
        "docker-engine",
        "docker-engine-selinux",
        "docker-runc",
    }
    with pytest.raises(FleetError, match="nothing-like-it"):
        _bundle_os.download(found, "further", (["nothing-like-it"], []), tmp_path / "other", {})
