# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run by the Pythons that servers have, not by the one that runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import ansible
import node_python
import npu_smi
import pytest
import pythons

ROOT = Path(__file__).resolve().parents[2]
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv) - 1)
"""
ON_SERVERS = [(3, 8), (3, 9), (3, 13)]


@pytest.fixture(scope="module", params=ON_SERVERS, ids=lambda minor: f"{minor[0]}.{minor[1]}")
def python(request: pytest.FixtureRequest) -> str:
    found = pythons.find([request.param], venvs=False)
    if found is None:
        pytest.skip(f"there is no Python {request.param[0]}.{request.param[1]} on this machine")
    return found.path


def test_everything_for_nodes_imports(python: str, tmp_path: Path) -> None:
    """Only ansible-core and the standard library are there."""
    (tmp_path / "ansible").symlink_to(Path(ansible.__file__).parent)
    names = [
        "ansible_collections.ascend.fleet." + str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        for path in node_python.files()
        if path.name != "__init__.py"
    ]
    path = os.pathsep.join([str(tmp_path), str(ROOT / "collections")])
    env = {"PYTHONPATH": path, "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [python, "-S", "-c", IMPORT, *names]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(names) > 10


def test_a_module_runs(python: str, tmp_path: Path) -> None:
    """By its documented call, as a user would try it."""
    (tmp_path / "state.json").write_text(json.dumps(npu_smi.default_state("910B4", cards=8)))
    program = tmp_path / "npu-smi"
    program.write_text(f'#!/bin/sh\nASCEND_SIM_STATE={tmp_path}/state.json exec {npu_smi.__file__} "$@"\n')
    program.chmod(0o755)
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "ascend.fleet.npu_smi_facts"]
    argv += ["-a", f"npu_smi={program}", "-e", f"ansible_python_interpreter={python}"]
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    env |= {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_LOCALHOST_WARNING": "false"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout.partition("=>")[2])["ansible_facts"]["ascend_npu"]
    assert facts["present"]
    assert facts["total_count"] == 8
