# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users write about a job, checked and typed. Pure; private to the collection."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_data, _volcano_names, _volcano_schema
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_data import Dialect

PREFIX = "volcano_job_"
MAIN_WORK = "main_work"
RESERVED_ENV = ("name", "ip", "framework")
_NOT_EMPTY = ("priority_class", "pvc")


@dataclass(frozen=True)
class Compute:
    """cpu and memory, None where nobody said how much."""

    cpu: int | str | None = None
    memory: int | str | None = None

    def known(self) -> dict[str, int | str]:
        return {key: value for key, value in (("memory", self.memory), ("cpu", self.cpu)) if value is not None}


@dataclass(frozen=True)
class HostMount:
    host_path: str
    mount_path: str
    name: str
    read_only: bool = False


@dataclass(frozen=True)
class ExtraVolume:
    name: str
    mount_path: str
    source: dict[str, Any]
    read_only: bool = False
    sub_path: str | None = None


@dataclass(frozen=True)
class Storage:
    """An SFS Turbo file system that becomes a volume and its claim."""

    size: int | str
    volume_id: str
    location: str
    mount_options: tuple[str, ...] = ()
    storage_class: str = "csi-sfsturbo"
    driver: str = "sfsturbo.csi.everest.io"


@dataclass(frozen=True)
class Template:
    """What one task's pods run; the second task may have one of its own."""

    image: str
    container_name: str
    command: tuple[str, ...] | str
    env: dict[str, Any]
    requests: Compute
    limits: Compute
    labels: dict[str, str]
    annotations: dict[str, str]
    policies: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Values:
    """A whole job as its user describes it."""

    name: str
    namespace: str
    dialect: Dialect
    main: Template
    work: Template
    image_pull_policy: str
    image_pull_secrets: tuple[str, ...]
    run_as_user: int
    restart_policy: str
    framework: str
    nodes: int
    layout: str
    gang: bool
    npus: int
    shm_size: int | str
    pvc: str | None
    pvc_mount_path: str
    storage: Storage | None
    mounts: tuple[HostMount, ...]
    volumes: tuple[ExtraVolume, ...]
    npu_smi: str | None
    queue: str
    priority_class: str | None
    policies: tuple[dict[str, Any], ...]
    plugins: dict[str, list[str]]
    max_retry: int
    ttl_seconds: int | None
    node_selector: dict[str, str]
    tolerations: tuple[dict[str, Any], ...]
    override: dict[str, Any]


@functools.cache
def _defaults() -> dict[str, Any]:
    path = _volcano_data.FILES.parent / "defaults" / "main.yml"
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = _volcano_data.schema("values", "Values")["properties"]
    return {key.removeprefix(PREFIX): value for key, value in listed.items() if key.removeprefix(PREFIX) in known}


def parse(raw: Mapping[str, Any]) -> tuple[Values | None, list[Problem]]:
    """The values with the role's defaults, or None and everything that is wrong with them."""
    given = {key: value for key, value in {**_defaults(), **raw}.items() if value is not None}
    for key in _NOT_EMPTY:
        if given.get(key) == "":
            del given[key]
    problems = list(_volcano_schema.violations(given, _volcano_data.schema("values", "Values")))
    problems = [_named(problem) for problem in problems]
    bad = {problem.key for problem in problems}
    problems += [p for p in map(_named, _meaning(given)) if p.key not in bad]
    return (None if problems else _build(given)), problems


@dataclass(frozen=True)
class Identity:
    """What is enough to find a job again."""

    name: str
    namespace: str
    dialect: Dialect


def identify(raw: Mapping[str, Any]) -> tuple[Identity | None, list[Problem]]:
    """The name of a job, whatever else is given."""
    given = {**_defaults(), **{key: value for key, value in raw.items() if value is not None}}
    keys = ("name", "namespace", "dialect", "dialect_override")
    asked = {"image": "-", "command": "-", **{key: given[key] for key in keys if key in given}}
    _values, problems = parse(asked)
    if problems:
        return None, problems
    dialect = _volcano_data.dialect(given["dialect"], given["dialect_override"])
    return Identity(given["name"], given["namespace"], dialect), []


def _named(problem: Problem) -> Problem:
    """A problem by the variable that the user knows; a missing command has a check of its own."""
    if problem.check == "field-missing" and problem.key == "command":
        problem = Problem("command-missing", problem.key, "is not given; the pods would have nothing to run.")
    return problem._replace(key=PREFIX + problem.key)


