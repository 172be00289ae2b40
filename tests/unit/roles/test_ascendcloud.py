# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role ascendcloud: check, run, run again, and a run whose control was lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import yaml

from tests import role_run
from tests.doubles import packages
from tests.playbook_run import PROGRAM, ROOT, environment


def variables(folder: Path, **more: Any) -> dict[str, Any]:
    given = {
        "src": [str(folder / "packages/AscendCloud-*.zip")],
        "dest": str(folder / "out"),
        "parts": [{"name": "AIGC", "include": [packages.WAN]}],
        "version": packages.VERSION,
        "python": "3.10",
        "architecture": "aarch64",
        "soc": "910B",
    }
    return {f"ascendcloud_{name}": value for name, value in {**given, **more}.items()}


def test_check_run_and_run_again(tmp_path):
    (tmp_path / "packages").mkdir()
    packages.outer(tmp_path / "packages")
    predicted = role_run.run("ascendcloud", tmp_path, variables(tmp_path), "--check", "--diff")
    assert (predicted.rc, predicted.changed) == (0, 1), predicted.out
    assert not (tmp_path / "out").exists()
    done = role_run.run("ascendcloud", tmp_path, variables(tmp_path))
    assert (done.rc, done.changed) == (0, 1), done.out
    assert (tmp_path / "out/AIGC" / packages.WAN / "infer.py").exists()
    again = role_run.run("ascendcloud", tmp_path, variables(tmp_path))
    assert (again.rc, again.changed) == (0, 0), again.out


def test_a_missing_package_is_told_before_anything_is_done(tmp_path):
    done = role_run.run("ascendcloud", tmp_path, variables(tmp_path))
    assert done.rc != 0
    for part in ("AscendCloud-AIGC-6.5.902-<stamp>.zip", "ModelArts 6.5.902", "Support-E", "support contact"):
        assert part in " ".join(done.out.split())
    assert not (tmp_path / "out").exists()


def test_unpacking_goes_on_without_its_controller(tmp_path):
    (tmp_path / "packages").mkdir()
    block = os.urandom(1 << 20)
    content = {f"{packages.WAN}/{number}": block for number in range(150)}
    packages.outer(tmp_path / "packages", {"AIGC": packages.zipped(content, zipfile.ZIP_STORED)})
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable, **variables(tmp_path)},
        "roles": ["ascend.fleet.ascendcloud"],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    controller = subprocess.Popen(
        [PROGRAM, "-i", "localhost,", str(tmp_path / "play.yml")],
        env={**environment(str(ROOT / "collections")), "ANSIBLE_ASYNC_DIR": str(tmp_path / "async")},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.ascend-fleet-*/AIGC/*/*/*")):
        assert time.monotonic() < deadline, "unpacking never began"
        time.sleep(0.001)
    assert not (tmp_path / "out").exists()
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    while not (tmp_path / "out").exists():
        assert time.monotonic() < deadline, "it did not go on"
        time.sleep(0.01)
    assert len(list((tmp_path / "out/AIGC" / packages.WAN).iterdir())) == len(content)
