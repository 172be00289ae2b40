# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output behind a buffer of its own, and the log on standard error."""

from __future__ import annotations

import io
import logging
import sys
from typing import TextIO, cast


def set_up(level: str) -> None:
    sys.stdout = _behind(sys.stdout)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(handler)


def _behind(stream: TextIO) -> TextIO:
    """Flushed line by line only where the stream was: not at a pipe, not even with python -u."""
    wrapped = cast(io.TextIOWrapper, stream)
    return io.TextIOWrapper(wrapped.buffer, encoding=wrapped.encoding, line_buffering=wrapped.line_buffering)
