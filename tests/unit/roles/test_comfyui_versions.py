# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for releases of ComfyUI that came after the table of the catalogue was made, and between releases."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui
from tests.unit.roles.comfyui_entry import compiled

FUTURE = (99, 0, 0)


def wrong(words: list[str], number: _comfyui.Version) -> list[str]:
    return [name for name, _since in _comfyui.wrong_flags(words, number)]


def test_a_release_newer_than_the_table_may_have_flags_of_its_own():
    assert wrong(["--not-yet-thought-of", "--novram"], FUTURE) == []
    assert wrong(["--not-yet-thought-of"], _comfyui.newest()) == ["--not-yet-thought-of"]
    assert wrong(["--not-yet-thought-of", "--cache-none"], (0, 3, 7)) == ["--not-yet-thought-of", "--cache-none"]


def test_flags_that_the_collection_writes_are_written_for_a_newer_release_too():
    words = compiled({"version": "v99.0.0", "extra_args": "--not-yet-thought-of"}).container["command"]
    assert words[-1] == "--not-yet-thought-of"
    assert "--database-url" in words


@pytest.mark.parametrize("kind", ["audio_encoders", "latent_upscale_models", "model_patches", "classifiers"])
def test_folders_of_later_releases_are_found_as_well(kind):
    assert yaml.safe_load(_comfyui.model_paths("/mnt/models", []))["fleet"][kind] == kind


def test_the_second_folder_of_controlnets_is_found():
    places = yaml.safe_load(_comfyui.model_paths("/mnt/models", []))["fleet"]["controlnet"]
    assert places.split("\n") == ["controlnet", "t2i_adapter"]
