# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks every service of a node for its answer. Private to the collection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict

from ansible_collections.ascend.fleet.plugins.module_utils import _node_rollback, _node_secrets
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import read_containers
from ansible_collections.ascend.fleet.plugins.module_utils._container_ready import SETTLING, Waiter
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, FleetError, answered, failed, finding
from ansible_collections.ascend.fleet.plugins.module_utils._node_options import check_schema
from ansible_collections.ascend.fleet.plugins.module_utils._node_status import state_of, status, uptime
from ansible_collections.ascend.fleet.plugins.module_utils._probe import ProbeResult, look_up
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
ReadSecret = Callable[[str], str]

# Room for one slow answer of a service that has been up for long.
LEAST_SECONDS = 10.0
ANSWER_LENGTH = 500


def handle(params: Json) -> Json:
    def call() -> Json:
        check_schema(params["document"])
        return answers(System(), params)

    return answered(call)


def answers(system: System, params: Json, check_mode: bool = True) -> Json:
    """Every service's state and answer; nothing but the engine and the services are asked."""
    document, secrets = params["document"], params["secrets"] or {}
    reader = EngineReader(document["host"]["engine"]["socket"])
    if params["rollback"]:
        document, _staying = _node_rollback.document(system, document, reader.image)
    containers = read_containers(reader)

    def read_secret(identity: str) -> str:
        return _node_secrets.content(system, identity, secrets)

    def ask(service: Json) -> tuple[Json, list[Json]]:
        return _ask(reader, service, containers.get(service["name"]), read_secret)

    services = document["services"]
    with ThreadPoolExecutor(max_workers=max(1, len(services))) as pool:
        asked = list(pool.map(ask, services))
    findings = [item for _line, problems in asked for item in problems]
    lines = [line for line, _problems in asked]
    result: Json = {"changed": False, "plan": [], "findings": findings, "services": lines, "node": {}}
    errors = [item for item in findings if item["severity"] == ERROR]
    return failed(result, errors) if errors else result


def _ask(
    reader: EngineReader, service: Json, container: Json | None, read_secret: ReadSecret
) -> tuple[Json, list[Json]]:
    line = status(service, container, [])
    wanted = {"present": "running"}.get(line["wanted"], line["wanted"])
    if line["state"] != wanted:
        message = f"Service {line['name']} is {line['state']}, its entry says {line['wanted']}."
        return dict(line, ready=False), [
            finding("service-state", message, service=line["name"], key="state", value=line["state"])
        ]
    if container is None or line["wanted"] != "present":
        return line, []
    try:
        result = _wait(reader, service, container, read_secret)
    except FleetError as error:
        return dict(line, ready=False, state=state_of(reader.inspect(line["name"]))), [error.finding]
    return proven(line, service, result), []


def _wait(reader: EngineReader, service: Json, container: Json, read_secret: ReadSecret) -> ProbeResult:
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
