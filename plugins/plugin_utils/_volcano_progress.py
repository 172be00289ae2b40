# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wait shows of a job, from the few answers of one poll. Pure; private to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ABORTED = "Aborted"
GOALS: dict[str, tuple[str, ...]] = {
    "completed": ("Completed",),
    "running": ("Running", "Completed"),
    "suspended": (ABORTED,),
    "resumed": ("Running", "Completed"),
}
ENDS = ("Completed", "Failed", ABORTED, "Terminated")
_GONE = ("Succeeded", "Completed")
_BROKEN = re.compile(r"Error|OOMKilled|Evicted|Failed|CrashLoopBackOff|ContainerStatusUnknown")


@dataclass(frozen=True)
class Pod:
    name: str
    ready: bool
    status: str
    restarts: int

    @property
    def broken(self) -> bool:
        return bool(_BROKEN.search(self.status))

    @property
    def has_log(self) -> bool:
        return self.status in ("Running", *_GONE) or self.broken


@dataclass(frozen=True)
class Poll:
    """The answers of one round."""

    phase: str
    message: str
    retries: int
    pods: Sequence[Pod] = field(default_factory=tuple)
    wanted: int = 0

    @property
    def ready(self) -> int:
        return sum(pod.ready for pod in self.pods)

    @property
    def restarts(self) -> int:
        return self.retries + sum(pod.restarts for pod in self.pods)


def poll(job: Mapping[str, Any], table: Mapping[str, Any] | None, phase: str, wanted: int) -> Poll:
    status = job.get("status") or {}
    message = str((status.get("state") or {}).get("message") or "")
    return Poll(phase, message, int(status.get("retryCount") or 0), tuple(pods(table or {})), wanted)


def pods(table: Mapping[str, Any]) -> list[Pod]:
    """The pods of the server's own table, which holds a line for each and not the whole pods."""
    columns = [column["name"] for column in table.get("columnDefinitions") or ()]
    found = []
    for row in table.get("rows") or ():
        cells = dict(zip(columns, row["cells"], strict=False))
        ready, _slash, total = str(cells.get("Ready", "0/1")).partition("/")
        restarts = re.match(r"\d+", str(cells.get("Restarts", 0)))
        found.append(
            Pod(
                name=str(cells.get("Name", "")),
                ready=ready == total != "0",
                status=str(cells.get("Status", "")),
                restarts=int(restarts.group()) if restarts else 0,
            )
        )
    return found


def line(state: Poll, seconds: float) -> str:
    done = sum(pod.status in _GONE for pod in state.pods)
    parts = [state.phase, f"{done or state.ready}/{state.wanted} pods {'done' if done else 'ready'}"]
    if state.restarts:
        parts.append(f"{state.restarts} restart{'s' * (state.restarts != 1)}")
    waiting = sorted({pod.status for pod in state.pods if not pod.ready and pod.status not in ("Running", *_GONE)})
    if waiting:
        parts.append(f"pods {', '.join(waiting[:3])}")
    if state.message:
        parts.append(state.message)
    return f"{', '.join(parts)} ({duration(seconds)})"


def duration(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    words = [
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes else "",
        f"{rest} s" if (rest and not hours) or whole < 60 else "",
    ]
    return " ".join(word for word in words if word)


def reached(phase: str, goal: str) -> bool | None:
    """True when the goal is reached, False when it cannot be any more, None while it may be."""
    if phase in GOALS[goal]:
        return True
    return False if phase in ENDS else None


def new_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Lines of a log's end that the end seen before did not hold."""
    for overlap in range(min(len(before), len(now)), 0, -1):
        if list(before[-overlap:]) == list(now[:overlap]):
            return list(now[overlap:])
    return list(now)


@dataclass(frozen=True)
class Event:
    key: tuple[str, int]
    text: str


def events(listed: Iterable[Mapping[str, Any]], job: str) -> list[Event]:
    """Events of a job, its pod group and its pods, oldest first."""
    found = []
    for event in listed:
        target = event.get("involvedObject") or {}
        name = str(target.get("name", ""))
        if name != job and not name.startswith(f"{job}-"):
            continue
        count = int(event.get("count") or 1)
        text = " ".join(str(event.get("message") or "").split())
        when = str(event.get("lastTimestamp") or event.get("eventTime") or "")
        what = f"{event.get('type', '')} {event.get('reason', '')} {target.get('kind', '')} {name}: {text}"
        found.append((when, Event((str((event.get("metadata") or {}).get("uid") or what), count), what.strip())))
    return [event for _when, event in sorted(found, key=lambda pair: pair[0])]
