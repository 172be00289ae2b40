# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role bakes nothing of what an earlier role of the same play shared out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.playbook_run import PROGRAM, ROOT, environment

OLD = {"reference": "fleet/comfyui:1", "id": "a" * 64, "work": "build", "others": False}
LACKED = {
    "scope": "bakes",
    "action": "bake",
    "target": OLD["reference"],
    "predicted_because": None,
    "after": {"id": OLD["id"]},
}
LEFT = {
    "__fleet_bake_shares": {"localhost": [OLD]},
    "__fleet_bakes_seen": {
        "plan": [LACKED],
        "bakes": [{"id": OLD["id"], "reference": OLD["reference"], "present": False}],
    },
}


@pytest.mark.parametrize("bakes", [[], [{"id": OLD["id"], "registry": None}]], ids=["no bakes", "baked by now"])
def test_what_an_earlier_role_shared_out_is_not_baked(tmp_path: Path, bakes: list[dict[str, Any]]) -> None:
    lines = [{"id": bake["id"], "reference": OLD["reference"], "present": True} for bake in bakes]
    now = {
        "__fleet_compiled": {
            "documents": {"localhost": {"bakes": bakes}},
            "run": {"id": "second", "report_dir": str(tmp_path)},
        },
        "__fleet_seen": {"plan": [], "bakes": lines},
    }
    bake = {"name": "ascend.fleet.fleet", "tasks_from": "bake"}
    told = ["__fleet_bake_shares == {}", "__image_bake_user is not defined"]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable, "ansible_become": False},
        "tasks": [
            {"ansible.builtin.set_fact": {**LEFT, **now}},
            {"ansible.builtin.import_role": bake},
            {"ansible.builtin.assert": {"that": told}},
        ],
    }
    path = tmp_path / "play.yml"
    path.write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [PROGRAM, "-i", "localhost,", str(path)],
        cwd=tmp_path,
        env=environment(str(ROOT / "collections")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Bake and share images" not in done.stdout
