# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages shaped as the vendor's: an outer zip that holds one zip for each part."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "6.5.902"
STAMP = "20250523112233"
WAN = "multimodal_algorithm/Wan2_1"
WHEEL = "ascend_cloud_ops_custom-6.5.902-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
INSTALLER = "ascend_cloud_ops_custom_opp-6.5.902_linux_aarch64_ascend910b.run"

# The names are those of the vendor's guide.
PARTS: dict[str, dict[str, bytes]] = {
    "AIGC": {
        f"{WAN}/AscendX_Video.cpython-310-aarch64-linux-gnu.so": b"\x7fELF video" * 900,
        f"{WAN}/sp_fsdp.cpython-310-aarch64-linux-gnu.so": b"\x7fELF fsdp" * 700,
        f"{WAN}/infer.py": b"print('a video')\n",
        f"{WAN}/inference.sh": b"#!/bin/sh\ntorchrun infer.py\n",
        f"{WAN}/README.md": b"# Wan2.1\n",
        f"{WAN}/requirements.txt": b"ftfy\n",
        "aigc_inference/torch_npu/comfyui/0.3.7/comfyui_ascend_node/__init__.py": b"NODE_CLASS_MAPPINGS = {}\n",
        "aigc_inference/torch_npu/comfyui/0.3.7/comfyui_ascend_node/prestartup_script.py": b"import torch_npu\n",
        "aigc_inference/torch_npu/utils/ascend_diffusers/setup.py": b"from setuptools import setup; setup()\n",
        "aigc_inference/torch_npu/utils/AscendX-MM/setup.py": b"from setuptools import setup; setup()\n",
    },
    "LLM": {"llm_tools/llm_evaluation/mme_eval/metric.py": b"print('score')\n", "llm_tools/empty": b""},
    "OPP": {WHEEL: b"a wheel", INSTALLER: b"#!/bin/sh\n"},
}


def file_name(kind: str | None = None, version: str = VERSION, stamp: str = STAMP) -> str:
    variant = "-torch" if kind == "OPP" else ""
    return f"AscendCloud-{kind + '-' if kind else ''}{version}{variant}-{stamp}.zip"


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip as Unix makes it: modes, and folders as entries of their own."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as archive:
        for folder in sorted({parent for name in files for parent in map(str, Path(name).parents)} - {"."}):
            archive.writestr(entry(folder + "/", 0o40755), b"")
        for name, content in files.items():
            executable = name.endswith((".sh", ".run"))
            archive.writestr(entry(name, 0o100755 if executable else 0o100644, method), content)
    return memory.getvalue()


def entry(name: str, mode: int = 0o100644, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, (2025, 5, 23, 11, 22, 34))
    made.create_system = 3
    made.external_attr = mode << 16
    made.compress_type = method
    return made


def part(folder: Path, kind: str, content: bytes | None = None, version: str = VERSION, stamp: str = STAMP) -> Path:
    """A part's package by itself."""
    path = folder / file_name(kind, version, stamp)
    path.write_bytes(zipped(PARTS[kind]) if content is None else content)
    return path


def outer(
    folder: Path,
    parts: Mapping[str, bytes] | None = None,
    method: int = zipfile.ZIP_STORED,
    version: str = VERSION,
    stamp: str = STAMP,
) -> Path:
    """The whole package; ``method`` is how the parts' packages lie in it."""
    held = {kind: zipped(files) for kind, files in PARTS.items()} if parts is None else parts
    path = folder / file_name(None, version, stamp)
    with zipfile.ZipFile(path, "w") as archive:
        for kind, content in held.items():
            archive.writestr(entry(file_name(kind, version, stamp), method=method), content)
    return path
