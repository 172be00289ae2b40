# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``diffusers``: pictures by a pipeline of diffusers, as a job. Private to the collection."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _catalogue, _data
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

TARGET = "/outputs"
RUNNER, REQUEST = "run.py", "request.json"
SHEET = "contact-sheet.png"
CPU_SHM = 1 << 30
CARD_SHM = 16 << 30
PACKAGE = "/opt/ascend-fleet/ascendcloud"
PACKAGE_MANIFEST = ".ascend-package.json"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "HOME": "/tmp"}
# Arguments of a pipeline that have a key of their own; the generator is made from the seed.
OWN_ARGUMENTS = {
    "prompt": "prompts",
    "negative_prompt": "negative_prompt",
    "generator": "seed",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance_scale",
    "width": "width",
    "height": "height",
    "num_images_per_prompt": "pictures",
}
# What halves the memory without harm: the newer families were trained in bfloat16.
CARD_DTYPE = {"FluxPipeline": "bfloat16"}
_SLUG = re.compile(r"[^a-z0-9]+")
_SLUG_LENGTH = 40


def compile_entry(entry: _base.Entry, settings: _base.Settings) -> _base.Parts:
    on_cards = entry["npus"]["count"] > 0
    container = _base.job_container(entry, settings, TARGET, inputs=True)
    container.update(
        env={**OFFLINE, **container["env"]}, shm_size=entry["shm_size"] or (CARD_SHM if on_cards else CPU_SHM)
    )
    words = [*entry["python"], f"{_base.INPUT_TARGET}/{RUNNER}", f"{_base.INPUT_TARGET}/{REQUEST}", TARGET]
    scripts = entry["env_scripts"] if on_cards else []
    if scripts:
        # The scripts of CANN are written for bash.
        listed = " ".join(shlex.quote(path) for path in scripts)
        script = f'for script in {listed}; do if [ -f "$script" ]; then . "$script"; fi; done\nexec "$@"'
        container["entrypoint"], container["command"] = ["/bin/bash", "-c", script, "ascend-fleet"], words
    else:
        container["entrypoint"], container["command"] = words[:1], words[1:]
    flaws = list(_flaws(entry))
    items = list(_own_items(entry))
    parts = _base.Parts(
        container=container,
        probe={},
        profile=entry["image_profile"],
        flaws=flaws,
        outputs=_base.Outputs(TARGET, list(_expected(entry, len(items)))),
        files={RUNNER: _runner(), REQUEST: _json(_request(entry, items))},
        bake=_bake(entry, settings) if entry["install"] and not flaws else None,
    )
    if entry["model"] and entry["model"]["path"] and not flaws:
        alone: dict[str, Any] = {"processes": None, "variant": None, "variants": {}}
        parts.checks.append(
            {"type": "pipeline", "path": entry["model"]["path"], "class_name": pipeline(entry), **alone}
        )
    return parts


def pipeline(entry: _base.Entry) -> str | None:
    """The class, as the entry says, or as the catalogue does of the model that the folder is named after."""
    if entry["pipeline"]:
        return str(entry["pipeline"])
    known = _catalogue.model_at(entry["model"]["path"]) if entry["model"] and entry["model"]["path"] else None
    return known["pipeline"] if known else None


def _request(entry: _base.Entry, items: list[dict[str, Any]]) -> dict[str, Any]:
    on_cards = entry["npus"]["count"] > 0
    size = {"width": entry["width"], "height": entry["height"], "num_inference_steps": entry["steps"]}
    given = {**size, "guidance_scale": entry["guidance_scale"], **entry["arguments"]}
    wanted = pipeline(entry)
    return {
        "model": entry["model"]["path"] if entry["model"] else None,
        "pipeline": wanted,
        "device": "npu" if on_cards else "cpu",
        "dtype": entry["dtype"] or (CARD_DTYPE.get(str(wanted), "float16") if on_cards else "float32"),
        "arguments": {name: value for name, value in given.items() if value is not None},
        "imports": list(entry["imports"]),
        "items": items,
        "contact_sheet": entry["contact_sheet"],
    }


