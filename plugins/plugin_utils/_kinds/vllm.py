# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``vllm``: one language model served by vLLM on one node. Private to the collection."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _catalogue
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

CONTAINER_PORT = 8000
API_KEY = "api_key"
API_KEY_TARGET = f"/run/secrets/{API_KEY}"
CPU_SHM = 1 << 30
CARD_SHM = 16 << 30

# Arguments that have a key of their own; given twice, vLLM would take the last one silently.
OWN_ARGUMENTS = {
    "--model": "model",
    "--host": "bind",
    "--port": "port",
    "--api-key": "api_key_file",
    "--served-model-name": "served_model_name",
    "--tensor-parallel-size": "tensor_parallel_size",
    "-tp": "tensor_parallel_size",
    "--max-model-len": "max_model_len",
    "--gpu-memory-utilization": "gpu_memory_utilization",
    "--quantization": "quantization",
    "-q": "quantization",
    "--reasoning-parser": "reasoning_parser",
    "--dtype": "dtype",
    "--enforce-eager": "enforce_eager",
}
# Further dimensions that multiply the cards in use.
DIMENSIONS = ("--pipeline-parallel-size", "-pp", "--data-parallel-size", "-dp")

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


def compile_entry(entry: _base.Entry, settings: _base.Settings) -> _base.Parts:
    container = _base.base_container(entry)
    on_cards = entry["npus"]["count"] > 0
    container.update(
        env={**OFFLINE, **({} if on_cards else _cpu_env(entry)), **entry["env"]},
        shm_size=entry["shm_size"] or (CARD_SHM if on_cards else CPU_SHM),
        stop_timeout=entry["stop_timeout"],
    )
    if entry["port"]:
        container["ports"] = [_base.publish(entry, entry["port"], CONTAINER_PORT)]
    if entry["api_key_file"]:
        container["secret_files"] = [_base.secret_file(entry, API_KEY, entry["api_key_file"], API_KEY_TARGET)]
    _set_command(container, entry, on_cards)
    steps, answer = _questions(entry)
    return _base.Parts(
        container=container,
        probe=_base.probe(entry, settings, {"type": "http", "steps": steps, "port": CONTAINER_PORT}),
        profile=entry["image_profile"],
        answer=None if _base.own_steps(entry) else answer,
        checks=[_model_check(entry, on_cards)] if entry["model"] else [],
        flaws=list(_flaws(entry)),
        notes=list(_notes(entry)),
    )


def _notes(entry: _base.Entry) -> Iterator[tuple[str, str, str]]:
    if entry["model"]:
        yield from _catalogue.notes(entry["model"]["path"], entry["npus"]["count"], entry["max_model_len"])


def _cpu_env(entry: _base.Entry) -> dict[str, str]:
    return {"VLLM_CPU_KVCACHE_SPACE": str(entry["cpu_kvcache_gb"])}


def _set_command(container: dict[str, Any], entry: _base.Entry, on_cards: bool) -> None:
    """The whole process is set, so that neither entry point nor command of the image plays a part."""
    words = [*entry["command"], *_arguments(entry, on_cards)]
    script = _script(entry, on_cards)
    if script:
        # The scripts of CANN are written for bash; without cards any shell will do.
        shell = "/bin/bash" if on_cards else "/bin/sh"
        container["entrypoint"], container["command"] = [shell, "-c", script, "ascend-fleet"], words
    else:
        container["entrypoint"], container["command"] = words[:1], words[1:]


def _script(entry: _base.Entry, on_cards: bool) -> str:
    """Shell text that prepares the environment and becomes the server; the key never is an argument."""
    lines = []
    if on_cards and entry["env_scripts"]:
        scripts = " ".join(shlex.quote(path) for path in entry["env_scripts"])
        lines.append(f'for script in {scripts}; do if [ -f "$script" ]; then . "$script"; fi; done')
    if entry["api_key_file"]:
        lines += [
            f'VLLM_API_KEY="$(cat {API_KEY_TARGET})"',
            'if [ -z "$VLLM_API_KEY" ]; then echo "The API key cannot be read or is empty." >&2; exit 78; fi',
            "export VLLM_API_KEY",
        ]
    return "\n".join([*lines, 'exec "$@"']) if lines else ""


def _arguments(entry: _base.Entry, on_cards: bool) -> Iterator[str]:
    model = entry["model"]["path"] if entry["model"] else ""
    yield from [model] if entry["command"][-1:] == ["serve"] else ["--model", model]
    yield from ("--host", "0.0.0.0", "--port", str(CONTAINER_PORT))
    yield from ("--served-model-name", served_name(entry))
    yield from ("--tensor-parallel-size", str(tensor_parallel_size(entry)))
    options = {
        "--max-model-len": entry["max_model_len"],
        "--gpu-memory-utilization": entry["gpu_memory_utilization"],
        "--quantization": entry["quantization"],
        "--reasoning-parser": entry["reasoning_parser"],
        "--dtype": entry["dtype"] or (None if on_cards else "float32"),
    }
    for name, value in options.items():
        if value is not None:
            yield from (name, str(value))
    if entry["enforce_eager"] if entry["enforce_eager"] is not None else not on_cards:
        yield "--enforce-eager"
    yield from entry["extra_args"]


def served_name(entry: _base.Entry) -> str:
    """All instances of an entry serve the same model under the same name."""
    return str(entry["served_model_name"] or entry["entry"])


