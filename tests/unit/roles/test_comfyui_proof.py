# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process and the proof of kind comfyui against the double: what works, and each recorded way to fail."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.module_utils._probe import ProbeResult, run_probe
from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import comfyui
from tests.unit.roles.comfyui_entry import compiled

DOUBLE = Path(__file__).resolve().parents[2] / "doubles" / "comfyui"
BAD = "raise RuntimeError('it cannot be loaded')\n"


class Server:
    """The double as the container would run it, with its log."""

    def __init__(self, folder: Path, keys: dict[str, Any], environment: dict[str, str], nodes: dict[str, str]) -> None:
        self.tree = folder / "ComfyUI"
        shutil.copytree(DOUBLE, self.tree, ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in nodes.items():
            path = self.tree / "custom_nodes" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.work = folder / "work"
        self.parts = compiled(
            {"work_dir": str(self.work), "install_dir": str(self.tree), "python": sys.executable, **keys}
        )
        for mount in self.parts.container["mounts"]:
            Path(mount["source"]).mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        temp = folder / "temp"
        words = [*self.parts.container["entrypoint"], *self.parts.container["command"]]
        words = [word.replace(comfyui.TEMP, str(temp)) for word in words]
        words[words.index("--port") + 1] = str(self.port)
        words[words.index("--listen") + 1] = "127.0.0.1"
        with self.log.open("wb") as handle:
            self.process = subprocess.Popen(
                words,
                cwd="/",
                env={**os.environ, **self.parts.container["env"], **environment},
                stdout=handle,
                stderr=handle,
            )

    def prove(self) -> ProbeResult:
        deadline = time.monotonic() + 20
        while True:
            result = run_probe(
                self.parts.probe,
                ("127.0.0.1", self.port),
                execute=run,
                read_log=lambda: self.log.read_text(errors="replace"),
            )
            if result.ok or result.final or self.process.poll() is not None or time.monotonic() > deadline:
                return result
            time.sleep(0.05)

    def pictures(self) -> list[str]:
        return [path.name for path in self.work.rglob("*.png")]


def run(command: list[str], timeout: float) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    pytest.importorskip("aiohttp", reason="the double serves with aiohttp")
    started: list[Server] = []

    def start(nodes: dict[str, str] | None = None, faults: str = "", **keys: Any) -> Server:
        started.append(Server(tmp_path, keys, {"COMFYUI_DOUBLE_FAULTS": faults}, nodes or {}))
        return started[-1]

    yield start
    for server in started:
        server.process.terminate()
        server.process.wait(10)


def test_it_is_proven_by_a_picture_that_is_taken_away_again(serve):
    server = serve()
    result = server.prove()
    assert result.ok, result.message
    asked = [reply["request"].split("?")[0].split("/")[1] for reply in result.replies if "/" in reply["request"]]
    assert asked[:4] == ["system_stats", "prompt", "history", "view"]
    assert server.pictures() == []


def test_every_set_is_proven_by_a_picture_of_its_own(serve, tmp_path):
    models = tmp_path / "models"
    for file in _comfyui.weights(_comfyui.sets()):
        path = models / file.folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    server = serve(models_dir=str(models), model_sets=_comfyui.sets(), fetch_models=False)
    result = server.prove()
    assert result.ok, result.message
    assert sum(reply["request"] == "POST /prompt" for reply in result.replies) == 1 + len(_comfyui.sets())
    assert server.pictures() == []


def test_models_are_found_as_their_repositories_have_them(serve, tmp_path):
    models = tmp_path / "models"
    for file in _comfyui.weights(["sd35", "flux"]):
        path = Path(_comfyui.home(str(models), file.repository)) / file.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    token = tmp_path / "token"
    token.write_text("x")
    server = serve(models_dir=str(models), model_sets=["sd35", "flux"], token_file=str(token))
    result = server.prove()
    assert result.ok, result.message
    written = yaml.safe_load((tmp_path / "temp" / "extra_model_paths.yaml").read_text())
    assert "black-forest-labs/FLUX.1-dev" in written


def test_a_missing_weight_is_told_by_name_and_not_waited_for(serve, tmp_path):
    (tmp_path / "models").mkdir()
    result = serve(models_dir=str(tmp_path / "models"), model_sets=["sd15"], fetch_models=False).prove()
    assert result.final
    assert "v1-5-pruned-emaonly.safetensors" in result.message


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            {"bad/prestartup_script.py": BAD, "bad/__init__.py": "NODE_CLASS_MAPPINGS = {}\n"},
            "Failed to execute startup-script",
        ),
        ({"bad/__init__.py": BAD}, "bad module for custom nodes: it cannot be loaded"),
        ({"bad.py": BAD}, "bad.py module for custom nodes: it cannot be loaded"),
    ],
    ids=["before the start", "at import", "a single file"],
)
def test_a_custom_node_that_failed_is_seen_although_the_server_answers(serve, nodes, words):
    result = serve(nodes=nodes).prove()
    assert (result.ok, result.final) == (False, True)
    assert words in result.message
    assert result.replies[0]["status"] == 200


def test_without_numpy_the_server_is_up_and_the_proof_tells_why_no_job_succeeds(serve):
    result = serve(faults="no-numpy").prove()
    assert (result.ok, result.final) == (False, True)
    assert result.message.endswith("Numpy is not available")
    assert result.replies[0]["status"] == 200


def test_another_device_than_expected(serve):
    result = serve(faults="device=cuda").prove()
    assert (result.ok, result.final) == (False, True)
    assert result.message == "GET /system_stats answered 200, which rules it out: cuda"


def test_without_accelerator_it_ends(serve):
    server = serve()
    server.process.terminate()
    server.process.wait(10)
    words = [word for word in server.process.args if word != "--cpu"]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode != 0
    assert "RuntimeError" in done.stderr


def test_the_flags_of_a_newer_version_are_refused_by_the_old_one(serve):
    server = serve()
    done = subprocess.run([*server.process.args, "--database-url", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unrecognized arguments: --database-url" in done.stderr


def test_workflows_reach_the_list_of_the_editor_and_stay_as_people_changed_them(serve, tmp_path):
    folder = tmp_path / "ComfyUI.workflows"
    folder.mkdir()
    (folder / "flow.json").write_text('{"new": 1}')
    own = tmp_path / "work" / "user" / "default" / "workflows"
    own.mkdir(parents=True)
    (own / "kept.json").write_text("changed")
    (folder / "kept.json").write_text("given")
    given = tmp_path / "flow.json"
    given.write_text("{}")
    server = serve(workflows=[{"file": str(given)}])
    assert server.prove().ok
    assert (own / "flow.json").read_text() == '{"new": 1}'
    assert (own / "kept.json").read_text() == "changed"
