# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container in which an image is baked: made, committed, pushed or saved, removed. Private to the collection.

Only what is written below the container's root gets into the image. /tmp is a volume of the builder and /dev/shm is
memory, so that what lies there for the time of the work (Ansible's files, proxy, certificates) leaves no trace.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import shutil
import threading
from typing import Any, Callable, Dict, Iterator
from urllib.parse import quote, urlencode

from ansible_collections.ascend.fleet.plugins.module_utils._bake_records import ARCHIVES, RECORDS, archive, builder
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import (
    EngineReader,
    EngineRefusedError,
    UnixConnection,
    message_of,
)
from ansible_collections.ascend.fleet.plugins.module_utils._engine_stream import StreamError, order, stream
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, unwritable
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import Access
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]
Progress = Callable[[str], None]

# Beside the labels of containers, which an image must not hand down to them.
LABEL = "io.ascend.fleet-bake."
WAITS = ["/bin/sh", "-c", "while :; do sleep 3600; done"]
# What an image says about the containers made from it.
CONFIG = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell", "StopSignal", "User",
    "Volumes", "WorkingDir",
)  # fmt: skip
SHM_BYTES = 1 << 30
COMMIT_SILENCE = 3600.0
PUSH_SILENCE = 600.0
TELL_EVERY = 10.0
NOT_FOUND = 404
_CHUNK = 1 << 20


class Builder:
    def __init__(self, system: System, reader: EngineReader, run_id: str, reference: str) -> None:
        self._system = system
        self._reader = reader
        self._run_id = run_id
        self.reference = reference
        self.name = builder(run_id, reference)

    def start(self, base: Json, mounts: list[Json]) -> str | None:
        """Make and start the container; the path of Python in it."""
        self._system.makedirs(RECORDS, 0o700)
        record = {"run": self._run_id, "reference": self.reference, "container": self.name}
        self._system.write(self._record(), json.dumps(record), 0o600)
        binds = [{"Type": "bind", "Source": one["source"], "Target": one["target"], "ReadOnly": True} for one in mounts]
        body: Json = {
            "Image": base["Id"],
            "Entrypoint": WAITS,
            "HostConfig": {
                # The engine's own init would leave a file in the image; a shell reaps what is left to it, too.
                "Init": False,
                "ShmSize": SHM_BYTES,
                "RestartPolicy": {"Name": "no"},
                "Mounts": [*binds, {"Type": "volume", "Target": "/tmp"}],
            },
        }
        if (base.get("Config") or {}).get("Healthcheck"):
            body["Healthcheck"] = {"Test": ["NONE"]}
        self._ask("POST", f"/containers/create?{urlencode({'name': self.name})}", f"make container {self.name}", body)
        self._ask("POST", f"/containers/{self.name}/start", f"start container {self.name}")
        status, said = self._reader.execute(self.name, ["/bin/sh", "-c", "command -v python3"], 30)
        return said.strip() if status == 0 else None

    def commit(self, base: Json, labels: dict[str, str]) -> Json:
        """Make the image of what the container holds now, and hold it against its base."""
        own = dict(base.get("Config") or {})
        config = {key: own[key] for key in CONFIG if own.get(key) is not None}
        config["Entrypoint"] = own.get("Entrypoint") or []
        config["Labels"] = {**(own.get("Labels") or {}), **labels}
        reference = parse(self.reference)
        query = {"container": self.name, "repo": reference.name, "tag": reference.tag, "pause": 1}
        what = f"commit {self.reference}"
        self._ask("POST", f"/commit?{urlencode(query)}", what, config, COMMIT_SILENCE)
        made = self._reader.image(self.reference)
        wrong = [key for key in CONFIG if made is None or _differs(made["Config"], config, key)]
        if made is None or wrong:
            raise FleetError(
                "bake-failed",
                f"Image {self.reference} does not have {', '.join(wrong) or 'anything'} of its base.",
                key="image",
                value=self.reference,
            )
        return made

    def push(self, access: Access, told: Progress) -> None:
        reference = parse(self.reference)
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(_login(access)).encode()).decode()}
        path = f"/images/{quote(reference.name, safe='/:')}/push?{urlencode({'tag': reference.tag})}"
        try:
            for line in stream(self._reader, f"push {self.reference}", path, headers, silence=PUSH_SILENCE):
                if line.get("status") == "Pushing" and line.get("progress"):
                    told(f"pushing {self.reference}: {line['progress'].split(']')[-1].strip()}")
        except (StreamError, EngineRefusedError) as error:
            check = "registry-login" if _is_refusal(str(error)) else "bake-failed"
            message = f"Image {self.reference} cannot be pushed. {error}"
            raise FleetError(check, message, key="fleet_registry", value=reference.host) from error

    def save(self, owner: int | None) -> str:
        """Write the image into an archive that ``owner`` may read."""
        path = archive(self.reference)
        self._system.makedirs(ARCHIVES, 0o711)
        os.chmod(self._system.path(ARCHIVES), 0o711)
        whole = self._system.path(path)
        partial = f"{whole}.partial"
        connection = UnixConnection(self._reader.socket_path, COMMIT_SILENCE)
        try:
            connection.request("GET", f"/images/{quote(self.reference, safe='/:')}/get")
            response = connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                raise EngineRefusedError(response.status, message_of(response.read()), f"save {self.reference}")
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
                shutil.copyfileobj(response, target, _CHUNK)
            if owner:
                os.chown(partial, owner, -1)
            os.replace(partial, whole)
        except (OSError, http.client.HTTPException) as error:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            told = unwritable(error) if isinstance(error, OSError) else None
            raise told or FleetError("bake-failed", f"Image {self.reference} cannot be saved: {error}.") from error
        finally:
            connection.close()
        return path

    def discard(self, image_too: bool) -> None:
        """Remove the container with its volume and, where it is not to stay, the image."""
        self._remove(f"/containers/{self.name}?force=1&v=1", f"remove container {self.name}")
        if image_too:
            self._remove(f"/images/{quote(self.reference, safe='/:')}", f"remove image {self.reference}")
            self._system.remove(archive(self.reference))
            self._system.remove(f"{archive(self.reference)}.partial")
        self._system.remove(self._record())

    def _record(self) -> str:
        return f"{RECORDS}/{self.name}.json"

    def _remove(self, path: str, what: str) -> None:
        try:
            order(self._reader, "DELETE", path, what)
        except EngineRefusedError as error:
            if error.status != NOT_FOUND:
                raise

    def _ask(self, method: str, path: str, what: str, body: Json | None = None, silence: float = 60.0) -> None:
        headers = {"Content-Type": "application/json"}
        content = io.BytesIO(json.dumps(body).encode()) if body is not None else None
        list(stream(self._reader, what, path, headers, content, silence))


@contextlib.contextmanager
def telling(progress: Progress, text: str) -> Iterator[None]:
    """Say the same again while the engine is silent, so that the run keeps its lease."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(TELL_EVERY):
            progress(text)

    progress(text)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _differs(made: Json, wanted: Json, key: str) -> bool:
    mine, theirs = made.get(key) or None, wanted.get(key) or None
    return sorted(mine) != sorted(theirs) if key == "Env" and mine and theirs else mine != theirs


def _login(access: Access) -> Json:
    if access.login is None:
        return {}
    user, password = access.login
    return {"username": user, "password": password, "serveraddress": access.host}


def _is_refusal(text: str) -> bool:
    return any(word in text.lower() for word in ("unauthorized", "authentication required", "no basic auth", "denied"))
