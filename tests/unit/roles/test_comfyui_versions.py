# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for releases of ComfyUI that came after the table of the catalogue was made, and between releases."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import comfyui
from tests.unit.roles.comfyui_entry import compiled

FUTURE = (99, 0, 0)


def wrong(words: list[str], number: _comfyui.Version) -> list[str]:
    return [name for name, _since in _comfyui.wrong_flags(words, number)]


def test_a_release_newer_than_the_table_may_have_flags_of_its_own():
    assert wrong(["--not-yet-thought-of", "--novram"], FUTURE) == []
    assert wrong(["--not-yet-thought-of"], _comfyui.newest()) == ["--not-yet-thought-of"]
    assert wrong(["--not-yet-thought-of", "--cache-none"], (0, 3, 7)) == ["--not-yet-thought-of", "--cache-none"]


def test_a_flag_that_a_release_no_longer_has_is_refused():
    assert wrong(["--normalvram"], (0, 21, 1)) == []
    assert list(_comfyui.wrong_flags(["--normalvram"], (0, 22, 0))) == [("--normalvram", "")]


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


# The database


class Started:
    """What the start of a version does before ComfyUI itself begins."""

    def __init__(self, folder: Path) -> None:
        self.user = folder / "the user"
        self.user.mkdir()
        self.temp = folder / "temp"

    def run(self, version: str, *command: str) -> Path:
        parts = compiled({"version": version, "user_dir": str(self.user)})
        words = [word.replace(comfyui.TEMP, str(self.temp)) for word in parts.container["entrypoint"]]
        subprocess.run([*words, *command], check=True)
        url: str = parts.container["command"][parts.container["command"].index("--database-url") + 1]
        return Path(url.removeprefix("sqlite:///"))


def test_each_version_has_a_database_that_no_newer_one_changes(tmp_path):
    started = Started(tmp_path)
    old = started.run("v0.3.64", "true")
    assert not old.exists()
    old.write_text("old")
    Path(f"{old}-journal").write_text("unfinished")
    new = started.run("v0.28.1", "true")
    assert new.read_text() == "old"
    assert Path(f"{new}-journal").read_text() == "unfinished"
    new.write_text("changed by 0.28.1")
    assert started.run("v0.3.64", "true").read_text() == "old"
    assert started.run("0.28.1", "true").read_text() == "changed by 0.28.1"


def test_a_version_begins_with_what_the_one_before_it_stored_and_never_with_a_newer_one(tmp_path):
    started = Started(tmp_path)
    for version in ("0.3.64", "0.9.0", "0.28.1"):
        (started.user / f"comfyui-{version}.db").write_text(version)
    assert started.run("v0.10.0", "true").read_text() == "0.9.0"
    assert not started.run("v0.3.50", "true").exists()
