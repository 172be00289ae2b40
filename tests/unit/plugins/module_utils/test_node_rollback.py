# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service may go back to, after every way in which it can have come to run what it runs."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_rollback
from ansible_collections.ascend.fleet.plugins.module_utils._document import SERVICES_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.unit.plugins.module_utils.node_documents import document, service

NAME = "registry:5000/web"


@pytest.fixture
def system(tmp_path):
    return System(str(tmp_path))


def version(number, **keys):
    return dict(service("web", image=f"{NAME}:{number}"), **keys)


def image(number, digests=()):
    return {"Id": f"sha256:{number}", "RepoDigests": [f"{NAME}@sha256:d{one}" for one in digests]}


def run(system, number, *actions, with_image=None, **keys):
    """A deploy of the version that does these actions."""
    row = version(number, **keys)
    done = [{"action": name} for name in actions]
    _node_rollback.note(system, row, _node_rollback.wanted(row), with_image or image(number, [number]), done)


def back(system):
    _node_rollback.went_back(system, "web")


def way_back(system, number, present=(1, 2, 3), **keys):
    """The image that the service would go back to while its entry says version ``number``."""
    there = {f"{NAME}:{one}": image(one) for one in present}
    there.update({found["Id"]: found for found in list(there.values())})
    given = dict(document(version(number, **keys), service("other")), artefacts={"images": ["x"], "image_store": None})
    wanted, findings = _node_rollback.document(system, given, there.get)
    assert {item["check"] for item in findings} == {"rollback-nothing"}
    assert wanted["prune"] == "ignore"
    staying = {item["service"] for item in findings}
    assert staying | {one["name"] for one in wanted["services"]} == {"web", "other"}
    return next((one["container"]["image"] for one in wanted["services"]), None), wanted["artefacts"]["images"]


@pytest.mark.parametrize(
    ("story", "entry", "goes_to"),
    [
        ([], 1, None),
        ([(1, "create")], 1, None),
        ([(1, "create"), (2, "replace")], 2, 1),
        ([(1, "create"), (2, "finish")], 2, 1),
        ([(1, "create"), (2, "replace"), (3, "replace")], 3, 2),
        # A replacement that failed was undone and left no trace: the way back of before it is not asked for.
        ([(1, "create"), (2, "replace")], 3, None),
        # Somebody has put the inventory back already.
        ([(1, "create"), (2, "replace")], 1, 1),
        # What was changed by hand and mended is no version.
        ([(1, "create"), (2, "replace"), (2, "replace")], 2, 1),
        # A killed run had proven the new container; the next finds nothing to do there.
        ([(1, "create"), (2,)], 2, 1),
        ([(1, "create"), (2, "replace"), back], 2, 1),
        ([(1, "create"), (2, "replace"), back, (3, "replace")], 3, 1),
        ([(1, "create"), (2, "replace"), back, (2, "replace")], 2, 1),
    ],
)
def test_way_back(system, story, entry, goes_to):
    for step in story:
        step(system) if callable(step) else run(system, *step)
    assert way_back(system, entry)[0] == (goes_to and f"{NAME}:{goes_to}")


def test_a_limit_changed_in_place_is_no_version_of_its_own(system):
    run(system, 1, "create")
    run(system, 2, "replace")
    run(system, 2, "update", npus={"count": 1, "cards": None, "profile": "plain"})
    assert way_back(system, 2, npus={"count": 1, "cards": None, "profile": "plain"})[0] == f"{NAME}:1"


def test_another_name_of_the_same_image_is_no_version(system):
    run(system, 1, "create")
    run(system, 2, "replace")
    run(system, 3, with_image=image(2, [2]))
    assert way_back(system, 3)[0] == f"{NAME}:1"


def test_what_on_change_left_alone_is_not_taken_for_running(system):
    run(system, 1, "create")
    run(system, 2, "update", on_change="report")
    assert way_back(system, 2)[0] is None
    assert _node_rollback.read(system, "web")["running"]["service"]["container"]["image"] == f"{NAME}:1"


def test_the_former_content_of_a_name_that_moved_on_is_named_by_its_id(system):
    run(system, 1, "create", with_image=image("old"))
    run(system, 1, "replace", with_image=image("new"))
    there = {"sha256:old": image("old"), f"{NAME}:1": image("new")}
    given = dict(document(version(1)), artefacts={})
    [one] = _node_rollback.document(system, given, there.get)[0]["services"]
    assert one["container"]["image"] == "sha256:old"


def test_an_image_that_is_gone_comes_by_its_content(system):
    run(system, 1, "create")
    run(system, 2, "replace")
    found, rows = way_back(system, 2, present=[2])
    assert found == f"{NAME}:1"
    assert [(row["reference"], row["digest"]) for row in rows] == [(f"{NAME}:1", "sha256:d1")]


def test_an_image_that_no_registry_gave_and_that_is_gone_is_named(system):
    run(system, 1, "create", with_image=image(1, []))
    run(system, 2, "replace")
    wanted, [found] = _node_rollback.document(system, dict(document(version(2)), artefacts={}), {}.get)
    assert wanted["services"] == []
    assert (found["check"], found["severity"], found["value"]) == ("image-missing", "error", f"{NAME}:1")


def test_images_of_ways_back_are_kept_until_their_service_goes(system):
    def kept(entry=2, changing=()):
        return _node_rollback.images(system, {"web": _node_rollback.wanted(version(entry))}, changing)

    run(system, 1, "create")
    assert kept(1) == set()
    run(system, 2, "replace")
    assert kept() == _node_rollback.images(system, {}) == {"sha256:1"}
    # Once this run has changed the service, it is this that it goes back to.
    assert kept(3) == kept(changing=["web"]) == {"sha256:2"}
    _node_rollback.forget(system, "web")
    assert kept() == set()


def test_a_service_that_shall_be_stopped_stays_so(system):
    run(system, 1, "create")
    run(system, 2, "replace")
    given = dict(document(version(2, state="stopped")), artefacts={})
    [one] = _node_rollback.document(system, given, {f"{NAME}:1": image(1)}.get)[0]["services"]
    assert (one["state"], one["container"]["image"]) == ("stopped", f"{NAME}:1")


def test_a_service_that_shall_be_absent_does_not_come_back(system):
    run(system, 1, "create")
    run(system, 2, "replace")
    assert way_back(system, 2, state="absent")[0] is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}'])
def test_a_damaged_file_is_no_way_back(system, text):
    system.write(f"{SERVICES_DIR}/web.json", text)
    given = dict(document(version(2)), artefacts={})
    wanted, [finding] = _node_rollback.document(system, given, {f"{NAME}:1": image(1)}.get)
    assert wanted["services"] == []
    assert f"{SERVICES_DIR}/web.json on the node" in finding["message"]


def test_where_the_controller_keeps_a_secret_is_no_change(system):
    here, there = (
        service("web", secret_files=[{"id": "web/key", "source": source, "mode": "0400"}]) for source in ("/a", "/b")
    )
    assert _node_rollback.wanted(here) == _node_rollback.wanted(there)
