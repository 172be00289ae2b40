# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mypy --strict over the private utilities, by their names as the collection imports them."""

from __future__ import annotations

import subprocess
import sys

from layout import COLLECTIONS, OUTPUT, ROOT

FOLDERS = ("plugins/module_utils", "plugins/plugin_utils")


def main() -> int:
    package = COLLECTIONS / "ascend" / "fleet"
    files = [str(package / p.relative_to(ROOT)) for f in FOLDERS for p in (ROOT / f).rglob("*.py")]
    cache = OUTPUT / "mypy"
    argv = ["mypy", "--config-file", str(ROOT / "mypy.ini"), "--cache-dir", str(cache), *files]
    return subprocess.run(argv, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
