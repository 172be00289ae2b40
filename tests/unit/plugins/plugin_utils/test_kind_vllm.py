# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind vllm: the process that would run, its environment and its proof."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

MODULE = ["python3", "-m", "vllm.entrypoints.openai.api_server"]


def words(service: dict[str, Any]) -> list[str]:
    """The words of the server itself, behind whatever starts it."""
    container = service["container"]
    entrypoint = container["entrypoint"]
    return container["command"] if "-c" in entrypoint else [*entrypoint, *container["command"]]


def value(service: dict[str, Any], option: str) -> str | None:
    line = words(service)
    return line[line.index(option) + 1] if option in line else None


def test_on_cards(compile_inventory, chat):
    service = compile_inventory.service(chat())
    assert words(service) == [
        *MODULE,
        "--model",
        "/mnt/models/tiny",
        "--host",
        "0.0.0.0",
        "--port",
        "8000",
        "--served-model-name",
        "chat",
        "--tensor-parallel-size",
        "2",
    ]
    assert service["npus"] == {"count": 2, "cards": None, "profile": "vllm-ascend"}
    container = service["container"]
    assert container["ports"] == [
        {"host_ip": "127.0.0.1", "host_port": 8000, "container_port": 8000, "protocol": "tcp"}
    ]
    assert container["mounts"] == [
        {"type": "bind", "source": "/mnt/models/tiny", "target": "/mnt/models/tiny", "read_only": True, "create": None}
    ]
    assert container["env"]["HF_HUB_OFFLINE"] == "1"
    assert "VLLM_CPU_KVCACHE_SPACE" not in container["env"]
    assert container["shm_size"] == 16 << 30


