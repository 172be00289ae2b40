# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make demo` left running: it answers, stays as it is, and is what the report says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.fleet

ROOT = Path(__file__).resolve().parents[2]
QUESTION = {"model": "chat", "messages": [{"role": "user", "content": "Who is there?"}], "max_tokens": 8}


@pytest.fixture(scope="module")
def demo() -> Any:
    from tests.simfleet import demo
    from tests.simfleet.errors import SimError
    from tests.simfleet.fleet import Fleet

    try:
        return Fleet.find(demo.NAME)
    except SimError:
        pytest.skip("the demo's fleet is not up; `make demo` starts it")


def play(playbook: str) -> str:
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", "inventories/sim"]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(
        argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_model_answers_a_chat_completion(demo: Any) -> None:
    """Asked on the server itself, where the service listens."""
    told = demo.node("n1").exec(
        "curl", "-sf", "-H", "Content-Type: application/json", "-d", json.dumps(QUESTION),
        "http://127.0.0.1:8000/v1/chat/completions",
    )  # fmt: skip
    reply = json.loads(told.out)
    assert reply["usage"]["completion_tokens"] > 0
    assert isinstance(reply["choices"][0]["message"]["content"], str)


def test_the_other_service_sees_its_two_cards(demo: Any) -> None:
    told = demo.node("n2").exec("curl", "-sf", "http://127.0.0.1:8080/cgi-bin/cards")
    assert len(json.loads(told.out)["cards"]) == 2


def test_a_second_run_changes_nothing(demo: Any) -> None:
    changed = dict(re.findall(r"^(n\d) .*changed=(\d+)", play("site.yml"), re.M))
    assert changed == {"n1": "0", "n2": "0"}


def test_there_is_no_drift(demo: Any) -> None:
    play("playbooks/drift.yml")


def test_the_verdict_names_both_services_and_the_answer(demo: Any) -> None:
    play("playbooks/verify.yml")
    verdict = json.loads((ROOT / "fleet-report/verdict.json").read_text())
    assert verdict["ok"] is True
    assert not verdict["failures"]
    services = {s["name"]: s for host in verdict["hosts"].values() for s in host["services"]}
    assert services.keys() == {"chat", "cards"}
    assert services["chat"]["answer"]