def _items(entry: _base.Entry) -> Iterator[dict[str, Any]]:
    """Every picture of the entry, whoever makes it: with its own seed, and a name that sorts as the prompts do."""
    for number, item in enumerate(entry["prompts"]):
        seed = entry["seed"] + number * entry["pictures"] if item["seed"] is None else item["seed"]
        for more in range(entry["pictures"]):
            slug = _SLUG.sub("-", item["prompt"].lower()).strip("-")[:_SLUG_LENGTH].strip("-")
            yield {
                "name": "-".join(filter(None, [f"{number:04d}", f"{more:02d}" if entry["pictures"] > 1 else "", slug])),
                "prompt": item["prompt"],
                "negative_prompt": item["negative_prompt"] or entry["negative_prompt"],
                "seed": seed + more,
            }


def _own_items(entry: _base.Entry) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(_items(entry)):
        if number % entry["part"]["count"] == entry["part"]["index"]:
            yield item


def _expected(entry: _base.Entry, pictures: int) -> Iterator[dict[str, Any]]:
    with_sheet = int(entry["contact_sheet"] and pictures > 1)
    yield {"path": "*.png", "type": "png", "least": pictures + with_sheet}
    yield {"path": "*.json", "type": "json", "least": pictures}


def _bake(entry: _base.Entry, settings: _base.Settings) -> _base.Bake:
    package, pip = entry["ascendcloud"], entry["pip"]
    inputs = {
        "python": list(entry["python"]),
        "npu": entry["npus"]["count"] > 0,
        "diffusers": entry["version"],
        "pins": list(entry["constraints"]),
        "constraints": _data.catalogue("diffusers")["constraints"],
        "pip": {
            "index_url": pip["index_url"],
            "extra_index_urls": list(pip["extra_index_urls"]),
            "wheels": {"path": pip["wheels"], "sha256": settings.sha256(pip["wheels"])} if pip["wheels"] else None,
        },
        "libraries": list(package["libraries"]) if package else [],
        "package": PACKAGE if package else None,
    }
    if not package:
        return _base.Bake(inputs)
    return _base.Bake(
        inputs,
        mounts=[{"source": package["path"], "target": PACKAGE}],
        manifests=[posixpath.join(package["path"], PACKAGE_MANIFEST)],
    )


def _flaws(entry: _base.Entry) -> Iterator[Flaw]:
    if not pipeline(entry):
        remedy = "Name the class in pipeline, such as FluxPipeline, or the folder after a model of the catalogue."
        yield Flaw("pipeline", None, "is missing, and the catalogue knows no model of this name", remedy)
    if entry["npus"]["count"] > 1:
        remedy = "Write npus: 1 and instances: n, so that n cards share the prompts."
        yield Flaw("npus", entry["npus"]["count"], "is more than the one card that a pipeline uses", remedy)
    if not entry["prompts"]:
        yield Flaw("prompts", None, "is empty", "Give at least one prompt.")
    whole = len(entry["prompts"]) * entry["pictures"]
    if entry["prompts"] and entry["part"]["count"] > whole:
        told = f"makes {entry['part']['count']} parts of {whole} pictures"
        yield Flaw("instances", entry["instances"], told, "Give fewer instances or nodes, or more prompts.")
    for key in ("width", "height"):
        if entry[key] and entry[key] % 8:
            yield Flaw(
                key, entry[key], "is no multiple of 8", f"Use {entry[key] // 8 * 8} or {entry[key] // 8 * 8 + 8}."
            )
    for name in sorted(set(entry["arguments"]) & set(OWN_ARGUMENTS)):
        remedy = f"Use the key {OWN_ARGUMENTS[name]}."
        yield Flaw(f"arguments.{name}", entry["arguments"][name], "has a key of its own", remedy)
    if entry["ascendcloud"] and not entry["install"]:
        yield Flaw(
            "ascendcloud", "given", "needs an installation, but install is false", "Leave it out, or set install: true."
        )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@cache
def _runner() -> str:
    return (_data.ROLES / "diffusers" / "files" / RUNNER).read_text(encoding="utf-8")
