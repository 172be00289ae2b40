# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action in a real ansible-playbook that is started elsewhere than beside its inventory."""

from __future__ import annotations

import yaml

from tests import playbook_run
from tests.playbook_run import ROOT

SETTINGS = {
    "fleet_bundle_dir": "made",
    "fleet_bundle_extra": ["tools.txt", "more"],
    "fleet_bundle_packages": "../packages",
    "fleet_bundle_controller": False,
    "fleet_services": [],
}


def test_relative_paths_begin_beside_the_inventory(tmp_path):
    inventory = tmp_path / "inventory"
    for path in (inventory / "tools.txt", inventory / "more" / "a.txt", tmp_path / "packages" / "engine.deb"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    # So that pip is not asked for them.
    for number in range(20):
        wheel = inventory / "made" / "wheels" / "sdk" / f"p{number}-1-py3-none-any.whl"
        wheel.parent.mkdir(parents=True, exist_ok=True)
        wheel.touch()
    hosts = {"all": {"children": {"fleet": {"hosts": {"n1": {}}, "vars": SETTINGS}}}}
    (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    done = playbook_run.run("bundle", inventory / "hosts.yml", collections=str(ROOT / "collections"))
    assert done.rc == 0, done.out
    for path in ("extra/tools.txt", "extra/more/a.txt", "packages/packages/engine.deb"):
        assert (inventory / "made" / path).read_text() == path.rpartition("/")[2]
