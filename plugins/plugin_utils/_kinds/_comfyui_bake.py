# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into an image with ComfyUI: source, packages, the vendor's parts, workflows. Private to the collection."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

PACKAGE = "/opt/ascend-fleet/ascendcloud"
PACKAGE_MANIFEST = ".ascend-package.json"
UTILS = "aigc_inference/torch_npu/utils"
NODE = "aigc_inference/torch_npu/comfyui/{}/comfyui_ascend_node"
LOGIN = re.compile(r"^[a-z+]+://[^/@]+@")


def operators_script(entry: _base.Entry) -> str:
    """Made by the operator package below the path it was installed to."""
    return posixpath.join(entry["ascendcloud"]["operators_dir"], "vendors/customize/bin/set_env.bash")


def workflows(entry: _base.Entry) -> str:
    return f"{entry['install_dir']}.workflows"


def bake(entry: _base.Entry, settings: _base.Settings) -> _base.Bake:
    package = entry["ascendcloud"]
    inputs = {
        "install_dir": entry["install_dir"],
        "python": entry["python"],
        "user": entry["user"],
        "npu": entry["npus"]["count"] > 0,
        "version": entry["version"],
        "source": _source(entry, settings),
        "torch": entry["torch"],
        "constraints": _comfyui.constraints(_comfyui.version(entry["version"])),
        "pins": list(entry["constraints"]),
        "pip": _pip(entry, settings),
        "ascendcloud": _package(entry) if package else None,
        "matmul_workaround": entry["matmul_workaround"],
        "workflows": [_workflow(item, settings) for item in entry["workflows"]],
        "workflows_dir": workflows(entry),
    }
    if not package:
        return _base.Bake(inputs)
    return _base.Bake(
        inputs,
        mounts=[{"source": package["path"], "target": PACKAGE}],
        manifests=[posixpath.join(package["path"], PACKAGE_MANIFEST)],
    )


def _source(entry: _base.Entry, settings: _base.Settings) -> dict[str, Any]:
    given = entry["source"]
    if given["archive"] or given["url"]:
        return {"git": None, "archive": _file(given["archive"], given["url"], given["sha256"], settings)}
    return {"git": given["git"], "archive": None}


def _file(path: str | None, url: str | None, sha256: str | None, settings: _base.Settings) -> dict[str, Any]:
    """An address with what it must hold, or a file of the controller with what it does hold."""
    return {"url": url, "path": path, "sha256": settings.sha256(path) if path else sha256}


def _workflow(item: dict[str, Any], settings: _base.Settings) -> dict[str, Any]:
    return {"name": _name(item), **_file(item["file"], item["url"], item["sha256"], settings)}


def _name(item: dict[str, Any]) -> str:
    where = str(item["url"] or item["file"])
    return str(item["name"] or posixpath.basename(where.partition("?")[0])).removesuffix(".json")


def _pip(entry: _base.Entry, settings: _base.Settings) -> dict[str, Any]:
    wheels = entry["pip"]["wheels"]
    return {
        "index_url": entry["pip"]["index_url"],
        "extra_index_urls": list(entry["pip"]["extra_index_urls"]),
        "wheels": {"path": wheels, "sha256": settings.sha256(wheels)} if wheels else None,
    }


def _package(entry: _base.Entry) -> dict[str, Any]:
    package = entry["ascendcloud"]
    return {
        "path": PACKAGE,
        "node": native(entry) is False,
        "release": entry["version"].removeprefix("v"),
        "operators": package["operators"],
        "operators_dir": package["operators_dir"],
        "libraries": list(package["libraries"]),
    }


def packages(entry: _base.Entry) -> list[dict[str, Any]]:
    """The parts of the vendor's package that are unpacked when the entry says where it lies."""
    if not entry["ascendcloud"]:
        return []
    inner = [f"{UTILS}/{name}" for name in entry["ascendcloud"]["libraries"]]
    inner += [NODE.format(entry["version"].removeprefix("v"))] if native(entry) is False else []
    parts = [{"name": "AIGC", "include": inner}] if inner else []
    parts += [{"name": "OPP"}] if entry["ascendcloud"]["operators"] else []
    return _base.packages(entry, parts)


def native(entry: _base.Entry) -> bool | None:
    """Whether ComfyUI itself uses the NPU; None when that is not known."""
    number = _comfyui.version(entry["version"])
    if entry["npu_support"] != "auto":
        return bool(entry["npu_support"] == "native")
    return None if number is None else _comfyui.runs_on_npu(number)


def flaws(entry: _base.Entry) -> Iterator[Flaw]:
    if not entry["install"]:
        for key in ("workflows", "ascendcloud"):
            if entry[key]:
                yield Flaw(
                    key, "given", "needs an installation, but install is false", "Leave it out, or set install: true."
                )
        return
    if entry["npus"]["count"]:
        own = native(entry)
        if own is None:
            remedy = "Write npu_support: native, or npu_support: node for one from before December 2024."
            yield Flaw(
                "version", entry["version"], "is no release, so that nobody knows what it needs for an NPU", remedy
            )
        elif not own and not entry["ascendcloud"]:
            remedy = (
                "Unpack the vendor's package on the nodes (role ascendcloud) and name its folder in ascendcloud,"
                " or use a newer version."
            )
            yield Flaw(
                "ascendcloud", None, f"is missing: {entry['version']} uses an NPU only by the vendor's node", remedy
            )
    if entry["matmul_workaround"]:
        yield from _workaround(entry)
    source = entry["source"]
    if source["archive"] and source["url"]:
        yield Flaw("source.url", source["url"], "stands beside an archive", "Give one of them.")
    if source["url"] and not source["sha256"]:
        yield Flaw("source.sha256", None, "is missing", "Give the digest of what is at source.url (sha256sum).")
    for key, url in _addresses(entry):
        if LOGIN.match(url):
            yield Flaw(key, "an address with a login", "would be written into the image", "Use an address without one.")
    names: set[str] = set()
    for index, item in enumerate(entry["workflows"]):
        if bool(item["file"]) == bool(item["url"]):
            yield Flaw(f"workflows[{index}]", None, "needs either file or url", "Give one of them.")
            continue
        name = _name(item)
        if name in names:
            yield Flaw(f"workflows[{index}].name", name, "is used twice", "Name each workflow once.")
        names.add(name)


def _workaround(entry: _base.Entry) -> Iterator[Flaw]:
    """It changes a file of the vendor's node, which only a version that needs the node gets."""
    message, remedy = "changes a file of the vendor's node, and there is none", "Leave it out."
    own = native(entry)
    if not entry["ascendcloud"]:
        yield Flaw("matmul_workaround", True, message, remedy)
    elif own:
        yield Flaw("matmul_workaround", True, f"{message}: {entry['version']} uses an NPU by itself", remedy)
    elif own is None:
        remedy = "Leave it out, or write npu_support: node for a version from before December 2024."
        yield Flaw("matmul_workaround", True, f"{message} unless {entry['version']} is known to need it", remedy)


def _addresses(entry: _base.Entry) -> Iterator[tuple[str, str]]:
    yield "source.git", entry["source"]["git"]
    yield "source.url", entry["source"]["url"] or ""
    yield "pip.index_url", entry["pip"]["index_url"] or ""
    for index, url in enumerate(entry["pip"]["extra_index_urls"]):
        yield f"pip.extra_index_urls[{index}]", url
    for index, item in enumerate(entry["workflows"]):
        yield f"workflows[{index}].url", item["url"] or ""
