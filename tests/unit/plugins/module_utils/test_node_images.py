# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is brought when it is missing or when its content is another one, and never otherwise."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_images
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

REFERENCE = "registry:5000/web:1"
DIGEST = "sha256:" + "a" * 64
PRESENT = {"Id": "sha256:1", "RepoDigests": [f"registry:5000/web@{DIGEST}"]}


def image(digest=None, archive=None):
    return {"reference": REFERENCE, "digest": digest, "archive": archive, "services": ["web"]}


@pytest.mark.parametrize(
    ("wanted", "found", "action"),
    [
        (image(), PRESENT, None),
        (image(DIGEST), PRESENT, None),
        (image("sha256:1"), PRESENT, None),
        (image(), None, "pull"),
        (image("sha256:" + "b" * 64), PRESENT, "pull"),
        (image(archive={"path": "/a/web.tar", "on": "node"}), None, "load"),
        (image(archive={"path": "/a/web.tar", "on": "node"}), PRESENT, None),
    ],
)
def test_what_is_planned_for_an_image(wanted, found, action):
    actions = _node_images.plan([wanted], {REFERENCE: found})
    assert [act["action"] for act in actions] == ([action] if action else [])


def test_archives_of_the_controller_have_a_place_of_their_own_on_the_node():
    first, second = ({"path": f"/{name}/web.tar", "on": "controller"} for name in "ab")
    assert _node_images.archive_path(first) != _node_images.archive_path(second)
    assert _node_images.archive_path({"path": "/a/web.tar", "on": "node"}) == "/a/web.tar"


class Client:
    def __init__(self, said):
        self.said = said
        self.asked = []

    def load(self, stream):
        stream.read()
        yield from self.said

    def pull(self, reference):
        self.asked.append(("pull", reference))
        yield from self.said

    def tag(self, *arguments):
        self.asked.append(("tag", *arguments))


def load(tmp_path, said, on="node"):
    archive = {"path": "/web.tar", "on": on}
    (act,) = _node_images.plan([image(archive=archive)], {})
    target = tmp_path / act["after"]["archive"].lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("archive")
    _node_images.load(Client(said), act, System(str(tmp_path)), lambda text: None)
    return target


def test_an_archive_with_another_image_is_refused_by_name(tmp_path):
    with pytest.raises(
        FleetError, match=r"/web.tar of image registry:5000/web:1 holds other:2, not registry:5000/web:1"
    ):
        load(tmp_path, [{"stream": "Loaded image: other:2\n"}])


@pytest.mark.parametrize(("on", "stays"), [("node", True), ("controller", False)])
def test_a_copied_archive_goes_when_it_is_loaded(tmp_path, on, stays):
    assert load(tmp_path, [{"stream": f"Loaded image: {REFERENCE}\n"}], on).exists() is stays


def test_an_archive_that_is_not_there_is_named():
    (act,) = _node_images.plan([image(archive={"path": "/none/web.tar", "on": "node"})], {})
    with pytest.raises(FleetError, match=r"/none/web.tar of image .* cannot be read: No such file"):
        _node_images.load(Client([]), act, System("/"), lambda text: None)


def test_a_pinned_image_is_pulled_by_digest_and_named_by_tag():
    client = Client([])
    (act,) = _node_images.plan([image(DIGEST)], {})
    _node_images.pull(client, act, lambda text: None)
    assert client.asked == [
        ("pull", f"registry:5000/web@{DIGEST}"),
        ("tag", f"registry:5000/web@{DIGEST}", "registry:5000/web", "1"),
    ]


def test_progress_is_told_in_tenths():
    told = []
    lines = [
        {"status": "Downloading", "id": "x", "progressDetail": {"current": done, "total": 100}}
        for done in range(0, 101, 2)
    ]
    (act,) = _node_images.plan([image()], {})
    _node_images.pull(Client(lines), act, told.append)
    assert len(told) == 11
    assert told[-1] == f"{REFERENCE}: downloading x 100 %"


@pytest.mark.parametrize(("digest", "right"), [(None, True), ("sha256:1", True), (DIGEST, False)])
def test_a_loaded_image_is_held_against_its_digest_once(digest, right):
    (act,) = _node_images.plan([image(digest, archive={"path": "/a/web.tar", "on": "node"})], {})
    found = {"Id": "sha256:1", "RepoDigests": []}
    if right:
        _node_images.check_loaded(act, found)
        return
    with pytest.raises(FleetError, match=f"/a/web.tar of image {REFERENCE} holds the image sha256:1, not {DIGEST}"):
        _node_images.check_loaded(act, found)
