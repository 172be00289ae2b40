# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalogue knows of ComfyUI: flags by version, packages that go together, model sets and graphs.

Private to the collection.
"""

from __future__ import annotations

import copy
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.plugin_utils import _data

Graph = dict[str, dict[str, Any]]
Version = tuple[int, ...]

BASIC = "basic"
SAVE = "save"
HUB = "https://huggingface.co"
# A folder of models that people keep as ComfyUI does.
FOLDERS = (
    "checkpoints",
    "clip",
    "text_encoders",
    "clip_vision",
    "configs",
    "controlnet",
    "diffusers",
    "diffusion_models",
    "unet",
    "embeddings",
    "gligen",
    "hypernetworks",
    "loras",
    "photomaker",
    "style_models",
    "upscale_models",
    "vae",
    "vae_approx",
    # Of later releases; an older one passes over them.
    "audio_encoders",
    "background_removal",
    "classifiers",
    "detection",
    "frame_interpolation",
    "geometry_estimation",
    "latent_upscale_models",
    "model_patches",
    "optical_flow",
)
_PLACES = {**{kind: kind for kind in FOLDERS}, "controlnet": "controlnet\nt2i_adapter"}
_VERSION = re.compile(r"^v?(\d+)\.(\d+)\.(\d+)$")


def version(text: str) -> Version | None:
    """The number of a release; None for a branch or a commit."""
    found = _VERSION.match(text)
    return tuple(int(part) for part in found.groups()) if found else None


def runs_on_npu(number: Version) -> bool:
    """Whether this release finds an NPU by itself."""
    return number >= _number(_table()["native_npu"]["since"])


def oldest() -> str:
    return str(_table()["flags"]["first"])


class Flag(NamedTuple):
    takes: str
    since: str
    until: str | None = None


@cache
def flags() -> dict[str, Flag]:
    rows = _table()["flags"]["rows"]
    known = (
        (name, Flag(row["takes"], row["since"], row.get("until"))) for row in rows for name in row["names"].split()
    )
    return {f"--{name}": flag for name, flag in known}


@cache
def newest() -> Version:
    """The newest release that the table of flags has something to say about."""
    return max(_number(flag.since) for flag in flags().values())


def knows(flag: str, number: Version) -> bool:
    found = flags().get(flag)
    return found is not None and _has(found, number)


def constraints(number: Version | None) -> list[dict[str, Any]]:
    """Sets of packages for a release, by the torch that is there; the first that fits is taken."""
    found = []
    for row in _table()["constraints"]:
        below = row["comfyui"]["below"]
        fits = number is not None and number >= _number(row["comfyui"]["from"])
        if below is None or (fits and number is not None and number < _number(below)):
            found.append({key: row[key] for key in ("torch", "version", "pins", "add")})
    return found


class Weights(NamedTuple):
    """A file of a model set."""

    repository: str
    file: str
    folder: str
    gate: str | None
    size_gb: float

    @property
    def name(self) -> str:
        return posixpath.basename(self.file)

    @property
    def url(self) -> str:
        return f"{HUB}/{self.repository}/resolve/main/{self.file}"


def sets() -> list[str]:
    return list(_table()["models"]["sets"])


def weights(names: Iterable[str]) -> list[Weights]:
    """The files of some sets; one that several sets share is there once."""
    rows = (row for name in names for row in _table()["models"]["sets"][name])
    found = (Weights(row["repository"], row["file"], row["folder"], row["gate"], row["size_gb"]) for row in rows)
    return list(dict.fromkeys(found))


def repositories(files: Sequence[Weights]) -> dict[str, list[str]]:
    """What is brought of the repositories of some files: all that any set uses, so that services share the folder."""
    wanted = dict.fromkeys(file.repository for file in files)
    known = weights(sets())
    return {name: [file.file for file in known if file.repository == name] for name in wanted}


def home(folder: str, repository: str) -> str:
    """Where the files of a repository are on a node."""
    return posixpath.join(folder, repository.rpartition("/")[2])


def model_paths(folder: str, files: Sequence[Weights]) -> str:
    """The text of extra_model_paths.yaml: what is kept as ComfyUI does, and what came as its repositories have it."""
    sections = {"fleet": {"base_path": folder, **_PLACES}}
    for repository in repositories(files):
        section: dict[str, list[str]] = {}
        for file in files:
            place = posixpath.dirname(file.file) or "."
            if file.repository == repository and place not in section.setdefault(file.folder, []):
                section[file.folder].append(place)
        paths = {kind: "\n".join(places) for kind, places in section.items()}
        sections[repository] = {"base_path": home(folder, repository), **paths}
    # JSON is YAML.
    return json.dumps(sections, indent=1)


def graph(name: str) -> Graph:
    """An API-format graph of ours: of a model set, or the one that needs no weights."""
    loaded: Graph = json.loads(_graph_text(_data.ROLES / "comfyui" / "files" / "graphs" / f"{name}.json"))
    return copy.deepcopy(loaded)


def proof(name: str, prefix: str, size: int, steps: int) -> Graph:
    """The graph made small and never the same, so that nothing is answered from a cache."""
    made = graph(name)
    for node in made.values():
        inputs = node["inputs"]
        if node["class_type"] == "KSampler":
            inputs.update(seed="${random}", steps=steps)
        elif node["class_type"] == "EmptyImage":
            inputs["color"] = "${random}"
        elif "width" in inputs:
            inputs.update(width=size, height=size)
    made[SAVE]["inputs"]["filename_prefix"] = prefix
    return made


def _has(flag: Flag, number: Version) -> bool:
    return _number(flag.since) <= number and (flag.until is None or number < _number(flag.until))


def wrong_flags(arguments: Sequence[str], number: Version | None) -> Iterator[tuple[str, str]]:
    """Flags that this release does not have, and the release they came with when that is a later one."""
    if number is None:
        return
    for word in arguments:
        name = word.partition("=")[0]
        found = flags().get(name)
        # A release newer than the table may have flags that the table does not have.
        wrong = not _has(found, number) if found else number <= newest()
        if name.startswith("--") and wrong:
            yield name, found.since if found and number < _number(found.since) else ""


@cache
def _graph_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = _data.catalogue("comfyui")
    return table


def _number(text: str) -> Version:
    found = version(text)
    if found is None:
        raise ValueError(text)
    return found
