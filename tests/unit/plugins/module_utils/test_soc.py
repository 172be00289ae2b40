# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices and mounts a container gets for its cards, per chip family and image profile."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _soc

SHARED = ["davinci_manager", "devmm_svm", "hisi_hdc"]
EVERYTHING = {
    "/usr/local/Ascend/driver",
    "/usr/local/Ascend/driver/lib64",
    "/usr/local/Ascend/driver/version.info",
    "/usr/local/Ascend/driver/tools/hccn_tool",
    "/usr/local/dcmi",
    "/usr/local/sbin/npu-smi",
    "/usr/local/bin/npu-smi",
    "/etc/ascend_install.info",
    "/etc/hccn.conf",
    "/etc/localtime",
    "/etc/hixlep",
    "/etc/hccl_rootinfo.json",
    "/var/log/npu",
}


def devices(found):
    return [device.split(":")[0].removeprefix("/dev/") for device in found["devices"]]


def sources(found):
    return [mount["source"] for mount in found["mounts"]]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("910A", "910A"),
        ("910ProB", "910A"),
        ("910B", "910A"),
        ("910B1", "910B"),
        ("910B2C", "910B"),
        ("910B4-1", "910B"),
        ("Ascend910B3", "910B"),
        ("Ascend910", "910_93"),
        ("Ascend910_9391", "910_93"),
        ("310", "310"),
        ("310P3", "310P"),
        ("310B4", "310B"),
        ("Ascend950PR", "950"),
        ("Ascend950DT", "950"),
        ("snt9b", "910B"),
        ("Snt9b23", "910_93"),
        ("xxx", None),
        ("", None),
        (None, None),
    ],
)
def test_families_are_recognised_by_the_chips_name(name, family):
    assert _soc.family(name) == family


def test_an_unknown_chip_is_treated_like_the_most_common_one():
    profile = _soc.profile("9999X", _soc.PLAIN)
    assert not profile.known
    assert profile.devices == _soc.profile("910B3", _soc.PLAIN).devices


@pytest.mark.parametrize(
    ("soc", "image", "wanted_devices", "wanted_mounts"),
    [
        (
            "910B3",
            "plain",
            SHARED,
            [
                "/usr/local/Ascend/driver/lib64",
                "/usr/local/Ascend/driver/version.info",
                "/usr/local/dcmi",
                "/usr/local/sbin/npu-smi",
                "/etc/ascend_install.info",
            ],
        ),
        (
            "910B3",
            "vllm-ascend",
            SHARED,
            [
                "/usr/local/Ascend/driver/lib64",
                "/usr/local/Ascend/driver/version.info",
                "/usr/local/dcmi",
                "/usr/local/sbin/npu-smi",
                "/etc/ascend_install.info",
                "/etc/hccn.conf",
                "/usr/local/Ascend/driver/tools/hccn_tool",
                "/etc/localtime",
            ],
        ),
        (
            "910B3",
            "modelarts",
            SHARED,
            [
                "/usr/local/Ascend/driver",
                "/usr/local/dcmi",
                "/usr/local/sbin/npu-smi",
                "/var/log/npu",
                "/etc/ascend_install.info",
                "/etc/hccn.conf",
                "/etc/localtime",
            ],
        ),
        (
            "Ascend950DT",
            "vllm-ascend",
            ["davinci_manager", "hisi_hdc", "uburma", "ummu"],
            [
                "/usr/local/Ascend/driver",
                "/usr/local/dcmi",
                "/usr/local/sbin/npu-smi",
                "/etc/ascend_install.info",
                "/etc/hccn.conf",
                "/etc/localtime",
                "/etc/hixlep",
                "/etc/hccl_rootinfo.json",
            ],
        ),
    ],
)
def test_what_is_needed_where_everything_is_there(soc, image, wanted_devices, wanted_mounts):
    found = _soc.resolve(_soc.profile(soc, image), [4, 5], lambda path: path.startswith("/dev/") or path in EVERYTHING)
    assert devices(found) == ["davinci4", "davinci5", *wanted_devices]
    assert sources(found) == wanted_mounts
    assert found["missing"] == []
    # Inside, cards are counted from 0 whatever they are called outside.
    assert found["env"] == {"ASCEND_RT_VISIBLE_DEVICES": "0,1"}
    writable = [mount for mount in found["mounts"] if not mount["read_only"]]
    assert [(mount["source"], mount["target"]) for mount in writable] == (
        [("/var/log/npu", "/usr/slog")] if image == "modelarts" else []
    )


def test_optional_parts_are_left_out_and_required_ones_named():
    found = _soc.resolve(_soc.profile("910B3", "modelarts"), [0], lambda path: path == "/dev/davinci_manager")
    assert devices(found) == ["davinci_manager"]
    assert found["mounts"] == []
    assert found["missing"] == [
        "/dev/davinci0",
        "/dev/devmm_svm",
        "/dev/hisi_hdc",
        "/usr/local/Ascend/driver",
        "/usr/local/sbin/npu-smi or /usr/local/bin/npu-smi",
    ]


def test_npu_smi_is_mounted_from_where_it_is():
    there = EVERYTHING - {"/usr/local/sbin/npu-smi"}
    found = _soc.resolve(_soc.profile("910B3", "plain"), [0], lambda path: path in there)
    assert "/usr/local/bin/npu-smi" in sources(found)


@pytest.mark.parametrize(
    ("there", "manager"),
    [
        ({"davinci_manager", "davinci_manager_docker"}, "davinci_manager_docker"),
        ({"davinci_manager"}, "davinci_manager"),
    ],
)
def test_310b_prefers_its_manager_for_containers(there, manager):
    paths = {f"/dev/{name}" for name in [*there, "davinci0", "svm0", "hdmi"]} | EVERYTHING
    found = _soc.resolve(_soc.profile("310B4", "plain"), [0], lambda path: path in paths)
    assert devices(found) == ["davinci0", manager, "svm0", "hdmi"]


def test_other_roots_stand_at_the_usual_places_inside():
    found = _soc.resolve(
        _soc.profile("910B3", "plain"),
        [3],
        lambda path: path.startswith(("/fake/dev/", "/opt/Ascend/")),
        dev="/fake/dev",
        ascend_root="/opt/Ascend",
    )
    assert found["devices"][0] == "/fake/dev/davinci3:/dev/davinci3:rwm"
    assert [(mount["source"], mount["target"]) for mount in found["mounts"]] == [
        ("/opt/Ascend/driver/lib64", "/usr/local/Ascend/driver/lib64"),
        ("/opt/Ascend/driver/version.info", "/usr/local/Ascend/driver/version.info"),
    ]


def test_nothing_is_needed_without_cards():
    found = _soc.resolve(_soc.profile("910B3", "plain"), [], lambda path: False)
    assert found == {"devices": [], "mounts": [], "env": {}, "missing": []}


def test_only_a3_has_pairs():
    assert [
        key for key in _soc.FAMILIES if _soc.profile({"910_93": "Ascend910", "910A": "910A"}.get(key, f"{key}1")).pairs
    ] == ["910_93"]
