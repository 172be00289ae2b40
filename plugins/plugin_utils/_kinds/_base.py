# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all kinds share: container, probe, and the rules between common keys. Private to the collection."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils import _job_manifest
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import FORBIDDEN_TARGET, hides
from ansible_collections.ascend.fleet.plugins.module_utils._document import JOBS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._probe_values import RANDOM
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw, Options

HIDES_IMAGE = f"lies over {FORBIDDEN_TARGET}, where a mount hides the image's own files"

OWN_VARIABLES = {
    "ASCEND_RT_VISIBLE_DEVICES": "The cards of npus are exported as seen inside the container.",
    "ASCEND_VISIBLE_DEVICES": "The cards of npus are mounted by the collection.",
}
INPUT_TARGET = "/run/ascend-fleet"
JOB_STOP_TIMEOUT = 10
CAPTURED = re.compile(r"^[a-z][a-z0-9_]*$")
VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
SYSTEM_PATHS = (
    "/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/lib32/", "/lib64/", "/proc/", "/run/", "/sbin/", "/sys/", "/usr/",
)  # fmt: skip
# Keys that name a folder of the node which is made for the container's user.
WRITTEN = ("work_dir", "output_dir", "input_dir", "user_dir")
# What the runtime mounts itself in every container, and refuses or is hidden by.
RUNTIME_TARGETS = ("/proc", "/sys", "/dev")
# The engine takes no longer name, without tag and digest.
IMAGE_NAME = 255
HIGHEST_PORT = 65535
IMAGE_PORT = re.compile(r"^[^/@]+:(\d+)/")
# An option of a program and its value, written as one word.
TWO_WORDS = re.compile(r"^--?[A-Za-z][\w-]*\s")
CARD_DEVICE = re.compile(r"^/dev/v?davinci\d")

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a kind may know of the host beside the entry."""

    ready_timeout: int = 600
    sha256: Callable[[str], str] = str
    """Digest of a file of the controller, or of what lies in a folder."""
    work_dir: str = "/var/lib/ascend-fleet/work"


@dataclass(frozen=True)
class Bake:
    """What a kind installs into the image of the entry before it can serve; docs/architecture.md tells how."""

    inputs: Mapping[str, Any]
    """Everything the install tasks depend on, as plain data; they get it as ``<role>_bake``. No secrets."""
    mounts: Sequence[Mapping[str, str]] = ()
    """Folders of the node that the builder sees read-only: ``source`` and ``target``."""
    manifests: Sequence[str] = ()
    """Files on the node that stand for the content of those folders; their digests go into the image's tag."""
    tasks: str | None = None
    """A file of tasks on the controller in the place of the role's own entry point ``bake``."""


@dataclass(frozen=True)
class Outputs:
    """What a job leaves."""

    target: str
    """Folder in the container."""
    expect: Sequence[Mapping[str, Any]]
    """Files by pattern (``path``), with their ``type`` and how many there are at ``least``."""


@dataclass
class Parts:
    """What a kind makes of one service."""

    container: dict[str, Any]
    probe: dict[str, Any]
    profile: str = "plain"
    answer: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    """Check id, key and message of what is worth a warning."""
    bake: Bake | None = None
    """Given when the image of the entry is only the base of the service's own."""
    models: list[dict[str, Any]] = field(default_factory=list)
    """Models beside that of the common key, as the document names them."""
    packages: list[dict[str, Any]] = field(default_factory=list)
    """Parts of the vendor's package that are unpacked on the node."""
    outputs: Outputs | None = None
    """Given by kinds of jobs."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts that a job finds in ``INPUT_TARGET``, by name."""


Compiler = Callable[[Entry, Settings], Parts]


@dataclass(frozen=True)
class Kind:
    """A row of the table of kinds."""

    name: str
    compile: Compiler
    role: str
    options: Options
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of common keys."""
    requires: tuple[str, ...] = ()
    """Common keys that must be given unless the service is absent."""
    family: str = "service"


def base_container(entry: Entry) -> dict[str, Any]:
    """The container spec of the common keys, complete with every default."""
    return {
        "name": entry["name"],
        "image": entry["image"]["reference"] if entry["image"] else None,
        "command": None,
        "entrypoint": None,
        "user": entry["user"],
        "working_dir": None,
        "hostname": None,
        "env": dict(entry["env"]),
        "devices": [],
        "mounts": list(_mounts(entry)),
        "ports": [],
        "network": "bridge",
        "shm_size": entry["shm_size"],
        "memory": entry["memory"],
        "cpus": entry["cpus"],
        "labels": {},
        "init": True,
        "restart": "always",
        "stop_timeout": 120,
        "ulimits": {},
        "cap_add": [],
        "cap_drop": [],
        "security_opt": [],
        "ipc": None,
        "pids_limit": None,
        "extra_hosts": [],
        "log": None,
        "cgroup_parent": None,
        "secret_files": [],
    }


def packages(entry: Entry, parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The row of the vendor's package when the entry says where it lies; without that it is unpacked already."""
    given = entry["ascendcloud"]
    if not given or not given["src"]:
        return []
    wanted = [{"match": "*", "include": [], "sha256": None, **part} for part in parts]
    return [{**{key: given[key] for key in ("path", "src", "version", "sha256")}, "parts": wanted}]


