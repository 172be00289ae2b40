#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_outputs
short_description: Fetch what the jobs of a run left on a node
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
description:
  - Fetches the outputs of the jobs that are done on a node and were not fetched yet, in one archive, and holds every
    file against the manifest of its job. They are put into the folder C(jobs/<host>/<job>) of the run below the report
    directory, also where an earlier run made them and was cut off before it had them.
  - Which jobs these are is read from the record of M(ascend.fleet.fleet_node). Without any, the node is not contacted.
  - Outputs that arrived whole are noted in their manifest on the node. They are not fetched again, whoever runs and
    whatever becomes of the copy; they stay on the node, and a job that runs again has new ones.
options:
  run:
    description: Identity of the run, as returned by M(ascend.fleet.fleet_compile).
    type: dict
    required: true
    suboptions:
      id:
        description: Unique id of the run.
        type: str
        required: true
      report_dir:
        description: Directory on the controller for records and verdicts.
        type: path
        required: true
  step:
    description: Step whose record names the jobs.
    type: str
    default: jobs
  jobs:
    description: Jobs to pack, each with its C(name) and the C(path) of its outputs. Set by the action plugin.
    type: list
    elements: dict
  fetched:
    description:
      - Outputs that arrived, each with its C(path) and the digest of its C(manifest). Set by the action plugin.
    type: list
    elements: dict
    default: []
  reader:
    description: Number of the user that fetches the archive. Set by the action plugin.
    type: int
attributes:
  check_mode:
    support: full
    description: Nothing is fetched.
  diff_mode:
    support: none
    description: Nothing of the node is changed but a note.
  idempotent:
    support: full
    description: What has arrived is not fetched again.
  platform:
    support: full
    platforms: linux
    description: Linux, root.
"""

EXAMPLES = r"""
---
- name: Fetch the outputs that were not fetched yet
  ascend.fleet.fleet_outputs:
    run: "{{ fleet.run }}"
"""

RETURN = r"""
---
outputs:
  description: Folder on the controller for each job.
  returned: success
  type: dict
  sample: {cats: /srv/fleet-report/20260131T120000Z-a1b2c3/jobs/n1/cats}
archive:
  description: The archive on the node, which the action plugin fetches and removes.
  returned: when the action plugin asks for it
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils import _job_archive, _job_outputs
from ansible_collections.ascend.fleet.plugins.module_utils._findings import answered
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "run": {
                "type": "dict",
                "required": True,
                "options": {
                    "id": {"type": "str", "required": True},
                    "report_dir": {"type": "path", "required": True},
                },
            },
            "step": {"type": "str", "default": "jobs"},
            "jobs": {"type": "list", "elements": "dict"},
            "fetched": {"type": "list", "elements": "dict", "default": []},
            "reader": {"type": "int"},
        },
        supports_check_mode=True,
    )
    result = answered(lambda: _handle(System(), module.params, module.check_mode))
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


def _handle(system: System, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    run_id = params["run"]["id"]
    if check_mode:
        return {}
    if not params["jobs"]:
        _job_archive.drop(system, run_id)
        for job in params["fetched"]:
            _job_outputs.mark_fetched(system, job["path"], job["manifest"], run_id)
        return {}
    try:
        return {"archive": _job_archive.pack(system, run_id, params["jobs"], params["reader"])}
    except Exception:
        _job_archive.drop(system, run_id)
        raise


if __name__ == "__main__":
    main()
