# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a container engine that answer line by line while they work. Private to the collection.

Images are transferred this way, so that bringing one needs no library on the node.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, BinaryIO, Iterator

from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import (
    EngineReader,
    EngineRefusedError,
    UnixConnection,
    message_of,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

# The engine answers a removal when all files of it are gone, which are many in what an installation left.
REMOVAL_SECONDS = 1800.0
_CHUNK = 1 << 20


class StreamError(FleetError):
    """The engine said in the middle of its answer that it failed; ``text`` is what it said."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__("engine-refused", f"The container engine failed to {what}: {text.rstrip('.')}.")
        self.text = text


def stream(
    reader: EngineReader,
    what: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: BinaryIO | None = None,
    silence: float = 60.0,
) -> Iterator[dict[str, Any]]:
    """The lines of the answer to a POST; an engine that is silent for long has failed."""
    connection = UnixConnection(reader.socket_path, silence)
    try:
        sent = {"Transfer-Encoding": "chunked"} if body else {}
        chunks = iter(lambda: body.read(_CHUNK), b"") if body else None
        connection.request("POST", path, chunks, {**sent, **(headers or {})}, encode_chunked=body is not None)
        response = connection.getresponse()
        if response.status >= http.client.BAD_REQUEST:
            raise EngineRefusedError(response.status, message_of(response.read()), what)
        for raw in response:
            line = json.loads(raw) if raw.strip() else {}
            if "error" in line:
                raise StreamError(what, str(line["error"]))
            yield line
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = f"nothing was heard of it for {silence:g} s" if isinstance(error, socket.timeout) else str(error)
        raise StreamError(what, reason or type(error).__name__) from error
    finally:
        connection.close()


def order(reader: EngineReader, method: str, path: str, what: str, body: dict[str, Any] | None = None) -> None:
    """A request whose answer holds nothing of interest."""
    connection = UnixConnection(reader.socket_path, REMOVAL_SECONDS if method == "DELETE" else reader.timeout)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        told = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise StreamError(what, str(error)) from error
    finally:
        connection.close()
    if response.status >= http.client.BAD_REQUEST:
        raise EngineRefusedError(response.status, message_of(told), what)
