# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts or removes a scenario's simulated fleet.

fleet.py up NAME INVENTORY NODE [NODE ...] | fleet.py down NAME, a NODE as `python -m tests.simfleet up` takes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.simfleet import inventory  # noqa: E402 - the checkout is no installed package
from tests.simfleet.errors import SimError  # noqa: E402 - as above
from tests.simfleet.fleet import Fleet  # noqa: E402 - as above
from tests.simfleet.spec import NodeSpec  # noqa: E402 - as above


def up(name: str, path: str, *nodes: str) -> None:
    fleet = Fleet(name, [NodeSpec.parse(text) for text in nodes]).up()
    try:
        fleet.publish("light")
        inventory.write(fleet, Path(path))
    except BaseException:
        fleet.down()
        raise


def down(name: str) -> None:
    Fleet(name).down()


def main() -> int:
    command, *arguments = sys.argv[1:]
    try:
        {"up": up, "down": down}[command](*arguments)
    except SimError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
