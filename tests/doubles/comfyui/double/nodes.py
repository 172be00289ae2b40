# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes that the graphs of the tests use, with their inputs as recorded, and the loading of custom ones."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from double import png
from double.device import faults
from double.folders import Folders

SIZE = {"min": 1, "max": 16384}


class Picture(NamedTuple):
    width: int
    height: int
    colour: int


class Node(NamedTuple):
    inputs: Callable[[], dict[str, Any]]
    """Name of an input to its type, or to the list of its values, and limits."""
    outputs: tuple[str, ...]
    run: Callable[..., Any]
    is_output: bool = False
    module: str = "nodes"


Catalogue = dict[str, Node]


def builtin(folders: Folders) -> Catalogue:
    def files(kind: str) -> tuple[list[str], dict[str, Any]]:
        return folders.files(kind), {}

    def some(*names: str) -> dict[str, Any]:
        return {name: (name.rstrip("0123456789").upper(), {}) for name in names}

    def loader(outputs: tuple[str, ...], **kinds: Any) -> Node:
        def inputs() -> dict[str, Any]:
            return {key: files(kind) if isinstance(kind, str) else (kind, {}) for key, kind in kinds.items()}

        return Node(inputs, outputs, lambda **values: tuple(str(sorted(values.items())) for _output in outputs))

    image = {"width": ("INT", SIZE), "height": ("INT", SIZE), "batch_size": ("INT", {"min": 1, "max": 4096})}
    sampling = {
        "model": ("MODEL", {}),
        "seed": ("INT", {"min": 0, "max": 0xFFFFFFFFFFFFFFFF}),
        "steps": ("INT", {"min": 1, "max": 10000}),
        "cfg": ("FLOAT", {"min": 0, "max": 100}),
        "sampler_name": (["euler", "dpmpp_2m"], {}),
        "scheduler": (["normal", "karras", "sgm_uniform", "simple"], {}),
        "positive": ("CONDITIONING", {}),
        "negative": ("CONDITIONING", {}),
        "latent_image": ("LATENT", {}),
        "denoise": ("FLOAT", {"min": 0, "max": 1}),
    }
    text = {"text": ("STRING", {}), "clip": ("CLIP", {})}
    images = {"images": ("IMAGE", {})}
    size = {
        "width": ("INT", {**SIZE, "min": 16}),
        "height": ("INT", {**SIZE, "min": 16}),
        "batch_size": image["batch_size"],
    }
    return {
        "EmptyImage": Node(lambda: {**image, "color": ("INT", {"min": 0, "max": 0xFFFFFF})}, ("IMAGE",), _empty_image),
        "SaveImage": Node(
            lambda: {**images, "filename_prefix": ("STRING", {})}, (), _saver(folders, "output"), is_output=True
        ),
        "PreviewImage": Node(lambda: images, (), _saver(folders, "temp"), is_output=True),
        "CheckpointLoaderSimple": loader(("MODEL", "CLIP", "VAE"), ckpt_name="checkpoints"),
        "UNETLoader": loader(
            ("MODEL",), unet_name="diffusion_models", weight_dtype=["default", "fp8_e4m3fn", "fp8_e5m2"]
        ),
        "VAELoader": loader(("VAE",), vae_name="vae"),
        "DualCLIPLoader": loader(
            ("CLIP",), clip_name1="text_encoders", clip_name2="text_encoders", type=["sdxl", "sd3", "flux"]
        ),
        "TripleCLIPLoader": loader(
            ("CLIP",), clip_name1="text_encoders", clip_name2="text_encoders", clip_name3="text_encoders"
        ),
        "CLIPTextEncode": Node(lambda: text, ("CONDITIONING",), lambda text, clip: (f"{text} {clip}",)),
        "FluxGuidance": Node(
            lambda: {**some("conditioning"), "guidance": ("FLOAT", {"min": 0, "max": 100})},
            ("CONDITIONING",),
            lambda conditioning, guidance: (f"{conditioning} {guidance}",),
        ),
        "ModelSamplingSD3": Node(
            lambda: {**some("model"), "shift": ("FLOAT", {"min": 0, "max": 100})},
            ("MODEL",),
            lambda model, shift: (model,),
        ),
        "EmptyLatentImage": Node(lambda: size, ("LATENT",), _latent),
        "EmptySD3LatentImage": Node(lambda: size, ("LATENT",), _latent),
        "KSampler": Node(lambda: sampling, ("LATENT",), _sample),
        "VAEDecode": Node(
            lambda: {"samples": ("LATENT", {}), "vae": ("VAE", {})}, ("IMAGE",), lambda samples, vae: (samples,)
        ),
    }


def _empty_image(width: int, height: int, batch_size: int, color: int) -> tuple[Picture]:
    return (Picture(width, height, color),)


def _latent(width: int, height: int, batch_size: int) -> tuple[Picture]:
    return (Picture(width, height, 0),)


def _sample(latent_image: Picture, **values: Any) -> tuple[Picture]:
    colour = zlib.crc32(repr(sorted(values.items())).encode()) & 0xFFFFFF
    return (latent_image._replace(colour=colour),)


def _saver(folders: Folders, kind: str) -> Callable[..., Any]:
    def save(images: Picture, filename_prefix: str = "ComfyUI_temp_abcde") -> dict[str, Any]:
        if "no-numpy" in faults():
            raise RuntimeError("Numpy is not available")
        base = folders.typed(kind) or ""
        subfolder, prefix = os.path.split(filename_prefix)
        folder = os.path.join(base, subfolder)
        if os.path.commonpath((base, os.path.abspath(folder))) != base:
            raise RuntimeError("Saving image outside the output folder is not allowed.")
        os.makedirs(folder, exist_ok=True)
        number = 1 + sum(name.startswith(f"{prefix}_") for name in os.listdir(folder))
        name = f"{prefix}_{number:05}_.png"
        with open(os.path.join(folder, name), "wb") as handle:
            handle.write(png.plain(images.width, images.height, images.colour))
        return {"images": [{"filename": name, "subfolder": subfolder, "type": kind}]}

    return save


def load_custom(catalogue: Catalogue, folders: list[str]) -> None:
    times = []
    for folder in folders:
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if (
                name == "__pycache__"
                or path.endswith(".disabled")
                or (os.path.isfile(path) and not path.endswith(".py"))
            ):
                continue
            started = time.perf_counter()
            times.append((_imported(catalogue, path), time.perf_counter() - started, path))
    if times:
        logging.info("\nImport times for custom nodes:")
        for worked, seconds, path in times:
            logging.info("{:6.1f} seconds{}: {}".format(seconds, "" if worked else " (IMPORT FAILED)", path))
        logging.info("")


def _imported(catalogue: Catalogue, path: str) -> bool:
    name = os.path.basename(path)
    source = path if os.path.isfile(path) else os.path.join(path, "__init__.py")
    try:
        spec = importlib.util.spec_from_file_location(name, source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except Exception as error:
        logging.warning(traceback.format_exc())
        logging.warning("Cannot import %s module for custom nodes: %s", path, error)
        return False
    if getattr(module, "NODE_CLASS_MAPPINGS", None) is None:
        logging.warning("Skip %s module for custom nodes due to the lack of NODE_CLASS_MAPPINGS.", path)
        return False
    for key in module.NODE_CLASS_MAPPINGS:
        catalogue.setdefault(key, Node(dict, (), lambda: (), module=f"custom_nodes.{name}"))
    return True
