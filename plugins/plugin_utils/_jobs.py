# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes an entry a job: keys without meaning, its part of the work, its place in the document. Private."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from ansible_collections.ascend.fleet.plugins.module_utils import _placement
from ansible_collections.ascend.fleet.plugins.module_utils._document import digest
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds._base import output_folder
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

FAMILY = "job"
# Common keys that only say something about what goes on running.
OF_SERVICES = {
    "port": "Nothing can call a job.",
    "bind": "Nothing can call a job.",
    "probe": "What proves a job is its exit code and its outputs.",
    "on_change": "A job that is not what it was runs again.",
    "reach": "Give it to a service.",
}
# What decides neither about the outputs nor about the container that makes them.
_UNCOUNTED = ("state", "timeout", "rerun", "predicted_cards", "checks")


class Compiled(Protocol):
    @property
    def entry(self) -> Any: ...

    @property
    def values(self) -> dict[str, Any]: ...

    @property
    def parts(self) -> Any: ...


def flaws(given: Mapping[str, Any]) -> Iterator[Flaw]:
    """What an entry of a job may not say; ``given`` is as people wrote it."""
    for key, remedy in OF_SERVICES.items():
        if given.get(key) is not None:
            yield Flaw(key, given[key], "has no meaning for a job", f"Leave it out. {remedy}")
    if given.get("state") == "stopped":
        yield Flaw("state", "stopped", "has no meaning for a job", "Use present or absent.")


def part(values: Mapping[str, Any], nodes: int, node: int) -> dict[str, int]:
    """Which part of the entry's work a container does: of its instances, and of its nodes where these share it."""
    instances = values["instances"] or 1
    instance = values.get("instance", 0)
    if not values["spread"]:
        return {"index": instance, "count": instances}
    return {"index": node * instances + instance, "count": nodes * instances}


def place(
    expected: int, rules: _placement.Rules, services: Iterable[Compiled], jobs: Iterable[Compiled]
) -> _placement.Placement:
    """What the controller predicts: the cards of services, and jobs that no free card can ever serve."""
    chips = _placement.expected_chips(expected)
    placed = _placement.place(chips, [], _placement.requests_of(one.values for one in services), rules)
    fixed = [_placement.Request(name, len(cards), tuple(cards)) for name, cards in placed.assignments.items() if cards]
    problems = list(placed.problems)
    for job in jobs:
        alone = _placement.place(chips, [], [*fixed, *_placement.requests_of([job.values])], rules)
        problems += [problem for problem in alone.problems if problem.service == job.values["name"]]
    return placed._replace(problems=problems)


def document(job: Compiled, work_dir: str) -> dict[str, Any]:
    """The job as it stands in its node's document, without the digest that names it."""
    values, parts = job.values, job.parts
    return {
        "name": values["name"],
        "entry": job.entry.name,
        "kind": job.entry.kind.name,
        "state": values["state"],
        "npus": {**values["npus"], "profile": parts.profile},
        "container": parts.container,
        "checks": [] if values["state"] == "absent" else parts.checks,
        "files": dict(parts.files),
        "outputs": {
            "path": output_folder(values, work_dir),
            "target": parts.outputs.target,
            "expect": [dict(item) for item in parts.outputs.expect],
        },
        "timeout": values["timeout"],
        "rerun": values["rerun"],
    }


def named(job: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The job with its digest: of all that its outputs depend on, its image and its model as they were asked for."""
    counted = {key: value for key, value in job.items() if key not in _UNCOUNTED}
    # A program of the collection may get better without its pictures being wrong.
    counted["files"] = {name: text for name, text in job["files"].items() if not name.endswith(".py")}
    image = values["image"] and values["image"]["digest"]
    return {**job, "spec": digest([counted, image, values["model"]])}
