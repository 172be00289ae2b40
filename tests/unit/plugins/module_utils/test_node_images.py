# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is brought when it is missing or when its content is another one, and never otherwise.

The registry is a double that keeps a few images in memory; it is asked over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _image_history, _node_images
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_bring import Bringer
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import Found, ImageEngine, Listed, PullError
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import architecture, parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources
from ansible_collections.ascend.fleet.plugins.module_utils._node_images import Machine, Seen
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from tests.doubles import token_registry

OTHER = "sha256:" + "b" * 64
MACHINE = platform.machine()
OWN = architecture(MACHINE)
FOREIGN = "arm64" if OWN == "amd64" else "amd64"


class Engine(ImageEngine):
    """An engine that has what it is told to have, and fails as it is told."""

    kind = "docker"
    tool = "socket"

    def __init__(self, has=None, failures=(), names=()):
        self.has = dict(has or {})
        self.failures = list(failures)
        self.names = list(names)
        self.asked = []

    def find(self, reference):
        return self.has.get(reference.full)

    def pull(self, reference, digest, origin, size, told):
        self.asked.append((origin.access.host, digest))
        if self.failures:
            raise PullError(reference, self.failures.pop(0))
        self.has[reference.full] = Found("sha256:new", [digest] if digest else [])

    def load(self, path, told):
        with open(path) as archive:
            archive.read()
        for name in self.names:
            self.has[parse(name).full] = Found("sha256:loaded", [])
        return self.names

    def tag(self, source, reference):
        raise NotImplementedError

    def remove(self, image):
        self.asked.append(image)

    def images(self):
        return []

    def folder(self):
        return "/"

    def missing(self, content):
        return content.size


@pytest.fixture(scope="module")
def registry():
    with token_registry.running() as found:
        yield found


@pytest.fixture(scope="module")
def kept(registry):
    digest = registry.state.keep("web", "1", [b"x" * 1000, b"y" * 500], OWN)
    foreign = registry.state.keep("web", "foreign", [b"z"], FOREIGN)
    registry.state.keep_index("web", "both", {OWN: digest, FOREIGN: foreign})
    return digest


def image(registry, tag="1", digest=None, archive=None, check="always", **more):
    reference = f"{registry.address()}/web:{tag}"
    return {"reference": reference, "digest": digest, "archive": archive, "check": check, "services": ["web"], **more}


def sources(rows=None, logins=None):
    return Sources(rows or {}, logins or {})


def planned(wanted, engine):
    seen = _node_images.observe([wanted], engine, sources(), MACHINE)
    return seen, _node_images.plan([wanted], seen)


ARCHIVE = {"path": "/a/web.tar", "on": "node"}


@pytest.mark.parametrize(
    ("keys", "there", "action"),
    [
        ({}, None, "pull"),
        ({}, "same", None),
        ({}, "other", "pull"),
        ({"check": "missing"}, "other", None),
        ({"tag": "both"}, "same", None),
        ({}, "built here", None),
        ({"digest": "same"}, "same", None),
        ({"digest": "same"}, "other", "pull"),
        ({"digest": "same", "check": "missing"}, "other", "pull"),
        ({"archive": ARCHIVE}, None, "load"),
        ({"archive": ARCHIVE}, "other", None),
        ({"archive": ARCHIVE, "digest": "same"}, "other", "load"),
    ],
)
def test_what_is_planned_for_an_image(registry, kept, keys, there, action):
    keys = {**keys, "digest": kept if keys.get("digest") else None}
    wanted = image(registry, **keys)
    config = _config_of(registry, kept)
    known = {"same": Found("sha256:1", [kept]), "other": Found("sha256:2", [OTHER]), "built here": Found(config, [])}
    engine = Engine({wanted["reference"]: known[there]} if there else {})
    _seen, actions = planned(wanted, engine)
    assert [act["action"] for act in actions] == ([action] if action else [])


def _config_of(registry, digest):
    return json.loads(registry.state.documents[f"/v2/web/manifests/{digest}"][1])["config"]["digest"]


