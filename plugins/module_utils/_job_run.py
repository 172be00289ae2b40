# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the jobs of a node: a queue over its cards, one container a job. Private to the collection.

A job goes by steps of which each leaves a state that tells how far it came: its container is made and started, ends,
its outputs are checked and sealed with a manifest, published, and the container is removed. Whoever comes after a
killed worker finds the container by its label and goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from typing import Any, Callable, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _job_manifest,
    _job_outputs,
    _job_queue,
    _node_jobs,
    _node_secrets,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    cards_of,
    create_body,
    ended_at,
    is_job,
    is_running,
    started_at,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_ready import LOG_LINES, image_owner
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import settle
from ansible_collections.ascend.fleet.plugins.module_utils._document import JOBS_DIR, SECRETS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._engine_sdk import EngineClient
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import ERROR, FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._node_jobs import JobPlan, Seen
from ansible_collections.ascend.fleet.plugins.module_utils._probe import hide
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
Progress = Callable[[str], None]

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
# Often enough to keep the run's lease; the text changes only with what runs.
TELL_EVERY = 10.0
KILL_AFTER = 10
KEPT_LINES = 200
_KILLED = 137


class Tools(NamedTuple):
    """What running a job needs of the node."""

    system: System
    client: EngineClient
    reader: EngineReader
    document: Json
    npu: Json | None
    secrets: dict[str, str]
    released: Callable[[list[int]], None]
    """Returns once nothing is left on these cards."""
    run_id: str


def run(tools: Tools, plan: JobPlan, progress: Progress) -> tuple[list[Json], list[Json]]:
    """The line of every job afterwards, and a finding for each that failed."""
    return _Queue(tools, plan, progress).run()


