# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller itself keeps ready for a node that asks for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.action.model_weights import ActionModule


@pytest.mark.parametrize("peers", [[], ["http://n1:18790"]], ids=["first of the row", "behind others"])
@pytest.mark.parametrize(
    ("source", "has"),
    [("controller:{}/mine", True), ("huggingface:acme/tiny", True), ("huggingface:acme/other", False)],
)
def test_a_node_behind_others_may_ask_the_controller_too(
    tmp_path: Path, source: str, has: bool, peers: list[str]
) -> None:
    for folder in (tmp_path / "mine", tmp_path / "mirror" / "huggingface" / "acme" / "tiny"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    args: dict[str, Any] = {
        "source": source.format(tmp_path),
        "mirror": str(tmp_path / "mirror"),
        "share": {"peers": peers},
    }
    files = ActionModule.__new__(ActionModule)._files(args)
    assert [file.path for file in files] == (["config.json"] if has else [])
    assert "mirror" not in args
