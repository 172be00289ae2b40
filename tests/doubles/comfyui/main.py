# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start of the double, in the recorded order: flags, startup scripts, device, models, custom nodes, server."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os

from double import log, prestartup
from double.flags import parse

ROOT = os.path.dirname(os.path.realpath(__file__))


def main() -> None:
    args = parse()
    log.set_up(args.verbose)
    from double.folders import Folders

    folders = Folders(ROOT)
    if not args.disable_all_custom_nodes:
        prestartup.run(folders.of("custom_nodes"))

    from double import device, nodes, server
    from double.engine import Engine

    if args.temp_directory:
        folders.temp = os.path.join(os.path.abspath(args.temp_directory), "temp")
        logging.info("Setting temp directory to: %s", folders.temp)
    folders.clean_temp()
    found = device.find(args.cpu)
    own = os.path.join(ROOT, "extra_model_paths.yaml")
    for path in [own] * os.path.isfile(own) + list(itertools.chain(*(args.extra_model_paths_config or []))):
        folders.load_extra(path)
    catalogue = nodes.builtin(folders)
    if not args.disable_all_custom_nodes:
        nodes.load_custom(catalogue, folders.of("custom_nodes"))
    for name in ("output", "input", "user"):
        given = getattr(args, f"{name}_directory")
        if given:
            setattr(folders, name, os.path.abspath(given))
            logging.info("Setting %s directory to: %s", name, getattr(folders, name))
    if args.quick_test_for_ci:
        return
    os.makedirs(folders.temp, exist_ok=True)
    engine = Engine(catalogue, folders)
    asyncio.run(server.serve(args, engine, folders, found, os.path.join(ROOT, "web")))


if __name__ == "__main__":
    main()