def test_on_the_cpu(compile_inventory, chat):
    service = compile_inventory.service(chat(npus=0, cpu_kvcache_gb=2, max_model_len=256))
    container = service["container"]
    # Nothing to prepare, so no shell is needed.
    assert container["entrypoint"] == ["python3"]
    assert value(service, "--dtype") == "float32"
    assert "--enforce-eager" in words(service)
    assert value(service, "--tensor-parallel-size") == "1"
    assert container["env"]["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert container["shm_size"] == 1 << 30
    assert service["checks"][0]["gpu_memory_utilization"] is None


@pytest.mark.parametrize("share", [0.8, "0.8", " 0.8 "])
def test_a_number_may_be_text(compile_inventory, chat, share):
    service = compile_inventory.service(chat(gpu_memory_utilization=share))
    assert value(service, "--gpu-memory-utilization") == "0.8"


def test_options_become_arguments(compile_inventory, chat):
    service = compile_inventory.service(
        chat(
            npus=4,
            served_model_name="Qwen",
            max_model_len=4096,
            gpu_memory_utilization=0.8,
            quantization="ascend",
            reasoning_parser="deepseek_r1",
            dtype="bfloat16",
            enforce_eager=True,
            extra_args=["--max-num-seqs", 8],
        )
    )
    line = words(service)
    assert line[line.index("--served-model-name") :] == [
        "--served-model-name",
        "Qwen",
        "--tensor-parallel-size",
        "4",
        "--max-model-len",
        "4096",
        "--gpu-memory-utilization",
        "0.8",
        "--quantization",
        "ascend",
        "--reasoning-parser",
        "deepseek_r1",
        "--dtype",
        "bfloat16",
        "--enforce-eager",
        "--max-num-seqs",
        "8",
    ]
    assert service["checks"] == [
        {
            "type": "llm_model",
            "path": "/mnt/models/tiny",
            "kind": "generate",
            "tensor_parallel_size": 4,
            "max_model_len": 4096,
            "quantization": "ascend",
            "gpu_memory_utilization": 0.8,
        }
    ]


def test_the_short_command_takes_the_model_as_an_argument(compile_inventory, chat):
    service = compile_inventory.service(chat(npus=0, command=["vllm", "serve"]))
    assert words(service)[:4] == ["vllm", "serve", "/mnt/models/tiny", "--host"]
    assert "--model" not in words(service)


@pytest.mark.parametrize(
    ("extra", "cards", "size"),
    [
        ([], 8, "8"),
        (["--pipeline-parallel-size", "2"], 8, "4"),
        (["--data-parallel-size=4"], 8, "2"),
        (["-pp", "2", "-dp=2"], 8, "2"),
    ],
)
def test_tensor_parallel_size_is_what_the_cards_give(compile_inventory, chat, extra, cards, size):
    service = compile_inventory.service(chat(npus=cards, extra_args=extra))
    assert value(service, "--tensor-parallel-size") == size


def test_instances_serve_one_name_on_ports_of_their_own(compile_inventory, chat):
    document = compile_inventory.document({"fleet_services": [chat(instances=2, port=9000)]})
    assert [value(service, "--served-model-name") for service in document["services"]] == ["chat", "chat"]
    assert [service["container"]["ports"][0]["host_port"] for service in document["services"]] == [9000, 9001]


# The environment, run by a real shell


def run(service: dict[str, Any], replace: dict[str, str], *words_to_run: str) -> subprocess.CompletedProcess[str]:
    shell, flag, script, name = service["container"]["entrypoint"]
    for old, new in replace.items():
        assert old in script
        script = script.replace(old, new)
    return subprocess.run(
        [shell, flag, script, name, *words_to_run], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "chat.key"
    path.write_text("s3cret key\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("npus", [0, 2])
def test_the_key_reaches_the_server_by_its_environment(compile_inventory, chat, key, npus):
    service = compile_inventory.service(chat(npus=npus, api_key_file="chat.key"))
    result = run(service, {"/run/secrets/api_key": str(key)}, "/bin/sh", "-c", 'echo "[$VLLM_API_KEY] $1"', "-", "a b")
    assert (result.returncode, result.stdout) == (0, "[s3cret key] a b\n")


@pytest.mark.parametrize("content", [None, ""])
def test_no_server_without_its_key(compile_inventory, chat, key, tmp_path, content):
    service = compile_inventory.service(chat(npus=0, api_key_file="chat.key"))
    broken = tmp_path / "broken"
    if content is not None:
        broken.write_text(content, encoding="utf-8")
    result = run(service, {"/run/secrets/api_key": str(broken)}, "/bin/echo", "started")
    assert result.returncode == 78
    assert "started" not in result.stdout
    assert "API key cannot be read" in result.stderr


def test_the_key_is_nowhere_in_the_result(compile_inventory, chat, key):
    compiled = compile_inventory({"n1": {"fleet_services": [chat(api_key_file="chat.key")]}})
    assert "s3cret" not in json.dumps([compiled.documents, compiled.table, compiled.findings, compiled.settings])
    service = compiled.documents["n1"]["services"][0]
    assert service["container"]["secret_files"] == [
        {"id": "chat/api_key", "target": "/run/secrets/api_key", "mode": "0400", "source": str(key)}
    ]
    header = service["probe"]["steps"][1]["secret_header"]
    assert header == {"name": "Authorization", "prefix": "Bearer ", "secret": "chat/api_key"}


def test_scripts_of_the_image_are_sourced_when_they_are_there(compile_inventory, chat, tmp_path):
    script = tmp_path / "set_env.sh"
    script.write_text("[[ ${BASH_SOURCE[0]} == */set_env.sh ]] && export CANN=here\n", encoding="utf-8")
    service = compile_inventory.service(chat(env_scripts=[str(tmp_path / "none.sh"), str(script)]))
    assert run(service, {}, "/bin/sh", "-c", 'echo "$CANN"').stdout == "here\n"


def test_the_server_becomes_the_process_itself(compile_inventory, chat, key):
    """A shell in between would keep signals from the server."""
    service = compile_inventory.service(chat(npus=0, api_key_file="chat.key"))
    shell, flag, script, name = service["container"]["entrypoint"]
    script = script.replace("/run/secrets/api_key", str(key))
    process = subprocess.Popen(
        [shell, flag, script, name, "/bin/sh", "-c", "echo $$"], stdout=subprocess.PIPE, text=True
    )
    out, _err = process.communicate(timeout=20)
    assert out.strip() == str(process.pid)


# The proof


@pytest.mark.parametrize(
    ("changes", "path", "expect", "answer"),
    [
        (
            {},
            "/v1/chat/completions",
            {"path": "choices.0.message.content", "type": "string", "non_empty": True},
            {"step": 1, "path": "choices.0.message.content"},
        ),
        (
            {"reasoning_parser": "deepseek_r1"},
            "/v1/completions",
            {"path": "choices.0.text", "type": "string", "non_empty": True},
            {"step": 1, "path": "choices.0.text"},
        ),
        (
            {"model_kind": "embed"},
            "/v1/embeddings",
            {"path": "data.0.embedding", "type": "array", "non_empty": True},
            None,
        ),
        (
            {"model_kind": "rerank"},
            "/v1/rerank",
            {"path": "results.0.relevance_score", "type": "number", "non_empty": True},
            None,
        ),
    ],
)
def test_the_proof_is_a_real_request_after_health(compile_inventory, chat, changes, path, expect, answer):
    service = compile_inventory.service(chat(probe_prompt="Who are you?", **changes))
    health, proof = service["probe"]["steps"]
    assert (health["method"], health["path"], health["secret_header"]) == ("GET", "/health", None)
    assert (proof["method"], proof["path"], proof["expect"]) == ("POST", path, [expect])
    assert proof["body"]["model"] == "chat"
    assert "Who are you?" in json.dumps(proof["body"])
    assert service["answer"] == answer
    assert service["probe"]["port"] == 8000


def test_the_probe_can_be_slower_without_losing_the_proof(compile_inventory, chat):
    service = compile_inventory.service(chat(probe={"timeout": 1800, "interval": 5}))
    assert (service["probe"]["timeout"], service["probe"]["interval"]) == (1800, 5)
    assert len(service["probe"]["steps"]) == 2
    assert service["answer"] is not None


def test_the_users_own_steps_replace_the_proof(compile_inventory, chat):
    service = compile_inventory.service(chat(probe={"path": "/v1/models"}))
    assert [step["path"] for step in service["probe"]["steps"]] == ["/v1/models"]
    assert service["answer"] is None
    assert compile_inventory.service(chat(probe="none"))["probe"]["type"] == "none"


def test_readiness_has_the_time_of_the_host(compile_inventory, chat):
    assert compile_inventory.service(chat(), fleet_ready_timeout=42)["probe"]["timeout"] == 42
