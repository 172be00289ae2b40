# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the installation of ComfyUI decides inside the builder: packages beside the torch there, the source's folder."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui
from tests.doubles import comfyui_tree
from tests.playbook_run import PROGRAM, ROOT, environment
from tests.unit.roles.comfyui_entry import compiled

ROLE = Path(__file__).resolve().parents[3] / "roles" / "comfyui"
REQUIREMENTS = "torch\ntorchsde\ntorchvision\ntorchaudio\ntransformers>=4.28.1\n"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"comfyui_{name}", ROLE / "files" / "bake" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prepare: Any = load("prepare")
ROWS = _comfyui.constraints((0, 3, 7))


# Packages


def test_torch_is_pinned_on_the_line_torch_alone():
    changed = set(prepare.pinned(REQUIREMENTS, "2.1.0").splitlines()) - set(REQUIREMENTS.splitlines())
    assert changed == {"torch==2.1.0"}
    assert prepare.pinned(REQUIREMENTS, None) == REQUIREMENTS


@pytest.mark.parametrize(
    ("torch", "series", "numpy"),
    [
        ("2.1.0", "2.1", True),
        ("2.1.0+cpu", "2.1", True),
        (None, "2.1", True),
        ("2.10.0", None, False),
        ("2.5.1", None, False),
    ],
)
def test_the_packages_go_with_the_torch_that_is_there(torch, series, numpy):
    row = prepare.choose(ROWS, torch)
    assert row["torch"] == series
    assert ("numpy==1.26.4" in prepare.constraints(row, [], {})) is numpy
    assert "requests" in row["add"]


def test_an_image_without_torch_gets_no_packages_for_an_old_one_that_is_not_to_be_installed():
    old = {"torch": "2.1", "version": None, "pins": {"torchvision": "==0.16.0"}, "add": []}
    anything = {"torch": None, "version": None, "pins": {}, "add": []}
    assert prepare.choose([old, anything], None) is anything
    assert prepare.choose([old, anything], "2.1.0") is old


@pytest.mark.parametrize(
    ("torch", "limit"), [("2.1.0", "==2.1.0"), ("2.8.0+cpu", "<2.11"), ("2.11.0", None), ("2.13.0", None), (None, None)]
)
def test_torchaudio_is_one_that_names_its_torch_where_there_is_one(torch, limit):
    row = prepare.choose(ROWS, torch) if torch else {"pins": {}}
    assert prepare.with_audio(row, torch)["pins"].get("torchaudio") == limit


def test_what_the_image_has_comes_first_and_then_what_the_user_limits():
    row = prepare.choose(ROWS, "2.1.0")
    lines = prepare.constraints(row, ["kornia==0.7.3", "numpy<1.26"], {"torch": "2.1.0", "torch_npu": "2.1.0.post8"})
    assert lines[:4] == ["torch==2.1.0", "torch_npu==2.1.0.post8", "kornia==0.7.3", "numpy<1.26"]
    assert [line for line in lines if line.startswith(("kornia", "numpy"))] == ["kornia==0.7.3", "numpy<1.26"]


@pytest.mark.parametrize(
    ("version", "torch", "numpy"),
    [((0, 3, 64), "2.1.0", True), ((0, 7, 0), "2.1.0", True), ((0, 8, 0), "2.1.0", False), ((0, 3, 64), None, False)],
)
def test_a_newer_release_beside_the_old_torch_gets_packages_that_go_with_it(version, torch, numpy):
    row = prepare.choose(_comfyui.constraints(version), torch)
    assert (row["pins"].get("numpy") == "==1.26.4") is numpy


# What the source tells of itself


