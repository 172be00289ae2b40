# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While a module is packed no garbage is collected."""

from __future__ import annotations

import gc

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils._packing import collector_paused


def lose_the_node() -> None:
    with collector_paused():
        assert not gc.isenabled()
        raise ConnectionError


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was_found(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ConnectionError):
            lose_the_node()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_what_was_made_meanwhile_is_not_gone_through_afterwards() -> None:
    try:
        with collector_paused():
            made = [[] for _number in range(10_000)]
        gc.collect(0)
        assert gc.get_freeze_count() > len(made)
    finally:
        gc.unfreeze()
