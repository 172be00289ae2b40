# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node-to-node TCP reachability of the pairs that services declare. Private to the collection.

A refused connection proves the path: the peer answered and nothing listens there yet.
"""

from __future__ import annotations

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding

TIMEOUT = 3.0


def check(pairs: list[dict[str, Any]], timeout: float = TIMEOUT) -> list[dict[str, Any]]:
    if not pairs:
        return []
    with ThreadPoolExecutor(max_workers=min(32, len(pairs))) as pool:
        problems = pool.map(lambda pair: _problem(str(pair["address"]), int(pair["port"]), timeout), pairs)
        return [
            finding(
                "node-reach",
                "TCP {}:{} on {} cannot be reached from here: {}.".format(
                    pair["address"], pair["port"], pair["host"], problem
                ),
                service=pair.get("from_service"),
                key="reach",
                value="{}:{}".format(pair["address"], pair["port"]),
            )
            for pair, problem in zip(pairs, problems)
            if problem is not None
        ]


def _problem(address: str, port: int, timeout: float) -> str | None:
    try:
        socket.create_connection((address, port), timeout).close()
    except ConnectionRefusedError:
        return None
    except socket.timeout:
        return f"no answer within {timeout:g} s"
    except OSError as error:
        return error.strerror or errno.errorcode.get(error.errno or 0, str(error))
    return None
