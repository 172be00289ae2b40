# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRDs of Volcano: the published ones where they are at hand, else ones made from the collection's own schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_data

OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
# kind, plural, group, version, whether it belongs to a namespace
KINDS = (
    ("Job", "jobs", "batch.volcano.sh", "v1alpha1", True),
    ("Command", "commands", "bus.volcano.sh", "v1alpha1", True),
    ("PodGroup", "podgroups", "scheduling.volcano.sh", "v1beta1", True),
    ("Queue", "queues", "scheduling.volcano.sh", "v1beta1", False),
)


def definitions(shared: Path) -> list[dict[str, Any]]:
    return [_published(shared, *kind) or _own(*kind) for kind in KINDS]


def _published(shared: Path, _kind: str, plural: str, group: str, *_rest: object) -> dict[str, Any] | None:
    path = shared / "crds" / f"{group}_{plural}.yaml"
    if not path.exists():
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    return content


def _own(kind: str, plural: str, group: str, version: str, namespaced: bool) -> dict[str, Any]:
    spec = dict(_volcano_data.schema("types", "JobSpec")) if kind == "Job" else OPEN
    schema = {**OPEN, "properties": {"spec": spec, "status": OPEN}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/volcano-sh/volcano"},
        },
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
