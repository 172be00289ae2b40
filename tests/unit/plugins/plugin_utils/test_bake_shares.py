# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node bakes which image."""

from __future__ import annotations

from ansible_collections.ascend.fleet.plugins.filter.bake_shares import bake_shares
from ansible_collections.ascend.fleet.plugins.plugin_utils._bake_shares import shares


def seen(lacks=(), has=(), predicted=(), pulls=()):
    def act(image, how, because=None):
        return {
            "scope": "bakes",
            "action": how,
            "target": image,
            "predicted_because": because,
            "after": {"id": f"id-{image}"},
        }

    return {
        "plan": [act(image, "bake") for image in lacks]
        + [act(image, "bake", "its base is staged before") for image in predicted]
        + [act(image, "pull") for image in pulls]
        + [{"scope": "services", "action": "create", "target": "x", "predicted_because": None}],
        "bakes": [{"id": f"id-{image}", "reference": image, "present": image in has} for image in (*lacks, *has)],
    }


def told(work):
    return {host: [(one["work"], one["reference"]) for one in rows] for host, rows in work.items()}


def test_an_image_is_built_once_however_many_nodes_need_it():
    assert told(shares({host: seen(lacks=["a"]) for host in ("n1", "n2", "n3")})) == {"n1": [("build", "a")]}


def test_an_image_of_one_node_has_nowhere_to_go():
    work = shares({"n1": seen(lacks=["a", "b"]), "n2": seen(lacks=["b"])})
    assert {row["reference"]: row["others"] for rows in work.values() for row in rows} == {"a": False, "b": True}


def test_different_images_are_built_side_by_side():
    work = shares({host: seen(lacks=["a", "b", "c"]) for host in ("n1", "n2")})
    assert told(work) == {"n1": [("build", "a"), ("build", "c")], "n2": [("build", "b")]}


def test_each_image_is_built_on_a_node_that_needs_it():
    work = shares({"n1": seen(lacks=["a"]), "n2": seen(lacks=["b"]), "n3": seen(lacks=["b"])})
    assert told(work) == {"n1": [("build", "a")], "n2": [("build", "b")]}


def test_what_a_node_has_already_is_shared_and_not_built_again():
    assert told(shares({"n1": seen(lacks=["a"]), "n2": seen(has=["a"])})) == {"n2": [("share", "a")]}


def test_nothing_is_done_for_what_is_pulled_or_only_predicted():
    assert shares({"n1": seen(has=["a"]), "n2": seen(pulls=["a"]), "n3": seen(predicted=["b"])}) == {}


def test_a_node_that_is_broken_builds_nothing_and_the_latest_look_counts():
    hostvars = {
        "broken": {"__fleet_seen": seen(lacks=["a"]), "__fleet_broken": {}},
        "n1": {"__fleet_seen": seen(predicted=["a"]), "__fleet_bakes_seen": seen(lacks=["a"])},
        "dead": {"__fleet_seen": {"unreachable": True}},
        "new": {},
    }
    assert told(bake_shares(list(hostvars), hostvars)) == {"n1": [("build", "a")]}


def test_what_an_earlier_role_looked_at_counts_no_longer():
    hostvars = {
        "baked": {"__fleet_seen": seen(has=["a"]), "__fleet_bakes_seen": seen(lacks=["a"])},
        "came": {"__fleet_seen": seen(lacks=["a"]), "__fleet_bakes_seen": seen(lacks=["a"])},
        "other": {"__fleet_seen": seen(), "__fleet_bakes_seen": seen(lacks=["b"])},
    }
    assert told(bake_shares(list(hostvars), hostvars)) == {"baked": [("share", "a")]}
