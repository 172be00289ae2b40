# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From package files to a folder: first run, later runs, changes, and what is refused."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _package
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.modules import ascendcloud_package
from tests.doubles import packages

DEFAULTS: dict[str, Any] = {
    "version": None,
    "sha256": None,
    "python": "3.10",
    "architecture": "aarch64",
    "soc": "910B",
    "verify": "fast",
    "lock_timeout": 20,
    "workers": 2,
    "max_size": "100G",
    "max_ratio": 200,
}
PART = {"match": "*", "include": [], "sha256": None}
WAN = {"name": "AIGC", "include": [packages.WAN]}


class Place:
    def __init__(self, folder: Path) -> None:
        self.packages = folder / "packages"
        self.dest = folder / "out" / "ascendcloud"
        self.packages.mkdir()

    def run(self, *parts: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        given = [{**PART, **part} for part in parts]
        places = {"src": [str(self.packages)], "dest": str(self.dest), "parts": given}
        return _package.converge(ascendcloud_package.wanted({**DEFAULTS, **places, **options}), check)

    def tree(self) -> dict[str, bytes]:
        files = [path for path in self.dest.rglob("*") if path.is_file() and not path.name.startswith(".")]
        return {str(path.relative_to(self.dest)): path.read_bytes() for path in files}

    def facts(self) -> dict[Path, tuple[int, int]]:
        found = ((path, path.stat()) for path in self.dest.rglob("*"))
        return {path: (facts.st_ino, facts.st_ctime_ns) for path, facts in found}

    def beside(self) -> list[str]:
        return sorted(path.name for path in self.dest.parent.iterdir()) if self.dest.parent.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def expected(**parts: str) -> dict[str, bytes]:
    return {
        f"{kind}/{name}": content
        for kind, below in parts.items()
        for name, content in packages.PARTS[kind].items()
        if name.startswith(below)
    }


def refused(place: Place, *parts: dict[str, Any], **options: Any) -> FleetError:
    before = place.tree()
    for check in (True, False):
        with pytest.raises(FleetError) as caught:
            place.run(*parts, check=check, **options)
    assert place.tree() == before
    assert set(place.beside()) <= {place.dest.name}
    return caught.value


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("workers", [1, 3])
def test_wanted_parts_and_folders_come_out_of_the_nested_package(place, method, workers):
    packages.outer(place.packages, method=method)
    done = place.run(WAN, {"name": "OPP"}, workers=workers)
    assert place.tree() == expected(AIGC=packages.WAN, OPP="")
    assert done["changed"]
    assert done["paths"] == {kind: f"{place.dest}/{kind}" for kind in ("AIGC", "OPP")}
    assert done["wheels"] == [f"{place.dest}/OPP/{packages.WHEEL}"]
    assert done["installers"] == [f"{place.dest}/OPP/{packages.INSTALLER}"]
    assert place.beside() == ["ascendcloud"]
    assert os.access(place.dest / "OPP" / packages.INSTALLER, os.X_OK)


def test_packages_of_parts_lying_alone_give_the_same(place):
    for kind in ("AIGC", "OPP"):
        packages.part(place.packages, kind)
    place.run(WAN, {"name": "OPP"})
    assert place.tree() == expected(AIGC=packages.WAN, OPP="")


def test_the_inner_package_is_never_written(place, monkeypatch):
    packages.outer(place.packages)
    made: list[str] = []
    real = os.open

    def watched(path, flags, *rest, **more):
        if flags & os.O_CREAT:
            made.append(str(path))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    place.run(WAN, workers=1)
    assert made
    assert not [path for path in made if path.endswith(".zip")]


def test_a_second_run_verifies_and_changes_nothing(place):
    packages.outer(place.packages)
    place.run(WAN)
    facts = place.facts()
    for options in ({}, {"verify": "full"}, {"check": True}):
        again = place.run(WAN, **options)
        assert (again["changed"], again["reasons"]) == (False, [])
        assert again["diff"]["before"] == again["diff"]["after"]
        assert place.facts() == facts


def test_the_manifest_is_the_same_wherever_the_package_was_unpacked(tmp_path):
    manifests = []
    for name, seconds in (("n1", 1), ("n2", 2)):
        (tmp_path / name).mkdir()
        place = Place(tmp_path / name)
        os.utime(packages.outer(place.packages), (seconds, seconds))
        place.run(WAN)
        manifests.append((place.dest / ".ascend-package.json").read_bytes())
    assert manifests[0] == manifests[1]


def test_check_mode_tells_what_the_run_does_and_writes_nothing(place):
    packages.outer(place.packages)
    predicted = place.run(WAN, check=True)
    assert not place.dest.parent.exists()
    assert predicted == place.run(WAN)


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"#")


def rot(path: Path) -> None:
    """Another content with the size and the time of before."""
    facts = path.stat()
    path.write_bytes(b"#" + path.read_bytes()[1:])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize(("how", "fast"), [(Path.unlink, True), (change, True), (rot, False)])
def test_a_file_that_was_changed_is_found_and_brought_back(place, how, fast):
    packages.outer(place.packages)
    place.run(WAN)
    how(place.dest / "AIGC" / packages.WAN / "infer.py")
    assert place.run(WAN, check=True)["changed"] is fast
    assert place.run(WAN, check=True, verify="full")["changed"]
    done = place.run(WAN, verify="full")
    assert "AIGC/multimodal_algorithm/Wan2_1/infer.py" in done["reasons"][0]
    assert "infer.py" in done["diff"]["before"]
    assert place.tree() == expected(AIGC=packages.WAN)


