# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in the plan of a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _node_models, _weights_manifest
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Done

MODEL: dict[str, Any] = {
    "path": "/models/tiny",
    "source": "huggingface:acme/tiny",
    "revision": None,
    "include": [],
    "exclude": [],
    "services": ["chat"],
}


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A node that has the model."""
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    stat = (folder / "config.json").stat()
    done = Done("config.json", stat.st_size, "0" * 64, stat.st_mtime_ns)
    _weights_manifest.write(str(folder), _weights_manifest.make(_node_models.wish(MODEL), "abc", [done]))
    return System(str(tmp_path))


def test_what_is_there_is_no_action(system: System) -> None:
    assert _node_models.plan(system, [MODEL], []) == []


def test_a_path_alone_is_none_either(system: System) -> None:
    assert _node_models.plan(system, [{**MODEL, "path": "/elsewhere", "source": None}], []) == []


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"path": "/models/other"}, "the model is not on the node"),
        ({"revision": "v2"}, "its revision is None instead of 'v2'"),
        ({"source": "huggingface:acme/big"}, "its source is 'huggingface:acme/tiny' instead of 'huggingface:acme/big'"),
        ({"include": ["*.json"]}, "its include is [] instead of ['*.json']"),
    ],
)
def test_another_wish_is_an_action(system: System, other: dict[str, Any], reason: str) -> None:
    (action,) = _node_models.plan(system, [{**MODEL, **other}], [])
    assert (action["scope"], action["action"], action["reason"]) == ("models", "fetch", reason)
    assert action["target"] == {**MODEL, **other}["path"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{ }"), "config.json is changed"),
        (lambda folder: next(folder.glob(".*")).write_text("{"), "it has no manifest"),
    ],
)
def test_drift_of_the_files_is_an_action(system: System, damage: Any, reason: str) -> None:
    damage(Path(system.path("/models/tiny")))
    (action,) = _node_models.plan(system, [MODEL], [])
    assert action["reason"].startswith(reason)


def test_what_lies_on_storage_to_come_is_predicted(system: System) -> None:
    (action,) = _node_models.plan(system, [{**MODEL, "path": "/mnt/models/x"}], ["/mnt"])
    assert action["predicted_because"] == "the storage is mounted before"