def test_new_content_costs_one_small_question_while_there_is_none(registry, kept):
    wanted = image(registry)
    registry.state.asked.clear()
    planned(wanted, Engine({wanted["reference"]: Found("sha256:1", [kept])}))
    assert [(asked.method, asked.path) for asked in registry.state.asked] == [("HEAD", "/v2/web/manifests/1")]


def test_a_pinned_image_and_an_archive_ask_nobody(registry, kept):
    registry.state.asked.clear()
    for wanted in (image(registry, digest=kept), image(registry, archive=ARCHIVE)):
        planned(wanted, Engine({wanted["reference"]: Found("sha256:1", [kept])}))
    assert registry.state.asked == []


def test_the_plan_names_content_and_size(registry, kept):
    _seen, [act] = planned(image(registry), Engine())
    assert act["after"]["digest"] == kept
    assert act["after"]["size"] > 1500
    assert act["reason"] == "the image is not on the node"


def findings(wanted, engine=None, **machine):
    seen = _node_images.observe([wanted], engine or Engine(), sources(), MACHINE)
    known = {"architecture": MACHINE, "soc": None, "driver": None, "free": None, **machine}
    return [(item["check"], item["severity"]) for item in _node_images.findings([wanted], seen, Machine(**known))]


NEEDS = {"release": "ModelArts 6.5.906", "family": "910B", "arch": None, "driver": "24.1.0.6"}


@pytest.mark.parametrize(
    ("keys", "machine", "told"),
    [
        ({}, {"free": 10_000}, []),
        ({}, {"free": 2_000}, ["image-space"]),
        ({"tag": "foreign"}, {}, ["image-platform"]),
        ({"tag": "none"}, {}, ["image-unknown"]),
        ({"needs": NEEDS}, {"soc": "910B3", "driver": "24.1.0.6"}, []),
        ({"needs": NEEDS}, {"soc": "910B3", "driver": "25.0.RC1"}, []),
        ({"needs": NEEDS}, {"soc": "910B3", "driver": "24.1.0.3"}, ["image-driver"]),
        ({"needs": NEEDS}, {"soc": "910B3", "driver": "24.1.RC3.7"}, ["image-driver"]),
        ({"needs": NEEDS}, {"soc": "310P3", "driver": "24.1.0.6"}, ["image-soc"]),
        ({"needs": NEEDS}, {"soc": None, "driver": None}, []),
        ({"needs": {**NEEDS, "arch": [FOREIGN]}, "archive": ARCHIVE}, {}, ["image-platform"]),
    ],
)
def test_what_stands_against_an_image_is_told_before_it_travels(registry, kept, keys, machine, told):
    assert findings(image(registry, **keys), **machine) == [(check, "error") for check in told]


def test_a_misfit_is_told_in_a_sentence(registry, kept):
    wanted = image(registry, tag="foreign")
    seen = _node_images.observe([wanted], Engine(), sources(), MACHINE)
    [found] = _node_images.findings([wanted], seen, Machine(MACHINE, None, None, None))
    assert found["message"] == f"Image {wanted['reference']} is for {FOREIGN}, but the node is {OWN}."


def test_a_silent_registry_stops_only_who_needs_it(registry):
    wanted = {**image(registry), "reference": "127.0.0.1:9/web:1"}
    assert findings(wanted) == [("registry-unreachable", "error")]
    there = Engine({wanted["reference"]: Found("sha256:1", [OTHER])})
    assert findings(wanted, there) == [("registry-unreachable", "info")]


