# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of 0.3.7: these flags and no others."""

from __future__ import annotations

import argparse
import os

SWITCHES = (
    "auto-launch",
    "disable-auto-launch",
    "cpu-vae",
    "force-channels-last",
    "disable-ipex-optimize",
    "disable-xformers",
    "disable-smart-memory",
    "deterministic",
    "fast",
    "dont-print-server",
    "quick-test-for-ci",
    "windows-standalone-build",
    "disable-metadata",
    "disable-all-custom-nodes",
    "multi-user",
)
EITHER = (
    "cuda-malloc disable-cuda-malloc",
    "force-fp32 force-fp16",
    "fp32-unet fp64-unet bf16-unet fp16-unet fp8_e4m3fn-unet fp8_e5m2-unet",
    "fp16-vae fp32-vae bf16-vae",
    "fp8_e4m3fn-text-enc fp8_e5m2-text-enc fp16-text-enc fp32-text-enc",
    "use-split-cross-attention use-quad-cross-attention use-pytorch-cross-attention",
    "force-upcast-attention dont-upcast-attention",
    "gpu-only highvram normalvram lowvram novram cpu",
)
LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def directory(path: str) -> str:
    if not os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{path} is not a valid directory.")
    return path


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("--listen", default="127.0.0.1", nargs="?", const="0.0.0.0,::")
    made.add_argument("--port", type=int, default=8188)
    for name in (
        "tls-keyfile",
        "tls-certfile",
        "output-directory",
        "temp-directory",
        "input-directory",
        "front-end-version",
    ):
        made.add_argument(f"--{name}")
    for name in ("user-directory", "front-end-root"):
        made.add_argument(f"--{name}", type=directory)
    made.add_argument("--enable-cors-header", nargs="?", const="*")
    made.add_argument("--max-upload-size", type=float, default=100)
    made.add_argument("--extra-model-paths-config", nargs="+", action="append")
    made.add_argument("--cuda-device", type=int)
    made.add_argument("--directml", type=int, nargs="?", const=-1)
    made.add_argument("--preview-method", choices=["none", "auto", "latent2rgb", "taesd"], default="none")
    made.add_argument("--preview-size", type=int, default=512)
    made.add_argument("--reserve-vram", type=float)
    made.add_argument("--default-hashing-function", choices=["md5", "sha1", "sha256", "sha512"], default="sha256")
    made.add_argument("--verbose", default="INFO", const="DEBUG", nargs="?", choices=LEVELS)
    caching = made.add_mutually_exclusive_group()
    caching.add_argument("--cache-classic", action="store_true")
    caching.add_argument("--cache-lru", type=int, default=0)
    for names in EITHER:
        group = made.add_mutually_exclusive_group()
        for name in names.split():
            group.add_argument(f"--{name}", action="store_true")
    for name in SWITCHES:
        made.add_argument(f"--{name}", action="store_true")
    return made


def parse() -> argparse.Namespace:
    return parser().parse_args()
