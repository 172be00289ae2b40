# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a service on a real engine: predicted, taken, and taken once."""

from __future__ import annotations

import pytest

from tests.fleet.conftest import Ground, answer, docker, inspect
from tests.fleet.test_operation import services

pytestmark = pytest.mark.fleet


def test_rollback_brings_back_what_ran_before(ground: Ground) -> None:
    node = ground.node()
    assert ground.run("site", "--limit", "n1", **services(ground, "front", "back")).rc == 0
    before = {name: inspect(node, name) for name in ("front", "back")}
    changed = services(ground, "front", "back", env={"COLOUR": "red"})
    changed["fleet_services"][1].pop("env")
    assert ground.run("deploy", "--limit", "n1", **changed).rc == 0
    red = inspect(node, "front")["Id"]
    # Since then the name of the image has got another content.
    docker(node, "commit", "--change", "ENV FLAVOUR=new", "back", ground.image)
    try:
        predicted = ground.run("rollback", "--check", "--limit", "n1", **changed)
        assert (predicted.rc, predicted.verdict["ok"]) == (0, None), predicted.out
        assert inspect(node, "front")["Id"] == red
        planned = {(act["action"], act["target"]) for act in predicted.record("preflight", "n1")["plan"]}
        done = ground.run("rollback", "--limit", "n1", **changed)
        assert (done.rc, done.changed["n1"]) == (0, 1), done.out
        assert {(act["action"], act["target"]) for act in done.record("deploy", "n1")["plan"]} == planned
        assert planned == {("replace", "front")}
        found = inspect(node, "front")
        assert (found["Image"], found["Config"]["Env"]) == (before["front"]["Image"], before["front"]["Config"]["Env"])
        assert answer(node, 8000) == "front"
        assert inspect(node, "back")["Id"] == before["back"]["Id"]
        assert [item["service"] for item in done.verdict["hosts"]["n1"]["warnings"]] == ["back"]
        again = ground.run("rollback", "--limit", "n1", **changed, fleet_only=["front"])
        assert (again.rc, again.changed["n1"], again.verdict["ok"]) == (0, 0, True), again.out
    finally:
        docker(node, "tag", before["front"]["Image"], ground.image)