@pytest.mark.parametrize(
    ("files", "wanted", "words"),
    [
        ({"comfyui_version.py": '# made\n__version__ = "0.33.0"\n'}, "v0.3.7", "Write version: v0.33.0"),
        ({"pyproject.toml": '[project]\nversion = "0.3.64"\n'}, "0.3.7", "Write version: v0.3.64"),
        ({"comfyui_version.py": '__version__ = "0.33.0"\n'}, "v0.33.0", None),
        ({"comfyui_version.py": '__version__ = "0.33.0"\n'}, "master", None),
        # Some tags were set on a source that tells the release before it.
        ({"comfyui_version.py": '__version__ = "0.14.1"\n'}, "v0.14.2", None),
        ({}, "v0.3.7", None),
    ],
)
def test_a_source_of_another_version_than_the_entry_says_is_refused(tmp_path, files, wanted, words):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if words is None:
        prepare.check_version(str(tmp_path), wanted)
    else:
        with pytest.raises(SystemExit, match=words):
            prepare.check_version(str(tmp_path), wanted)


# Source


def unpack(archive: Path, target: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(ROLE / "files" / "bake" / "unpack.py"), str(archive), str(target)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def packed(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path


def test_the_zip_of_a_tag_lands_in_one_place_whatever_its_folder_is_called(tmp_path):
    done = unpack(comfyui_tree.archive(tmp_path / "source"), tmp_path / "home" / "ComfyUI")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home" / "ComfyUI" / "main.py").is_file()
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["ComfyUI"]


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w"])
def test_a_tar_is_as_good(tmp_path, mode):
    with tarfile.open(tmp_path / "source", mode) as archive:
        archive.add(comfyui_tree.TREE, "any-name")
    assert unpack(tmp_path / "source", tmp_path / "ComfyUI").returncode == 0
    assert (tmp_path / "ComfyUI" / "requirements.txt").is_file()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x/readme"], "no folder with main.py and requirements.txt"),
        (["x/main.py", "x/requirements.txt", "../../evil"], "would leave its folder"),
        (["x/main.py", "/etc/evil"], "would leave its folder"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path, names, words):
    done = unpack(packed(tmp_path / "source", names), tmp_path / "ComfyUI")
    assert done.returncode != 0
    assert words in done.stderr
    assert not (tmp_path / "ComfyUI").exists()


def test_a_page_in_the_place_of_the_archive_is_named(tmp_path):
    (tmp_path / "source").write_text("<!doctype html><title>Sign in</title>")
    assert "HTML page" in unpack(tmp_path / "source", tmp_path / "ComfyUI").stderr


def test_a_link_in_a_tar_is_refused(tmp_path):
    with tarfile.open(tmp_path / "source", "w") as archive:
        link = tarfile.TarInfo("x/main.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link, io.BytesIO())
    assert "neither a file nor a folder" in unpack(tmp_path / "source", tmp_path / "ComfyUI").stderr


# Addresses


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The zip of the tag and two workflows, one of them a page that says so with 200."""
    folder = tmp_path / "web"
    folder.mkdir()
    comfyui_tree.archive(folder / "v0.3.7.zip")
    (folder / "portrait.json").write_text('{"nodes": []}')
    (folder / "gone.json").write_text("<!doctype html><title>Not found</title>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_words: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def bring(folder: Path, part: str, paths: str = "", **keys: Any) -> subprocess.CompletedProcess[str]:
    """A part of the installation on this machine, with what the compiler says of the entry."""
    inputs = compiled({"install_dir": str(folder / "ComfyUI"), "python": sys.executable, **keys}).bake.inputs
    scratch = folder / "scratch"
    if not scratch.exists():
        shutil.copytree(ROLE / "files" / "bake", scratch)
    (scratch / "inputs.json").write_text(json.dumps(inputs))
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {
            "ansible_python_interpreter": sys.executable,
            "comfyui_bake": inputs,
            "__comfyui_scratch": str(scratch),
            "__comfyui_image": {"installed": {}},
        },
        "tasks": [{"ansible.builtin.include_role": {"name": "ascend.fleet.comfyui", "tasks_from": part}}],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    argv = [PROGRAM, "-i", "localhost,", str(folder / "play.yml")]
    known = environment(str(ROOT / "collections"))
    known |= {"PYTHONPATH": paths} if paths else {}
    return subprocess.run(argv, env=known, capture_output=True, text=True, timeout=120, check=False)


def test_source_and_workflows_come_from_addresses_with_the_content_that_is_meant(tmp_path, web):
    digest = hashlib.sha256((tmp_path / "web" / "v0.3.7.zip").read_bytes()).hexdigest()
    wrong = bring(tmp_path, "bake_archive", source={"url": f"{web}/v0.3.7.zip", "sha256": "0" * 64})
    assert "did not match" in wrong.stdout
    assert not (tmp_path / "ComfyUI").exists()
    done = bring(tmp_path, "bake_archive", source={"url": f"{web}/v0.3.7.zip", "sha256": digest})
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "ComfyUI" / "main.py").is_file()
    flows = [{"url": f"{web}/portrait.json?raw=true"}, {"url": f"{web}/portrait.json", "name": "other"}]
    done = bring(tmp_path, "bake_workflows", workflows=flows)
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in (tmp_path / "ComfyUI.workflows").iterdir()) == ["other.json", "portrait.json"]


def test_a_page_in_the_place_of_a_workflow_is_refused(tmp_path, web):
    done = bring(tmp_path, "bake_workflows", workflows=[{"url": f"{web}/gone.json"}])
    assert done.returncode != 0
    assert f"{web}/gone.json holds no workflow" in " ".join(done.stdout.split())


# What does not start


def site(folder: Path, torchvision: str) -> str:
    """A folder of packages: a torch that works, and a torchvision beside it."""
    torch = "class Zeros:\n    def numpy(self): pass\n\ndef zeros(_number): return Zeros()\n"
    for name, text in {"torch": torch, "torchvision": torchvision}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(text)
        told = folder / f"{name}-2.13.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.13.0+cpu\n")
    return str(folder)


@pytest.mark.parametrize(
    ("torchvision", "main", "words"),
    [
        ("", "pass", None),
        ("raise OSError('libc10_cuda.so is missing')", "pass", None),
        (
            "raise OSError('libc10_cuda.so is missing')",
            "import torchvision",
            "does not start: OSError: libc10_cuda.so is missing. torchvision cannot be loaded beside torch 2.13.0+cpu;",
        ),
        ("", "import no_such", "ComfyUI does not start: ModuleNotFoundError: No module named 'no_such'. Limit the"),
        ("", "raise SystemExit(3)", "ComfyUI does not start: it ended without a word. Limit the"),
    ],
)
def test_an_installation_that_does_not_start_tells_what_to_do(tmp_path, torchvision, main, words):
    (tmp_path / "ComfyUI").mkdir()
    (tmp_path / "ComfyUI" / "main.py").write_text(f"{main}\n")
    done = bring(tmp_path, "bake_check", paths=site(tmp_path / "site", torchvision))
    assert (done.returncode == 0) is (words is None), done.stdout
    assert words is None or words in " ".join(done.stdout.split())


# The startup script of the vendor's node


def test_the_workaround_leaves_a_script_that_runs():
    (task,) = [
        task
        for task in yaml.safe_load((ROLE / "tasks" / "bake_package.yml").read_text())
        if "ansible.builtin.replace" in task
    ]
    rule = task["ansible.builtin.replace"]
    script = "if True:\n    torch_npu.npu.set_compile_mode(jit_compile=False)\n# set_compile_mode(None) is history\n"
    changed = re.sub(rule["regexp"], rule["replace"], script, flags=re.MULTILINE)
    compile(changed, "prestartup_script.py", "exec")
    assert "    pass  # torch_npu.npu.set_compile_mode(jit_compile=False)\n" in changed
    assert changed.endswith("# set_compile_mode(None) is history\n")
