# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the names of packages and of their contents say."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _package_names as names
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._package_names import Target, Wanted
from tests.doubles import packages

NODE = Target("3.10", "aarch64", "910B")
AIGC, OPP = Wanted("AIGC"), Wanted("OPP")


@pytest.mark.parametrize(
    ("file", "kind", "version", "stamp"),
    [
        ("AscendCloud-6.5.902-20250523112233.zip", None, "6.5.902", "20250523112233"),
        ("AscendCloud-6.5.902.zip", None, "6.5.902", ""),
        ("/a/AscendCloud-AIGC-6.5.902-20250523.zip", "AIGC", "6.5.902", "20250523"),
        ("AscendCloud-LLM-6.5.906-x.zip", "LLM", "6.5.906", "x"),
        ("AscendCloud-OPP-6.5.902-torch-20250523.zip", "OPP", "6.5.902", "torch-20250523"),
        ("AscendCloud-3rdLLM-6.3.912-20241231.zip", "3rdLLM", "6.3.912", "20241231"),
    ],
)
def test_the_name_of_a_package_says_kind_and_version(file, kind, version, stamp):
    assert names.parse(file) == names.Name(file, kind, version, stamp)


@pytest.mark.parametrize(
    "file", ["AscendCloud.zip", "AscendCloud-AIGC.zip", "AscendCloud-6.5.902.tar", "My-6.5.902.zip"]
)
def test_other_files_are_no_packages(file):
    assert names.parse(file) is None


OUTER, OUTER_6 = packages.file_name(), packages.file_name(version="6.5.906")
ALONE, ALONE_OPP = packages.file_name("AIGC"), packages.file_name("OPP")


@pytest.mark.parametrize(
    ("paths", "version", "outer", "alone"),
    [
        ([OUTER], None, OUTER, []),
        ([ALONE, ALONE_OPP], None, None, [ALONE, ALONE_OPP]),
        ([OUTER, ALONE], None, OUTER, [ALONE]),
        ([OUTER, ALONE, ALONE_OPP], None, None, [ALONE, ALONE_OPP]),
        ([OUTER, OUTER_6], "6.5.906", OUTER_6, []),
        ([OUTER, "AscendCloud-notes.zip"], None, OUTER, []),
    ],
)
def test_outer_and_inner_packages_lying_together_are_told_apart(paths, version, outer, alone):
    choice = names.choose(paths, [AIGC, OPP], version, "/in/*")
    assert choice.outer == (names.parse(outer) if outer else None)
    assert sorted(name.path for name in choice.alone.values()) == sorted(alone)


@pytest.mark.parametrize(
    ("paths", "version", "check", "says"),
    [
        ([OUTER, packages.file_name(stamp="2")], None, "package-ambiguous", "matches 2 packages for AIGC"),
        ([ALONE, packages.file_name("AIGC", stamp="2")], None, "package-ambiguous", "matches 2 packages for AIGC"),
        ([OUTER_6, ALONE], None, "package-ambiguous", "versions 6.5.902 and 6.5.906"),
        ([ALONE], None, "package-missing", "AscendCloud-OPP-<version>-<stamp>.zip"),
        ([OUTER], "6.5.906", "package-missing", f"There is {OUTER}."),
        ([], "6.5.902", "package-missing", "AscendCloud-6.5.902-<stamp>.zip"),
    ],
)
def test_anything_but_one_package_is_refused(paths, version, check, says):
    with pytest.raises(FleetError) as caught:
        names.choose(paths, [AIGC, OPP], version, "/in/*")
    assert caught.value.finding["check"] == check
    assert says in str(caught.value)


def test_a_missing_package_is_said_with_pattern_release_and_where_to_get_it():
    with pytest.raises(FleetError) as caught:
        names.choose([], [AIGC], "6.5.902", "/in/*.zip")
    told = caught.value.told()
    for part in (
        "AscendCloud-AIGC-6.5.902-<stamp>.zip",
        "ModelArts 6.5.902",
        "/in/*.zip",
        "Support-E",
        "support contact",
    ):
        assert part in told


def test_several_packages_of_a_kind_are_told_apart_by_match():
    both = ["AscendCloud-OPP-6.5.902-torch-2.1.zip", "AscendCloud-OPP-6.5.902-torch-2.5.zip"]
    choice = names.choose(both, [Wanted("OPP", "*torch-2.5*")], None, "/in")
    assert choice.alone["OPP"].path == both[1]


@pytest.mark.parametrize(
    ("name", "target", "fits"),
    [
        (packages.WHEEL, NODE, True),
        (packages.WHEEL, Target("3.11", "aarch64"), False),
        (packages.WHEEL, Target("3.10", "x86_64"), False),
        (packages.WHEEL, Target(None, "aarch64"), True),
        ("tool-1.0-py3-none-any.whl", NODE, True),
        ("tool-1.0-py2.py3-none-any.whl", NODE, True),
        ("tool-1.0-py2-none-any.whl", NODE, False),
        ("tool-1.0-1-cp37-abi3-manylinux2014_aarch64.whl", NODE, True),
        ("tool-1.0-cp312-abi3-manylinux2014_aarch64.whl", NODE, False),
        ("tool-1.0-cp39-cp39-linux_aarch64.whl", NODE, False),
        ("a/AscendX_Video.cpython-310-aarch64-linux-gnu.so", NODE, True),
        ("a/AscendX_Video.cpython-310-aarch64-linux-gnu.so", Target("3.11"), False),
        ("a/AscendX_Video.cpython-310-aarch64-linux-gnu.so", Target(None, "x86_64"), False),
        ("a/fast.abi3.so", Target("3.11", "x86_64"), True),
        ("a/libops.so", Target("3.11", "x86_64"), True),
        (packages.INSTALLER, NODE, True),
        (packages.INSTALLER, Target(None, "aarch64", "910_93"), False),
        (packages.INSTALLER, Target(None, "x86_64"), False),
        (packages.INSTALLER.replace("910b", "910_93"), Target(None, None, "910_93"), True),
        ("notes.txt", Target("3.11", "x86_64", "310P"), True),
    ],
)
def test_what_a_file_is_made_for(name, target, fits):
    assert names.fits(name, target) is fits


def test_of_a_file_made_for_several_targets_one_has_to_fit():
    other = packages.INSTALLER.replace("910b", "310p")
    assert names.unfit([packages.INSTALLER, other], NODE) == []
    assert names.unfit([other], NODE) == [other]
    elsewhere = "elsewhere/" + packages.INSTALLER
    assert names.unfit([other, elsewhere], NODE) == [other]


@pytest.mark.parametrize(
    ("soc", "family"),
    [("910B", "910B"), ("ascend910b", "910B"), ("Ascend910B4", "910B"), ("snt9b", "910B"), ("910_93", "910_93"),
     ("ascend310p", "310P"), ("A3", "910_93"), ("pentium", None)],
)  # fmt: skip
def test_a_chip_goes_by_many_names(soc, family):
    assert names.family(soc) == family
