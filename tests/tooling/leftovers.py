# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes down the simulated fleets that this run's tests started and could not remove."""

from __future__ import annotations

import os
import sys

import docker

from tests.simfleet.fleet import LABEL, RUN_LABEL, Fleet


def main() -> int:
    run = os.environ.get("ASCEND_FLEET_RUN")
    if not run:
        print("leftovers: ASCEND_FLEET_RUN does not say whose", file=sys.stderr)
        return 2
    try:
        client = docker.from_env(timeout=60)
        containers = client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={run}"}, ignore_removed=True)
    except docker.errors.DockerException:
        return 0  # without an engine no fleet was started
    for name in sorted({container.labels[LABEL] for container in containers}):
        print(f"removing fleet {name}, which a test left behind")
        Fleet(name).down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
