# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out the plan of one container, and mends what a killed run left. Private to the collection.

A replacement goes by steps of which each leaves a state that tells how far it came:

    the old one is renamed, gets restart policy ``no``, is stopped; the new one is created with
    ``no``, started, proven ready; it gets its own policy; the old one is removed.

The name comes first, so that a run killed at any step is recognised by it, and what the old one
was before can be restored. Two containers never have a policy at the same time: a restarted engine
would bring up both, on the same cards.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import Any, Callable, Dict, Iterable, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import (
    cards_of,
    create_body,
    is_fleet,
    is_running,
    update_body,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import OLD, OLD_IDLE, read_containers
from ansible_collections.ascend.fleet.plugins.module_utils._container_plan import (
    UNDO,
    finish_action,
    interruption,
    proven,
    recovery_action,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_ready import Waiter, image_owner
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import Spec, settle
from ansible_collections.ascend.fleet.plugins.module_utils._document import SECRETS_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._engine_sdk import EngineClient
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._probe import ProbeResult
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
Action = Dict[str, Any]
Progress = Callable[[str], None]

BACK = " The container from before is back."
STOP_TIMEOUT = 120


class Hooks(NamedTuple):
    """What the caller does at moments that only this code knows."""

    released: Callable[[list[int]], None] | None = None
    """Called with the davinci numbers of a container that was just stopped; returns once their memory is free."""
    read_secret: Callable[[str], str] | None = None


def apply_container(
    client: EngineClient,
    reader: EngineReader,
    spec: Spec,
    actions: Iterable[Action],
    probe: Json | None,
    progress: Progress,
    run_id: str,
    state: str = "present",
    system: System | None = None,
    hooks: Hooks | None = None,
) -> ProbeResult | None:
    """Carry out the actions planned for one container; gives the probe's result where it was asked."""
    work = _Work(client, reader, spec, probe, progress, run_id, state, system or System(), hooks or Hooks())
    result = None
    for action in actions:
        carry_out = getattr(work, action["action"])
        result = carry_out(action) or result
    return result


def recover(
    client: EngineClient,
    reader: EngineReader,
    names: Iterable[str],
    wanted: dict[str, str] | None = None,
    progress: Progress | None = None,
) -> list[Action]:
    """Finish or undo every replacement that was cut off; gives the actions taken.

    ``wanted`` holds the spec digest of each name that shall be there. A new container that carries it
    and is not proven yet is left for ``apply_container``, whose plan has the action ``finish`` then.
    """
    tell = progress or (lambda _text: None)
    found = read_containers(reader)
    done = []
    for name in names:
        current = found.get(name)
        old_name = next((name + suffix for suffix in (OLD, OLD_IDLE) if name + suffix in found), None)
        if old_name is None or (current is not None and not is_fleet(current)):
            continue
        if interruption((wanted or {}).get(name), current, found[old_name]) == UNDO:
            tell(f"{name}: an earlier run was cut off, the old container comes back")
            put_back(client, name, old_name, "always")
            done.append(recovery_action(name))
        elif current is not None and proven(current):
            tell(f"{name}: an earlier run was cut off, the old container goes")
            client.remove(old_name)
            done.append(finish_action(name))
    return done


def put_back(client: EngineClient, name: str, old_name: str, policy: str) -> None:
    """Undo a replacement; the name comes last, so that a run killed in here is recognised as well."""
    _remove_if_there(client, name)
    if old_name == name + OLD:
        client.set_restart_policy(old_name, policy)
        client.start(old_name)
    client.rename(old_name, name)


class _Work:
    def __init__(
        self,
        client: EngineClient,
        reader: EngineReader,
        spec: Spec,
        probe: Json | None,
        progress: Progress,
        run_id: str,
        state: str,
        system: System,
        hooks: Hooks,
    ) -> None:
        self.client = client
        self.reader = reader
        self.spec = spec if state == "absent" else settle(spec, system.exists)
        self.name: str = spec["name"]
        self.progress = progress
        self.run_id = run_id
        self.running = state == "present"
        self.system = system
        self.hooks = hooks
        self.waiter = Waiter(reader, spec, probe, hooks.read_secret, progress)
        self.made: list[str] = []

    # One method for every action of a plan

    def create_directory(self, action: Action) -> None:
        self.progress(f"{self.name}: make directory {action['target']}")
        self.system.makedirs(action["target"], int(action["after"]["mode"], 8))
        os.chmod(self.system.path(action["target"]), int(action["after"]["mode"], 8))
        self.made.append(action["target"])

    def release(self, action: Action) -> None:
        holder = action["target"]
        container = self._needed(holder)
        self._say(f"stop {holder}, which holds its cards")
        self.client.set_restart_policy(holder, "no")
        self._stop(holder, container)

    def recover(self, _action: Action) -> None:
        """Done by the function ``recover`` before the plan was made; a plan made after it has no such action."""

    def create(self, _action: Action) -> ProbeResult | None:
        try:
            self._create()
            return self._prove_new()
        except Exception as error:
            raise self._undone(error, lambda: _remove_if_there(self.client, self.name)) from error

    def replace(self, _action: Action) -> ProbeResult | None:
        old = self._needed(self.name)
        policy = (old["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no"
        was_running = is_running(old)
        old_name = self.name + (OLD if was_running else OLD_IDLE)
        moved = False
        try:
            self._say("move the old container aside")
            self.client.rename(old["Id"], old_name)
            moved = True
            if was_running:
                self._say("keep the old container from coming back")
                self.client.set_restart_policy(old_name, "no")
                self._say("stop the old container")
                self._stop(old_name, old)
            self._create()
            return self._conclude(old_name)
        except Exception as error:
            undo = partial(put_back, self.client, self.name, old_name, policy) if moved else None
            raise self._undone(error, undo, BACK) from error

    def finish(self, _action: Action) -> ProbeResult | None:
        """Go on where a killed run stopped: with a new container beside the old one."""
        names = (self.name + OLD, self.name + OLD_IDLE)
        old_name = next((name for name in names if self.reader.inspect(name)), None)
        if old_name is None:
            # ``recover`` has done it already.
            return None
        old = self._needed(old_name)
        try:
            if is_running(old):
                self._say("stop the old container")
                self._stop(old_name, old)
            return self._conclude(old_name)
        except Exception as error:
            raise self._undone(error, lambda: put_back(self.client, self.name, old_name, "always"), BACK) from error

    def update(self, action: Action) -> ProbeResult | None:
        changes = dict(action["after"])
        policy = changes.pop("restart", None)
        if changes:
            self._say(f"set {', '.join(sorted(changes))}")
            self.client.update(self.name, update_body(changes))
        if policy is None:
            return None
        result = None
        if policy != "no":
            if not is_running(self._needed(self.name)):
                # The start that follows sets it, once the process has proven itself.
                return None
            result = self.waiter.wait()
        self._set_policy(policy)
        return result

    def start(self, _action: Action) -> ProbeResult | None:
        before = self._needed(self.name)
        try:
            if before["State"].get("Paused"):
                self._say("unpause")
                self.client.unpause(self.name)
            else:
                self._own_secrets()
                self._say("start")
                self.client.start(self.name)
            result = self.waiter.wait()
            self._set_policy(self.spec["restart"])
            return result
        except Exception as error:
            # As it was: not running, and nothing that a restarted engine would start by itself.
            raise self._undone(error, lambda: self._halt(before)) from error

    def restart(self, _action: Action) -> ProbeResult | None:
        before = self._needed(self.name)
        self.client.set_restart_policy(self.name, "no")
        try:
            self._say("stop")
            self._stop(self.name, before)
            self._own_secrets()
            self._say("start")
            self.client.start(self.name)
            return self.waiter.wait()
        finally:
            self._set_policy(self.spec["restart"])

    def stop(self, _action: Action) -> None:
        self._halt(self._needed(self.name))

    def remove(self, _action: Action) -> None:
        for name in (self.name + OLD, self.name + OLD_IDLE, self.name):
            container = self.reader.inspect(name)
            if container is None or not is_fleet(container):
                continue
            self._say(f"remove {name}")
            self.client.set_restart_policy(name, "no")
            if is_running(container):
                self._stop(name, container)
            self.client.remove(name)

    # Steps

    def _create(self) -> None:
        self._say("create the container")
        self.client.create(self.name, create_body(self.spec, self.run_id))
        self._own_directories()
        self._own_secrets()

    def _prove_new(self) -> ProbeResult | None:
        container = self._needed(self.name)
        if not self.running:
            if is_running(container):
                self._halt(container)
            return None
        if not is_running(container):
            self._say("start the container")
            self.client.start(self.name)
        result = self.waiter.wait()
        if self.spec["restart"] != "no":
            self._set_policy(self.spec["restart"])
        return result

    def _set_policy(self, policy: str) -> None:
        self._say(f"set restart policy {policy}")
        try:
            self.client.update(self.name, update_body({"restart": policy}))
        except FleetError:
            # A process that has just died is the better reason than an update that came too late.
            self.waiter.alive()
            raise

    def _undone(self, error: Exception, undo: Callable[[], None] | None, undone: str = "") -> FleetError:
        """The failure to report, after everything was put back as it was."""
        failure = error if isinstance(error, FleetError) else _unexpected(self.name, error)
        self._say("failed, put everything back as it was")
        try:
            if undo:
                undo()
                failure.finding["message"] += undone
        except FleetError as second:
            failure.finding["message"] += f" What was there before could not be put back yet: {second}"
            failure.finding["remedy"] = "Run again once the engine answers: the run first mends what was left."
        for folder in self.made:
            with contextlib.suppress(OSError):
                os.rmdir(self.system.path(folder))
        return failure

    def _conclude(self, old_name: str) -> ProbeResult | None:
        result = self._prove_new()
        self._say("remove the old container")
        self.client.remove(old_name)
        return result

    def _halt(self, container: Json) -> None:
        self._say("stop")
        self.client.set_restart_policy(self.name, "no")
        self._stop(self.name, container)

    def _stop(self, name: str, container: Json) -> None:
        if container["State"].get("Paused"):
            self.client.unpause(name)
        timeout = container["Config"].get("StopTimeout")
        self.client.stop(name, STOP_TIMEOUT if timeout is None else timeout)
        if self.hooks.released:
            self.hooks.released(cards_of(container))

    def _own_directories(self) -> None:
        """Directories made for it belong to the user it runs as, which only its image can tell."""
        for mount in self.spec["mounts"]:
            if mount["source"] in self.made:
                owner = mount["create"]["owner"]
                uid = image_owner(self.reader, self.name, self.spec) if owner is None else owner
                os.chown(self.system.path(mount["source"]), uid, -1)

    def _own_secrets(self) -> None:
        for secret in self.spec["secret_files"]:
            path = self.system.path(f"{SECRETS_DIR}/{secret['id']}")
            os.chown(path, image_owner(self.reader, self.name, self.spec), -1)
            os.chmod(path, int(secret["mode"], 8))

    def _needed(self, name: str) -> Json:
        container = self.reader.inspect(name)
        if container is None:
            raise FleetError(
                "step-failed",
                f"Container {name} vanished while it was worked on.",
                "Run again, and let nobody else change it meanwhile.",
                service=self.name,
            )
        return container

    def _say(self, text: str) -> None:
        self.progress(f"{self.name}: {text}")


def _unexpected(name: str, error: Exception) -> FleetError:
    return FleetError("step-failed", f"Container {name}: {type(error).__name__}: {error}.", service=name)


def _remove_if_there(client: EngineClient, name: str) -> None:
    try:
        client.remove(name)
    except FleetError as error:
        if "no such container" not in str(error).lower():
            raise
