# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One molecule scenario over a simulated fleet of its own, removed whatever happens.

Usage: scenario.py NAME [molecule command and options], by default `test`.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

from layout import OUTPUT, ROOT, digest, environment


def main() -> int:
    name, *words = sys.argv[1:]
    fleet = f"mol-{name}-{digest(str(ROOT))[:6]}"
    folder = OUTPUT / "molecule" / name
    env = {
        **environment(),
        "MOLECULE_GLOB": str(ROOT / "molecule" / "*" / "molecule.yml"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder),
        "SIM_FLEET": fleet,
    }
    once = words in ([], ["test"])
    if once:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    command, *options = words or ["test"]
    down = [sys.executable, "-m", "tests.simfleet", "--fleet", fleet, "down"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        argv = ["molecule", command, "-s", name, *options]
        return subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        if once:
            subprocess.run(down, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    sys.exit(main())
