# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README names everything a user can call, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
KINDS = {
    "Playbooks": {p.stem for p in (ROOT / "playbooks").glob("*.yml")},
    "Modules": {p.stem for p in (ROOT / "plugins/modules").glob("[!_]*.py")},
    "Roles": {p.name for p in (ROOT / "roles").iterdir() if p.is_dir()},
}


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("title", KINDS)
def test_each_table_lists_what_there_is(title: str) -> None:
    listed = set(re.findall(r"^\| `ascend\.fleet\.(\w+)`", section(title), re.M))
    assert listed == KINDS[title]


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    missing = [t for t in targets if not (ROOT / t).exists()]
    assert not missing


def test_the_inventory_in_the_readme_has_five_lines_and_is_yaml() -> None:
    text = re.search(r"```yaml\n(.*?)```", README, re.S)
    assert text
    assert len(text[1].splitlines()) == 5
    assert yaml.safe_load(text[1])["fleet"]["vars"]["fleet_services"][0]["name"] == "chat"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z-]+)`?", README))))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
