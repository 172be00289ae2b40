# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that both sides of the wire share: schema version, labels, state files. Private to the collection."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SCHEMA = 1

STATE_DIR = "/var/lib/ascend-fleet"
LOCK_FILE = STATE_DIR + "/lock"
LEASE_FILE = STATE_DIR + "/lease.json"
STATUS_DIR = STATE_DIR + "/status"
SECRETS_DIR = STATE_DIR + "/secrets"
JOBS_DIR = STATE_DIR + "/jobs"
SERVICES_DIR = STATE_DIR + "/services"

LABEL = "io.ascend.fleet."
LABEL_SCHEMA = LABEL + "schema"
LABEL_SERVICE = LABEL + "service"
LABEL_KIND = LABEL + "kind"
LABEL_NPUS = LABEL + "npus"
LABEL_SPEC = LABEL + "spec"
LABEL_RUN = LABEL + "run"
LABEL_JOB = LABEL + "job"


def digest(value: Any) -> str:
    """sha256 of a JSON value, the same for the same content whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
