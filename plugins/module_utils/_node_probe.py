# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks every service of a node for its answer. Private to the collection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._container_ready import SETTLING, Waiter
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, finding
from ansible_collections.ascend.fleet.plugins.module_utils._node_services import Placed, state_of, status, uptime
from ansible_collections.ascend.fleet.plugins.module_utils._probe import ProbeResult, look_up

Json = Dict[str, Any]

# Room for one slow answer of a service that has been up for long.
LEAST_SECONDS = 10.0
ANSWER_LENGTH = 500


def run(
    reader: EngineReader, placed: list[Placed], containers: dict[str, Json], read_secret: Callable[[str], str]
) -> tuple[list[Json], list[Json]]:
    """Status of every service with its answer, and a finding for each that is not as its entry says."""
    with ThreadPoolExecutor(max_workers=max(1, len(placed))) as pool:
        asked = list(pool.map(lambda one: _ask(reader, one, containers, read_secret), placed))
    return [line for line, _problems in asked], [item for _line, problems in asked for item in problems]


def _ask(
    reader: EngineReader, one: Placed, containers: dict[str, Json], read_secret: Callable[[str], str]
) -> tuple[Json, list[Json]]:
    line = status(one, containers)
    wanted = {"present": "running"}.get(line["wanted"], line["wanted"])
    if line["state"] != wanted:
        message = f"Service {line['name']} is {line['state']}, its entry says {line['wanted']}."
        return dict(line, ready=False), [
            finding("service-state", message, service=line["name"], key="state", value=line["state"])
        ]
    if line["wanted"] != "present":
        return line, []
    try:
        result = _wait(reader, one.service, containers[line["name"]], read_secret)
    except FleetError as error:
        return dict(line, ready=False, state=state_of(reader.inspect(line["name"]))), [error.finding]
    return proven(line, one.service, result), []


def _wait(reader: EngineReader, service: Json, container: Json, read_secret: Callable[[str], str]) -> ProbeResult:
    """What has just started gets the rest of its time; what is long up must answer now."""
    probe = dict(service["probe"])
    age = uptime(container)
    if probe["type"] == "none" and age >= SETTLING:
        return ProbeResult(True, 0, "", [], 0.0)
    probe["timeout"] = max(LEAST_SECONDS, probe["timeout"] - age)
    spec = {key: service["container"][key] for key in ("name", "network", "secret_files")}
    return Waiter(reader, spec, probe, read_secret, lambda _text: None).wait()


def proven(line: Json, service: Json, result: ProbeResult) -> Json:
    answer = None
    wanted = service["answer"]
    if wanted and wanted["step"] < len(result.replies):
        found = look_up(result.replies[wanted["step"]]["json"], wanted["path"])
        answer = None if found is None else str(found)[:ANSWER_LENGTH]
    return dict(line, ready=True, answer=answer, seconds=result.seconds)
