# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role of ours in a play of others that calls it for some of its hosts."""

from __future__ import annotations

import pytest
import yaml

from .conftest import Fleet

WEB = {"name": "web", "image": "r.lan/web:1", "probe": "none"}


@pytest.mark.parametrize("how", ["import_role", "include_role"])
def test_a_role_is_proven_where_its_condition_holds(fleet: Fleet, how: str) -> None:
    fleet.hosts = {"n1": {}, "n2": {}, "n3": {}}
    role = {
        f"ansible.builtin.{how}": {"name": "ascend.fleet.container_service"},
        "when": "inventory_hostname != 'n1'",
        "vars": {"container_service_entry": WEB},
    }
    own = fleet.folder / "own.yml"
    own.write_text(yaml.safe_dump([{"hosts": "fleet", "gather_facts": False, "tasks": [role]}]))
    run = fleet.run(str(own))
    assert run.rc == 0, run.out
    assert (run.verdict["ok"], set(run.verdict["hosts"])) == (True, {"n2", "n3"})
    assert run.steps("n1") == []
