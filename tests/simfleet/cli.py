# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: python -m tests.simfleet COMMAND, from the checkout."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from . import aigc, artefacts, demo, images, inventory
from .engine import ensure_engine
from .errors import SimError
from .fleet import Fleet
from .spec import NodeSpec

ON_NODE = ("reboot", "kill", "start", "cut", "heal")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status says whether it worked."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SimError as error:
        print(f"simfleet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("simfleet: interrupted, what was started is removed", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simfleet", description=__doc__)
    parser.add_argument("--fleet", default=demo.NAME, help=f"name of the fleet (default: {demo.NAME})")
    commands = parser.add_subparsers(dest="command", required=True)

    up = commands.add_parser("up", help="start a fleet and write its inventory; no NODE = the demo's fleet")
    up.add_argument("nodes", nargs="*", metavar="NODE", help="NAME[:os=,docker=,soc=,cards=,driver=,npu_smi=]")
    up.add_argument("--inventory", type=Path, help="where to write it")
    up.set_defaults(run=_up)

    for name, run, text in (
        ("demo", _demo, "the demo's fleet, the site playbook on it, and what the model says"),
        ("demo-aigc", _demo_aigc, "a fleet, image and video workloads on it, and what they made"),
        ("down", _down, "remove the fleet and everything it made"),
        ("status", _status, "what runs, as JSON"),
        ("inventory", _inventory, "print the inventory"),
        ("images", _images, "make or load the images only"),
        ("clean", _clean, "remove the images from the engine (the cache stays)"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=run)
    for name in ON_NODE:
        command = commands.add_parser(name, help=f"{name} a node")
        command.add_argument("node")
        command.set_defaults(run=_on_node)
    faults = commands.add_parser("faults", help="make npu-smi of a node fail; none named = repair")
    faults.add_argument("node")
    faults.add_argument("fault", nargs="*", help="KIND[:key=value,...], see npu/README.md")
    faults.set_defaults(run=_faults)
    return parser


def _up(options: argparse.Namespace) -> None:
    if not options.nodes:
        demo.start()
        print(demo.HOSTS)
        return
    fleet = Fleet(options.fleet, [NodeSpec.parse(text) for text in options.nodes]).up()
    try:
        fleet.publish("light")
        path = options.inventory or fleet.folder / "hosts.yml"
        inventory.write(fleet, path)
    except BaseException:
        fleet.down()
        raise
    print(path)


def _demo(_options: argparse.Namespace) -> None:
    demo.main()


def _demo_aigc(_options: argparse.Namespace) -> None:
    aigc.main()


def _down(options: argparse.Namespace) -> None:
    Fleet(options.fleet).down()


def _status(options: argparse.Namespace) -> None:
    print(inventory.as_json(Fleet.find(options.fleet)))


def _inventory(options: argparse.Namespace) -> None:
    print(inventory.render(Fleet.find(options.fleet)), end="")


def _images(_options: argparse.Namespace) -> None:
    client = ensure_engine()
    for name in images.RECIPES:
        print(images.ensure(client, name))
    print(artefacts.light(client))
    print(artefacts.vllm(client)[0])
    print(artefacts.diffusers(client)[0])


def _clean(_options: argparse.Namespace) -> None:
    images.forget(ensure_engine())


def _on_node(options: argparse.Namespace) -> None:
    getattr(Fleet.find(options.fleet).node(options.node), options.command)()


def _faults(options: argparse.Namespace) -> None:
    faults = [parse_fault(text) for text in options.fault]
    Fleet.find(options.fleet).node(options.node).set_faults(*faults)


def parse_fault(text: str) -> dict[str, Any]:
    """code:code=-8005,on=["info"] -> {"kind": "code", "code": -8005, "on": ["info"]}"""
    kind, _colon, rest = text.partition(":")
    fault: dict[str, Any] = {"kind": kind}
    for pair in filter(None, rest.split(",")):
        key, _equals, value = pair.partition("=")
        try:
            fault[key] = json.loads(value)
        except ValueError:
            fault[key] = value
    return fault