def test_other_parts_or_another_package_replace_the_folder_in_one_step(place):
    packages.outer(place.packages)
    place.run(WAN)
    inode = place.dest.stat().st_ino
    assert place.run({"name": "LLM"})["reasons"] == ["other parts are wanted: LLM"]
    assert place.tree() == expected(LLM="")
    assert place.dest.stat().st_ino != inode
    for path in place.packages.iterdir():
        path.unlink()
    packages.outer(place.packages, {"LLM": packages.zipped({"new": b"1"})}, version="6.5.906")
    assert place.run({"name": "LLM"}, version="6.5.906")["changed"]
    assert place.tree() == {"LLM/new": b"1"}
    assert place.beside() == ["ascendcloud"]


def test_a_package_copied_again_is_the_same_package(place):
    path = packages.outer(place.packages)
    place.run(WAN)
    os.utime(path, (1, 1))
    assert not place.run(WAN, check=True)["changed"]
    assert not place.run(WAN)["changed"]
    packages.outer(place.packages, {"AIGC": packages.zipped({f"{packages.WAN}/infer.py": b"new"})})
    assert place.run(WAN)["changed"]


def test_what_is_complete_needs_no_package_any_more(place):
    path = packages.outer(place.packages)
    place.run(WAN)
    path.unlink()
    again = place.run(WAN)
    assert not again["changed"]
    assert "package is gone" in again["warnings"][0]
    (place.dest / "AIGC" / packages.WAN / "infer.py").unlink()
    assert refused(place, WAN).finding["check"] == "package-missing"


def test_digests_of_the_package_and_of_a_part_inside_it(place):
    path = packages.outer(place.packages)
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    part = hashlib.sha256(packages.zipped(packages.PARTS["AIGC"])).hexdigest()
    assert "has the sha256" in str(refused(place, WAN, sha256="0" * 64))
    assert "has the sha256" in str(refused(place, {**WAN, "sha256": "1" * 64}))
    place.run({**WAN, "sha256": part}, sha256=whole)
    assert place.tree() == expected(AIGC=packages.WAN)
    assert not place.run({**WAN, "sha256": part}, sha256=whole)["changed"]
    assert "has the sha256" in str(refused(place, WAN, sha256="0" * 64))


def test_a_digest_given_later_is_compared_before_it_is_believed(place):
    path = packages.outer(place.packages)
    place.run(WAN)
    assert "has the sha256" in str(refused(place, WAN, sha256="0" * 64))
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    assert "was not compared yet" in place.run(WAN, sha256=whole)["reasons"][0]
    assert not place.run(WAN, sha256=whole)["changed"]


@pytest.mark.parametrize(
    ("options", "check", "says"),
    [
        ({"python": "3.11"}, "package-unfit", "AscendX_Video.cpython-310-aarch64-linux-gnu.so"),
        ({"architecture": "x86_64"}, "package-unfit", "cannot be used with Python 3.10, x86_64, 910B"),
        ({"soc": "310P3"}, "package-unfit", packages.INSTALLER),
        ({"version": "6.5.906"}, "package-missing", "6.5.906"),
        ({"max_size": "1K"}, "package-invalid", "unpacks to"),
    ],
)
def test_a_package_for_something_else_is_refused(place, options, check, says):
    packages.outer(place.packages)
    error = refused(place, WAN, {"name": "OPP"}, **options)
    assert error.finding["check"] == check
    assert says in str(error)


def test_what_is_there_has_to_fit_as_well(place):
    packages.outer(place.packages)
    place.run(WAN)
    assert refused(place, WAN, python="3.11").finding["check"] == "package-unfit"
    assert not place.run(WAN, architecture="any", python=None)["changed"]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"name": "CV"}, "holds no AscendCloud-CV-*.zip; it holds AscendCloud-AIGC-"),
        ({"name": "AIGC", "include": ["Wan9"]}, "at its top are aigc_inference, multimodal_algorithm"),
    ],
)
def test_a_part_that_is_not_there_is_said_with_what_is(place, part, says):
    packages.outer(place.packages)
    assert says in str(refused(place, part))


def test_patterns_take_one_level_at_a_star(place):
    packages.outer(place.packages)
    place.run({"name": "AIGC", "include": ["*/Wan2_1/*.so", "aigc_inference/torch_npu/utils"]})
    names = {name.rpartition("/")[2] for name in place.tree()}
    wanted = {"AscendX_Video.cpython-310-aarch64-linux-gnu.so", "sp_fsdp.cpython-310-aarch64-linux-gnu.so", "setup.py"}
    assert names == wanted


def test_a_folder_of_somebody_else_is_left_alone(place):
    packages.outer(place.packages)
    place.dest.mkdir(parents=True)
    (place.dest / "mine").write_text("keep me")
    assert refused(place, WAN).finding["check"] == "package-target"
    (place.dest / "mine").unlink()
    place.run(WAN)
    assert place.tree() == expected(AIGC=packages.WAN)


def test_an_inner_package_of_another_version_is_refused(place):
    path = place.packages / packages.file_name()
    with zipfile.ZipFile(path, "w") as archive:
        held = packages.zipped(packages.PARTS["AIGC"])
        archive.writestr(packages.entry(packages.file_name("AIGC", "6.5.901")), held)
    assert "says version 6.5.902, but holds" in str(refused(place, WAN))


@pytest.mark.parametrize("parts", [[{"name": "AIGC"}, {"name": "AIGC"}], []])
def test_each_part_is_named_once(place, parts):
    with pytest.raises(ValueError, match="parts names"):
        place.run(*parts)
