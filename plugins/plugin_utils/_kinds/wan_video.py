# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``wan_video``: one video by the vendor's Wan2.1 package. Private to the collection."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw


class Variant(NamedTuple):
    """What the guide and the model's own code say of a variant."""

    cards: int
    heads: int
    size: str
    threshold: float
    sizes: tuple[str, ...]


VARIANTS = {
    "14B": Variant(8, 40, "720*1280", 0.04, ("720*1280", "1280*720", "480*832", "832*480")),
    "1.3B": Variant(4, 12, "480*832", 0.03, ("480*832", "832*480")),
}
# Pixels that the autoencoder and the transformer take together.
STEP = 16

OUTPUT, TARGET = "output.mp4", "/outputs"
PACKAGE = "/opt/ascend-fleet/ascendcloud"
PACKAGE_MANIFEST = ".ascend-package.json"
WAN = "multimodal_algorithm/Wan2_1"
MODEL_CLASS = "WanPipeline"
CARD_SHM = 256 << 30
CPU_SHM = 1 << 30
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
THRESHOLD = "RESIDUAL_DIFF_THRESHOLD"
OWN_ARGUMENTS = {"--ckpt_dir": "model", "--output_path": "output_dir", "--size": "size"}
SIZE = re.compile(r"^(\d+)\*(\d+)$")
LOGIN = re.compile(r"^[a-z+]+://[^/@]+@")


def compile_entry(entry: _base.Entry, settings: _base.Settings) -> _base.Parts:
    flaws = list(_flaws(entry))
    container = _base.job_container(entry, settings, TARGET)
    on_cards = bool(entry["npus"]["count"])
    threshold = entry["residual_diff_threshold"] or _variant(entry).threshold
    container.update(
        env={**ENVIRONMENT, THRESHOLD: f"{threshold:g}", **container["env"]},
        shm_size=entry["shm_size"] or (CARD_SHM if on_cards else CPU_SHM),
        working_dir=entry["install_dir"],
        entrypoint=["/bin/bash", "-c", _script(entry), "ascend-fleet"],
        command=_command(entry) if entry["model"] else [],
    )
    parts = _base.Parts(
        container=container,
        probe={},
        profile=entry["image_profile"],
        outputs=_base.Outputs(TARGET, [{"path": OUTPUT, "type": "mp4", "least": 1, "frame": _frame(size_of(entry))}]),
        flaws=flaws,
        notes=list(_notes(entry)),
    )
    if not flaws and entry["model"]:
        parts.checks = [_model_check(entry)]
    if not flaws and entry["install"] and entry["state"] != "absent":
        parts.bake = _bake(entry, settings)
        parts.packages = _base.packages(entry, [{"name": "AIGC", "include": [WAN]}])
    return parts


def _variant(entry: _base.Entry) -> Variant:
    # An entry that is absent says no more than its name.
    return VARIANTS[entry["variant"] or "14B"]


def size_of(entry: _base.Entry) -> str:
    return str(entry["size"] or _variant(entry).size)


def processes(entry: _base.Entry) -> int:
    return int(entry["npus"]["count"] or entry["processes"] or 1)


def _script(entry: _base.Entry) -> str:
    scripts = " ".join(entry["env_scripts"]) if entry["npus"]["count"] else ""
    sourced = f'for script in {scripts}; do if [ -f "$script" ]; then . "$script"; fi; done\n' if scripts else ""
    return sourced + 'exec "$@"'


def _command(entry: _base.Entry) -> list[str]:
    # Without a shell between, the star of a size is never a pattern of file names.
    return [
        *entry["torchrun"],
        f"--nproc_per_node={processes(entry)}",
        "infer.py",
        *("--ckpt_dir", entry["model"]["path"]),
        *("--output_path", posixpath.join(TARGET, OUTPUT)),
        *("--size", size_of(entry)),
        *entry["args"],
    ]


def _frame(size: str) -> list[int]:
    found = SIZE.match(size)
    return [int(found[1]), int(found[2])] if found else [1, 1]


def _model_check(entry: _base.Entry) -> dict[str, Any]:
    return {
        "type": "pipeline",
        "path": entry["model"]["path"],
        "class_name": MODEL_CLASS,
        "processes": processes(entry),
        "variant": entry["variant"],
        "variants": {name: variant.heads for name, variant in VARIANTS.items()},
    }


