# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which wheels a bundle takes for an image that is baked: for its Python, its C library, and what it has already."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access
from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _bundle,
    _bundle_bakes,
    _bundle_make,
    _bundle_python,
    _bundle_wheels,
    _data,
)
from tests.doubles import comfyui_tree
from tests.doubles.wheel_index import WheelIndex, source

TORCH = "Metadata-Version: 2.1\nName: torch\nVersion: 2.1.0\n"
LIBC = b"\0GNU C Library (Debian GLIBC 2.28-10) stable release version 2.28.\n\0"
PROGRAM = b"\x7fELF\0lib\x003.10.4\0more"
SITE = "usr/lib/python3.10/site-packages"
PLAIN = {
    "usr/bin/python3.10": PROGRAM,
    "usr/bin/python3": "python3.10",
    "bin": "usr/bin",
    "lib/aarch64-linux-gnu/libc-2.28.so": LIBC,
    "lib/aarch64-linux-gnu/libc.so.6": "libc-2.28.so",
    f"{SITE}/torch-2.1.0.dist-info/METADATA": TORCH.encode(),
}
Layer = dict[str, Any]


def archive(path: Path, *layers: Layer, env: dict[str, str] | None = None) -> Path:
    """An image as ``docker save`` writes it; bytes are files, text is where a link leads to."""
    names = [f"{number}.tar" for number in range(len(layers))]
    config = {"config": {"Env": [f"{key}={value}" for key, value in (env or {}).items()]}}
    files = {name: packed(layer) for name, layer in zip(names, layers, strict=True)}
    files["c.json"] = json.dumps(config).encode()
    files["manifest.json"] = json.dumps([{"Config": "c.json", "Layers": names}]).encode()
    path.write_bytes(packed(files, ""))
    return path


def packed(files: Layer, how: str = "gz") -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=f"w:{how}") as layer:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                layer.addfile(entry)
            else:
                entry.size = len(content)
                layer.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


# The Python of an image


CONDA = {
    "opt/conda/bin/python": "python3.9",
    "opt/conda/bin/python3.9": b"\x7fELF",
    "opt/conda/lib/libpython3.9.so.1.0": b"\x003.9.18\0",
    "opt/conda/lib/python3.9/site-packages/torch-2.1.0.dist-info/METADATA": TORCH.encode(),
    "lib64/libc.so.6": LIBC,
}
VENV = {
    **PLAIN,
    "srv/venv/bin/python3": "/usr/bin/python3",
    "srv/venv/pyvenv.cfg": b"home = /usr/bin\ninclude-system-site-packages = false\n",
    "srv/venv/lib/python3.10/site-packages/numpy-1.26.4.dist-info/METADATA": b"Name: numpy\nVersion: 1.26.4\n",
}
REPLACED = {
    f"{SITE}/.wh.torch-2.1.0.dist-info": b"",
    f"{SITE}/torch-2.2.0.dist-info/METADATA": TORCH.replace("2.1.0", "2.2.0").encode(),
}


@pytest.mark.parametrize(
    ("layers", "python", "env", "version", "libc", "installed"),
    [
        ([PLAIN], "python3", {}, "3.10.4", ("glibc", "2.28"), {"torch": "2.1.0"}),
        ([PLAIN], "/bin/python3", {}, "3.10.4", ("glibc", "2.28"), {"torch": "2.1.0"}),
        ([PLAIN, REPLACED], "python3", {}, "3.10.4", ("glibc", "2.28"), {"torch": "2.2.0"}),
        ([CONDA], "python", {"PATH": "/opt/conda/bin:/bin"}, "3.9.18", ("glibc", "2.28"), {"torch": "2.1.0"}),
        ([VENV], "/srv/venv/bin/python3", {}, "3.10.4", ("glibc", "2.28"), {"numpy": "1.26.4"}),
        (
            [{"usr/bin/python3.12": b"\x7fELF", "lib/ld-musl-aarch64.so.1": b"\x7fELF"}],
            "python3.12",
            {"PYTHON_VERSION": "3.12.1"},
            "3.12.1",
            ("musl", "1.1"),
            {},
        ),
    ],
    ids=["system", "through links", "later layer", "conda", "venv", "musl"],
)
def test_the_python_of_an_image_is_read_from_its_layers(tmp_path, layers, python, env, version, libc, installed):
    found = _bundle_python.look(archive(tmp_path / "image.tar", *layers, env=env), python)
    assert (found.version, found.libc, found.installed()) == (version, libc, installed)


