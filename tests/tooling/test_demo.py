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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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


def play(playbook: str, *arguments: str) -> str:
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", "inventories/sim", *arguments]
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


KEY = "sk-nobody-may-see-this"


@pytest.fixture(scope="module")
def alone(demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs the role vllm by itself beside the demo's services: the same tiny model, as a pooling model, with a key."""
    folder = tmp_path_factory.mktemp("alone")
    key = folder / "key"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    service = {
        "name": "guarded",
        "image": "{{ sim_registry }}/vllm:1",
        "npus": 0,
        "port": 8001,
        "model": "{{ sim_models }}/tiny-chat",
        "max_model_len": 256,
        "env": {"VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        "extra_args": ["--runner", "pooling"],
        "api_key_file": str(key),
    }

    def run(**keys: Any) -> str:
        role = {"role": "ascend.fleet.vllm", "vars": {"vllm_service": {**service, **keys}}}
        path = folder / "play.yml"
        path.write_text(yaml.safe_dump([{"hosts": "n1", "gather_facts": False, "roles": [role]}]))
        return play(str(path), "-vvv", "--diff", "-e", f"fleet_report_dir={folder / 'report'}")

    run.folder = folder / "report"  # type: ignore[attr-defined]  # where the records of these runs are
    yield run
    demo.node("n1").exec("docker", "rm", "-f", "guarded")


def ask(demo: Any, path: str, body: dict[str, Any], *headers: str) -> tuple[int, str]:
    """Status and text of a request made on the server."""
    words = [word for header in ("Content-Type: application/json", *headers) for word in ("-H", header)]
    url = f"http://127.0.0.1:8001{path}"
    told = demo.node("n1").exec("curl", "-s", "-w", "\n%{http_code}", *words, "-d", json.dumps(body), url).out
    text, _newline, status = told.rpartition("\n")
    return int(status), text


EMBED = {"model": "guarded", "input": ["Who is there?"]}


def test_the_role_alone_serves_embeddings_to_those_with_the_key(demo: Any, alone: Callable[..., str]) -> None:
    said = alone(model_kind="embed")
    assert ask(demo, "/v1/embeddings", EMBED)[0] == 401
    assert ask(demo, "/v1/embeddings", EMBED, "Authorization: Bearer wrong")[0] == 401
    status, text = ask(demo, "/v1/embeddings", EMBED, f"Authorization: Bearer {KEY}")
    assert status == 200, text
    assert len(json.loads(text)["data"][0]["embedding"]) == 256
    assert KEY not in said


@pytest.mark.parametrize(
    "script",
    [
        "docker inspect guarded",
        "docker logs guarded 2>&1",
        "cat /proc/[0-9]*/cmdline 2>/dev/null",
        "journalctl --no-pager",
        "cat /var/lib/ascend-fleet/status/*",
    ],
)
def test_the_key_is_nowhere_to_be_seen(demo: Any, alone: Callable[..., str], script: str) -> None:
    told = demo.node("n1").exec("sh", "-c", f"{script} | tr '\\0' ' '").out
    assert "guarded" in told
    assert KEY not in told


def test_the_key_is_in_no_record(alone: Callable[..., str]) -> None:
    written = [path.read_text() for path in alone.folder.rglob("*") if path.is_file()]  # type: ignore[attr-defined]  # as above
    assert any("guarded" in text for text in written)
    assert not any(KEY in text for text in written)


def test_the_same_server_ranks_and_goes_with_its_key(demo: Any, alone: Callable[..., str]) -> None:
    """What is asked for as proof is no property of the container."""
    before = demo.node("n1").exec("docker", "inspect", "-f", "{{.Id}}", "guarded").out
    alone(model_kind="rerank")
    assert demo.node("n1").exec("docker", "inspect", "-f", "{{.Id}}", "guarded").out == before
    question = {"model": "guarded", "query": "Who is there?", "documents": ["Nobody.", "The fleet is up."]}
    status, text = ask(demo, "/v1/rerank", question, f"Authorization: Bearer {KEY}")
    assert status == 200, text
    assert sorted(result["index"] for result in json.loads(text)["results"]) == [0, 1]
    alone(state="absent")
    left = demo.node("n1").exec("sh", "-c", f"docker ps -a; grep -rls {KEY} /var/lib/ascend-fleet || true").out
    assert "guarded" not in left
    assert "chat" in left