def _bake(entry: _base.Entry, settings: _base.Settings) -> _base.Bake:
    package = entry["ascendcloud"]
    wheels = entry["pip"]["wheels"]
    inputs = {
        "package": posixpath.join(PACKAGE, "AIGC", WAN),
        "install_dir": entry["install_dir"],
        "python": entry["python"],
        "user": entry["user"],
        "npu": entry["npus"]["count"] > 0,
        "diffusers": _diffusers(entry, settings),
        "pins": list(entry["constraints"]),
        "pip": {
            "index_url": entry["pip"]["index_url"],
            "extra_index_urls": list(entry["pip"]["extra_index_urls"]),
            "wheels": {"path": wheels, "sha256": settings.sha256(wheels)} if wheels else None,
        },
    }
    manifest = posixpath.join(package["path"], PACKAGE_MANIFEST)
    return _base.Bake(inputs, mounts=[{"source": package["path"], "target": PACKAGE}], manifests=[manifest])


def _diffusers(entry: _base.Entry, settings: _base.Settings) -> dict[str, Any]:
    given = entry["diffusers"]
    archive = given["archive"]
    return {
        "commit": given["commit"],
        "git": None if archive or given["url"] else given["git"],
        "archive": {"path": archive, "sha256": settings.sha256(archive)} if archive else None,
        "url": {"url": given["url"], "sha256": given["sha256"]} if given["url"] else None,
        "dependencies": given["dependencies"],
    }


def _notes(entry: _base.Entry) -> Iterator[tuple[str, str, str]]:
    variant = _variant(entry)
    count = entry["npus"]["count"]
    if count and count != variant.cards:
        message = f"{entry['name']} uses {count} cards; the vendor's guide knows {entry['variant']} on {variant.cards}."
        yield "wan-cards", "npus", message


def _flaws(entry: _base.Entry) -> Iterator[Flaw]:
    if entry["state"] == "absent":
        return
    if not entry["variant"]:
        yield Flaw("variant", None, "is missing", f"Say which model it is: {' or '.join(VARIANTS)}.")
        return
    variant = _variant(entry)
    count = entry["npus"]["count"]
    yield from _size_flaws(entry, variant)
    if count and entry["processes"]:
        yield Flaw("processes", entry["processes"], "stands beside npus", "Leave it out: each card has one process.")
    if variant.heads % processes(entry):
        fitting = ", ".join(str(number) for number in range(1, variant.heads + 1) if variant.heads % number == 0)
        told = f"cannot share the {variant.heads} attention heads of {entry['variant']}"
        key = "npus" if count else "processes"
        yield Flaw(key, processes(entry), told, f"Use {variant.cards} as the guide does, or one of {fitting}.")
    yield from _base.word_flaws("args", entry["args"])
    for word in entry["args"]:
        own = OWN_ARGUMENTS.get(word.partition("=")[0])
        if own:
            yield Flaw("args", word, "is written by the collection", f"Use the key {own} instead.")
    yield from _install_flaws(entry)


def _size_flaws(entry: _base.Entry, variant: Variant) -> Iterator[Flaw]:
    size = size_of(entry)
    found = SIZE.match(size)
    if not found:
        yield Flaw("size", size, "is no size", f"Write height*width, such as {variant.size}.")
    elif entry["npus"]["count"] and size not in variant.sizes:
        yield Flaw("size", size, f"is no size of {entry['variant']}", f"Use one of {', '.join(variant.sizes)}.")
    elif any(int(edge) % STEP or not int(edge) for edge in found.groups()):
        yield Flaw("size", size, f"is no multiple of {STEP} in both directions", f"Use such as {variant.size}.")


def _install_flaws(entry: _base.Entry) -> Iterator[Flaw]:
    if not entry["install"]:
        return
    if not entry["ascendcloud"]:
        remedy = "Name the folder of the vendor's package (role ascendcloud unpacks it), or set install: false."
        yield Flaw("ascendcloud", None, "is missing", remedy)
    given = entry["diffusers"]
    if given["archive"] and given["url"]:
        yield Flaw("diffusers.url", given["url"], "stands beside an archive", "Give one of them.")
    if given["url"] and not given["sha256"]:
        yield Flaw("diffusers.sha256", None, "is missing", "Give the digest of what is at diffusers.url (sha256sum).")
    addresses = {
        "diffusers.git": given["git"],
        "diffusers.url": given["url"] or "",
        "pip.index_url": entry["pip"]["index_url"] or "",
        **{f"pip.extra_index_urls[{index}]": url for index, url in enumerate(entry["pip"]["extra_index_urls"])},
    }
    for key, url in addresses.items():
        if LOGIN.match(url):
            yield Flaw(key, "an address with a login", "would be written into the image", "Use an address without one.")
