# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt to prove that a service answers. Private to the collection.

A probe is data: requests with what their replies must hold, commands in the container, and
texts that must not stand in its log. It talks to the address it is given and to no other: no
proxy of the environment, no redirect followed.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from ansible_collections.ascend.fleet.plugins.module_utils._probe_values import (
    MISSING,
    Values,
    fill,
    fill_url,
    first_values,
    walk,
)

Address = Tuple[str, int]
ReadSecret = Callable[[str], str]
Execute = Callable[[List[str], float], Tuple[int, str]]
ReadLog = Callable[[], Optional[str]]

STEP_TIMEOUT = 30.0
BODY_LIMIT = 4 * 1024 * 1024
SHOWN = 300
HIDDEN = "********"

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


class ProbeResult(NamedTuple):
    ok: bool
    step: int
    message: str
    replies: list[dict[str, Any]]
    seconds: float
    final: bool = False
    """Whether a failure will not mend by itself, so that another attempt is of no use."""


class Means(NamedTuple):
    """How a probe reaches what it asks."""

    address: Address | None
    read_secret: ReadSecret | None = None
    execute: Execute | None = None
    read_log: ReadLog | None = None
    sleep: Callable[[float], None] = time.sleep


class _ProbeError(Exception):
    final = False

    def __init__(self, message: str, reply: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.replies = [reply] if reply else []


class _FinalError(_ProbeError):
    final = True


def run_probe(
    probe: dict[str, Any],
    address: Address | None,
    read_secret: ReadSecret | None = None,
    execute: Execute | None = None,
    read_log: ReadLog | None = None,
) -> ProbeResult:
    means = Means(address, read_secret, execute, read_log)
    started = time.monotonic()
    replies: list[dict[str, Any]] = []
    secrets: list[str] = []
    values = first_values()
    step = 0
    try:
        if probe["type"] == "http":
            for wanted in probe["steps"]:
                step += 1
                replies.append(_step(wanted, means, values, secrets))
        elif probe["type"] == "tcp":
            step = 1
            _tcp(_needed(address), float(probe.get("connect_timeout") or STEP_TIMEOUT))
        elif probe["type"] == "command":
            step = 1
            replies.append(_command(probe["command"], probe.get("command_timeout"), execute))
    except _ProbeError as failure:
        replies += failure.replies
        told = hide(str(failure), secrets)
        return ProbeResult(False, step, told, hide(replies, secrets), _since(started), failure.final)
    return ProbeResult(True, step, "", hide(replies, secrets), _since(started))


def look_up(document: Any, path: str) -> Any:
    """The value at a dotted path; a number picks from an array. None where there is none."""
    found = walk(document, path)
    return None if found is MISSING else found


def _step(wanted: dict[str, Any], means: Means, values: Values, secrets: list[str]) -> dict[str, Any]:
    if wanted.get("command"):
        return _command(fill(wanted["command"], values), wanted.get("timeout"), means.execute)
    if wanted.get("forbid"):
        return _log(wanted["forbid"], means.read_log)
    reply = _asked_until(wanted, means, values, secrets)
    for name, path in (wanted.get("capture") or {}).items():
        value = walk(reply["json"], path, values)
        if not isinstance(value, (str, int, float)):
            raise _ProbeError(f"{reply['request']} answered, but has no text or number at {path}", reply)
        values[name] = value
    return reply


def _asked_until(wanted: dict[str, Any], means: Means, values: Values, secrets: list[str]) -> dict[str, Any]:
    """The reply that holds what it must; one that does not may come true while there is time."""
    until = wanted.get("until") or {"timeout": 0, "interval": 1}
    deadline = time.monotonic() + float(until["timeout"])
    while True:
        reply = _http_step(wanted, means, values, secrets)
        _reject(wanted, reply, values)
        problem = _unmet(wanted, reply, values)
        if problem is None:
            return reply
        if time.monotonic() >= deadline:
            waited = f" (asked for {until['timeout']:g} s)" if until["timeout"] else ""
            raise _ProbeError(f"{reply['request']} {problem}: {_told(wanted, reply, values)}{waited}", reply)
        means.sleep(min(float(until["interval"]), max(deadline - time.monotonic(), 0.0)))


def _needed(address: Address | None) -> Address:
    if address is None:
        raise _ProbeError("the service has no address on this node to send the probe to")
    return address


def _http_step(request: dict[str, Any], means: Means, values: Values, secrets: list[str]) -> dict[str, Any]:
    address, read_secret = _needed(means.address), means.read_secret
    method, path = request.get("method") or "GET", fill_url(request.get("path") or "/", values)
    headers = {"Connection": "close", **{str(k): str(v) for k, v in (request.get("headers") or {}).items()}}
    body = fill(request.get("body"), values)
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    guard = request.get("secret_header")
    if guard:
        if read_secret is None:
            raise _ProbeError(f"{method} {path} needs the secret {guard['secret']}, which is not at hand")
        secret = read_secret(guard["secret"]).strip()
        secrets.append(secret)
        headers[guard["name"]] = (guard.get("prefix") or "") + secret
    timeout = float(request.get("timeout") or STEP_TIMEOUT)
    started = time.monotonic()
    connection = http.client.HTTPConnection(address[0], address[1], timeout=timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read(BODY_LIMIT)
    except socket.timeout:
        raise _ProbeError(f"{method} {path} gave no answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _ProbeError("%s %s at %s:%d: %s" % (method, path, address[0], address[1], _words(error))) from None
    finally:
        connection.close()
    text = content.decode("utf-8", "replace")
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = None
    return {
        "request": f"{method} {path}",
        "status": response.status,
        "text": text,
        "json": value,
        "seconds": _since(started),
    }


def _reject(request: dict[str, Any], reply: dict[str, Any], values: Values) -> None:
    for rule in request.get("reject") or []:
        if _broken_rule(rule, reply, values) is None:
            told = _told(request, reply, values)
            raise _FinalError(f"{reply['request']} answered {reply['status']}, which rules it out: {told}", reply)


def _unmet(request: dict[str, Any], reply: dict[str, Any], values: Values) -> str | None:
    allowed = request.get("status") or [http.client.OK]
    if reply["status"] not in allowed:
        wanted = " or ".join(str(status) for status in allowed)
        return f"answered {reply['status']}, not {wanted}"
    problems = (_broken_rule(rule, reply, values) for rule in request.get("expect") or [])
    return next((f"answered, but {problem}" for problem in problems if problem), None)


def _told(request: dict[str, Any], reply: dict[str, Any], values: Values) -> str:
    """What the reply says about itself: the values at the step's own places, else how it begins."""
    found = [walk(reply["json"], path, values) for path in request.get("tell") or []]
    texts = [item if isinstance(item, str) else json.dumps(item) for item in found if item is not MISSING]
    return _short(", ".join(texts) or reply["text"])


def _broken_rule(rule: dict[str, Any], reply: dict[str, Any], values: Values) -> str | None:
    if rule.get("contains") is not None:
        return None if rule["contains"] in reply["text"] else f"{rule['contains']!r} is not in the reply"
    path = rule.get("path") or ""
    value = MISSING if reply["json"] is None and path else walk(reply["json"], path, values)
    if value is MISSING:
        return f"the reply has no {path}"
    wanted = rule.get("equals")
    if wanted is not None and (value != wanted or isinstance(value, bool) != isinstance(wanted, bool)):
        return f"{path} is not {wanted!r}"
    kind = rule.get("type")
    if kind and not _is_a(value, kind):
        return f"{path} is no {kind}"
    if rule.get("non_empty") and not (value.strip() if isinstance(value, str) else value):
        return f"{path} is empty"
    return None


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _tcp(address: Address, timeout: float) -> None:
    try:
        socket.create_connection(address, timeout).close()
    except OSError as error:
        raise _ProbeError("%s:%d does not take connections: %s" % (address[0], address[1], _words(error))) from None


def _command(command: list[str], timeout: Any, execute: Execute | None) -> dict[str, Any]:
    if execute is None:
        raise _ProbeError("a command probe needs a running container")
    started = time.monotonic()
    words = [str(word) for word in command]
    status, output = execute(words, float(timeout or STEP_TIMEOUT))
    if status != 0:
        raise _ProbeError("%s ended with status %d: %s" % (" ".join(words), status, _short(output)))
    return {
        "request": " ".join(words),
        "status": status,
        "text": output,
        "json": None,
        "seconds": _since(started),
    }


def _log(forbidden: list[str], read_log: ReadLog | None) -> dict[str, Any]:
    if read_log is None:
        raise _ProbeError("the log of a container is needed, and there is none to read")
    started = time.monotonic()
    text = read_log()
    if text is None:
        raise _FinalError("its log cannot be read back from the container engine's log driver")
    for line in text.splitlines():
        if any(marker in line for marker in forbidden):
            raise _FinalError(f"its log says: {_short(line)}")
    return {"request": "log", "status": 0, "text": "", "json": None, "seconds": _since(started)}


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]} ..."


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def hide(value: Any, secrets: list[str]) -> Any:
    """The value with every secret in it replaced: a service may echo the key it was sent."""
    if isinstance(value, str):
        for secret in filter(None, secrets):
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, dict):
        return {key: hide(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [hide(item, secrets) for item in value]
    return value
