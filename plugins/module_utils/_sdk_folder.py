# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker SDK for Python on a node: the system's where it works, else a complete private copy.

Private to the collection. The copy is unpacked from pure-Python wheels into ``<folder>/<digest>``;
the link ``<folder>/current`` names the one in use. It is never mixed with the system's packages.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable

from ansible_collections.ascend.fleet.plugins.module_utils._findings import action
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

DISTRIBUTIONS = ("docker", "requests", "urllib3", "idna", "charset_normalizer", "certifi")
OPTIONAL = ("charset_normalizer", "chardet", "websocket-client", "packaging")
INCOMING = "incoming"
CURRENT = "current"
MANIFEST = ".manifest.json"
SYSTEM_RECORD = "system.json"

# Asks an engine of its own making, so that the answer does not depend on the state of the real one:
# some versions of docker and requests import together and fail at the first request.
PROBE = """
import os, socket, sys, tempfile, threading
sys.path[:0] = sys.argv[1:]
import docker
folder = tempfile.mkdtemp()
path = os.path.join(folder, "s")
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(4)
def answer():
    peer = server.accept()[0]
    peer.recv(65536)
    head = ["HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 2", "Connection: close", "", "OK"]
    peer.sendall("\\r\\n".join(head).encode())
    peer.close()
threading.Thread(target=answer, daemon=True).start()
try:
    client = docker.DockerClient(base_url="unix://" + path, version="1.41", timeout=5)
    if not client.ping():
        raise SystemExit(1)
finally:
    os.unlink(path)
    os.rmdir(folder)
"""

Versions = Callable[[], "dict[str, str]"]


def system_versions() -> dict[str, str]:
    """Versions that this interpreter would import; reading metadata is far cheaper than importing."""
    # Rarely needed, and dear to import.
    import importlib.metadata

    found = {"python": _interpreter()}
    for name in (*DISTRIBUTIONS, *OPTIONAL):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _interpreter() -> str:
    """One interpreter has several names; what tells a virtual environment from it is its own path."""
    path = sys.executable or "python3"
    return path if sys.prefix != sys.base_prefix else os.path.realpath(path)


def active(system: System, folder: str) -> str | None:
    """The path to put first in ``sys.path``, or None where the system's packages serve."""
    path = f"{folder}/{CURRENT}"
    return system.path(path) if system.exists(f"{path}/{MANIFEST}") else None


# --- observe


def observe(system: System, want: dict[str, Any], versions: Versions = system_versions) -> dict[str, Any]:
    folder = str(want["folder"])
    private = _private(system, folder)
    if private["complete"]:
        return {"private": private, "system": {"works": None}, "incoming": incoming(system, folder)}
    found = versions()
    recorded = system.read(f"{folder}/{SYSTEM_RECORD}") == record(found)
    works = recorded or ("docker" in found and probe(system, [])[0])
    return {
        "private": private,
        "system": {"works": works, "recorded": recorded, "versions": found},
        "incoming": incoming(system, folder),
    }


def record(found: dict[str, str]) -> str:
    return json.dumps(found, sort_keys=True) + "\n"


def incoming(system: System, folder: str) -> list[str]:
    return [name for name in system.listdir(f"{folder}/{INCOMING}") if name.endswith(".whl")]


def _private(system: System, folder: str) -> dict[str, Any]:
    base = f"{folder}/{CURRENT}"
    text = system.read(f"{base}/{MANIFEST}")
    if text is None:
        return {"complete": False, "versions": {}, "damaged": []}
    try:
        manifest = json.loads(text)
    except ValueError:
        return {"complete": False, "versions": {}, "damaged": [MANIFEST]}
    damaged = [name for name, size in manifest["files"].items() if _size(system, f"{base}/{name}") != size]
    return {"complete": not damaged, "versions": manifest["versions"], "damaged": damaged[:5]}


def _size(system: System, path: str) -> int | None:
    found = system.stat(path)
    return None if found is None else found.st_size


def probe(system: System, paths: list[str]) -> tuple[bool, str]:
    """Whether the SDK at these paths, or the system's, imports and talks."""
    flags = ["-I"] if paths else []
    result = system.run([sys.executable or "python3", *flags, "-c", PROBE, *paths], timeout=60)
    last = (result.err.strip().splitlines() or [""])[-1]
    return result.rc == 0, last


# --- plan


def plan(want: dict[str, Any], observed: dict[str, Any]) -> list[dict[str, Any]]:
    if not want.get("manage", True) or observed["private"]["complete"]:
        return []
    folder = str(want["folder"])
    found = observed["system"]
    if found["works"]:
        if found["recorded"]:
            return []
        reason = "The Docker SDK of the operating system works."
        return [action("host", "use_system_sdk", folder, reason, after=found["versions"])]
    damaged = observed["private"]["damaged"]
    reason = f"Damaged: {', '.join(damaged)}." if damaged else "No Docker SDK that works is on the node."
    return [
        action(
            "host", "install_sdk", folder, reason, before=found.get("versions"), after={"packages": list(DISTRIBUTIONS)}
        )
    ]


# --- apply
