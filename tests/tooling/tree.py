# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the checkout as git would hold it: tracked files, and new ones not ignored."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from layout import COLLECTIONS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def dependencies() -> Path:
    """The folder above `ansible_collections` that holds the other collections, but not ours."""
    return (COLLECTIONS / "ansible" / "posix").resolve().parents[2]


def tracked() -> list[str]:
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in dict.fromkeys(done.stdout.split("\0")) if name]


def copy_checkout(target: Path) -> None:
    for name in tracked():
        source, copy = ROOT / name, target / name
        if not (source.is_symlink() or source.is_file()):
            continue  # deleted, and not yet committed as such
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "A copy to test"]):
        subprocess.run([*git, *words], cwd=target, stdin=subprocess.DEVNULL, check=True)


@contextmanager
def collection_tree() -> Iterator[Path]:
    """A fresh .../ansible_collections/ascend/fleet with the other collections beside it."""
    with tempfile.TemporaryDirectory(prefix="ascend-fleet-tree-") as folder:
        base = Path(folder) / "ansible_collections"
        tree = base / "ascend" / "fleet"
        tree.mkdir(parents=True)
        for other in COLLECTIONS.glob("*/*"):
            if other.parent.name != "ascend":
                (base / other.parent.name).mkdir(exist_ok=True)
                (base / other.parent.name / other.name).symlink_to(other.resolve())
        copy_checkout(tree)
        yield tree