def _meaning(given: Mapping[str, Any]) -> Iterator[Problem]:
    """What the types alone do not say."""
    dialect = given.get("dialect")
    if isinstance(dialect, str) and dialect not in _volcano_data.dialect_names():
        known = ", ".join(_volcano_data.dialect_names())
        yield Problem("dialect-unknown", "dialect", f"{dialect!r} is none of {known}.", dialect)
    name, namespace = given.get("name"), given.get("namespace")
    if isinstance(name, str) and not _volcano_names.is_service_name(name):
        yield Problem("job-name", "name", f"{name!r} cannot name a job.", name)
    if isinstance(namespace, str) and not _volcano_names.is_dns_label(namespace):
        yield Problem("namespace-name", "namespace", f"{namespace!r} cannot name a namespace.", namespace)
    templates = [("", given)]
    if isinstance(given.get("work"), Mapping):
        templates.append(("work.", given["work"]))
    for where, template in templates:
        yield from _command(template, f"{where}command")
        yield from _env(template.get("env"), f"{where}env")
    if given.get("work") and (given.get("nodes") == 1 or given.get("layout") != MAIN_WORK):
        yield Problem("work-alone", "work", "has no second task to describe.", given["work"])
    if given.get("storage") and not given.get("pvc"):
        yield Problem("pvc-missing", "pvc", "is not given, yet storage asks for a claim.")


def _command(template: Mapping[str, Any], key: str) -> Iterator[Problem]:
    command = template.get("command")
    if command is None:
        return
    words = [command] if isinstance(command, str) else command
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        yield Problem("field-type", key, "must be a shell command line or a list of strings.", command)
    elif not words or not words[0].strip():
        yield Problem("command-missing", key, "is empty; the pods would have nothing to run.", command)
    elif isinstance(command, str) and _volcano_names.placeholder(command) == command.strip():
        yield Problem("placeholder", key, f"is still the {command.strip()} of the template.", command)


def _env(env: Any, key: str) -> Iterator[Problem]:
    for name in env if isinstance(env, Mapping) else ():
        if name in RESERVED_ENV:
            yield Problem("env-reserved", f"{key}.{name}", "is set by the template itself.", env[name])
        elif env[name] is None:
            yield Problem("field-type", f"{key}.{name}", "is null.", None)


def _build(given: Mapping[str, Any]) -> Values:
    main = _template(given)
    storage = given.get("storage")
    return Values(
        name=given["name"],
        namespace=given["namespace"],
        dialect=_volcano_data.dialect(given["dialect"], given["dialect_override"]),
        main=main,
        work=_template({**_template_values(given), **given["work"]}),
        image_pull_policy=given["image_pull_policy"],
        image_pull_secrets=tuple(given["image_pull_secrets"]),
        run_as_user=given["run_as_user"],
        restart_policy=given["restart_policy"],
        framework=given["framework"],
        nodes=given["nodes"],
        layout=given["layout"],
        gang=given["gang"],
        npus=given["npus"],
        shm_size=given["shm_size"],
        pvc=given.get("pvc"),
        pvc_mount_path=given["pvc_mount_path"],
        storage=Storage(**{**storage, "mount_options": tuple(storage.get("mount_options", ()))}) if storage else None,
        mounts=tuple(HostMount(**{"name": f"host-{index}", **mount}) for index, mount in enumerate(given["mounts"])),
        volumes=tuple(ExtraVolume(**volume) for volume in given["volumes"]),
        npu_smi=given.get("npu_smi"),
        queue=given["queue"],
        priority_class=given.get("priority_class"),
        policies=tuple(given["policies"]),
        plugins=dict(given["plugins"]),
        max_retry=given["max_retry"],
        ttl_seconds=given.get("ttl_seconds"),
        node_selector=dict(given["node_selector"]),
        tolerations=tuple(given["tolerations"]),
        override=dict(given["override"]),
    )


_TEMPLATE_KEYS = ("image", "container_name", "command", "env", "requests", "limits", "labels", "annotations")


def _template_values(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in _TEMPLATE_KEYS}


def _template(given: Mapping[str, Any]) -> Template:
    command = given["command"]
    return Template(
        image=given["image"],
        container_name=given["container_name"],
        command=command if isinstance(command, str) else tuple(command),
        env=dict(given["env"]),
        requests=Compute(**given["requests"]),
        limits=Compute(**given["limits"]),
        labels=dict(given["labels"]),
        annotations=dict(given["annotations"]),
        policies=tuple(given.get("policies", ())) if "name" not in given else (),
    )
