# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation lists every check."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_checks


def test_every_check_is_documented(root: Path) -> None:
    text = (root / "docs" / "volcano.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `([a-z-]+)` \| (.+?)(?: \(warning\))? \|$", text, re.MULTILINE))
    assert said == {name: check.description for name, check in _volcano_checks.CHECKS.items()}
