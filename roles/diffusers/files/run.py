# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make pictures with a pipeline of diffusers: the request in, a PNG and a JSON record for each picture out.

usage: run.py REQUEST FOLDER. Runs inside the container, on an NPU (torch_npu) or on the CPU.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

SHEET = "contact-sheet.png"
THUMBNAIL = 256


class Device:
    """What differs between an NPU and the CPU."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.accelerator: Any = None
        if name == "npu":
            import torch_npu  # noqa: F401 - it makes torch.npu

            self.accelerator = torch.npu
            self.name = "npu:0"

    def described(self) -> str:
        return f"{self.name} ({self.accelerator.get_device_name(0)})" if self.accelerator else self.name

    def begin(self) -> None:
        if self.accelerator:
            self.accelerator.reset_peak_memory_stats()

    def peak_mb(self) -> float:
        """Of the card since ``begin``; on the CPU of the process since its start."""
        if self.accelerator:
            self.accelerator.synchronize()
            return round(self.accelerator.max_memory_allocated() / 1e6, 1)
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


def load(request: dict[str, Any], device: Device) -> Any:
    import diffusers

    wanted = request["pipeline"]
    named = json.loads(Path(request["model"], "model_index.json").read_text(encoding="utf-8"))["_class_name"]
    if named != wanted:
        raise SystemExit(f"The model is for {named}, not for {wanted}.")
    kind = getattr(diffusers, wanted, None)
    if kind is None:
        raise SystemExit(f"diffusers {diffusers.__version__} has no {wanted}; install a newer one.")
    for plugin in request["imports"]:
        __import__(plugin)
    made = kind.from_pretrained(request["model"], torch_dtype=getattr(torch, request["dtype"]), local_files_only=True)
    made.set_progress_bar_config(disable=True)
    return made.to(device.name)


def draw(pipeline: Any, request: dict[str, Any], item: dict[str, Any]) -> Any:
    arguments = {**request["arguments"], "prompt": item["prompt"]}
    if item["negative_prompt"]:
        arguments["negative_prompt"] = item["negative_prompt"]
    # A generator of the CPU gives the same noise on every device.
    generator = torch.Generator("cpu").manual_seed(item["seed"])
    with torch.inference_mode():
        return pipeline(**arguments, generator=generator).images[0]


def write(picture: Any, record: dict[str, Any], folder: Path, name: str) -> None:
    picture.save(folder / f"{name}.png")
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def sheet(pictures: list[Any], path: Path) -> None:
    """All pictures in one, in their order."""
    from PIL import Image

    columns = math.ceil(math.sqrt(len(pictures)))
    side = max(min(THUMBNAIL, max(picture.size)) for picture in pictures)
    whole = Image.new("RGB", (columns * side, math.ceil(len(pictures) / columns) * side), "white")
    for number, picture in enumerate(pictures):
        small = picture.convert("RGB")
        small.thumbnail((side, side))
        row, column = divmod(number, columns)
        whole.paste(small, (column * side + (side - small.width) // 2, row * side + (side - small.height) // 2))
    whole.save(path)


def main(request: dict[str, Any], folder: Path) -> None:
    device = Device(request["device"])
    began = time.monotonic()
    pipeline = load(request, device)
    loaded = round(time.monotonic() - began, 3)
    print(f"{request['pipeline']} loaded in {loaded} s on {device.described()}", flush=True)
    pictures = []
    for number, item in enumerate(request["items"], 1):
        device.begin()
        began = time.monotonic()
        picture = draw(pipeline, request, item)
        seconds = round(time.monotonic() - began, 3)
        record = {
            "model": request["model"],
            "pipeline": request["pipeline"],
            "prompt": item["prompt"],
            "negative_prompt": item["negative_prompt"],
            "seed": item["seed"],
            "arguments": request["arguments"],
            "dtype": request["dtype"],
            "device": device.described(),
            "width": picture.width,
            "height": picture.height,
            "seconds": seconds,
            "load_seconds": loaded,
            "peak_memory_mb": device.peak_mb(),
        }
        write(picture, record, folder, item["name"])
        pictures.append(picture)
        print(f"{number} of {len(request['items'])}: {item['name']} in {seconds} s", flush=True)
    if request["contact_sheet"] and len(pictures) > 1:
        sheet(pictures, folder / SHEET)


if __name__ == "__main__":
    os.umask(0o022)
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