def test_a_registry_whose_content_is_not_what_it_says_is_not_believed():
    with token_registry.running() as found:
        found.state.keep("web", "1", [b"x"], OWN)
        found.state.trouble.wrong_content = 0
        assert findings(image(found)) == [("image-pull", "error")]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize(
    ("login", "check"),
    [(("u", "right"), None), (("u", "wrong"), "refuses the login for web"), (None, "wants a login for web")],
)
def test_logins(auth, login, check):
    with token_registry.running(auth=auth, logins={"u": "right"}) as found:
        found.state.keep("web", "1", [b"x"], OWN)
        logins = {found.address(): {"username": login[0], "password": login[1]}} if login else {}
        wanted = image(found)
        seen = _node_images.observe([wanted], Engine(), sources(logins=logins), MACHINE)[wanted["reference"]]
        assert (seen.content is not None) is (check is None)
        if check:
            assert seen.problem["check"] == "registry-login"
            assert check in seen.problem["message"]
            assert "wrong" not in str(seen.problem)


def test_a_mirror_is_asked_first_and_the_registry_when_it_fails(registry, kept):
    with token_registry.running(registry.address(), prefix="copies/of") as mirror:
        rows = {registry.address(): {"mirror": f"{mirror.address()}/copies/of"}}
        wanted = image(registry)
        registry.state.asked.clear()
        seen = _node_images.observe([wanted], Engine(), sources(rows), MACHINE)[wanted["reference"]]
        assert seen.content.digest == kept
        assert mirror.state.asked[0].path == "/v2/copies/of/web/manifests/1"
    seen = _node_images.observe([wanted], Engine(), sources(rows), MACHINE)[wanted["reference"]]
    assert seen.content.digest == kept


def bring(tmp_path, wanted, engine, rows=None, retries=3):
    seen = _node_images.observe([wanted], engine, sources(rows), MACHINE)
    pauses, told = [], []
    bringer = Bringer(System(str(tmp_path)), engine, sources(rows), retries, pauses.append)
    for act in _node_images.plan([wanted], seen):
        bringer.carry_out(act, {}, ["web"], told.append)
    return bringer, pauses, told


def test_a_pull_that_fails_is_tried_again_later_and_later(tmp_path, registry, kept):
    engine = Engine(failures=["unexpected EOF", "connection reset by peer"])
    bringer, pauses, told = bring(tmp_path, image(registry), engine)
    assert [digest for _host, digest in engine.asked] == [kept] * 3
    assert len(pauses) == 2
    assert 1 <= pauses[0] <= 2 <= pauses[1] <= 4
    assert "try 2 of 4" in " ".join(told)
    assert "unexpected EOF" in " ".join(told)
    assert list(bringer.seconds) == [image(registry)["reference"]]


@pytest.mark.parametrize(
    ("said", "check"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", "image-space"),
        ("manifest for web:1 not found: manifest unknown", "image-unknown"),
        ("x509: certificate signed by unknown authority", "registry-unreachable"),
        ("http: server gave HTTP response to HTTPS client", "registry-unreachable"),
    ],
)
def test_what_no_patience_mends_is_told_at_once(tmp_path, registry, kept, said, check):
    engine = Engine(failures=[said] * 9)
    with pytest.raises(FleetError) as failure:
        bring(tmp_path, image(registry), engine)
    assert failure.value.finding["check"] == check
    assert len(engine.asked) == 1


@pytest.mark.parametrize(("refusals", "tries"), [(1, 2), (9, 2)])
def test_a_login_that_was_good_a_moment_ago_is_used_once_more(tmp_path, registry, kept, refusals, tries):
    """The registry has described the image to it; a token that the engine was given ran out on the way."""
    engine = Engine(failures=["unauthorized: authentication required"] * refusals)
    with contextlib.nullcontext() if refusals < tries else pytest.raises(FleetError, match="refuses the login"):
        bring(tmp_path, image(registry), engine)
    assert len(engine.asked) == tries


def test_patience_ends(tmp_path, registry, kept):
    engine = Engine(failures=["unexpected EOF"] * 9)
    with pytest.raises(FleetError, match="unexpected EOF"):
        bring(tmp_path, image(registry), engine, retries=2)
    assert len(engine.asked) == 3