class _Queue:
    def __init__(self, tools: Tools, plan: JobPlan, progress: Progress) -> None:
        self.tools = tools
        self.ground = plan.ground
        self.progress = progress
        self.seen = plan.seen
        self.waiting = _job_queue.order([one.job for one in plan.seen if one.todo == _node_jobs.RUN])
        self.containers = {one.job["name"]: one.container for one in plan.seen if one.container is not None}
        self.running: dict[str, _Running] = {}
        self.against = {item["service"]: item for item in reversed(plan.findings) if item["severity"] == ERROR}
        self.lines = {one.job["name"]: _node_jobs.status(one) for one in plan.seen}
        self.failures: list[Json] = []
        self.total = len(self.waiting)

    def run(self) -> tuple[list[Json], list[Json]]:
        for one in self.seen:
            self._settle(one)
        self._refuse()
        pause, told, text = FIRST_PAUSE, 0.0, ""
        while self.waiting or self.running:
            self._start()
            now = self._text()
            if now != text or time.monotonic() - told >= TELL_EVERY:
                self.progress(now)
                text, told = now, time.monotonic()
            ended = [running for running in self.running.values() if running.ended()]
            for running in ended:
                self._conclude(running)
            pause = FIRST_PAUSE if ended else min(pause * 1.5, LONGEST_PAUSE)
            if not ended:
                time.sleep(pause)
        return list(self.lines.values()), self.failures

    def _settle(self, one: Seen) -> None:
        """What needs no card: jobs that are not wanted, and outputs that only need to be published."""
        job, name = one.job, one.job["name"]
        if one.todo == _node_jobs.REMOVE:
            self._remove(name)
            _forget(self.tools.system, job)
            self.lines[name].update(state="absent", ready=None)
        elif one.todo == _node_jobs.PUBLISH:
            self._remove(name)
            self._published(job)
        elif one.container is not None and not one.attached:
            self._remove(name)
            del self.containers[name]

    def _refuse(self) -> None:
        """What stands against a job was seen before: no card is taken for it, and nothing of it is touched."""
        for job in [job for job in self.waiting if job["name"] in self.against]:
            self.waiting.remove(job)
            self.failures.append(self.against[job["name"]])
            self.lines[job["name"]].update(state=_node_jobs.FAILED, ready=False)

    def _start(self) -> None:
        attached = [job for job in self.waiting if job["name"] in self.containers]
        for job in attached:
            container = self.containers.pop(job["name"])
            self.waiting.remove(job)
            self.running[job["name"]] = _Running(self.tools, job, cards_of(container))
        cards = {name: running.cards for name, running in self.running.items()}
        for job, given in _job_queue.startable(self.ground, cards, self.waiting):
            self.waiting.remove(job)
            try:
                self.running[job["name"]] = _started(self.tools, job, given, self.ground)
            except Exception as error:
                self._failed(job, given, _as_failure(job, error), None)
        if self.waiting and not self.running:
            # Cards can go while others run: what nobody can have any more is told, not waited for.
            for job in self.waiting:
                problems = _job_queue.alone(self.ground, job)[1]
                told = problems[0].message if problems else "there are no cards for it any more"
                self._failed(job, [], FleetError("placement", told, service=job["name"], key="npus"), None)
            self.waiting = []

    def _conclude(self, running: _Running) -> None:
        job = running.job
        del self.running[job["name"]]
        try:
            running.sealed()
        except Exception as error:
            self._failed(job, running.cards, _as_failure(job, error), running)
            return
        self._remove(job["name"])
        self._free(running.cards)
        self._published(job)

    def _published(self, job: Json) -> None:
        system, path = self.tools.system, job["outputs"]["path"]
        _job_outputs.publish(system, path)
        _forget(system, job)
        manifest = _job_manifest.read_manifest(system, path)
        seen = Seen(job, _node_jobs.DONE, None, "", None, manifest)
        self.lines[job["name"]] = _node_jobs.status(seen)

    def _failed(self, job: Json, cards: list[int], failure: FleetError, running: _Running | None) -> None:
        name, system = job["name"], self.tools.system
        reason = str(failure).partition("\n")[0].split(". ")[0].rstrip(".").replace(f"Job {name}: ", "", 1)
        facts = {"spec": job["spec"], "run": self.tools.run_id, "reason": reason}
        facts["log"] = running.log(KEPT_LINES) if running else ""
        self._remove(name)
        self._free(cards)
        _forget(system, job)
        _job_outputs.drop(system, job["outputs"]["path"])
        with contextlib.suppress(OSError):
            system.makedirs(os.path.dirname(_node_jobs.failure_file(name)), 0o711)
            system.write(_node_jobs.failure_file(name), json.dumps(facts, indent=2) + "\n", mode=0o600)
        self.failures.append(failure.finding)
        self.lines[name].update(state=_node_jobs.FAILED, ready=False, cards=cards, answer=None)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FleetError):
            # Whatever stays because the engine is gone is found by its label; what has none is not ours.
            container = self.tools.reader.inspect(name)
            if container is not None and is_job(container):
                self.tools.client.remove(name)

    def _free(self, cards: list[int]) -> None:
        if cards:
            with contextlib.suppress(FleetError):
                self.tools.released(cards)

    def _text(self) -> str:
        running = ", ".join(
            name + (f" (cards {', '.join(map(str, one.cards))})" if one.cards else "")
            for name, one in sorted(self.running.items())
        )
        done = self.total - len(self.waiting) - len(self.running)
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"jobs: {done} of {self.total} ended{failed}" + (f"; {running} running" if running else "")


class _Running:
    """A job whose container was started."""

    def __init__(self, tools: Tools, job: Json, cards: list[int]) -> None:
        self.tools = tools
        self.job = job
        self.name: str = job["name"]
        self.cards = cards
        self.state: Json | None = None
        self.image_id: str | None = None
        self.started = self.ended_at = 0.0
        self.overdue = False

    def ended(self) -> bool:
        container = self.tools.reader.inspect(self.name)
        if container is None:
            self.state = None
            return True
        self.image_id = container["Image"]
        self.started, self.ended_at = started_at(container), ended_at(container)
        self.state = container["State"]
        if not is_running(container):
            return True
        if time.time() - self.started >= self.job["timeout"]:
            self.overdue = True
            with contextlib.suppress(FleetError):
                # It may end by itself in this very moment.
                self.tools.client.stop(self.name, KILL_AFTER)
            return True
        return False

    def sealed(self) -> None:
        """Check and seal what it left; raises when it failed."""
        if self.state is None:
            raise self._failure("its container was removed while it ran")
        if self.overdue:
            raise self._failure(f"it did not end within its timeout of {self.job['timeout']} s", with_log=True)
        if not self.started:
            raise self._failure("its container was never started")
        code = self.state.get("ExitCode")
        if code or self.state.get("OOMKilled"):
            raise self._failure(f"its process ended ({_ending(self.state)})", value=code, with_log=True)
        facts = {
            "run": self.tools.run_id,
            "image": self.job["container"]["image"],
            "image_id": self.image_id,
            "cards": self.cards,
            "seconds": round(max(0.0, self.ended_at - self.started), 1),
        }
        _job_outputs.seal(self.tools.system, self.job, facts)

    def log(self, lines: int) -> str:
        paths = [_node_secrets.path_of(item["id"]) for item in self.job["container"]["secret_files"]]
        secrets = [(self.tools.system.read(path) or "").strip() for path in paths]
        with contextlib.suppress(FleetError):
            return str(hide(self.tools.reader.logs(self.name, lines).strip(), secrets))
        return ""

    def _failure(self, what: str, value: Any = None, with_log: bool = False) -> FleetError:
        log = self.log(LOG_LINES) if with_log else ""
        last = f" The last lines of its log:\n{log}" if log else (" It wrote no log." if with_log else "")
        return FleetError("job-failed", f"Job {self.name}: {what}.{last}", service=self.name, value=value)


