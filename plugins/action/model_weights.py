# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of model_weights: token in, files of the controller over, progress out."""

from __future__ import annotations

import posixpath
import shlex
import time
from collections.abc import Iterable, Iterator
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import kind_and_place
from ansible_collections.ascend.fleet.plugins.plugin_utils import _weights_upload
from ansible_collections.ascend.fleet.plugins.plugin_utils._lease_owner import dead_holder
from ansible_collections.ascend.fleet.plugins.plugin_utils._models import name_of
from ansible_collections.ascend.fleet.plugins.plugin_utils._packing import collector_paused
from ansible_collections.ascend.fleet.plugins.plugin_utils._secret_files import read_secret

MODULE = "ascend.fleet.model_weights"
POLL_SECONDS = 10
RECONNECT_SECONDS = 120
RECONNECT_PAUSE = 2
# Sent in one go; a connection that is lost costs no more than that.
CHUNK = 32 << 20
RUN_KEYS = ("id", "owner", "lease_seconds")


class ActionModule(ActionBase):
    _requires_connection = True
    _revision: str | None = None

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        self._place(args)
        if args.get("token_file"):
            args["token"] = read_secret(str(args["token_file"]))
        if args.get("run"):
            args["run"] = {key: args["run"][key] for key in RUN_KEYS if key in args["run"]}
        host = str(task_vars.get("inventory_hostname", self._task.name))
        files = self._files(args)
        if boolean(args.get("look", False)):
            return self._patiently(args, task_vars)
        args["sent"] = bool(files)
        if files and self._task.check_mode:
            args["upload"] = _weights_upload.sizes(files)
        result = self._patiently(args, task_vars)
        holder = dead_holder(result)
        if holder:
            result = self._patiently({**args, "take_over": holder}, task_vars)
        return self._follow(args, task_vars, host, result, files)

    def _place(self, args: dict[str, Any]) -> None:
        """The path, where only the directory of all models is given."""
        directory = args.pop("directory", None)
        if not args.get("path") and directory:
            try:
                args["path"] = posixpath.join(str(directory), name_of(str(args.get("source"))))
            except ValueError as error:
                raise AnsibleActionFail(f"The source {args.get('source')} {error}.") from None

    def _files(self, args: dict[str, Any]) -> list[_weights_upload.File]:
        """What the controller has for this node, which asks for it once no other node can give it."""
        mirror = args.pop("mirror", None)
        try:
            kind, place = kind_and_place(str(args.get("source")))
        except ValueError:
            return []
        patterns = (args.get("include") or [], args.get("exclude") or [])
        if kind == "controller":
            files = _weights_upload.files(place, *patterns)
            args["resolved"] = _weights_upload.fingerprint(files)
            return files
        copy = _weights_upload.copy_in(str(mirror), kind, place) if mirror else None
        if copy is None:
            return []
        self._revision = _weights_upload.revision_of(copy)
        return _weights_upload.files(copy, *patterns)

    def _follow(
        self,
        args: dict[str, Any],
        task_vars: dict[str, Any],
        host: str,
        result: dict[str, Any],
        files: list[_weights_upload.File],
    ) -> dict[str, Any]:
        shown = None
        asked = {"path": args["path"], "source": args["source"], "wait": POLL_SECONDS}
        while "pending" in result:
            pending = result["pending"]
            if pending["phase"] != shown:
                shown = pending["phase"]
                self._display.display(f"{host}: {shown}")
            if boolean(args.get("begin", False)):
                break
            given = {}
            if pending["upload"] and files:
                if pending["upload"]["files"] is None:
                    given["upload"] = _weights_upload.listing(files, args.get("resolved") or self._revision)
                else:
                    self._send(pending["upload"]["files"], files)
                    files = []
            result = self._patiently({**asked, **given, "work": pending["work"]}, task_vars)
        return result

    def _send(self, wanted: Iterable[dict[str, Any]], files: list[_weights_upload.File]) -> None:
        """The rest of each file behind the part that the node has."""
        by_path = {file.path: file for file in files}
        for one in wanted:
            offset = int(one["offset"])
            for chunk in _chunks(by_path[one["path"]].read(offset)):
                part = shlex.quote(one["part"])
                command = f"dd of={part} bs=1M seek={offset} oflag=seek_bytes conv=notrunc iflag=fullblock status=none"
                self._write(command, chunk, one["path"])
                offset += len(chunk)

    def _write(self, command: str, chunk: bytes, path: str) -> None:
        deadline = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                ran = self._low_level_execute_command(command, in_data=chunk, sudoable=True)
            except AnsibleConnectionFailure:
                if time.monotonic() > deadline:
                    raise
                self._connection.reset()
                time.sleep(RECONNECT_PAUSE)
                continue
            if ran["rc"]:
                raise AnsibleActionFail(f"{path} cannot be written on the node: {ran['stderr'].strip()}.")
            return

    def _patiently(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """A lost connection stops no work on the node; the same call joins it again."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                with collector_paused():
                    result: dict[str, Any] = self._execute_module(
                        module_name=MODULE, module_args=args, task_vars=task_vars
                    )
            except AnsibleConnectionFailure:
                if time.monotonic() > deadline:
                    raise
                self._connection.reset()
                time.sleep(RECONNECT_PAUSE)
                continue
            return result


def _chunks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    collected = bytearray()
    for block in blocks:
        collected += block
        if len(collected) >= CHUNK:
            yield bytes(collected)
            collected.clear()
    if collected:
        yield bytes(collected)