def output_folder(entry: Entry, work_dir: str) -> str:
    """Where the outputs of a job are on the node."""
    return posixpath.join(entry["output_dir"] or posixpath.join(work_dir, "jobs"), entry["name"])


def job_container(entry: Entry, settings: Settings, target: str, inputs: bool = False) -> dict[str, Any]:
    """The container of a job: it ends by itself, writes to ``target`` and knows its part of the work."""
    container = base_container(entry)
    writes = _job_manifest.folders(output_folder(entry, settings.work_dir)).next
    create = {"owner": None, "mode": "0755"}
    container["mounts"].append(
        {"type": "bind", "source": writes, "target": target, "read_only": False, "create": create}
    )
    if inputs:
        source = f"{JOBS_DIR}/{entry['name']}/input"
        container["mounts"].append(
            {"type": "bind", "source": source, "target": INPUT_TARGET, "read_only": True, "create": create}
        )
    own = {"OUTPUTS": target, "PART": str(entry["part"]["index"]), "PARTS": str(entry["part"]["count"])}
    container["env"] = {**{f"ASCEND_FLEET_{name}": value for name, value in own.items()}, **entry["env"]}
    container.update(restart="no", stop_timeout=JOB_STOP_TIMEOUT)
    return container


def _mounts(entry: Entry) -> Iterator[dict[str, Any]]:
    if entry["model"]:
        path = entry["model"]["path"]
        yield {"type": "bind", "source": path, "target": path, "read_only": True, "create": None}
    if entry["work_dir"]:
        path = entry["work_dir"]
        create = {"owner": None, "mode": "0755"}
        yield {"type": "bind", "source": path, "target": path, "read_only": False, "create": create}
    for mount in entry["mounts"]:
        source = posixpath.normpath(mount["source"]) if mount["type"] == "bind" else mount["source"]
        yield {key: mount[key] for key in ("type", "source", "target", "read_only", "create")} | {"source": source}


def publish(entry: Entry, port: int, container_port: int) -> dict[str, Any]:
    return {"host_ip": entry["bind"], "host_port": port, "container_port": container_port, "protocol": "tcp"}


def secret_file(entry: Entry, name: str, source: str, target: str | None = None) -> dict[str, Any]:
    """``source`` is a file of the controller; only its path is in the document."""
    return {
        "id": f"{entry['name']}/{name}",
        "target": target or f"/run/secrets/{name}",
        "mode": "0400",
        "source": source,
    }


def step(
    method: str, path: str, body: Any = None, expect: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "method": method,
        "path": path,
        "status": [200],
        "body": body,
        "headers": {},
        "secret_header": None,
        "timeout": 30,
        "expect": expect or [],
        **more,
    }


def holds(path: str, kind: str) -> dict[str, Any]:
    return {"path": path, "type": kind, "non_empty": True}


