# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until a container is ready: its process keeps running and its probe answers. Private to the collection.

The state of the process is looked at as well as the probe: a process that is gone will not
answer, so there is nothing to wait for.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    ended_at,
    published_ports,
    started_at,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import Spec
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._probe import ProbeResult, hide, run_probe

Json = Dict[str, Any]

DEFAULT_TIMEOUT = 600.0
DEFAULT_INTERVAL = 1.0
# Without a probe, a process counts as ready when it has lived this long.
SETTLING = 3.0
# The engine itself takes a process that it had to start again for well after this time.
RECOVERED = 10.0
FIRST_PAUSE = 0.1
TELL_EVERY = 10.0
LOG_LINES = 20
_KILLED = 137
NO_PROBE: Json = {"type": "none"}


class Clock(NamedTuple):
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    wall: Callable[[], float] = time.time


class Waiter:
    def __init__(
        self,
        reader: EngineReader,
        spec: Spec,
        probe: Json | None,
        read_secret: Callable[[str], str] | None,
        progress: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._reader = reader
        self._spec = spec
        self._name: str = spec["name"]
        self._probe = probe or NO_PROBE
        self._read_secret = read_secret
        self._progress = progress
        self._clock = clock or Clock()

    def wait(self) -> ProbeResult:
        started = self._clock.now()
        timeout = float(self._probe.get("timeout") or DEFAULT_TIMEOUT)
        interval = float(self._probe.get("interval") or DEFAULT_INTERVAL)
        pause, told = FIRST_PAUSE, started
        first = self.alive()
        while True:
            result = self._attempt(self.alive(first), self._clock.now() - started)
            seconds = self._clock.now() - started
            if result.ok:
                # The process may have died after it answered.
                self.alive(first)
                return result._replace(seconds=round(seconds, 3))
            if result.final:
                raise self._not_ready("cannot become ready", result)
            if seconds >= timeout:
                raise self._not_ready(f"was not ready within {timeout:g} s", result)
            if self._clock.now() - told >= TELL_EVERY:
                told = self._clock.now()
                self._progress(f"{self._name}: waits {seconds:.0f} of {timeout:.0f} s: {result.message}")
            self._clock.sleep(min(pause, max(timeout - seconds, 0.0)))
            pause = min(pause * 2, interval)

    def _attempt(self, container: Json, seconds: float) -> ProbeResult:
        age = self._clock.wall() - started_at(container)
        if container.get("RestartCount", 0) and 0 <= age < RECOVERED:
            return ProbeResult(False, 0, "its process ended before and was just started again", [], 0.0)
        if self._probe["type"] == "none":
            settled = seconds >= SETTLING or age >= SETTLING
            return ProbeResult(settled, 0, "" if settled else "its process has just started", [], 0.0)
        return run_probe(
            self._probe,
            address_of(self._spec, container, self._probe.get("port")),
            self._read_secret,
            lambda command, timeout: self._reader.execute(self._name, command, timeout),
            lambda: self._reader.log_since(self._name, ended_at(container)),
        )

    def alive(self, first: Json | None = None) -> Json:
        """The container as it is now; raises as soon as its process has ended or been started again."""
        container = self._reader.inspect(self._name)
        if container is None:
            raise FleetError("container-exited", f"Container {self._name} was removed while it started.")
        state = container["State"]
        again = first is not None and (
            container.get("RestartCount", 0) != first.get("RestartCount", 0)
            or state.get("StartedAt") != first["State"].get("StartedAt")
        )
        if again or state.get("Restarting") or not state.get("Running"):
            raise self._exited(state, again or bool(state.get("Restarting")))
        return container

    def _exited(self, state: Json, again: bool) -> FleetError:
        what = "ended and was started again" if again else "ended"
        reason = f"exit code {state.get('ExitCode')}"
        if state.get("OOMKilled"):
            reason += ", killed for lack of memory"
        elif state.get("ExitCode") == _KILLED:
            # Not every kernel tells the engine why; nobody else than the kernel kills a process that just starts.
            reason += ", killed, most likely for lack of memory"
        if state.get("Error"):
            reason += f", {state['Error']}"
        return FleetError(
            "container-exited",
            f"Container {self._name}: its process {what} ({reason}).{self._last_lines()}",
            service=self._name,
            value=state.get("ExitCode"),
        )

    def _not_ready(self, verdict: str, result: ProbeResult) -> FleetError:
        return FleetError(
            "container-not-ready",
            f"Container {self._name} runs, but {verdict}: {result.message}.{self._last_lines()}",
            service=self._name,
            key="probe",
            value=result.step,
        )

    def _last_lines(self) -> str:
        text = hide(self._reader.logs(self._name, LOG_LINES).strip(), self._secrets())
        return f" The last lines of its log:\n{text}" if text else " It wrote no log."

    def _secrets(self) -> list[str]:
        """What the service was given and may have printed."""
        if self._read_secret is None:
            return []
        steps = self._probe.get("steps") or []
        named = {secret["id"] for secret in self._spec.get("secret_files") or []}
        named |= {step["secret_header"]["secret"] for step in steps if step.get("secret_header")}
        found = []
        for identity in sorted(named):
            with contextlib.suppress(FleetError):
                found.append(self._read_secret(identity).strip())
        return found


def address_of(spec: Spec, container: Json, port: int | None = None) -> tuple[str, int] | None:
    """Where on this node a service answers: its published port, the host's own, or the container's address."""
    if spec["network"] == "host":
        return ("127.0.0.1", port) if port else None
    published = [p for p in published_ports(container) if port in (None, p["container_port"])]
    for binding in published:
        if binding["protocol"] == "tcp":
            wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}
            return wildcard.get(binding["host_ip"], binding["host_ip"]), binding["host_port"]
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    inside = next((network["IPAddress"] for network in networks.values() if network.get("IPAddress")), None)
    return (inside, port) if inside and port else None


def image_owner(reader: EngineReader, container: str, spec: Spec) -> int:
    """The number of the user a container runs as; names are looked up in its image's own list."""
    found = reader.inspect(container)
    user = str((found or {}).get("Config", {}).get("User") or spec["user"]).partition(":")[0]
    if not user or user == "root":
        return 0
    if user.isdigit():
        return int(user)
    for line in (reader.file(container, "/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if fields[0] == user and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2])
    raise FleetError(
        "option-invalid",
        f"Container {spec['name']}: its image knows no user {user}.",
        "Use a user of the image, or a number.",
        service=spec["name"],
        key="user",
        value=user,
    )
