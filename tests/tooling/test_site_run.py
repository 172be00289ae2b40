# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole run over one simulated server with the ansible-core of whoever runs this test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.fleet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from tests.simfleet import inventory
    from tests.simfleet.fleet import Fleet
    from tests.simfleet.spec import NodeSpec

    folder = tmp_path_factory.mktemp("site")
    with Fleet(f"core-{os.getpid()}", [NodeSpec("n1")]) as fleet:
        image = fleet.publish("light")
        document: dict[str, Any] = yaml.safe_load(inventory.render(fleet))
        service = {"name": "web", "kind": "container", "image": image, "npus": 2}
        service |= {"port": 8080, "probe": {"type": "http", "path": "/health"}}
        document["all"]["vars"] |= {"fleet_services": [service], "fleet_report_dir": str(folder / "report")}
        (folder / "hosts.yml").write_text(yaml.safe_dump(document, sort_keys=False))
        yield folder / "hosts.yml"


def play(hosts: Path, name: str) -> tuple[int, str]:
    """The number of changes on the server, and everything that was said."""
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"ascend.fleet.{name}", "-i", str(hosts)]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    env["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "collections")
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    recap = re.search(r"^n1 .*changed=(\d+)", output, re.M)
    assert recap, output
    return int(recap[1]), output


def test_it_converges_stays_and_shows_no_drift(hosts: Path) -> None:
    changed = [play(hosts, name)[0] for name in ("site", "site", "drift")]
    assert changed[0] > 0
    assert changed[1:] == [0, 0]
    verdict = json.loads((hosts.parent / "report/verdict.json").read_text())
    assert verdict["ok"] is True


def test_nothing_is_deprecated(hosts: Path) -> None:
    """What this core warns of, the next one refuses."""
    output = play(hosts, "verify")[1]
    assert "DEPRECATION WARNING" not in output
