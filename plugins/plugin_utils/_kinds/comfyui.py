# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``comfyui``: one ComfyUI server on one card. Private to the collection."""

from __future__ import annotations

import ipaddress
import posixpath
import shlex
from collections.abc import Iterator
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import FORBIDDEN_TARGET, hides
from ansible_collections.ascend.fleet.plugins.plugin_utils import _comfyui
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base, _comfyui_bake, _comfyui_probe
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

CONTAINER_PORT = 8183
CPU_SHM = 1 << 30
CARD_SHM = 4 << 30
TEMP = "/tmp/comfyui"
MODEL_PATHS = f"{TEMP}/extra_model_paths.yaml"

# Nothing here asks the network, and what a startup script prints is wanted in the log at once.
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
# ComfyUI puts a buffer around standard output, which flushes by lines only where the stream below already did; without
# that, the failure of a startup script stays unseen in a container.
LAUNCH = (
    "import os, runpy, sys; sys.stdout.reconfigure(line_buffering=True); sys.argv.pop(0);"
    " sys.path[0] = os.path.dirname(sys.argv[0]); runpy.run_path(sys.argv[0], run_name='__main__')"
)
OWN_FLAGS = {
    "--listen": "bind",
    "--port": "port",
    "--cpu": "npus",
    "--cuda-device": "npus",
    "--default-device": "npus",
    "--base-directory": "install_dir",
    "--output-directory": "output_dir",
    "--input-directory": "input_dir",
    "--user-directory": "user_dir",
    "--temp-directory": "output_dir",
    "--extra-model-paths-config": "models_dir",
    "--database-url": "user_dir",
}


def compile_entry(entry: _base.Entry, settings: _base.Settings) -> _base.Parts:
    flaws = list(_flaws(entry))
    on_cards = entry["npus"]["count"] > 0
    folders = _folders(entry, settings.work_dir)
    container = _base.base_container({**entry, "work_dir": None})
    container["mounts"] += [_mount(path, create=True) for path in folders.values()]
    if entry["models_dir"]:
        container["mounts"].append(_mount(entry["models_dir"], create=False))
    container.update(
        env={**ENVIRONMENT, **_paths_env(entry), **entry["env"]},
        shm_size=entry["shm_size"] or (CARD_SHM if on_cards else CPU_SHM),
        stop_timeout=entry["stop_timeout"],
        working_dir=entry["install_dir"],
    )
    if entry["port"]:
        container["ports"] = [_base.publish(entry, entry["port"], CONTAINER_PORT)]
    shell = "/bin/bash" if on_cards or entry["ascendcloud"] else "/bin/sh"
    container["entrypoint"] = [shell, "-c", _script(entry, folders["user"]), "ascend-fleet"]
    container["command"] = list(_command(entry, folders))
    steps = [] if flaws else list(_comfyui_probe.steps(entry, folders["output"]))
    proven = {"step": 0, "path": "devices.0.name"}
    return _base.Parts(
        container=container,
        probe=_base.probe(entry, settings, {"type": "http", "steps": steps, "port": CONTAINER_PORT}),
        profile=entry["image_profile"],
        answer=None if _base.own_steps(entry) else proven,
        checks=[] if flaws else list(_checks(entry)),
        flaws=flaws,
        notes=list(_notes(entry)),
        bake=None if flaws or not entry["install"] else _comfyui_bake.bake(entry, settings),
        models=[] if flaws else list(_models(entry)),
        packages=[] if flaws or not entry["install"] else _comfyui_bake.packages(entry),
    )


def _folders(entry: _base.Entry, work_dir: str) -> dict[str, str]:
    """Folders of the service on the node. Instances share the inputs and nothing else: each counts its own pictures."""
    base = posixpath.join(entry["work_dir"] or posixpath.join(work_dir, entry["entry"]))
    own = entry["name"] if entry["instances"] else ""
    given = {name: entry[f"{name}_dir"] or posixpath.join(base, name) for name in ("output", "input", "user")}
    return {name: posixpath.join(path, own) if own and name != "input" else path for name, path in given.items()}


def _mount(path: str, create: bool) -> dict[str, Any]:
    made = {"owner": None, "mode": "0755"} if create else None
    return {"type": "bind", "source": path, "target": path, "read_only": not create, "create": made}


def _paths_env(entry: _base.Entry) -> dict[str, str]:
    if not entry["models_dir"]:
        return {}
    fetched = _comfyui.weights(entry["model_sets"]) if entry["fetch_models"] else []
    return {"ASCEND_FLEET_MODEL_PATHS": _comfyui.model_paths(entry["models_dir"], fetched)}


def _script(entry: _base.Entry, user_dir: str) -> str:
    """Shell text that prepares the environment and becomes the server."""
    lines = []
    if entry["npus"]["count"] and entry["env_scripts"]:
        scripts = " ".join(shlex.quote(path) for path in entry["env_scripts"])
        lines.append(f'for script in {scripts}; do if [ -f "$script" ]; then . "$script"; fi; done')
    if entry["ascendcloud"] and entry["ascendcloud"]["operators"]:
        operators = shlex.quote(_comfyui_bake.operators_script(entry))
        lines.append(f'[ -f {operators} ] || {{ echo "{operators} is not in the image." >&2; exit 78; }}')
        lines.append(f". {operators}")
    lines.append(f"mkdir -p {TEMP}")
    if entry["models_dir"]:
        lines.append(f'printf "%s\\n" "$ASCEND_FLEET_MODEL_PATHS" > {MODEL_PATHS}')
    if entry["workflows"]:
        source, target = shlex.quote(_comfyui_bake.workflows(entry)), shlex.quote(f"{user_dir}/default/workflows")
        # What people changed in the editor stays; not every cp -n counts that as success.
        lines.append(f"mkdir -p {target}")
        keep = f'[ -e {target}/"${{file##*/}}" ] || cp "$file" {target}/ || exit 73'
        lines.append(f"for file in {source}/*.json; do {keep}; done")
    database = _database(entry, user_dir)
    if database:
        lines.append(_adopt(database, user_dir))
    return "\n".join([*lines, 'exec "$@"'])