def load(tmp_path, names, on="node", digest=None, engine=None):
    archive = {"path": "/web.tar", "on": on}
    wanted = {"reference": "r.example/web:1", "digest": digest, "archive": archive, "services": []}
    target = tmp_path / _node_images.archive_path(archive).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("archive")
    bring(tmp_path, wanted, engine or Engine(names=names))
    return target


def test_an_archive_with_another_image_is_refused_by_name(tmp_path):
    with pytest.raises(FleetError, match=r"/web.tar of image r.example/web:1 holds other:2, not r.example/web:1"):
        load(tmp_path, ["other:2"])


class Store(Engine):
    """An engine that knows which names its images have."""

    def __init__(self, images, brings):
        super().__init__()
        self.kept = {image: list(names) for image, names in images.items()}
        self.brings = brings

    def find(self, reference):
        ids = [image for image, names in self.kept.items() if reference.full in {parse(name).full for name in names}]
        return Found(ids[0], []) if ids else None

    def load(self, path, told):
        for name, image in self.brings.items():
            self._name(name, image)
        return list(self.brings)

    def _name(self, name, image):
        for names in self.kept.values():
            names[:] = [one for one in names if one != name]
        self.kept.setdefault(image, []).extend([name] if name != image else [])

    def tag(self, source, reference):
        self._name(reference.full, source)

    def remove(self, image):
        if image in self.kept:
            del self.kept[image]
        for identity, names in list(self.kept.items()):
            if image in names:
                names.remove(image)
                if not names:
                    del self.kept[identity]

    def images(self):
        return [Listed(image, list(names), 1, []) for image, names in self.kept.items()]


WEB = "r.example/web:1"


@pytest.mark.parametrize(
    ("there", "brings", "digest"),
    [
        ({}, {"r.example/other:2": "sha256:a"}, None),
        ({}, {"sha256:a": "sha256:a"}, None),
        ({}, {WEB: "sha256:a"}, OTHER),
        ({"sha256:a": ["r.example/mine:1"]}, {"r.example/other:2": "sha256:a"}, None),
        ({"sha256:a": ["r.example/other:2"]}, {"r.example/other:2": "sha256:a"}, None),
        ({"sha256:b": ["r.example/other:2"]}, {"r.example/other:2": "sha256:a"}, None),
        ({"sha256:b": [WEB], "sha256:c": []}, {WEB: "sha256:a", "r.example/more:1": "sha256:d"}, OTHER),
        ({"sha256:a": []}, {"sha256:a": "sha256:a"}, None),
    ],
)
def test_nothing_stays_of_an_archive_that_is_refused(tmp_path, there, brings, digest):
    engine = Store(there, brings)
    with pytest.raises(FleetError):
        load(tmp_path, [], digest=digest, engine=engine)
    assert engine.kept == there
    assert not _image_history.read(System(str(tmp_path)))


@pytest.mark.parametrize(("on", "stays"), [("node", True), ("controller", False)])
def test_a_copied_archive_goes_when_it_is_loaded(tmp_path, on, stays):
    assert load(tmp_path, ["r.example/web:1"], on).exists() is stays


@pytest.mark.parametrize(("digest", "right"), [(None, True), ("sha256:loaded", True), (OTHER, False)])
def test_a_loaded_image_is_held_against_its_digest(tmp_path, digest, right):
    if right:
        load(tmp_path, ["r.example/web:1"], digest=digest)
        return
    with pytest.raises(
        FleetError, match=f"/web.tar of image r.example/web:1 holds the image sha256:loaded, not {OTHER}"
    ):
        load(tmp_path, ["r.example/web:1"], digest=digest)


def test_an_archive_that_is_not_there_is_named(tmp_path):
    wanted = {"reference": "r/web:1", "digest": None, "archive": {"path": "/none.tar", "on": "node"}, "services": []}
    with pytest.raises(FleetError, match=r"/none.tar of image .* cannot be read: No such file"):
        bring(tmp_path, wanted, Engine())


