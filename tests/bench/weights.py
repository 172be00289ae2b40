# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.bench.weights: one model to several simulated servers, and reading it again, as JSON.

A double of Hugging Face on this machine serves files of random bytes and counts what it sends. Aims: at most 1.15
copies leave it, and reading all files again runs at 0.8 or more of what sha256sum does over the same files in parallel.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.ascend.fleet.plugins.module_utils import _hashing  # noqa: E402 - a folder of the checkout
from tests import playbook_run  # noqa: E402
from tests.doubles.hub_server import HubServer, repository  # noqa: E402
from tests.simfleet import inventory  # noqa: E402
from tests.simfleet.fleet import Fleet  # noqa: E402
from tests.simfleet.spec import NodeSpec  # noqa: E402

COPIES_AIM, VERIFY_AIM = 1.15, 0.8
BLOCK = 1 << 24
REPO = "bench/model"
PATH = "/srv/weights/models/model"


def make(folder: Path, files: int, size: int) -> None:
    for number in range(files):
        with (folder / f"model-{number}.safetensors").open("wb") as stream:
            left = size // files
            while left:
                left -= stream.write(os.urandom(min(BLOCK, left)))


@contextmanager
def servers(count: int) -> Iterator[Fleet]:
    fleet = Fleet(f"weights-bench-{os.getpid()}", [NodeSpec(f"n{n + 1}", cards=0) for n in range(count)]).up()
    try:
        yield fleet
    finally:
        fleet.down()


def bring(fleet: Fleet, hub: HubServer, folder: Path) -> float:
    """Seconds of one run of the role."""
    play = {"name": "Weights", "hosts": "fleet", "gather_facts": False}
    (folder / "play.yml").write_text(yaml.safe_dump([{**play, "roles": ["ascend.fleet.model_weights"]}]))
    document = yaml.safe_load(inventory.render(fleet))
    document["all"]["vars"].update(
        fleet_work_dir="/srv/weights",
        model_weights_models=[{"source": f"huggingface:{REPO}"}],
        model_weights_endpoints={"huggingface": hub.url},
    )
    (folder / "hosts.yml").write_text(yaml.safe_dump(document))
    command = [playbook_run.PROGRAM, "-i", str(folder / "hosts.yml"), str(folder / "play.yml")]
    environment = playbook_run.environment(str(ROOT / "collections"))
    began = time.monotonic()
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stdout[-3000:] + ran.stderr[-2000:])
    return time.monotonic() - began


def verify_rates(folder: Path, size: int, rounds: int) -> dict[str, float]:
    """Megabytes a second of both ways, in turns; the files are in the page cache for each."""
    paths = sorted(map(str, folder.iterdir()))
    tool = ["xargs", "-0", "-n", "1", "-P", str(os.cpu_count()), "sha256sum"]
    names = "\0".join(paths).encode()
    seconds: dict[str, list[float]] = {"sha256sum": [], "verify": []}
    for turn in range(rounds + 1):
        began = time.monotonic()
        subprocess.run(tool, input=names, stdout=subprocess.DEVNULL, check=True)
        middle = time.monotonic()
        _hashing.sha256_of_all(paths)
        if turn:
            # The first turn warms the cache.
            seconds["sha256sum"].append(middle - began)
            seconds["verify"].append(time.monotonic() - middle)
    return {name: round(size / 1e6 / statistics.median(values), 1) for name, values in seconds.items()}


def measure(size: int, files: int, nodes: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="weights-bench-") as name:
        folder = Path(name)
        source = folder / "source"
        source.mkdir()
        make(source, files, size)
        rates = verify_rates(source, size, rounds)
        with servers(nodes) as fleet:
            host = str(next(fleet.subnet.hosts()))
            with HubServer({REPO: repository(source)}, host=host) as hub:
                for path in hub.repositories[REPO]:
                    hub.sha256(REPO, path)
                first = bring(fleet, hub, folder)
                sent = hub.bytes_sent
                again = bring(fleet, hub, folder)
            complete = [
                int(node.exec("sh", "-c", f"cat {PATH}/*.safetensors | wc -c").out) == size for node in fleet.nodes
            ]
    return result(size, files, nodes, first, again, sent, rates, all(complete))


def result(
    size: int,
    files: int,
    nodes: int,
    first: float,
    again: float,
    sent: int,
    rates: dict[str, float],
    complete: bool,
) -> dict[str, Any]:
    copies, share = round(sent / size, 3), round(rates["verify"] / rates["sha256sum"], 2)
    return {
        "bytes": size,
        "files": files,
        "nodes": nodes,
        "complete": complete,
        "seconds": round(first, 1),
        "seconds_again": round(again, 1),
        "source_bytes": sent,
        "copies": copies,
        "verify_mb_s": rates["verify"],
        "sha256sum_mb_s": rates["sha256sum"],
        "aims": [
            {"what": "copies that leave the source", "value": copies, "aim": COPIES_AIM, "met": copies <= COPIES_AIM},
            {"what": "verify / sha256sum", "value": share, "aim": VERIFY_AIM, "met": share >= VERIFY_AIM},
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.weights", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=4000, help="size of the model (default: %(default)s)")
    parser.add_argument("--files", type=int, default=8, help="number of its files (default: %(default)s)")
    parser.add_argument("--nodes", type=int, default=3, help="servers (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of reading again (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "tests" / "output" / "bench-weights.json")
    parser.add_argument("--strict", action="store_true", help="fail also when an aim is missed")
    given = parser.parse_args()
    found = measure(given.megabytes * 1_000_000, given.files, given.nodes, given.rounds)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    met = found["complete"] and (not given.strict or all(aim["met"] for aim in found["aims"]))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
