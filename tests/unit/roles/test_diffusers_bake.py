# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages are installed for Diffusers: what goes with the image's torch, which is never replaced."""

from __future__ import annotations

import importlib.util

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data

ROWS = _data.catalogue("diffusers")["constraints"]


@pytest.fixture(scope="module")
def prepare():
    path = _data.ROLES / "diffusers" / "files" / "bake" / "prepare.py"
    spec = importlib.util.spec_from_file_location("diffusers_prepare", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("torch", "version"), [("2.1.0", "0.33.0"), ("2.1.0+cpu", "0.33.0"), ("2.13.0+cpu", "0.42.1"), ("2.10.0", "0.42.1")]
)
def test_the_row_of_the_torch_that_is_there_is_taken(prepare, torch, version):
    assert prepare.choose(ROWS, torch)["diffusers"] == version


def test_what_is_there_goes_before_the_users_limits_and_these_before_the_catalogue(prepare):
    row = {"pins": {"numpy": "==1.26.4", "huggingface_hub": "==0.36.2", "tokenizers": "==0.21.4"}}
    lines = prepare.limits(row, ["huggingface-hub<1", "NumPy == 1.24"], {"torch": "2.1.0", "torch_npu": "2.1.0.post10"})
    assert lines == [
        "torch==2.1.0",
        "torch_npu==2.1.0.post10",
        "huggingface-hub<1",
        "NumPy == 1.24",
        "tokenizers==0.21.4",
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "first"),
    [
        (None, None, "diffusers==0.33.0"),
        ("0.30.3", None, "diffusers==0.30.3"),
        ("0.30.3", "0.29.0", "diffusers==0.30.3"),
        (None, "0.29.0", None),
        ("0.29.0", "0.29.0", None),
    ],
)
def test_a_diffusers_of_the_image_is_kept_unless_another_is_wanted(prepare, wanted, found, first):
    asked = prepare.packages(ROWS[0], wanted, found)
    assert (asked[0] if asked else None) == first
    assert ("transformers" in asked) is bool(first)
