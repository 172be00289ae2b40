# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data tables of the role volcano_job: schema notation and dialects. Private to the collection."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_schema

FILES = Path(__file__).resolve().parents[2] / "roles" / "volcano_job" / "files"


@dataclass(frozen=True)
class RankTable:
    """The ConfigMap that the platform fills with the addresses of the NPUs."""

    prefix: str
    key: str
    mount_path: str | None


@dataclass(frozen=True)
class HostFile:
    """Something of the node's NPU driver that a training container needs."""

    name: str
    host_path: str
    mount_path: str


@dataclass(frozen=True)
class Dialect:
    """What one platform calls the things of a job."""

    name: str
    title: str
    npu_resource: str
    node_selector: dict[str, str]
    labels: dict[str, str]
    job_labels: dict[str, str]
    main_task: str
    work_task: str
    plugins: dict[str, list[str]]
    known_plugins: tuple[str, ...]
    rank_table: RankTable | None
    host_files: tuple[HostFile, ...]


@functools.cache
def _load(name: str) -> Any:
    return yaml.safe_load((FILES / name).read_text(encoding="utf-8"))


def dialect_names() -> list[str]:
    return list(_load("dialects.yml")["dialects"])


def dialect(name: str, changes: Mapping[str, Any] | None = None) -> Dialect:
    """A dialect by its name; `changes` replaces some of its keys, for a cluster with names of its own."""
    data = {**_load("dialects.yml")["dialects"][name], **(changes or {})}
    table = data["rank_table"]
    return Dialect(
        name=name,
        title=data["title"],
        npu_resource=data["npu_resource"],
        node_selector=dict(data["node_selector"]),
        labels=dict(data["labels"]),
        job_labels=dict(data["job_labels"]),
        main_task=data["tasks"]["main"],
        work_task=data["tasks"]["work"],
        plugins={key: list(value) for key, value in data["plugins"].items()},
        known_plugins=tuple(data["known_plugins"]),
        rank_table=RankTable(table["prefix"], table["key"], table["mount_path"]) if table else None,
        host_files=tuple(HostFile(**item) for item in data["host_files"]),
    )


@functools.cache
def schema(section: str, name: str) -> _volcano_schema.Schema:
    """The schema of a type of the compact notation."""
    return _volcano_schema.from_notation(_load("schema.yml"), section, name)
