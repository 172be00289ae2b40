# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``hccn_tool`` and its configuration file. Private to the collection."""

from __future__ import annotations

import re

_FIELD = re.compile(r"^\s*([^:\[\]]*\S)\s*:\s*(.*?)\s*$")
_SETTING = re.compile(r"^\s*([A-Za-z_]+_\d+)\s*=\s*(.*?)\s*$")
_FAILURES = ("Cmd execute failed!", "Device ID is out of the valid range.")


def parse_fields(text: str) -> dict[str, str]:
    """The ``key: value`` lines of a query; empty where the tool refused the command."""
    if any(failure in text for failure in _FAILURES):
        return {}
    return {match.group(1): match.group(2) for match in map(_FIELD.match, text.splitlines()) if match}


def parse_configuration(text: str) -> dict[str, str]:
    """``/etc/hccn.conf``: ``address_0=...`` and the like."""
    return {match.group(1): match.group(2) for match in map(_SETTING.match, text.splitlines()) if match}
