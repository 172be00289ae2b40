# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of torch for tests: an array that becomes a list."""

from __future__ import annotations

__version__ = "2.1.0"


class Tensor(list[float]):
    def numpy(self) -> list[float]:
        return list(self)


def zeros(size: int) -> Tensor:
    return Tensor([0.0] * size)
