# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs are run the same way whoever became root, and how."""

from __future__ import annotations

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._system import follow_process, run_process

SHOW = ["/bin/sh", "-c", 'echo "$PATH"']


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("/usr/local/bin:/usr/bin:/bin", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"),
        ("/opt/x:/sbin:/usr/local/sbin:/usr/sbin", "/opt/x:/sbin:/usr/local/sbin:/usr/sbin"),
    ],
)
def test_programs_of_root_are_found_where_su_leaves_the_path_of_a_user(
    monkeypatch: pytest.MonkeyPatch, given: str, seen: str
) -> None:
    monkeypatch.setenv("PATH", given)
    assert run_process(SHOW).out == f"{seen}\n"
    assert follow_process(SHOW, lambda _line: None, 10).out == f"{seen}\n"
