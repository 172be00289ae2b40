# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that a ComfyUI server works: device, custom nodes, and graphs that run. Private to the collection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base

# A server whose custom node failed serves nevertheless; only its log tells.
FAILED_NODES = ["Failed to execute startup-script", "(PRESTARTUP FAILED)", "(IMPORT FAILED)"]
PREFIX = "ascend-fleet-proof"
# Somebody else's picture may be in the making.
JOB_SECONDS = 300


def steps(entry: _base.Entry, output_dir: str) -> Iterator[dict[str, Any]]:
    device = entry["device_type"] or ("npu" if entry["npus"]["count"] else "cpu")
    other = [
        {"path": "devices.0.type", "equals": kind} for kind in ("cpu", "npu", "cuda", "xpu", "mps") if kind != device
    ]
    yield _base.step(
        "GET",
        "/system_stats",
        None,
        [{"path": "devices.0.type", "equals": device}],
        reject=other,
        tell=["devices.0.type"],
    )
    # The line with the reason stands before the one that counts the failures.
    yield {"forbid": [f"Cannot import {entry['install_dir']}/custom_nodes/", *FAILED_NODES]}
    if entry["smoke"] == "none":
        return
    names = [_comfyui.BASIC, *(entry["model_sets"] if entry["smoke"] == "auto" else [])]
    for name in names:
        seconds = JOB_SECONDS if name == _comfyui.BASIC else entry["smoke_timeout"]
        yield from _job(entry, name, seconds, output_dir)


def _job(entry: _base.Entry, name: str, seconds: int, output_dir: str) -> Iterator[dict[str, Any]]:
    """Submit a graph, wait for it, fetch the picture, and take it away again."""
    graph = _comfyui.proof(name, PREFIX, entry["smoke_size"], entry["smoke_steps"])
    job, picture = f"{name}_job", f"{name}_picture"
    yield _base.step(
        "POST",
        "/prompt",
        {"prompt": graph, "front": True},
        [_base.holds("prompt_id", "string")],
        reject=[{"path": "error", "type": "object", "non_empty": True}],
        tell=["error.message", "node_errors"],
        capture={job: "prompt_id"},
    )
    status = f"${{{job}}}.status"
    yield _base.step(
        "GET",
        f"/history/${{{job}}}",
        None,
        [{"path": f"{status}.status_str", "equals": "success"}, {"path": f"{status}.completed", "equals": True}],
        reject=[{"path": f"{status}.status_str", "equals": "error"}],
        tell=[f"{status}.messages.-1.1.exception_message"],
        until={"timeout": seconds, "interval": 0.5},
        capture={picture: f"${{{job}}}.outputs.{_comfyui.SAVE}.images.0.filename"},
    )
    yield _base.step("GET", f"/view?filename=${{{picture}}}&type=output", None, [{"contains": "PNG\r\n"}])
    yield {"command": ["rm", "--", f"{output_dir}/${{{picture}}}"], "timeout": 30}