def probe(entry: Entry, settings: Settings, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The probe of the entry; what it leaves open comes from the kind's ``default``."""
    given = entry["probe"] or {}
    default = default or {"type": "none"}
    kind = given.get("type") or (_implied(given) or default["type"])
    steps = [_given_step(item) for item in given.get("steps") or []]
    if given.get("path"):
        steps.insert(0, step("GET", given["path"]))
    if not steps and kind == "http":
        steps = list(default.get("steps", []))
    return {
        "type": kind,
        "timeout": given.get("timeout") or settings.ready_timeout,
        "interval": given.get("interval") or 1.0,
        "steps": steps,
        "command": list(given.get("command") or []),
        "port": given.get("port") or (default.get("port") if kind in ("http", "tcp") else None),
    }


def own_steps(entry: Entry) -> bool:
    """Whether the user says what the probe asks, so that the kind's own questions are not asked."""
    given = entry["probe"] or {}
    return bool(given.get("path") or given.get("steps") or given.get("type") not in (None, "http"))


def _implied(given: Mapping[str, Any]) -> str | None:
    if given.get("path") or given.get("steps"):
        return "http"
    return "command" if given.get("command") else None


def _given_step(item: Mapping[str, Any]) -> dict[str, Any]:
    if item["command"]:
        return {"command": item["command"], "timeout": item["timeout"]}
    if item["forbid"]:
        return {"forbid": item["forbid"]}
    asked = step(item["method"], item["path"], item["body"], _rules(item["expect"]))
    asked.update(status=item["status"], headers=item["headers"], timeout=item["timeout"])
    asked.update({key: item[key] for key in ("until", "capture", "tell") if item[key]})
    return {**asked, "reject": _rules(item["reject"])} if item["reject"] else asked


def _rules(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    for rule in given:
        if rule["contains"] is not None:
            rules.append({"contains": rule["contains"]})
        elif rule["equals"] is not None:
            rules.append({"path": rule["path"], "equals": rule["equals"]})
        else:
            rules.append({"path": rule["path"], "type": rule["type"], "non_empty": rule["non_empty"]})
    return rules


def common_flaws(entry: Entry) -> Iterator[Flaw]:
    """Rules between common keys; they need typed values."""
    yield from _mount_flaws(entry)
    yield from _image_flaws(entry["image"])
    for name, remedy in OWN_VARIABLES.items():
        if name in entry["env"]:
            yield Flaw(f"env.{name}", entry["env"][name], "is set by the collection", f"Remove it. {remedy}")
    if entry["memory"] and entry["shm_size"] and entry["shm_size"] > entry["memory"]:
        yield Flaw(
            "shm_size",
            entry["shm_size"],
            "is larger than memory, which counts shared memory too",
            "Raise memory or lower shm_size.",
        )
    yield from _probe_flaws(entry)
    cards, instances = entry["npus"]["cards"], entry["instances"]
    if cards and instances and len(cards) % instances:
        yield Flaw(
            "npus",
            cards,
            f"cannot be divided among {instances} instances",
            "List the same number of cards for each instance.",
        )
    if entry["port"] and instances and entry["port"] + instances - 1 > HIGHEST_PORT:
        yield Flaw("port", entry["port"], f"leaves no room for {instances} instances", "Choose a lower port.")


def word_flaws(key: str, words: Sequence[str]) -> Iterator[Flaw]:
    """Further arguments of a program, which gets each item of the list as one word."""
    for index, word in enumerate(words):
        if TWO_WORDS.match(word):
            remedy = "Make two items of it, or write all as one line of text."
            yield Flaw(f"{key}[{index}]", word, "is an option and its value in one word", remedy)


def of_system(path: str) -> bool:
    """Whether a folder of a node is not for services."""
    return path == "/" or f"{path}/".startswith(SYSTEM_PATHS)


def target_flaws(parts: Parts) -> Iterator[Flaw]:
    """Of a whole container, with what its kind adds: what would keep the engine from making it."""
    seen: dict[str, str] = {}
    secrets = {secret["id"]: secret for secret in parts.container["secret_files"]}
    for mount in (*parts.container["mounts"], *secrets.values()):
        target, source = mount["target"], str(mount["source"])
        if parts.outputs and target == parts.outputs.target:
            yield from _target("output_target", target)
        if target in seen:
            message = f"is mounted twice in the container, from {seen[target]} and from {source}"
            yield Flaw("mounts", target, message, "Give each key that names a folder a folder of its own.")
        seen.setdefault(target, source)


def _image_flaws(image: Mapping[str, Any] | None) -> Iterator[Flaw]:
    if not image:
        return
    reference = image["reference"]
    name, _at, digest = reference.partition("@")
    port = IMAGE_PORT.match(reference)
    if port and not 1 <= int(port.group(1)) <= HIGHEST_PORT:
        yield Flaw("image", reference, f"has the port {port.group(1)}, which there is not", "Use one from 1 to 65535.")
    if len(name) > IMAGE_NAME:
        yield Flaw("image", reference, "is longer than 255 characters", "Give the image a shorter name.")
    if digest and image["digest"] and digest != image["digest"]:
        yield Flaw("image.digest", image["digest"], "is not that of image.reference", "Give the digest once.")


def _mount_flaws(entry: Entry) -> Iterator[Flaw]:
    for key, path in (("model.path", (entry["model"] or {}).get("path")), ("work_dir", entry["work_dir"])):
        if path and hides(path, FORBIDDEN_TARGET):
            yield Flaw(key, path, HIDES_IMAGE, "Use another folder.")
    for key in WRITTEN:
        path = entry.get(key)
        if path and of_system(path) and not (key == "work_dir" and path == "/"):
            yield Flaw(key, path, "belongs to the system of the node", "Use another folder.")
    targets = {
        path: key
        for key, path in (("model", (entry["model"] or {}).get("path")), ("work_dir", entry["work_dir"]))
        if path
    }
    for index, mount in enumerate(entry["mounts"]):
        key = f"mounts[{index}]"
        yield from _one_mount(key, mount)
        target = mount["target"]
        if target in targets:
            yield Flaw(f"{key}.target", target, f"is the target of {targets[target]} already", "Mount each path once.")
        targets.setdefault(target, key)


def _target(key: str, target: str) -> Iterator[Flaw]:
    if target == "/":
        yield Flaw(key, target, "would hide the whole image", "Name a folder below /.")
    elif target in RUNTIME_TARGETS or target.startswith("/proc/"):
        yield Flaw(key, target, "belongs to the container's runtime", "Mount it elsewhere.")
    elif hides(target, FORBIDDEN_TARGET):
        yield Flaw(key, target, HIDES_IMAGE, "Mount it elsewhere.")


def _one_mount(key: str, mount: Mapping[str, Any]) -> Iterator[Flaw]:
    kind, source, target = mount["type"], mount["source"], mount["target"]
    yield from _target(f"{key}.target", target)
    if kind == "bind" and not str(source or "").startswith("/"):
        yield Flaw(
            f"{key}.source", source, "is not an absolute path", "Write the whole path on the node, beginning with /."
        )
    elif kind == "bind" and ".." in source.split("/"):
        yield Flaw(f"{key}.source", source, "holds ..", "Write the path without it.")
    if kind == "volume" and not VOLUME.fullmatch(source or ""):
        yield Flaw(
            f"{key}.source", source, "is no name of a volume", "Name a volume, or write a path beginning with /."
        )
    if kind == "tmpfs" and source:
        yield Flaw(f"{key}.source", source, "has no meaning for a tmpfs", "Leave it out.")
    if mount["create"] and kind != "bind":
        yield Flaw(f"{key}.create", mount["create"], f"has no meaning for a {kind}", "Leave it out.")


def _probe_flaws(entry: Entry) -> Iterator[Flaw]:
    given = entry["probe"]
    if not given:
        return
    kind = given["type"]
    if given["command"] and (given["path"] or given["steps"]):
        remedy = "Leave one of them out, or make the command a step."
        yield Flaw("probe.command", given["command"], "stands beside path or steps, which are asked instead", remedy)
        return
    if kind == "command" and not given["command"]:
        yield Flaw("probe.command", None, "is missing", "Give the command that ends with 0 when the service is ready.")
    for key, wanted in (("command", "command"), ("path", "http"), ("steps", "http")):
        if given[key] and kind not in (None, wanted):
            yield Flaw(
                f"probe.{key}",
                given[key],
                f"does not go with probe type {kind}",
                f"Use type {wanted}, or leave it out.",
            )
    for number, item in enumerate(given["steps"] or []):
        yield from _step_flaws(f"probe.steps[{number}]", item)


def _step_flaws(where: str, item: Mapping[str, Any]) -> Iterator[Flaw]:
    kinds = [key for key in ("path", "command", "forbid") if item[key]]
    if len(kinds) != 1:
        yield Flaw(where, None, "does not ask exactly one thing", "Give one of path, command and forbid.")
    for name in item["capture"]:
        if not CAPTURED.match(name) or name == RANDOM:
            remedy = f"Use small letters, digits and _; {RANDOM} has a meaning already."
            yield Flaw(f"{where}.capture.{name}", name, "is no name for a value", remedy)
    for key in ("expect", "reject"):
        yield from _rule_flaws(f"{where}.{key}", item[key])


def _rule_flaws(key: str, rules: Sequence[Mapping[str, Any]]) -> Iterator[Flaw]:
    for index, wanted in enumerate(rules):
        where = f"{key}[{index}]"
        told = [key for key in ("type", "equals", "contains") if wanted[key] is not None]
        if len(told) != 1:
            yield Flaw(where, told, "does not say exactly one thing", "Give one of type, equals and contains.")
        elif told != ["contains"] and not wanted["path"]:
            yield Flaw(f"{where}.path", None, "is missing", "Give the dotted path of the value in the reply.")
