# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of a job's pods, from the API server into files. Private to the collection."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_api as api

AT_ONCE = 8
NO_LOG = "(no log: {reason})\n"


def tail(
    reader: api.Reader, namespace: str, pod: str, lines: int, container: str = "", previous: bool = False
) -> str | None:
    """The end of a log; None where there is none, as for a container that did not start or a node that is gone."""
    query: dict[str, str | int] = {"tailLines": lines}
    if container:
        query["container"] = container
    if previous:
        query["previous"] = "true"
    try:
        return reader.text(f"{api.namespaced(namespace, 'pods', pod)}/log", query)
    except api.RefusedError:
        raise
    except api.ApiError:
        return None


def write(path: str, text: str) -> None:
    """A file for its owner alone, since a log may show anything."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def fetch_all(reader: api.Reader, namespace: str, job: str, folder: str, lines: int) -> list[str]:
    """A file for each container of each pod of a job, and one for the run before where it was restarted."""
    query = {"labelSelector": f"volcano.sh/job-name={job}"}
    wanted = [one for pod in api.items(reader, api.namespaced(namespace, "pods"), query) for one in _logs_of(pod)]

    def fetch(one: tuple[str, str, bool]) -> str | None:
        pod, container, previous = one
        text = tail(reader, namespace, pod, lines, container, previous)
        if text is None and previous:
            return None
        name = f"{pod}.{container}{'.previous' if previous else ''}.log"
        path = os.path.join(folder, name)
        write(path, NO_LOG.format(reason="the node does not give one") if text is None else text)
        return path

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [path for path in pool.map(fetch, wanted) if path]


def _logs_of(pod: dict[str, Any]) -> Sequence[tuple[str, str, bool]]:
    name = pod["metadata"]["name"]
    restarted = {
        status["name"] for status in pod.get("status", {}).get("containerStatuses") or () if status.get("restartCount")
    }
    containers = [container["name"] for container in pod["spec"]["containers"]]
    return [(name, container, False) for container in containers] + [
        (name, container, True) for container in containers if container in restarted
    ]
