# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and quantities are judged as Kubernetes judges them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_names as names


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (8, "8"),
        ("8", "8"),
        ("2650m", "2.65"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("3200Mi", str(3200 * 2**20)),
        ("1500Gi", str(1500 * 2**30)),
        ("1M", "1000000"),
        ("1k", "1000"),
        ("2e3", "2000"),
        ("1E", "1000000000000000000"),
        ("12E-1", "1.2"),
        ("100n", "1e-7"),
    ],
)
def test_quantities(text: str | int, number: str) -> None:
    assert names.quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "1 Gi", "1GB", "Gi", "-1", "1.2.3", "0x1", True, None, "1ki"])
def test_what_is_no_quantity(text: str | None) -> None:
    assert names.quantity(text) is None


@pytest.mark.parametrize("name", ["a", "a-b", "job1", "a" * 63])
def test_names_of_jobs(name: str) -> None:
    assert names.is_service_name(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a.b", "1a", "a" * 64])
def test_what_cannot_name_a_job(name: str) -> None:
    assert not names.is_service_name(name)


@pytest.mark.parametrize("key", ["app", "volcano.sh/job-name", "accelerator/huawei-npu", "A_b.c"])
def test_keys_of_labels(key: str) -> None:
    assert names.is_label_key(key)


@pytest.mark.parametrize("key", ["", "/app", "a/", "a b", "-a", "UP/a", "a" * 64, "a/b/c"])
def test_what_cannot_be_a_key(key: str) -> None:
    assert not names.is_label_key(key)


@pytest.mark.parametrize(
    "image",
    [
        "train",
        "train:1",
        "library/train:1.0-b_2",
        "10.0.0.2:5000/team/train:latest",
        "swr.cn-southwest-2.myhuaweicloud.com/atelier/pytorch_2_1_ascend:pytorch_2.1.0-cann_8.0.0",
        "train@sha256:" + "0" * 64,
    ],
)
def test_images(image: str) -> None:
    assert names.is_image(image)


@pytest.mark.parametrize("image", ["", "Train", "train:", "train 1", "a//b", "${image_name}", "train@sha256:00", ":1"])
def test_what_is_no_image(image: str) -> None:
    assert not names.is_image(image)


@given(st.decimals(min_value=1, max_value=4096, places=3))
def test_proposed_cpu_never_exceeds_what_is_there(cores: Decimal) -> None:
    said = names.quantity(names.cpu_text(cores))
    assert said is not None
    assert cores - 1 < said <= cores


@given(st.integers(min_value=2**20, max_value=2**45))
def test_proposed_memory_never_exceeds_what_is_there(amount: int) -> None:
    said = names.quantity(names.memory_text(Decimal(amount)))
    assert said is not None
    assert amount * Decimal("0.85") - 2**20 < said <= amount
