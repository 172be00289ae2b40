# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image with Python, pip and git on the simulated fleet, for what installs into a container."""

from __future__ import annotations

import subprocess

from tests.simfleet import engine, images
from tests.simfleet.node import Node


def load(node: Node) -> str:
    """Bring the image into the node's engine unless it is there; its name."""
    tag = images.ensure(engine.ensure_engine(), "workbench")
    if node.exec("docker", "image", "inspect", tag, check=False).rc:
        inside = ["docker", "exec", "--interactive", node.container.name, "docker", "load"]
        with subprocess.Popen(["docker", "save", tag], stdout=subprocess.PIPE) as saving:
            subprocess.run(inside, stdin=saving.stdout, check=True, stdout=subprocess.PIPE)
    return tag


def start_box(node: Node, name: str = "box") -> str:
    """A container of it on the node, which waits."""
    tag = load(node)
    node.exec("docker", "run", "--detach", "--init", "--name", name, tag, "sleep", "infinity")
    return name