def _database(entry: _base.Entry, user_dir: str) -> str | None:
    """A file for each version: none can read what a newer one made of it, and the way back needs the older one."""
    number = _comfyui.version(entry["version"])
    if not number or not _comfyui.knows("--database-url", number):
        return None
    return posixpath.join(user_dir, f"comfyui-{'.'.join(map(str, number))}.db")


def _adopt(database: str, user_dir: str) -> str:
    """Shell text that lets a version begin with what the version before it has stored."""
    mine = shlex.quote(database)
    before = f"printf '%s\\n' {shlex.quote(user_dir)}/comfyui-*.db {mine} | sort -V | grep -xFB1 {mine} | head -n 1"
    # What was killed in the middle of a change left its journal.
    copy = f'[ ! -e "$before$part" ] || cp "$before$part" {mine}"$part" || exit 73'
    return f"[ -e {mine} ] || {{ before=$({before}); for part in -journal -wal ''; do {copy}; done; }}"


def _command(entry: _base.Entry, folders: dict[str, str]) -> Iterator[str]:
    yield from (entry["python"], "-c", LAUNCH, posixpath.join(entry["install_dir"], "main.py"))
    yield from ("--listen", "0.0.0.0", "--port", str(CONTAINER_PORT))
    for name, path in folders.items():
        yield from (f"--{name}-directory", path)
    yield from ("--temp-directory", TEMP)
    if entry["models_dir"]:
        yield from ("--extra-model-paths-config", MODEL_PATHS)
    if not entry["npus"]["count"]:
        yield "--cpu"
    database = _database(entry, folders["user"])
    if database:
        yield from ("--database-url", f"sqlite:///{database}")
    yield from entry["extra_args"]


def _models(entry: _base.Entry) -> Iterator[dict[str, Any]]:
    files = _comfyui.weights(entry["model_sets"]) if entry["fetch_models"] else []
    gated = {file.repository for file in files if file.gate}
    for repository, names in _comfyui.repositories(files).items():
        yield {
            "path": _comfyui.home(entry["models_dir"], repository),
            "source": f"huggingface:{repository}",
            "revision": None,
            "include": names,
            "token_file": entry["token_file"] if repository in gated else None,
            "shared": entry["models_shared"],
        }


def _checks(entry: _base.Entry) -> Iterator[dict[str, Any]]:
    if entry["models_dir"] and not entry["fetch_models"]:
        for file in _comfyui.weights(entry["model_sets"]):
            path = posixpath.join(entry["models_dir"], file.folder, file.name)
            yield {"type": "path", "path": path, "must": "file"}


def _notes(entry: _base.Entry) -> Iterator[tuple[str, str, str]]:
    if entry["state"] != "absent" and not ipaddress.ip_address(entry["bind"]).is_loopback:
        message = (
            f"ComfyUI has no login, and {entry['name']} can be reached at {entry['bind']}:"
            " who reaches the port can read its pictures and run any graph."
        )
        yield "service-open", "bind", message


def _flaws(entry: _base.Entry) -> Iterator[Flaw]:
    yield from _flag_flaws(entry)
    yield from _model_flaws(entry)
    yield from _comfyui_bake.flaws(entry)
    for key in ("output_dir", "input_dir", "user_dir", "models_dir"):
        if entry[key] and hides(entry[key], FORBIDDEN_TARGET):
            yield Flaw(key, entry[key], _base.HIDES_IMAGE, "Use another folder.")
    if not entry["port"] and entry["state"] != "absent":
        yield Flaw("port", None, "is missing", "Give the port on the node.")
    count = entry["npus"]["count"]
    if count > 1:
        hint = f"Write instances: {count}, and 1 card for each, or npus: 1."
        yield Flaw("npus", count, "is more than the one card a ComfyUI process uses", hint)


def _flag_flaws(entry: _base.Entry) -> Iterator[Flaw]:
    number = _comfyui.version(entry["version"])
    if number and number < (_comfyui.version(_comfyui.oldest()) or ()):
        yield Flaw("version", entry["version"], f"is older than {_comfyui.oldest()}", "Use that or a newer one.")
        return
    for word in entry["extra_args"]:
        key = OWN_FLAGS.get(word.partition("=")[0])
        if key:
            yield Flaw("extra_args", word, "is written by the collection", f"Use the key {key} instead.")
    for flag, since in _comfyui.wrong_flags(entry["extra_args"], number):
        message = f"is no flag of ComfyUI {entry['version']}"
        yield Flaw("extra_args", flag, message, f"It came with v{since}." if since else "Remove it.")


def _model_flaws(entry: _base.Entry) -> Iterator[Flaw]:
    if entry["model"]:
        yield Flaw("model", entry["model"]["path"], "has no meaning for ComfyUI", "Use models_dir and model_sets.")
    if entry["model_sets"] and not entry["models_dir"]:
        yield Flaw(
            "models_dir", None, "is missing", "Name the folder on the node that has, or shall have, the weights."
        )
    gated = [file for file in _comfyui.weights(entry["model_sets"]) if file.gate]
    if gated and entry["fetch_models"] and not entry["token_file"]:
        file = gated[0]
        remedy = (
            f"Accept the {file.gate} at {_comfyui.HUB}/{file.repository} and name a file with your token, or put the"
            " files there yourself and set fetch_models: false."
        )
        yield Flaw("token_file", None, f"is missing, which {file.repository} asks for", remedy)
