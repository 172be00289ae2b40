# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test on a copy of the checkout that stands where ansible-test wants a collection.

The copy holds what git would hold: tracked files and new ones that are not ignored. Usage:
sanity.py [ansible-test command and options], by default `sanity`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from layout import CACHE, COLLECTIONS, ROOT, digest, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

# ansible-test bootstraps pip in its own environments with a script it downloads. The wheel that
# this Python's ensurepip carries does the same without a download.
GET_PIP = """\
import ensurepip
import glob
import os
import sys
bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
wheels = glob.glob(os.path.join(bundled, "pip-*.whl")) or glob.glob(
    "/usr/share/python-wheels/pip-*.whl")
sys.path.insert(0, wheels[0])
from pip._internal.cli.main import main
options = [a for a in sys.argv[1:] if a not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--upgrade", "--force-reinstall", *options]))
"""


# Where pip and git look for what reaches their servers.
OWN_SETTINGS = (".pip", ".config/pip", ".netrc", ".gitconfig")


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


def prepare_home(env: dict[str, str]) -> Path:
    """A home of ansible-test's own, kept in the cache: its environments cost a minute each."""
    code = "import ansible_test as t, ansible as a; print(t.__path__[0], a.__version__)"
    python = shutil.which("python", path=env["PATH"]) or sys.executable
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    package, version = done.stdout.split()
    home = CACHE / f"ansible-test-{digest(version, os.path.realpath(python))}"
    scripts = home / ".ansible" / "test" / "cache"
    scripts.mkdir(parents=True, exist_ok=True)
    source = (Path(package) / "_internal" / "python_requirements.py").read_text()
    for pip in re.findall(r"\bpip='([0-9.]+)'", source):
        (scripts / f"get_pip_{pip.replace('.', '_')}.py").write_text(GET_PIP)
    for name in OWN_SETTINGS:
        setting, linked = Path("~").expanduser() / name, home / name
        if setting.exists() and not linked.is_symlink():
            linked.parent.mkdir(parents=True, exist_ok=True)
            linked.symlink_to(setting)
    return home


def main() -> int:
    env = environment()
    words = sys.argv[1:] or ["sanity"]
    with collection_tree() as tree:
        env["HOME"] = str(prepare_home(env))
        argv = ["ansible-test", *words, "--python", "3.11", "--requirements", "--color", "no"]
        return subprocess.run(argv, cwd=tree, env=env, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