def test_archives_of_the_controller_have_a_place_of_their_own_on_the_node():
    first, second = ({"path": f"/{name}/web.tar", "on": "controller"} for name in "ab")
    assert _node_images.archive_path(first) != _node_images.archive_path(second)
    assert _node_images.archive_path({"path": "/a/web.tar", "on": "node"}) == "/a/web.tar"


def row(image, reference="r/web:1", services=("web",)):
    return {"id": image, "reference": reference, "services": list(services), "time": 0}


def there(*names, used=()):
    return [Listed(name, [], 1, ["c"] if name in used else []) for name in names]


@pytest.mark.parametrize(
    ("history", "present", "gone"),
    [
        ([row("1"), row("2"), row("3")], there("1", "2", "3"), ["1"]),
        ([row("2"), row("3")], there("2", "3", "foreign"), []),
        ([row("1"), row("2"), row("3")], there("1", "2", "3", used=["1"]), []),
        # Another repository is the way back of a service that moved.
        ([row("1"), row("2", "other/web:1"), row("3", "third/web:1")], there("1", "2", "3"), ["1"]),
        ([row("9", "else/x:1", ["x"]), row("2"), row("3")], there("2", "3", "9"), ["9"]),
        ([row("kept"), row("1"), row("2"), row("3")], there("1", "2", "3", "kept"), ["1"]),
    ],
)
def test_only_what_the_fleet_brought_and_nobody_needs_goes(history, present, gone):
    assert [image.id for image in _image_history.superfluous(history, present, {"3"}, {"kept"})] == gone


def test_each_image_has_a_line(tmp_path, registry, kept):
    wanted = [image(registry), image(registry, tag="none")]
    engine = Engine({wanted[0]["reference"]: Found("sha256:1", [kept], 42)})
    seen = _node_images.observe(wanted, engine, sources(), MACHINE)
    lines = _node_images.lines(wanted, seen, engine, {wanted[0]["reference"]: 1.26})
    assert [(line["state"], line["size"], line["seconds"]) for line in lines] == [
        ("present", 42, 1.3),
        ("missing", None, None),
    ]


def test_the_history_survives_damage(tmp_path):
    system = System(str(tmp_path))
    system.write(_image_history.HISTORY, "{ torn")
    _image_history.note(system, "sha256:1", "r/web:1", ["web"])
    _image_history.note(system, "sha256:1", "r/web:1", ["web"])
    assert [found["id"] for found in _image_history.read(system)] == ["sha256:1"]
    _image_history.forget(system, "sha256:1")
    assert _image_history.read(system) == []


def test_present_images_need_no_registry_at_all(tmp_path, registry):
    wanted = {**image(registry, check="missing"), "reference": "127.0.0.1:9/web:1"}
    seen = _node_images.observe([wanted], Engine({wanted["reference"]: Found("1", [])}), sources(), MACHINE)
    assert seen == {wanted["reference"]: Seen(Found("1", []))}


TALKS = "import sys, time\nfor n in range(3): print(f'part {n}', flush=True); time.sleep(0.05)\n"


@pytest.mark.parametrize(
    ("program", "patience", "rc", "timed_out"),
    [
        (TALKS, 5.0, 0, False),
        # It goes on talking, but gets no further.
        ("import time\nwhile True: print('same', end='\\r', flush=True); time.sleep(0.02)", None, -9, True),
        ("import time\nprint('part 1', flush=True); time.sleep(60)", 0.2, -9, True),
        ("import sys; sys.exit('ctr: no such thing')", 5.0, 1, False),
    ],
)
def test_a_program_that_gets_no_further_is_ended(program, patience, rc, timed_out):
    heard = []

    def line(text):
        heard.append(text)
        return patience if text.startswith("part") else None

    done = System().follow([sys.executable, "-c", program], line, 1.0)
    assert (done.rc, done.timed_out) == (rc, timed_out)
    assert ("no such thing" in done.err) is (rc == 1)
    if rc == 0:
        assert [text for text in heard if text] == ["part 0", "part 1", "part 2"]
