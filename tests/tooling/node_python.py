# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything sent to nodes compiles on Python 3.8 and imports only what a bare 3.8 has.

With a Python 3.8 on the machine that one compiles it; otherwise this Python parses it with the
grammar of 3.8.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pythons
from layout import ROOT

FOLDERS = ("plugins/modules", "plugins/module_utils")
OLDEST = (3, 8)
COMPILE = """
import sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        compile(file.read(), path, "exec", dont_inherit=True)
"""


def files() -> list[Path]:
    return [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))]


def by_the_real_one(python: str, paths: list[Path]) -> int:
    argv = [python, "-c", COMPILE, *map(str, paths)]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, check=False).returncode


def by_grammar(paths: list[Path]) -> int:
    bad = 0
    for path in paths:
        try:
            ast.parse(path.read_text(), str(path), feature_version=OLDEST)
        except SyntaxError as error:
            print(f"{path}:{error.lineno}: not Python 3.8: {error.msg}")
            bad = 1
    return bad


def main() -> int:
    paths = files()
    real = pythons.find([OLDEST], venvs=False)
    where = f"compiled by {real.path}" if real else "parsed by the grammar of Python 3.8"
    status = by_the_real_one(real.path, paths) if real else by_grammar(paths)
    print(f"{len(paths)} files {where}: {'not all of them are good' if status else 'all good'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
