# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models, inputs, outputs and custom nodes are."""

from __future__ import annotations

import logging
import os
import shutil

import yaml

SUFFIXES = (".ckpt", ".pt", ".bin", ".pth", ".safetensors", ".pkl", ".sft")
LEGACY = {"unet": "diffusion_models", "clip": "text_encoders"}
BESIDES = {"text_encoders": ["clip"], "diffusion_models": ["unet"], "controlnet": ["t2i_adapter"]}
MODELS = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "hypernetworks",
    "photomaker",
    "classifiers",
)


class Folders:
    def __init__(self, root: str) -> None:
        models = os.path.join(root, "models")
        self.paths = {name: [os.path.join(models, part) for part in [name, *BESIDES.get(name, [])]] for name in MODELS}
        self.paths["custom_nodes"] = [os.path.join(root, "custom_nodes")]
        self.output, self.temp = os.path.join(root, "output"), os.path.join(root, "temp")
        self.input, self.user = os.path.join(root, "input"), os.path.join(root, "user")

    def of(self, kind: str) -> list[str]:
        return self.paths[LEGACY.get(kind, kind)]

    def add(self, kind: str, path: str, first: bool = False) -> None:
        known = self.paths.setdefault(LEGACY.get(kind, kind), [])
        known.insert(0 if first else len(known), path)

    def files(self, kind: str) -> list[str]:
        found = set()
        for folder in self.of(kind):
            for base, _folders, names in os.walk(folder, followlinks=True):
                found |= {os.path.relpath(os.path.join(base, n), folder) for n in names if n.lower().endswith(SUFFIXES)}
        return sorted(found)

    def typed(self, kind: str) -> str | None:
        return {"output": self.output, "temp": self.temp, "input": self.input}.get(kind)

    def clean_temp(self) -> None:
        shutil.rmtree(self.temp, ignore_errors=True)

    def load_extra(self, path: str) -> None:
        with open(path, encoding="utf-8") as handle:
            sections = yaml.safe_load(handle) or {}
        for section in filter(None, sections.values()):
            base = os.path.expandvars(
                os.path.expanduser(section.pop("base_path", os.path.dirname(os.path.abspath(path))))
            )
            first = bool(section.pop("is_default", False))
            for kind, text in section.items():
                for line in filter(None, text.split("\n")):
                    full = os.path.join(base, line)
                    logging.info("Adding extra search path %s %s", kind, full)
                    self.add(kind, full, first)
