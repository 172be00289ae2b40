#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: volcano_follow
short_description: Follow a Volcano job until it ends
version_added: 0.1.0
author: ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment: [ascend.fleet.controller, ascend.fleet.controller.cluster]
description:
  - Waits for a job by its C(status.state.phase). C(wait_condition) of C(kubernetes.core) cannot, since Volcano's
    conditions have no type.
  - Shows phase, pods that are ready, restarts, events and the last lines of rank 0's log while it waits.
  - Checks the rank table once the platform has written it.
  - A connection that is lost is taken up again. A wait that ends early leaves the job as it is; the next one goes on.
  - The number of API calls per poll is constant, however many pods the job has.
options:
  name:
    description: Name of the job.
    type: str
    required: true
  namespace:
    description: Namespace of the job.
    type: str
    required: true
  task:
    description: Name of the task whose first pod is rank 0.
    type: str
    default: main
  nodes:
    description: Nodes of the job.
    type: int
    default: 1
  npus:
    description: NPUs on each node.
    type: int
    default: 8
  rank_table:
    description: Name of the ConfigMap that the platform writes the rank table into.
    type: str
  rank_table_key:
    description: Key of the rank table in that ConfigMap.
    type: str
    default: ""
  wait_for:
    description:
      - The state to wait for. V(nothing) only fetches logs, if O(logs=always).
      - V(resumed) is V(running) after an order to resume, which a suspended job takes a while to follow.
    type: str
    choices: [completed, running, suspended, resumed, nothing]
    default: completed
  timeout:
    description: Seconds after which the wait fails, while the job goes on.
    type: int
    default: 86400
  poll:
    description: Seconds between two looks at the job.
    type: float
    default: 10
  lost_timeout:
    description:
      - Seconds without any answer of the API server after which the wait fails, while the job goes on.
      - With O(wait_for=resumed) also the seconds that a job may stay suspended.
    type: int
    default: 600
  logs:
    description: When to fetch the logs of all pods. A broken pod's log is fetched at once unless this is V(never).
    type: str
    choices: [never, on_failure, always]
    default: on_failure
  logs_dir:
    description: Directory on the controller. Logs go to C(<namespace>/<job>/) below it.
    type: path
    default: volcano-logs
  logs_tail:
    description: Number of lines to fetch from the end of each log.
    type: int
    default: 10000
  log_lines:
    description: Number of lines from the end of rank 0's log to show in each poll.
    type: int
    default: 5
attributes:
  check_mode:
    support: full
    description: Is skipped in check mode, in which there is no job to wait for.
"""

EXAMPLES = r"""
---
- name: Follow a job that somebody else submitted
  ascend.fleet.volcano_follow:
    name: llama
    namespace: default
    nodes: 2
    logs: always
"""

RETURN = r"""
---
phase:
  description: Last phase of the job that was seen.
  returned: when a job was seen
  type: str
message:
  description: Why the wait failed, in one sentence, or nothing.
  returned: always
  type: str
seconds:
  description: How long the wait took.
  returned: always
  type: float
polls:
  description: How often the job was looked at.
  returned: always
  type: int
calls:
  description: How many requests the API server got.
  returned: always
  type: int
ready:
  description: Number of pods that were ready at the last look.
  returned: always
  type: int
restarts:
  description: Restarts of the job and of its containers.
  returned: always
  type: int
rank_table:
  description: State of the rank table. One of V(initializing), V(completed), V(broken) and V(unknown).
  returned: when there is one
  type: str
events:
  description: Events that were shown.
  returned: always
  type: list
  elements: str
logs:
  description: Files of the logs that were fetched.
  returned: always
  type: list
  elements: str
tail:
  description: Last lines of rank 0, or of the pod that broke.
  returned: always
  type: list
  elements: str
warnings:
  description: What could not be looked at.
  returned: always
  type: list
  elements: str
"""