@pytest.mark.parametrize(
    ("layer", "python", "why"),
    [
        (PLAIN, "python3.11", "the image has no python3.11"),
        ({**PLAIN, "usr/bin/python3.10": b"\x7fELF"}, "python3", "which release of Python 3.10"),
        ({"usr/bin/python3": b"#!"}, "python3", "does not say which Python"),
        ({"usr/bin/python3.10": PROGRAM}, "python3.10", "no C library"),
    ],
)
def test_an_image_that_does_not_tell_is_refused_with_the_reason(tmp_path, layer, python, why):
    with pytest.raises(_bundle_python.UnknownPythonError, match=why):
        _bundle_python.look(archive(tmp_path / "image.tar", layer), python)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(packed({"a": b"b"}))
    with pytest.raises(_bundle_python.UnknownPythonError, match="is no archive of an image"):
        _bundle_python.look(tmp_path / "x.tar", "python3")


# What pip gathers


@pytest.fixture
def index(tmp_path, monkeypatch):
    """pip with this index and nothing else."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return WheelIndex(tmp_path / "index")


PYTHON = _bundle_python.Interpreter("3.10.4", ("glibc", "2.28"), {"torch-2.1.0": TORCH})


def gather(index: WheelIndex, tmp_path: Path, wanted: _bundle_wheels.Wanted, find: Path | None = None) -> set[str]:
    folder, pip = tmp_path / "wheels", {"index_url": index.url, "extra_index_urls": []}
    _bundle_wheels.Gathering(PYTHON, "aarch64", pip, folder, tmp_path / "scratch", find, {}).gather(wanted)
    assert not (tmp_path / "scratch").exists()
    return {one.name for one in folder.iterdir()}


def test_wheels_are_those_of_the_images_python_and_machine_without_what_it_has(index, tmp_path):
    index.wheel(
        "tool",
        "1.0",
        ["older; python_version < '3.11'", "newer; python_version >= '3.11'", "arm; platform_machine == 'aarch64'"],
    )
    for tag in ("cp310-cp310-manylinux_2_28_aarch64", "cp310-cp310-manylinux_2_17_x86_64", "cp311-cp311-linux_aarch64"):
        index.wheel("arm", "1.0", ["torch>=2"], tag)
    index.wheel("arm", "2.0", [], "cp310-cp310-manylinux_2_34_aarch64")
    for name in ("older", "newer"):
        index.wheel(name, "1.0")
    index.wheel("torch", "2.9.0")
    index.wheel("older", "2.0")
    wanted = _bundle_wheels.Wanted(["tool", "torch==2.1.0"], ["older<2"])
    assert gather(index, tmp_path, wanted) == {
        "tool-1.0-py3-none-any.whl",
        "older-1.0-py3-none-any.whl",
        "arm-1.0-cp310-cp310-manylinux_2_28_aarch64.whl",
    }


def test_what_pip_builds_with_comes_along_whatever_the_image_has(index, tmp_path):
    index.wheel("setuptools", "80.0")
    index.wheel("wheel", "0.45")
    there = _bundle_wheels.Wanted([], [], None, _bundle_wheels.BUILD)
    assert gather(index, tmp_path, there) == {"setuptools-80.0-py3-none-any.whl", "wheel-0.45-py3-none-any.whl"}


def test_a_source_becomes_a_wheel_where_that_serves_every_machine(index, tmp_path):
    index.source("pure", "1.0")
    index.wheel("tool", "1.0", ["pure==1.*"])
    assert gather(index, tmp_path, _bundle_wheels.Wanted(["tool"], [])) == {
        "tool-1.0-py3-none-any.whl",
        "pure-1.0-py3-none-any.whl",
    }


def test_a_source_for_one_machine_is_refused_by_name_and_taken_as_a_wheel_of_the_operator(index, tmp_path):
    index.source("native", "1.0", tag="cp311-cp311-linux_x86_64")
    index.wheel("tool", "1.0", ["native"])
    with pytest.raises(FleetError, match="native") as refused:
        gather(index, tmp_path, _bundle_wheels.Wanted(["tool"], []))
    assert "fleet_bundle_wheels" in refused.value.finding["remedy"]
    own = WheelIndex(tmp_path / "own").wheel("native", "1.0", [], "cp310-cp310-linux_aarch64").parent
    assert gather(index, tmp_path, _bundle_wheels.Wanted(["tool"], []), own) == {
        "tool-1.0-py3-none-any.whl",
        "native-1.0-cp310-cp310-linux_aarch64.whl",
    }


def test_what_no_index_has_is_named(index, tmp_path):
    index.wheel("tool", "1.0", ["nowhere"])
    with pytest.raises(FleetError, match=r"nowhere as a wheel for Python 3.10 on aarch64 with glibc 2.28"):
        gather(index, tmp_path, _bundle_wheels.Wanted(["tool"], []))


@pytest.mark.parametrize(
    ("libc", "first", "among", "not_among"),
    [
        (("glibc", "2.28"), "manylinux_2_28_aarch64", "manylinux2014_aarch64", "manylinux_2_29_aarch64"),
        (("glibc", "2.17"), "manylinux_2_17_aarch64", "linux_aarch64", "manylinux_2_18_aarch64"),
        (("musl", "1.1"), "musllinux_1_1_aarch64", "musllinux_1_0_aarch64", "manylinux2014_aarch64"),
    ],
)
def test_platforms_go_down_from_the_images_c_library(libc, first, among, not_among):
    found = _bundle_wheels.platforms(libc, "aarch64")
    assert found[0] == first
    assert among in found
    assert not_among not in found


# What kinds ask for


ROW = {"torch": "2.1", "version": "2.1.0", "pins": {"numpy": "==1.26.4"}, "add": ["requests"]}
PIP = {"index_url": None, "extra_index_urls": [], "wheels": None}
COMFYUI = {
    "python": "python3",
    "version": "v0.3.7",
    "source": {"git": "https://git.example/comfy.git", "archive": None},
    "torch": None,
    "constraints": [ROW],
    "pins": ["pillow<12"],
    "pip": PIP,
    "ascendcloud": {"libraries": ["ascend_diffusers"]},
}
DIFFUSERS = {
    "python": ["python3"],
    "diffusers": None,
    "constraints": [{"torch": "2.1", "diffusers": "0.33.0", "pins": {}, "add": ["ftfy"]}],
    "pins": [],
    "pip": PIP,
    "libraries": [],
}
WAN = {
    "python": "python3",
    "diffusers": {"commit": "d55f", "git": "https://git.example/d", "archive": None, "url": None, "dependencies": True},
    "pins": ["numpy<2"],
    "pip": PIP,
}


def test_comfyui_asks_for_its_requirements_with_the_torch_of_the_image(tmp_path):
    tree = comfyui_tree.archive(tmp_path / "comfy.zip")
    found = _bundle_wheels.wanted("comfyui", COMFYUI, PYTHON, tree)
    assert found.lines == ["torch==2.1.0", "aiohttp", "pyyaml", "requests"]
    assert found.limits == ["torch==2.1.0", "pillow<12", "numpy==1.26.4"]
    assert found.builds == ("setuptools", "wheel")
    assert _bundle_wheels.wanted("comfyui", {**COMFYUI, "ascendcloud": None}, PYTHON, tree).builds == ()


def test_asking_leaves_the_files_that_a_role_installs_with_alone(tmp_path):
    before = _data.install_digest.__wrapped__("comfyui")
    _bundle_wheels._own.cache_clear()
    _bundle_wheels.wanted("comfyui", COMFYUI, PYTHON, comfyui_tree.archive(tmp_path / "comfy.zip"))
    assert _data.install_digest.__wrapped__("comfyui") == before


def test_diffusers_asks_for_what_goes_with_the_torch_of_the_image():
    found = _bundle_wheels.wanted("diffusers", DIFFUSERS, PYTHON, None)
    assert (found.lines, found.limits) == (["diffusers==0.33.0", "ftfy"], ["torch==2.1.0"])
    there = PYTHON._replace(metadata={**PYTHON.metadata, "d": "Name: diffusers\nVersion: 0.31.0\n"})
    assert _bundle_wheels.wanted("diffusers", DIFFUSERS, there, None).lines == []
    with pytest.raises(FleetError, match="has no torch"):
        _bundle_wheels.wanted("diffusers", DIFFUSERS, PYTHON._replace(metadata={}), None)


def test_wan_asks_for_what_its_diffusers_need(tmp_path, index, monkeypatch):
    (tmp_path / "d.tar.gz").write_bytes(source("d", "1.0", ["dep"], ["extra-builder"]))
    found = _bundle_wheels.wanted("wan_video", WAN, PYTHON, tmp_path / "d.tar.gz")
    assert list(found.builds) == ["setuptools", "wheel", "extra-builder"]
    for name in ("dep", "extra-builder", "setuptools", "wheel"):
        index.wheel(name, "1.0")
    # What builds the tree here is fetched from where pip of the controller gets everything.
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    got = gather(index, tmp_path, found)
    assert {name.partition("-")[0] for name in got} == {"dep", "extra_builder", "setuptools", "wheel"}
    alone = {**WAN, "diffusers": {**WAN["diffusers"], "dependencies": False}}
    assert _bundle_wheels.wanted("wan_video", alone, PYTHON, tmp_path / "d.tar.gz").builds == ()


# The need, what stands behind it, and the bundle's answer


def bake(inputs: dict[str, Any], role: str = "comfyui") -> dict[str, Any]:
    return {"role": role, "base": "reg:5000/base:1", "inputs": inputs, "files_digest": "f"}


def test_every_kind_that_uses_pip_needs_its_packages_unless_the_entry_brings_them():
    for role, inputs in (("comfyui", COMFYUI), ("diffusers", DIFFUSERS), ("wan_video", WAN)):
        need = _bundle.wheels_need(bake(inputs, role), "aarch64")
        assert need
        assert _bundle.place(need).startswith(f"wheels/{role}-")
        own = {**inputs, "pip": {**PIP, "wheels": {"path": "/w", "sha256": "1"}}}
        assert _bundle.wheels_need(bake(own, role), "aarch64") is None
    assert _bundle.wheels_need(bake({"x": 1}, "container_service"), "aarch64") is None


def test_workflows_and_users_need_no_other_packages():
    other = {**COMFYUI, "workflows": [{"name": "x"}], "user": "me"}
    assert _bundle.wheels_need(bake(other), "aarch64") == _bundle.wheels_need(bake(COMFYUI), "aarch64")


def test_the_wheels_of_the_bundle_stand_in_for_the_index():
    need = _bundle.wheels_need(bake(DIFFUSERS, "diffusers"), "aarch64")
    assert need
    row = {"kind": "wheels", "need": need, "path": _bundle.place(need), "sha256": "5"}
    held = _bundle.Bundle("/b", {"artefacts": [row], "files": []}, lambda *_: None)
    found = held.bake(bake(DIFFUSERS, "diffusers"), "aarch64")["pip"]
    assert found == {
        "index_url": None,
        "extra_index_urls": [],
        "wheels": {"path": f"/b/{row['path']}", "sha256": "5"},
    }
    assert held.taken() == []
    held.bake(bake(DIFFUSERS, "diffusers"), "x86_64")
    assert held.taken() == ["does not hold Python packages of diffusers for image reg:5000/base:1 on x86_64"]


def test_packages_are_gathered_once_and_again_when_what_is_asked_changes(index, tmp_path):
    image = archive(tmp_path / "image.tar", PLAIN)
    inputs = {**DIFFUSERS, "pip": {**PIP, "index_url": index.url}}
    row = {**bake(inputs, "diffusers")}
    for name in ("diffusers", "ftfy"):
        index.wheel(name, "0.33.0")
    need = _bundle.wheels_need(row, "aarch64")
    assert need
    given = {"path": str(image), "on": "controller"}
    document = {"bakes": [row], "artefacts": {"images": [{"reference": row["base"], "digest": None, "archive": given}]}}
    settings = {"fleet_bundle_wheels": None, "fleet_bundle_requirements": []}

    def made(before: Any = None, **changed: Any) -> tuple[dict[str, Any], int]:
        around = _bundle_make.Surroundings(Access(), {}, lambda path: "", lambda text: None)
        maker = _bundle_make.Maker(tmp_path / "bundle", before, around)
        found = _bundle_bakes.of(need, document, [], tmp_path / "bundle", {**settings, **changed})
        return maker.wheels(need, found), maker.received

    first, received = made()
    folder = tmp_path / "bundle" / first["path"]
    assert received == sum(one.stat().st_size for one in folder.iterdir()) > 0
    index.wheel("ftfy", "0.34.0")
    assert made({"artefacts": [first]}) == (first, 0)
    index.wheel("more", "1.0")
    second, _received = made({"artefacts": [first]}, fleet_bundle_requirements=["more"])
    assert second["asked"] != first["asked"]
    assert {one.name.split("-")[0] for one in folder.iterdir()} == {"diffusers", "ftfy", "more"}
    assert (folder / "ftfy-0.34.0-py3-none-any.whl").is_file()


def test_a_base_image_on_the_nodes_alone_is_told_with_what_to_do(tmp_path):
    row = bake(DIFFUSERS, "diffusers")
    given = {"path": "/srv/base.tar", "on": "node"}
    document = {"bakes": [row], "artefacts": {"images": [{"reference": row["base"], "digest": None, "archive": given}]}}
    need = _bundle.wheels_need(row, "aarch64")
    assert need
    with pytest.raises(FleetError, match="lies on the nodes"):
        _bundle_bakes.of(need, document, [], tmp_path, {"fleet_bundle_wheels": None, "fleet_bundle_requirements": []})
