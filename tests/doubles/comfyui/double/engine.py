# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation, queue, execution and history of graphs."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

from double.folders import Folders
from double.nodes import Catalogue

Json = dict[str, Any]


class Engine:
    def __init__(self, nodes: Catalogue, folders: Folders) -> None:
        self.nodes, self.folders = nodes, folders
        self.pending: list[list[Any]] = []
        self.running: list[list[Any]] = []
        self.history: dict[str, Json] = {}
        self.wake = asyncio.Event()
        self.tell: Callable[[str, Json], None] = lambda _event, _data: None

    def queue_info(self) -> Json:
        return {"exec_info": {"queue_remaining": len(self.pending) + len(self.running)}}

    def put(self, number: float, graph: Json, extra: Json, outputs: list[str]) -> str:
        identity = str(uuid.uuid4())
        self.pending.append([number, identity, graph, extra, outputs])
        self.pending.sort(key=lambda item: item[0])
        self.wake.set()
        return identity

    async def work(self) -> None:
        while True:
            await self.wake.wait()
            while self.pending:
                self.running = [self.pending.pop(0)]
                _number, identity, graph, _extra, outputs = self.running[0]
                status, found = self._execute(identity, graph, outputs)
                self.history[identity] = {"prompt": self.running[0], "outputs": found, "status": status, "meta": {}}
                self.running = []
                self.tell("executing", {"node": None, "prompt_id": identity})
                self.tell("status", {"status": self.queue_info()})
            self.wake.clear()

    def _execute(self, identity: str, graph: Json, outputs: list[str]) -> tuple[Json, Json]:
        messages: list[Any] = [["execution_start", {"prompt_id": identity, "timestamp": _now()}]]
        values: dict[str, Any] = {}
        shown: Json = {}
        done = True
        for output in outputs:
            try:
                shown[output] = self._value(graph, output, values)
            except Exception as error:
                logging.error("!!! Exception during processing !!! %s", error)
                logging.error(traceback.format_exc())
                told = {
                    "prompt_id": identity,
                    "node_id": output,
                    "node_type": graph[output]["class_type"],
                    "executed": [],
                    "exception_message": str(error),
                    "exception_type": type(error).__name__,
                    "traceback": traceback.format_tb(error.__traceback__),
                    "current_inputs": {},
                    "current_outputs": [],
                }
                messages.append(["execution_error", {**told, "timestamp": _now()}])
                self.tell("execution_error", told)
                done = False
                break
        if done:
            messages.append(["execution_success", {"prompt_id": identity, "timestamp": _now()}])
        return {"status_str": "success" if done else "error", "completed": done, "messages": messages}, shown

    def _value(self, graph: Json, identity: str, values: dict[str, Any]) -> Any:
        if identity not in values:
            self.tell("executing", {"node": identity})
            inputs = {
                name: self._value(graph, value[0], values)[value[1]] if isinstance(value, list) else value
                for name, value in graph[identity]["inputs"].items()
            }
            values[identity] = self.nodes[graph[identity]["class_type"]].run(**inputs)
        return values[identity]

    def validate(self, graph: Json) -> tuple[Json | None, list[str], Json]:
        """The error if there is one, the outputs that can be made, and what is wrong with which node."""
        for identity, item in graph.items():
            kind = item.get("class_type")
            if kind not in self.nodes:
                what = "node %s does not exist." % kind if kind else "a node is missing the class_type property."
                return _error("invalid_prompt", f"Cannot execute because {what}", f"Node ID '#{identity}'"), [], {}
        outputs = [identity for identity, item in graph.items() if self.nodes[item["class_type"]].is_output]
        if not outputs:
            return _error("prompt_no_outputs", "Prompt has no outputs", ""), [], {}
        wrong: Json = {}
        good = [output for output in outputs if self._valid(graph, output, wrong)]
        if good:
            return None, good, wrong
        return _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", ""), [], wrong

    def _valid(self, graph: Json, identity: str, wrong: Json) -> bool:
        item, errors, below = graph[identity], [], True
        for name, (kind, limits) in self.nodes[item["class_type"]].inputs().items():
            value = item["inputs"].get(name)
            if value is None:
                errors.append(_error("required_input_missing", "Required input is missing", name))
            elif isinstance(value, list):
                if value[0] not in graph:
                    errors.append(_error("bad_linked_input", "Bad linked input", name))
                    continue
                received = self.nodes[graph[value[0]]["class_type"]].outputs[value[1]]
                if received != kind:
                    text = f"{name}, received_type({received}) mismatch input_type({kind})"
                    errors.append(_error("return_type_mismatch", "Return type mismatch between linked nodes", text))
                else:
                    below = self._valid(graph, value[0], wrong) and below
            elif isinstance(kind, list):
                if value not in kind:
                    errors.append(_error("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {kind}"))
            elif kind in ("INT", "FLOAT") and not limits.get("min", value) <= value <= limits.get("max", value):
                errors.append(_error("value_out_of_range", f"Value {value} out of range", name))
        if errors:
            wrong[identity] = {"errors": errors, "dependent_outputs": [], "class_type": item["class_type"]}
        return below and not errors


def _error(kind: str, message: str, details: str) -> Json:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _now() -> int:
    return int(time.time() * 1000)
