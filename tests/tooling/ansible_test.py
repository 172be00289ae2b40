# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test on a copy of the checkout that stands where ansible-test wants a collection.

Usage: ansible_test.py sanity|integration [options of ansible-test]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from layout import CACHE, digest, environment
from tree import collection_tree

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
    words = sys.argv[1:]
    with collection_tree() as tree:
        env["HOME"] = str(prepare_home(env))
        argv = ["ansible-test", *words, "--python", "3.11", "--requirements", "--color", "no"]
        return subprocess.run(argv, cwd=tree, env=env, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
