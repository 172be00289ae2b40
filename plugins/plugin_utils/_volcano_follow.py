# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for a job with a constant number of API calls per poll. Private to the collection.

A poll asks for the job, the table of its pods, the end of rank 0's log, the namespace's warnings, the job's own events,
the rank table, and at most one broken pod's log: however many pods there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_api as api
from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _volcano_logs,
    _volcano_plan,
    _volcano_progress,
    _volcano_ranktable,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_observe import job_path
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_progress import Poll

JOB_LABEL = "volcano.sh/job-name"
LOST_AFTER_NOT_FOUND = 3


@dataclass(frozen=True)
class Wish:
    """What to wait for, and how."""

    name: str
    namespace: str
    task: str
    nodes: int
    npus: int
    goal: str = "completed"
    timeout: float = 86400
    poll: float = 10
    lost_timeout: float = 600
    rank_table: str | None = None
    rank_table_key: str = ""
    log_lines: int = 5
    logs_dir: str = ""
    logs_tail: int = 10000


@dataclass
class Result:
    """How the wait ended; `message` is one sentence, empty when the goal was reached."""

    phase: str = ""
    message: str = ""
    seconds: float = 0
    polls: int = 0
    ready: int = 0
    restarts: int = 0
    rank_table: str = ""
    events: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Follower:
    """One wait; clock, pause and screen are handed in."""

    def __init__(
        self,
        reader: api.Reader,
        wish: Wish,
        show: Callable[[str], None],
        clock: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self._reader, self._wish, self._show, self._clock, self._pause = reader, wish, show, clock, pause
        self._result = Result()
        self._started = clock()
        self._contact = self._started
        self._shown = ""
        self._tail: list[str] = []
        self._events: set[tuple[str, int]] = set()
        self._table: str | None = None
        self._kept: set[str] = set()
        self._absent = 0
        self._ordered = wish.goal == "resumed"

    def run(self) -> Result:
        while not self._round():
            self._pause(min(self._wish.poll, max(self._left(), 0)))
        self._result.seconds = round(self._clock() - self._started, 1)
        return self._result

    def _left(self) -> float:
        return self._started + self._wish.timeout - self._clock()

    def _round(self) -> bool:
        """One poll; true when the wait is over."""
        self._result.polls += 1
        try:
            over = self._poll()
            self._contact = self._clock()
        except (api.RefusedError, api.ForbiddenError) as error:
            self._result.message = f"{error}; the job goes on: renew the credentials and run again to follow it."
            return True
        except api.UnreachableError as error:
            over = self._lost(error)
        if not over and self._left() <= 0:
            wanted = " or ".join(_volcano_progress.GOALS[self._wish.goal])
            self._result.message = (
                f"the job is {self._result.phase or 'not seen'} and not {wanted} after "
                f"{_volcano_progress.duration(self._wish.timeout)}; it goes on: raise volcano_job_wait_timeout, "
                "or run again to follow it."
            )
            return True
        return over

    def _lost(self, error: api.ApiError) -> bool:
        silence = self._clock() - self._contact
        if silence >= self._wish.lost_timeout:
            lost = _volcano_progress.duration(silence)
            self._result.message = f"{error}, for {lost} now; the job goes on: run again to follow it."
            return True
        self._say(f"no answer ({error}); trying again")
        return False

    def _poll(self) -> bool:
        wish = self._wish
        job = self._reader.get(job_path(wish.namespace, wish.name))
        if job is None:
            self._absent += 1
            self._result.message = "the job is gone: it was deleted, or its volcano_job_ttl_seconds have passed."
            return self._absent >= LOST_AFTER_NOT_FOUND
        self._absent, self._result.message = 0, ""
        phase = _volcano_plan.phase(job)
        query = {"labelSelector": f"{JOB_LABEL}={wish.name}", "resourceVersion": "0"}
        table = self._reader.get(api.namespaced(wish.namespace, "pods"), query, api.TABLE)
        state = _volcano_progress.poll(job, table, phase, wish.nodes)
        result = self._result
        result.phase, result.ready, result.restarts = phase, state.ready, state.restarts
        self._say(_volcano_progress.line(state, self._clock() - self._started))
        self._show_events()
        self._show_log(state)
        self._keep_broken(state)
        faults = self._check_rank_table()
        over = _volcano_progress.reached(phase, wish.goal)
        self._ordered = self._ordered and phase in _volcano_plan.SUSPENDED
        if over is False and self._ordered:
            return self._unheard(phase)
        if over is False:
            why = f" ({state.message.rstrip('.')})" if state.message else ""
            again = "; volcano_job_state: resumed starts it again" if phase == _volcano_progress.ABORTED else ""
            result.message = f"the job is {phase}{why}{again}."
        elif over is None and faults:
            result.message = f"the rank table is broken: {'; '.join(faults)}."
            return True
        return over is not None

    def _unheard(self, phase: str) -> bool:
        """Volcano carries an order out some time after it was given: until then the job is what it was."""
        waited = self._clock() - self._started
        if waited < self._wish.lost_timeout:
            return False
        self._result.message = (
            f"the job is still {phase}: Volcano has not resumed it in {_volcano_progress.duration(waited)}; "
            "look at the log of Volcano's controllers, or raise volcano_job_lost_timeout, and run again."
        )
        return True

    def _say(self, text: str) -> None:
        """A state is shown when it changes; the time in brackets alone is no change."""
        changing = text.rpartition(" (")[0]
        if changing != self._shown:
            self._shown = changing
            self._show(f"{self._wish.namespace}/{self._wish.name}: {text}")

    def _show_events(self) -> None:
        path = api.namespaced(self._wish.namespace, "events")
        listed: list[Any] = []
        for selector in ("type=Warning", f"involvedObject.kind=Job,involvedObject.name={self._wish.name}"):
            answer = self._optional(path, {"fieldSelector": selector, "limit": api.PAGE})
            listed += (answer or {}).get("items") or []
        for event in _volcano_progress.events(listed, self._wish.name):
            if event.key not in self._events:
                self._events.add(event.key)
                self._result.events.append(event.text)
                self._show(f"  event: {event.text}")

    def _optional(self, path: str, query: dict[str, str | int] | None = None) -> Any:
        try:
            return self._reader.get(path, query)
        except api.ForbiddenError as error:
            if str(error) not in self._result.warnings:
                self._result.warnings.append(str(error))
            return None

    def _show_log(self, state: Poll) -> None:
        first = f"{self._wish.name}-{self._wish.task}-0"
        pod = next((pod for pod in state.pods if pod.name == first), None)
        if pod is None or not pod.has_log or not self._wish.log_lines:
            return
        text = _volcano_logs.tail(self._reader, self._wish.namespace, first, self._wish.log_lines)
        lines = text.splitlines() if text else []
        for line in _volcano_progress.new_lines(self._tail, lines):
            self._show(f"  {first}: {line}")
        self._tail = lines
        self._result.tail = lines

    def _keep_broken(self, state: Poll) -> None:
        """The log of a broken pod is fetched at once: a restart of the job would delete the pod with it."""
        if not self._wish.logs_dir:
            return
        for pod in state.pods:
            mark = f"{pod.name} {state.retries} {pod.restarts}"
            if pod.broken and mark not in self._kept:
                self._kept.add(mark)
                path = os.path.join(self._wish.logs_dir, f"{pod.name}.retry-{state.retries}.log")
                text = _volcano_logs.tail(self._reader, self._wish.namespace, pod.name, self._wish.logs_tail)
                if text is not None:
                    _volcano_logs.write(path, text)
                    self._result.logs.append(path)
                    self._result.tail = text.splitlines()[-self._wish.log_lines :]
                return

    def _check_rank_table(self) -> Sequence[str]:
        if not self._wish.rank_table:
            return ()
        map_ = self._optional(api.namespaced(self._wish.namespace, "configmaps", self._wish.rank_table))
        text = ((map_ or {}).get("data") or {}).get(self._wish.rank_table_key)
        if text == self._table:
            return ()
        self._table = text
        verdict = _volcano_ranktable.judge(text, self._wish.nodes, self._wish.npus)
        self._result.rank_table = verdict.state
        if verdict.state == _volcano_ranktable.COMPLETED:
            self._show(f"  rank table: {verdict.servers} servers, {verdict.devices} devices, every rank once")
        if verdict.state == _volcano_ranktable.UNKNOWN:
            self._result.warnings += verdict.faults
        return verdict.faults if verdict.state == _volcano_ranktable.BROKEN else ()
