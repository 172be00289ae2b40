# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made by running a script in a container: on another image, with nothing pulled."""

from __future__ import annotations

import io
import shlex
import tarfile
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from docker.types import Mount

from . import machine
from .errors import SimError
from .progress import say

BUILD_LABEL = "ascend-fleet-sim.build"
BUILD_CA = "/build/ca.crt"
# What a script prints after this is shown as progress.
ANNOUNCED = "== "
_TAIL_LINES = 30


def pack(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A tar of absolute paths -> (mode, content), root-owned, with a fixed time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, (mode, content) in sorted(files.items()):
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def folder_files(folder: Path, target: str) -> dict[str, tuple[int, bytes]]:
    """The files of a folder, to be put at `target`."""
    return {
        f"{target}/{path.relative_to(folder)}": (path.stat().st_mode & 0o777, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@contextmanager
def ran(
    client: docker.DockerClient,
    image: str,
    script: str,
    files: Mapping[str, tuple[int, bytes]] | None = None,
    binds: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Container]:
    """The stopped container in which `script` ran well; removed afterwards, whatever happens.

    It has the machine's network, proxy and authorities. binds: path here -> path there.
    """
    # mounts, not volumes: a commit would keep those in the image
    mounts = [Mount(there, here, type="bind") for here, there in (binds or {}).items()]
    variables = {"DEBIAN_FRONTEND": "noninteractive", **machine.proxy_environment(), **(environment or {})}
    authorities = machine.ca_bundle()
    if authorities:
        mounts.append(Mount(BUILD_CA, authorities, type="bind", read_only=True))
        variables.update(dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), BUILD_CA))
    # exported by the script, not set on the container: a commit would keep them in the image
    exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in variables.items())
    options: dict[str, Any] = {
        "command": ["/bin/sh", "-euc", f"{exports}{script}"],
        "network_mode": "host",
        "labels": {BUILD_LABEL: "1"},
        "mounts": mounts,
        "shm_size": "1g",
    }
    container = client.containers.create(image, **options)
    try:
        if files:
            container.put_archive("/", pack(files))
        container.start()
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        for line in container.logs(stream=True, follow=True):
            text = line.decode(errors="replace").rstrip()
            tail.append(text)
            if text.startswith(ANNOUNCED):
                say(f"  {text.removeprefix(ANNOUNCED)}")
        status = container.wait()["StatusCode"]
        if status:
            raise SimError(f"A build step on {image} ended with status {status}; its last lines: " + " / ".join(tail))
        yield container
    finally:
        container.remove(force=True, v=True)
