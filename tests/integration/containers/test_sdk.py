# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Docker SDK is used: one that works, whole, and never parts of two."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.containers.conftest import ROOT, Docker

PARTS = ("docker", "requests", "urllib3", "idna", "certifi", "charset_normalizer")
PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[2])
try:
    from ansible_collections.ascend.fleet.plugins.module_utils import _engine_sdk
    if sys.argv[3] == "used before":
        import requests
    _engine_sdk.client("/var/run/docker.sock", sys.argv[1] or None)
    said = {name: sys.modules[name].__file__ for name in ("docker", "requests", "urllib3")}
except Exception as error:
    said = {"error": str(error), "check": error.finding["check"]}
print(json.dumps(said))
"""
# What a distribution's SDK does beside a newer requests.
BROKEN = """
__version__ = "5.0.3"
import requests
class errors:
    class DockerException(Exception): pass
    class APIError(DockerException): pass
class APIClient:
    def __init__(self, **_options):
        raise errors.DockerException("Error while fetching server API version: Not supported URL scheme http+docker")
"""


def use(folder: Path | str, system: list[Path], python: str = sys.executable, before: str = "") -> dict[str, Any]:
    """Ask for a client in a Python that has no packages but those of ``system``."""
    ended = subprocess.run(
        [python, "-S", "-c", PROGRAM, str(folder), json.dumps([str(path) for path in system]), before],
        text=True,
        capture_output=True,
        env={"PYTHONPATH": str(ROOT / "collections"), "PATH": os.defpath},
        check=False,
    )
    assert ended.stdout, ended.stderr
    return dict(json.loads(ended.stdout))


def link(folder: Path, *parts: str) -> Path:
    """A folder with copies, as links, of packages that this test run itself uses."""
    folder.mkdir()
    for part in parts:
        module = importlib.import_module(part)
        (folder / part).symlink_to(Path(module.__file__ or "").parent)
    return folder


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    # Copied, because a link leads out of the folder.
    folder = tmp_path / "sdk"
    for part in PARTS:
        source = Path(importlib.import_module(part).__file__ or "").parent
        subprocess.run(["cp", "-r", str(source), f"{folder.mkdir(exist_ok=True) or folder}/"], check=True)
    return folder


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    folder = link(tmp_path / "system", *PARTS[1:])
    (folder / "docker.py").write_text(BROKEN)
    return folder


@pytest.mark.usefixtures("docker")
def test_the_systems_own_where_it_works(tmp_path: Path, whole: Path) -> None:
    system = link(tmp_path / "system", *PARTS)
    assert use(whole, [system])["docker"].startswith(str(system))


@pytest.mark.usefixtures("docker")
@pytest.mark.parametrize("before", ["", "used before"])
def test_the_private_folder_where_the_systems_does_not_work(whole: Path, broken: Path, before: str) -> None:
    said = use(whole, [broken], before=before)
    assert {name: path.startswith(str(whole)) for name, path in said.items()} == dict.fromkeys(said, True)


@pytest.mark.usefixtures("docker")
def test_the_private_folder_where_the_system_has_none(whole: Path) -> None:
    assert use(whole, [])["requests"].startswith(str(whole))


@pytest.mark.usefixtures("docker")
@pytest.mark.parametrize("missing", ["requests", "urllib3", "idna"])
def test_a_folder_that_is_not_complete_is_not_filled_up_from_the_system(
    whole: Path, broken: Path, missing: str
) -> None:
    subprocess.run(["rm", "-r", str(whole / missing)], check=True)
    said = use(whole, [broken])
    assert said["check"] == "sdk-missing"
    assert "the folder is not complete" in said["error"]
    assert "Not supported URL scheme" in said["error"], "what was wrong with the system's is told too"


def test_neither(docker: Docker, tmp_path: Path) -> None:
    said = use(tmp_path / "not-there", [])
    assert said["check"] == "sdk-missing"
    assert "there is no such folder" in said["error"]
