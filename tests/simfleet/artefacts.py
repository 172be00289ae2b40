# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the simulated servers: a light HTTP service, and a real vLLM with a tiny model."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import docker

from tests.doubles import comfyui_tree

from . import builder, cache, images, machine, oci
from .errors import SimError
from .node import read_archived
from .progress import step

_FILES = Path(__file__).parent / "files"
_VLLM = _FILES / "vllm"
LOCK = _VLLM / "lock.txt"
_DIFFUSERS = _FILES / "diffusers"
_TORCH = Path(__file__).parents[1] / "doubles" / "torch"
COMFYUI_WHEELS = (
    "aiohttp==3.11.18",
    "pyyaml==6.0.2",
    "setuptools==80.9.0",
    "wheel==0.45.1",
    "ftfy==6.3.1",
    "requests==2.32.3",
)
_LIGHT_APPLETS = ("sh", "httpd", "ls", "cat", "echo", "sleep", "wget", "env", "id", "df", "test")
TORCH_INDEX = "ASCEND_FLEET_TORCH_INDEX"
MODEL_FOLDER = "tiny-chat"


def light(client: docker.DockerClient) -> Path:
    """A static busybox that serves /health and lists the cards it sees: two megabytes."""
    services = images.ensure(client, "services")
    made_from = cache.digest(images.digest("services"), cache.tree_digest(_FILES / "light"))

    def make(partial: Path) -> None:
        container = client.containers.create(services, labels={builder.BUILD_LABEL: "1"})
        try:
            busybox = read_archived(container, "/bin/busybox")
        finally:
            container.remove(v=True)
        entries: list[tuple[str, int, bytes | str]] = [("bin/busybox", 0o755, busybox)]
        entries += [(f"bin/{applet}", 0o777, "busybox") for applet in _LIGHT_APPLETS]
        for path, (mode, content) in builder.folder_files(_FILES / "light", "").items():
            entries.append((path.lstrip("/"), mode, content))
        config = {
            "Cmd": ["httpd", "-f", "-v", "-p", "8080", "-h", "/www"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"8080/tcp": {}},
        }
        oci.write(partial, [oci.tar_of(entries)], config)

    return cache.kept(cache.root() / "images" / f"light-{made_from}", make)


def vllm(client: docker.DockerClient) -> tuple[Path, Path]:
    """The vLLM image, and the folder that holds the model's folder; both proved by an answer."""
    kernels = machine.vllm_kernels()
    made_from = cache.digest(images.digest("python"), kernels, cache.tree_digest(_VLLM))
    image = cache.root() / "images" / f"vllm-{made_from}"
    models = cache.root() / "models" / f"vllm-{made_from}"

    def make(partial: Path) -> None:
        with tempfile.TemporaryDirectory(dir=partial.parent, prefix="vllm-") as name:
            scratch = Path(name)
            _install(client, scratch, kernels)
            with step("Compress the vLLM image"), ExitStack() as stack:
                layers = oci.saved_layers(client, images.ensure(client, "python"), scratch)
                opened = [stack.enter_context(p.open("rb")) for p in [*layers, scratch / "layer.tar"]]
                oci.write(partial, opened, {"Env": _ENVIRONMENT, "Cmd": ["/bin/bash"]})
            cache.remove(models)
            models.mkdir(parents=True)
            (scratch / "model").rename(models / MODEL_FOLDER)

    if not models.exists():
        cache.remove(image)
    cache.kept(image, make)
    # the model of a fleet that is up is mounted from there, so more of those stay
    cache.keep_newest(image.parent, "vllm")
    cache.keep_newest(models.parent, "vllm", count=10)
    return image, models


def diffusers(client: docker.DockerClient) -> tuple[Path, Path]:
    """The vLLM image with image and video pipelines on top, and the folder that holds tiny ones of each family."""
    below, _model = vllm(client)
    made_from = cache.digest(below.name, cache.tree_digest(_DIFFUSERS))
    image = cache.root() / "images" / f"diffusers-{made_from}"
    pipelines = cache.root() / "models" / f"diffusers-{made_from}"

    def make(partial: Path) -> None:
        with tempfile.TemporaryDirectory(dir=partial.parent, prefix="diffusers-") as name:
            scratch = Path(name)
            binds = {str(oci.layers(below)[-1]): "/layer.tar.gz"}
            with step("Install diffusers and try its pipelines"):
                _build(client, _DIFFUSERS, scratch, binds, {"PIP_CERT": builder.BUILD_CA})
            with step("Compress the layer of diffusers"), (scratch / "layer.tar").open("rb") as layer:
                oci.extend(partial, below, layer)
            cache.remove(pipelines)
            (scratch / "pipelines").rename(pipelines)

    if not pipelines.exists():
        cache.remove(image)
    cache.kept(image, make)
    cache.keep_newest(image.parent, "diffusers")
    cache.keep_newest(pipelines.parent, "diffusers", count=10)
    return image, pipelines


