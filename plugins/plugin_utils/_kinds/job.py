# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``job``: any image and command that ends, and the files it leaves. Private to the collection."""

from __future__ import annotations

from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import _base
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds.container import (
    secret_flaws,
    secret_notes,
    ulimit_flaws,
)

PASSED_ON = ("command", "entrypoint", "working_dir", "network", "ulimits", "cap_add", "ipc")
ANYTHING = [{"path": "*", "type": "any", "least": 1}]


def compile_entry(entry: _base.Entry, settings: _base.Settings) -> _base.Parts:
    container = _base.job_container(entry, settings, entry["output_target"])
    container.update({key: entry[key] for key in PASSED_ON})
    container["secret_files"] = [
        _base.secret_file(entry, secret["name"], secret["file"], secret["target"]) for secret in entry["secrets"]
    ]
    parts = _base.Parts(
        container=container,
        probe={},
        profile=entry["image_profile"],
        outputs=_base.Outputs(entry["output_target"], entry["outputs"] or ANYTHING),
        flaws=[*ulimit_flaws(entry), *secret_flaws(entry)],
        notes=secret_notes(entry),
    )
    if entry["model"]:
        parts.checks.append({"type": "path", "path": entry["model"]["path"], "must": "directory"})
    return parts
