# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.bench: what drift and a converged site cost, beside a ping and stock modules."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from . import measure, report
from .world import World

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests" / "output" / "bench.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--nodes", default="1,2,4", help="sizes of the fleet (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    parser.add_argument("--strict", action="store_true", help="fail also when an aim is missed")
    options = parser.parse_args()
    sizes = sorted({int(word) for word in options.nodes.split(",")})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with World(max(sizes)) as world:
            world.converge()
            samples = measure.alternate(world, sizes, options.rounds)
    except measure.InvalidRunError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted, its fleet is removed", file=sys.stderr)
        return 130
    result = report.result(samples)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(report.table(result))
    print(f"every single run: {options.output}")
    return 1 if options.strict and not all(aim["met"] for aim in result["aims"]) else 0


sys.exit(main())
