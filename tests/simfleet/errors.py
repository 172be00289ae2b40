# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the simulated fleet: a sentence a person can act on."""

from __future__ import annotations


class SimError(RuntimeError):
    """What failed, where, and how to get what is missing."""