def _started(tools: Tools, job: Json, cards: list[int], ground: _job_queue.Ground) -> _Running:
    system, name = tools.system, job["name"]
    spec, _cards, against = _node_jobs.resolve(system, tools.document, job, tools.npu, ground, cards)
    if spec is None:
        item = against[0]
        raise FleetError(item["check"], item["message"], item["remedy"], service=name, key=item["key"])
    spec = settle(spec, system.exists)
    _free_of_others(tools, ground, cards)
    folder = _job_outputs.begin(system, job["outputs"]["path"])
    _write_inputs(system, job)
    for secret in job["container"]["secret_files"]:
        _node_secrets.write(system, {"target": _node_secrets.path_of(secret["id"])}, tools.secrets)
    tools.client.create(name, create_body(spec, tools.run_id))
    owner = image_owner(tools.reader, name, spec)
    os.chown(system.path(folder), owner, -1)
    for secret in job["container"]["secret_files"]:
        path = system.path(f"{SECRETS_DIR}/{secret['id']}")
        os.chown(path, owner, -1)
        os.chmod(path, int(secret["mode"], 8))
    tools.client.start(name)
    return _Running(tools, job, cards)


def _free_of_others(tools: Tools, ground: _job_queue.Ground, cards: list[int]) -> None:
    """Stop the foreign containers on these cards that fleet_release gives away."""
    for holder in ground.held:
        if (
            holder.service is None
            and holder.running
            and holder.name in ground.rules.release
            and set(holder.cards) & set(cards)
        ):
            tools.client.set_restart_policy(holder.name, "no")
            tools.client.stop(holder.name, KILL_AFTER)
            tools.released(list(holder.cards))


def _write_inputs(system: System, job: Json) -> None:
    folder = _node_jobs.input_folder(job["name"])
    shutil.rmtree(system.path(folder), ignore_errors=True)
    # Read by the container's user, whoever that is; the folders above are open to pass through only.
    system.makedirs(JOBS_DIR, 0o711)
    system.makedirs(folder)
    for name, text in job["files"].items():
        system.write(f"{folder}/{name}", text)


def _forget(system: System, job: Json) -> None:
    """Remove what a job needed on the node while it ran; its secrets with it."""
    shutil.rmtree(system.path(f"{JOBS_DIR}/{job['name']}"), ignore_errors=True)
    if job["container"]["secret_files"]:
        shutil.rmtree(system.path(f"{SECRETS_DIR}/{job['name']}"), ignore_errors=True)


def _ending(state: Json) -> str:
    told = f"exit code {state.get('ExitCode')}"
    if state.get("OOMKilled"):
        told += ", killed for lack of memory"
    elif state.get("ExitCode") == _KILLED:
        told += ", killed"
    return f"{told}, {state['Error']}" if state.get("Error") else told


def _as_failure(job: Json, error: Exception) -> FleetError:
    if isinstance(error, FleetError):
        error.finding["service"] = job["name"]
        return error
    told = f"Job {job['name']}: {type(error).__name__}: {error}."
    return FleetError("job-failed", told, service=job["name"])
