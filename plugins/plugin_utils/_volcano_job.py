# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job from what its user writes to manifests that were checked. Pure; private to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _volcano_admission,
    _volcano_couplings,
    _volcano_data,
    _volcano_pods,
    _volcano_render,
    _volcano_schema,
    _volcano_values,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem, errors
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_data import Dialect
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_render import Rendered
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_values import Compute, Values

VERSION = "v1alpha1"


@dataclass(frozen=True)
class Outcome:
    """What became of the values; `rendered` is there when they could be read at all."""

    values: Values | None
    rendered: Rendered | None
    problems: list[Problem]


def compile_job(raw: Mapping[str, Any], crd: Mapping[str, Any] | None = None) -> Outcome:
    """Renders and validates: against the collection's own schema and, when there is one, the cluster's CRD."""
    values, problems = _volcano_values.parse(raw)
    if values is None:
        return Outcome(None, None, problems)
    return checked(values, crd)


def checked(values: Values, crd: Mapping[str, Any] | None = None) -> Outcome:
    """The same from values that were read already."""
    rendered = _volcano_render.render(values)
    problems = validate(rendered.job, rendered.config_map, values.dialect, values.gang, crd)
    if not errors(problems):
        problems += _unrequested(values)
    return Outcome(values, rendered, problems)


def validate(
    job: Mapping[str, Any],
    config_map: Mapping[str, Any] | None,
    dialect: Dialect,
    gang: bool = True,
    crd: Mapping[str, Any] | None = None,
) -> list[Problem]:
    """Everything wrong with manifests; the meaning is looked at only where the form is right."""
    problems = list(_volcano_schema.violations(job, job_schema(crd)))
    if crd:
        own = _volcano_schema.violations(job, job_schema(None))
        problems += [p for p in own if p.check != "field-unknown" and (p.check, p.key) not in _places(problems)]
    if config_map is not None:
        schema = _volcano_data.schema("types", "ConfigMap")
        problems += _volcano_schema.violations(config_map, schema, "configmap")
    if problems:
        return problems
    return [
        *_volcano_admission.check(job, dialect),
        *_volcano_pods.check(job),
        *_volcano_couplings.check(job, config_map, dialect, gang),
    ]


def _places(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.check, problem.key) for problem in problems}


def job_schema(crd: Mapping[str, Any] | None) -> _volcano_schema.Schema:
    """Of the cluster's Volcano when its CRD is at hand, else the collection's own."""
    if crd is None:
        return _volcano_data.schema("types", "Job")
    return _volcano_schema.from_crd(crd, VERSION, _volcano_data.schema("types", "ObjectMeta"))


def _unrequested(values: Values) -> Iterator[Problem]:
    for name, compute in (("requests", values.main.requests), ("limits", values.main.limits)):
        missing = [key for key in ("cpu", "memory") if key not in compute.known()]
        if missing:
            key = _volcano_values.PREFIX + name
            yield Problem("requests-unknown", key, f"{' and '.join(missing)} of a container are not given.")


def with_compute(values: Values, requests: Compute, limits: Compute) -> Values:
    """The values with cpu and memory filled in where nobody said how much."""

    def filled(given: Compute, proposed: Compute) -> Compute:
        return Compute(
            cpu=proposed.cpu if given.cpu is None else given.cpu,
            memory=proposed.memory if given.memory is None else given.memory,
        )

    main, work = (
        replace(t, requests=filled(t.requests, requests), limits=filled(t.limits, limits))
        for t in (values.main, values.work)
    )
    return replace(values, main=main, work=work)