def tensor_parallel_size(entry: _base.Entry) -> int:
    return int(
        entry["tensor_parallel_size"] or max(1, entry["npus"]["count"] // _other_dimensions(entry["extra_args"]))
    )


def _other_dimensions(arguments: Sequence[str]) -> int:
    size = 1
    for name, value in _pairs(arguments):
        if name in DIMENSIONS and value.isdigit():
            size *= max(1, int(value))
    return size


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option of a command line with its value, whether it stands behind ``=`` or as the next word."""
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            yield name.replace("_", "-"), value if equals else "".join(arguments[index + 1 : index + 2])


def _questions(entry: _base.Entry) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Health alone lies: the proof is a real completion, embedding or ranking."""
    key = {"name": "Authorization", "prefix": "Bearer ", "secret": f"{entry['name']}/{API_KEY}"}
    secret = key if entry["api_key_file"] else None
    path, body, expect, answer = QUESTIONS[_question(entry)]
    filled = {name: _fill(value, entry["probe_prompt"]) for name, value in body.items()}
    proof = _base.step("POST", path, {"model": served_name(entry), **filled}, expect, secret_header=secret, timeout=120)
    return [_base.step("GET", "/health"), proof], {"step": 1, "path": answer} if answer else None


def _question(entry: _base.Entry) -> str:
    # A short reply of a reasoning model may hold nothing but reasoning, under a name that differs between versions.
    return "complete" if entry["model_kind"] == "generate" and entry["reasoning_parser"] else str(entry["model_kind"])


PROMPT = "{prompt}"
SHORT: dict[str, Any] = {"max_tokens": 32, "min_tokens": 1, "temperature": 0}
QUESTIONS: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]], str | None]] = {
    "generate": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": PROMPT}], **SHORT},
        [_base.holds("choices.0.message.content", "string")],
        "choices.0.message.content",
    ),
    "complete": (
        "/v1/completions",
        {"prompt": PROMPT, **SHORT},
        [_base.holds("choices.0.text", "string")],
        "choices.0.text",
    ),
    "embed": ("/v1/embeddings", {"input": [PROMPT]}, [_base.holds("data.0.embedding", "array")], None),
    "rerank": (
        "/v1/rerank",
        {"query": PROMPT, "documents": ["Hello.", "The sky is blue."]},
        [_base.holds("results.0.relevance_score", "number")],
        None,
    ),
}


def _fill(value: Any, prompt: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, prompt) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, prompt) for item in value]
    return prompt if value == PROMPT else value


def _model_check(entry: _base.Entry, on_cards: bool) -> dict[str, Any]:
    return {
        "type": "llm_model",
        "path": entry["model"]["path"],
        "kind": entry["model_kind"],
        "tensor_parallel_size": tensor_parallel_size(entry),
        "max_model_len": entry["max_model_len"],
        "quantization": entry["quantization"],
        # vLLM takes this share of every card, so that much must be free before it starts.
        "gpu_memory_utilization": (entry["gpu_memory_utilization"] or 0.9) if on_cards else None,
    }


def _flaws(entry: _base.Entry) -> Iterator[Flaw]:
    yield from _argument_flaws(entry)
    yield from _size_flaws(entry)
    if "VLLM_API_KEY" in entry["env"]:
        yield Flaw(
            "env.VLLM_API_KEY",
            None,
            "would show the key to everyone who may inspect the container",
            "Put the key into a file with mode 0600 and name it in api_key_file.",
        )
    if not entry["port"] and entry["state"] != "absent":
        yield Flaw("port", None, "is missing", "Give the port on the node.")
    if not entry["command"]:
        yield Flaw("command", [], "is empty", "Leave it out, or write the words that start vLLM.")
    if entry["reasoning_parser"] and entry["model_kind"] != "generate":
        yield Flaw(
            "reasoning_parser",
            entry["reasoning_parser"],
            f"has no meaning for model_kind {entry['model_kind']}",
            "Leave it out.",
        )


def _argument_flaws(entry: _base.Entry) -> Iterator[Flaw]:
    yield from _base.word_flaws("extra_args", entry["extra_args"])
    for name, _value in _pairs(entry["extra_args"]):
        key = OWN_ARGUMENTS.get(name)
        if key:
            yield Flaw("extra_args", name, "is written by the collection", f"Use the key {key} instead.")


def _size_flaws(entry: _base.Entry) -> Iterator[Flaw]:
    cards, wanted = entry["npus"]["count"], entry["tensor_parallel_size"]
    others = _other_dimensions(entry["extra_args"])
    size = tensor_parallel_size(entry)
    if cards == 0 and wanted and wanted > 1:
        yield Flaw(
            "tensor_parallel_size",
            wanted,
            "needs cards, but npus is 0",
            f"Set npus: {wanted}, or leave tensor_parallel_size out.",
        )
    elif cards and size * others > cards:
        yield Flaw(
            "tensor_parallel_size",
            size,
            f"needs {size * others} cards, but npus gives {cards}",
            f"Set npus: {size * others}, or a smaller size.",
        )
    elif cards and size * others < cards:
        yield Flaw(
            "tensor_parallel_size",
            size,
            f"leaves {cards - size * others} of {cards} cards idle",
            f"Set npus: {size * others}, or leave tensor_parallel_size out.",
        )
