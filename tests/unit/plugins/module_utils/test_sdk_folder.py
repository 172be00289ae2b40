# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system's Docker SDK where it works, else a complete private folder, swapped in one step."""

from __future__ import annotations

import io
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _sdk_folder, _sdk_install
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import Result, System

FOLDER = "/var/lib/ascend-fleet/sdk"
WANT = {"manage": True, "folder": FOLDER}
WORKING = "class DockerClient:\n    def __init__(self, **k): pass\n    def ping(self): return True\n"
BROKEN = "raise ImportError('no module named ssl_match_hostname')\n"


def wheel(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def supply(root, docker=WORKING, version="7.1.0", skip=(), more=None):
    folder = root / (FOLDER + "/incoming").lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _sdk_folder.DISTRIBUTIONS:
        if name not in skip:
            text = docker if name == "docker" else ""
            number = version if name == "docker" else "1.0"
            (folder / f"{name}-{number}-py3-none-any.whl").write_bytes(wheel({f"{name}/__init__.py": text}))
    for name, content in (more or {}).items():
        (folder / name).write_bytes(content)


@pytest.fixture
def system(tmp_path):
    return System(root=str(tmp_path))


def plan(system, versions=None):
    observed = _sdk_folder.observe(system, WANT, lambda: versions or {})
    return [step["action"] for step in _sdk_folder.plan(WANT, observed)]


def test_a_private_folder_is_unpacked_and_found_complete(tmp_path, system):
    supply(tmp_path)
    assert plan(system) == ["install_sdk"]
    _sdk_install.install(system, FOLDER)
    assert plan(system) == []
    path = _sdk_folder.active(system, FOLDER)
    assert os.path.exists(path + "/docker/__init__.py")
    assert not system.exists(FOLDER + "/incoming")


def test_what_is_planned_can_be_shown_as_a_difference(system):
    (step,) = _sdk_folder.plan(WANT, _sdk_folder.observe(system, WANT, dict))
    assert set(step["after"]["packages"]) == set(_sdk_folder.DISTRIBUTIONS)


def lose_a_file(folder):
    (folder / "requests/__init__.py").unlink()


def empty_the_manifest(folder):
    (folder / _sdk_folder.MANIFEST).write_text("")


@pytest.mark.parametrize("damage", [lose_a_file, empty_the_manifest])
def test_a_damaged_folder_is_seen_and_replaced(tmp_path, system, damage):
    supply(tmp_path)
    _sdk_install.install(system, FOLDER)
    damage(pathlib.Path(_sdk_folder.active(system, FOLDER)))
    assert plan(system) == ["install_sdk"]
    supply(tmp_path)
    _sdk_install.install(system, FOLDER)
    assert plan(system) == []


def test_the_folder_before_stays_for_what_still_runs_and_no_older_one(tmp_path, system):
    for version in ("7.1.0", "7.2.0", "7.3.0"):
        supply(tmp_path, version=version)
        _sdk_install.install(system, FOLDER)
    folders = [entry for entry in (tmp_path / FOLDER.lstrip("/")).iterdir() if not entry.is_symlink()]
    assert len(folders) == 2
    assert all((folder / "docker").is_dir() for folder in folders)


@pytest.mark.parametrize(
    ("supplied", "told"),
    [
        ({"skip": ("requests", "idna")}, "requests, idna"),
        ({"version": "6.1.3"}, "6.1.3 is older"),
        ({"docker": BROKEN}, "ssl_match_hostname"),
        ({"more": {"cffi-1.0-cp311-cp311-linux_x86_64.whl": wheel({})}}, "cffi"),
        ({"more": {"docker-7.2.0-py3-none-any.whl": wheel({})}}, "two versions of docker"),
        ({"more": {"six-1.0-py3-none-any.whl": b"<html>"}}, "six-1.0"),
        ({"more": {"six-1.0-py3-none-any.whl": wheel({"../six.py": ""})}}, r"\.\./six\.py"),
        ({"more": {"six-1.0-py3-none-any.whl": wheel({"/etc/six.py": ""})}}, "/etc/six"),
        ({"more": {"six-1.0-py3-none-any.whl": wheel({"six-1.0.data/scripts/x": ""})}}, "six-1.0.data"),
    ],
)
def test_what_cannot_serve_is_refused_and_the_folder_in_use_stays(tmp_path, system, supplied, told):
    supply(tmp_path)
    _sdk_install.install(system, FOLDER)
    before = os.readlink(tmp_path / (FOLDER + "/current").lstrip("/"))
    supply(tmp_path, **supplied)
    if "version" in supplied:
        (tmp_path / (FOLDER + "/incoming/docker-7.1.0-py3-none-any.whl").lstrip("/")).unlink(missing_ok=True)
    with pytest.raises(FleetError, match=told) as caught:
        _sdk_install.install(system, FOLDER)
    assert caught.value.finding["check"] == "sdk-missing"
    assert os.readlink(tmp_path / (FOLDER + "/current").lstrip("/")) == before
    assert plan(system) == []
    assert not list((tmp_path / FOLDER.lstrip("/")).glob(".new*"))


def test_a_link_in_a_wheel_is_refused(tmp_path, system):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("six/link")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    supply(tmp_path, more={"six-1.0-py3-none-any.whl": buffer.getvalue()})
    with pytest.raises(FleetError, match="six/link"):
        _sdk_install.install(system, FOLDER)


# --- the system's own


def answering(tmp_path, works):
    calls = []

    def run(argv, timeout, env, data):
        calls.append(argv)
        return Result(0, "", "") if works else Result(1, "", "Traceback\nrequests.exceptions.InvalidURL: http+docker")

    return System(root=str(tmp_path), runner=run), calls


VERSIONS = {"python": "/usr/bin/python3", "docker": "5.0.3", "requests": "2.28.1"}


def test_the_systems_sdk_is_tried_once_and_then_believed(tmp_path):
    system, calls = answering(tmp_path, works=True)
    assert plan(system, VERSIONS) == ["use_system_sdk"]
    _sdk_install.use_system(system, FOLDER, lambda: VERSIONS)
    calls.clear()
    assert plan(system, VERSIONS) == []
    assert calls == []


def test_other_versions_are_tried_anew(tmp_path):
    system, calls = answering(tmp_path, works=True)
    _sdk_install.use_system(system, FOLDER, lambda: VERSIONS)
    assert plan(system, dict(VERSIONS, requests="2.32.0")) == ["use_system_sdk"]
    assert len(calls) == 1


def test_a_systems_sdk_that_does_not_talk_is_not_used(tmp_path):
    system, _calls = answering(tmp_path, works=False)
    assert plan(system, VERSIONS) == ["install_sdk"]
    assert _sdk_folder.active(system, FOLDER) is None


def test_a_node_without_any_sdk_is_not_tried(tmp_path):
    system, calls = answering(tmp_path, works=True)
    assert plan(system, {}) == ["install_sdk"]
    assert calls == []


@pytest.mark.parametrize(("docker", "works"), [(None, True), (BROKEN, False), ("import requests_gone\n", False)])
def test_the_trial_talks_to_an_engine_of_its_own(tmp_path, docker, works):
    pytest.importorskip("docker", reason="the Docker SDK for Python is not installed")
    paths = []
    if docker:
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker/__init__.py").write_text(docker)
        paths = [str(tmp_path)]
    assert _sdk_folder.probe(System(), paths)[0] is works


def test_versions_are_those_that_would_be_imported():
    found = _sdk_folder.system_versions()
    assert pathlib.Path(found["python"]).samefile(sys.executable)
    if "docker" in found:
        told = subprocess.run(
            [sys.executable, "-c", "import docker; print(docker.__version__)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == found["docker"]


@pytest.mark.parametrize(("prefix", "seen"), [("/usr", "python3.11"), ("/opt/venv", "python3")])
def test_one_interpreter_under_two_names_is_recorded_once(tmp_path, monkeypatch, prefix, seen):
    (tmp_path / "python3.11").touch()
    (tmp_path / "python3").symlink_to("python3.11")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert _sdk_folder.system_versions()["python"] == str(tmp_path / seen)
