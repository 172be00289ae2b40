# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cause is one finding."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_checks
from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding


@pytest.mark.parametrize(
    ("service", "path", "kept"),
    [
        ("chat", "/m", ["model-missing"]),
        ("chat", "/other", ["model-missing", "mount-missing"]),
        ("web", "/m", ["model-missing", "mount-missing"]),
    ],
)
def test_a_missing_path_is_told_once(service, path, kept):
    found = [
        finding("model-missing", "The model is missing.", service="chat", value="/m"),
        finding("mount-missing", "The source is missing.", service=service, value=path),
    ]
    assert [item["check"] for item in _node_checks.told_once(found)] == kept