def workbench(client: docker.DockerClient) -> Path:
    """A Debian with Python, pip and git, for what installs into a container."""

    def make(partial: Path) -> None:
        tag = images.ensure(client, "workbench")
        with tempfile.TemporaryDirectory(dir=partial.parent, prefix="workbench-") as name, ExitStack() as stack:
            with step("Compress the image workbench"):
                opened = [stack.enter_context(path.open("rb")) for path in oci.saved_layers(client, tag, Path(name))]
                oci.write(partial, opened, {"Env": [_ENVIRONMENT[0]], "Cmd": ["/bin/sh"]})

    image = cache.kept(cache.root() / "images" / f"workbench-oci-{images.digest('workbench')}", make)
    cache.keep_newest(image.parent, "workbench-oci")
    return image


def comfyui_base(client: docker.DockerClient) -> Path:
    """What ComfyUI is installed into: Python, git, the user of the guide, doubles of torch and torch_npu."""
    below = workbench(client)
    made_from = cache.digest(below.name, cache.tree_digest(_TORCH))

    def make(partial: Path) -> None:
        packages = builder.folder_files(_TORCH, "usr/local/lib/python3.11/dist-packages")
        entries: list[tuple[str, int, bytes | str]] = [(path, mode, text) for path, (mode, text) in packages.items()]
        config = {"Env": [_ENVIRONMENT[0]], "User": "ma-user", "Cmd": ["/bin/bash"]}
        oci.extend(partial, below, oci.tar_of(entries), config)

    return cache.kept(cache.root() / "images" / f"comfyui-base-{made_from}", make)


def comfyui_kit() -> Path:
    """A folder with the zip of the double's tag, and beside it the vendor's package as it is unpacked on a node."""
    made_from = cache.digest(cache.tree_digest(comfyui_tree.TREE), Path(comfyui_tree.__file__).read_bytes())

    def make(partial: Path) -> None:
        partial.mkdir()
        comfyui_tree.archive(partial / f"{comfyui_tree.FOLDER}.zip")
        package = comfyui_tree.package(partial / "AscendCloud")
        (package / ".ascend-package.json").write_text(f'{{"double": "{made_from}"}}\n', encoding="utf-8")

    return cache.kept(cache.root() / "models" / f"comfyui-{made_from}", make)


def comfyui_wheels() -> Path:
    """A folder with the wheels that the double of ComfyUI and the libraries of its package need: no index is asked."""
    made_from = cache.digest(*COMFYUI_WHEELS, platform.machine())

    def make(partial: Path) -> None:
        partial.mkdir()
        wanted = ["--only-binary=:all:", "--python-version", "3.11", "--dest", str(partial), *COMFYUI_WHEELS]
        with step("Download the wheels for the double of ComfyUI"):
            argv = [sys.executable, "-m", "pip", "download", "--quiet", *wanted]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SimError(f"pip download failed: {done.stderr.strip()[-600:]}")

    return cache.kept(cache.root() / "wheels" / f"comfyui-{made_from}", make)


_ENVIRONMENT = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONDONTWRITEBYTECODE=1",
    "HF_HUB_OFFLINE=1",
]


def _install(client: docker.DockerClient, out: Path, kernels: str) -> None:
    with step("Install the CPU build of vLLM and try it"):
        _build(client, _VLLM, out, {}, {"KERNELS": kernels, "PIP_CERT": builder.BUILD_CA})


def _build(
    client: docker.DockerClient, folder: Path, out: Path, binds: dict[str, str], variables: dict[str, str]
) -> None:
    """Run a folder's build.sh on a bare Python with pip's own settings; what it makes is in `out`."""
    settings = pip_settings()
    pip_cache = cache.root() / "pip"
    pip_cache.mkdir(parents=True, exist_ok=True)
    binds = {**binds, **{path: path for path in machine.pip_local_paths(settings)}}
    binds |= {str(out): "/out", str(pip_cache): "/root/.cache/pip"}
    environment = {**pip_environment(settings), **variables}
    script = (folder / "build.sh").read_text(encoding="utf-8")
    files = builder.folder_files(folder, "/opt/build")
    with builder.ran(client, images.ensure(client, "python"), script, files, binds, environment):
        pass


def pip_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """pip's settings as variables of a build."""
    return {f"PIP_{key.upper().replace('-', '_')}": value for key, value in settings.items()}


def torch_version() -> str:
    """The CPU build of torch that the lock names."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("torch==")).removeprefix("torch==")


def pip_settings() -> dict[str, str]:
    """pip's own settings, with the index of CPU builds where no wheel folder has torch."""
    settings = machine.pip_settings()
    settings.pop("cert", None)
    wanted = torch_version()
    folders = settings.get("find-links", "").split()
    if any(list(Path(folder.removeprefix("file://")).glob(f"torch-{wanted}-*.whl")) for folder in folders):
        return settings
    index = os.environ.get(TORCH_INDEX)
    if not index:
        raise SimError(
            f"torch {wanted} for CPU is in no wheel folder that pip is configured with (`pip config "
            f"list`, find-links); put its wheel into one, or name an index of CPU builds in "
            f"{TORCH_INDEX}. The much larger CUDA build is never taken instead."
        )
    settings["extra-index-url"] = f"{settings.get('extra-index-url', '')} {index}".strip()
    return settings
