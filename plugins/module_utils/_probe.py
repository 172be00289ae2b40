# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt to prove that a service answers. Private to the collection.

A probe is data: requests with what their replies must hold. It talks to the address it is
given and to no other: no proxy of the environment, no redirect followed.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any, Callable, List, NamedTuple, Tuple

Address = Tuple[str, int]
ReadSecret = Callable[[str], str]
Execute = Callable[[List[str], float], Tuple[int, str]]

STEP_TIMEOUT = 30.0
BODY_LIMIT = 4 * 1024 * 1024
SHOWN = 300
HIDDEN = "********"

_MISSING = object()
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


class _ProbeError(Exception):
    pass


def run_probe(
    probe: dict[str, Any],
    address: Address | None,
    read_secret: ReadSecret | None = None,
    execute: Execute | None = None,
) -> ProbeResult:
    started = time.monotonic()
    replies: list[dict[str, Any]] = []
    secrets: list[str] = []
    step = 0
    try:
        if probe["type"] == "http":
            for request in probe["steps"]:
                step += 1
                replies.append(_http_step(request, _needed(address), read_secret, secrets))
                _expect(request, replies[-1])
        elif probe["type"] == "tcp":
            step = 1
            _tcp(_needed(address), float(probe.get("connect_timeout") or STEP_TIMEOUT))
        elif probe["type"] == "command":
            step = 1
            replies.append(_command(probe, execute))
    except _ProbeError as failure:
        return ProbeResult(False, step, hide(str(failure), secrets), hide(replies, secrets), _since(started))
    return ProbeResult(True, step, "", hide(replies, secrets), _since(started))


def look_up(document: Any, path: str) -> Any:
    """The value at a dotted path; a number picks from an array. None where there is none."""
    found = _walk(document, path)
    return None if found is _MISSING else found


def _walk(document: Any, path: str) -> Any:
    here = document
    for part in path.split(".") if path else []:
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.lstrip("-").isdigit() and -len(here) <= int(part) < len(here):
            here = here[int(part)]
        else:
            return _MISSING
    return here


def _needed(address: Address | None) -> Address:
    if address is None:
        raise _ProbeError("the service has no address on this node to send the probe to")
    return address


def _http_step(
    request: dict[str, Any], address: Address, read_secret: ReadSecret | None, secrets: list[str]
) -> dict[str, Any]:
    method, path = request.get("method") or "GET", request.get("path") or "/"
    headers = {"Connection": "close", **{str(k): str(v) for k, v in (request.get("headers") or {}).items()}}
    body = request.get("body")
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


def _expect(request: dict[str, Any], reply: dict[str, Any]) -> None:
    allowed = request.get("status") or [http.client.OK]
    if reply["status"] not in allowed:
        wanted = " or ".join(str(status) for status in allowed)
        raise _ProbeError(
            "%s answered %d, not %s: %s" % (reply["request"], reply["status"], wanted, _short(reply["text"]))
        )
    for rule in request.get("expect") or []:
        problem = _broken_rule(rule, reply)
        if problem:
            raise _ProbeError(f"{reply['request']} answered, but {problem}: {_short(reply['text'])}")


def _broken_rule(rule: dict[str, Any], reply: dict[str, Any]) -> str | None:
    if rule.get("contains") is not None:
        return None if rule["contains"] in reply["text"] else f"{rule['contains']!r} is not in the reply"
    path = rule.get("path") or ""
    value = _MISSING if reply["json"] is None and path else _walk(reply["json"], path)
    if value is _MISSING:
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


def _command(probe: dict[str, Any], execute: Execute | None) -> dict[str, Any]:
    if execute is None:
        raise _ProbeError("a command probe needs a running container")
    started = time.monotonic()
    status, output = execute(list(probe["command"]), float(probe.get("command_timeout") or STEP_TIMEOUT))
    if status != 0:
        raise _ProbeError("%s ended with status %d: %s" % (" ".join(probe["command"]), status, _short(output)))
    return {
        "request": " ".join(probe["command"]),
        "status": status,
        "text": output,
        "json": None,
        "seconds": _since(started),
    }


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
