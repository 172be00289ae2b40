# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes containers through the Docker SDK for Python. Private to the collection.

The SDK of the operating system is used where it really works; otherwise the complete private
folder, before everything else on the path. The two are never mixed: an SDK of one with the
requests of the other fails in ways that name neither.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any, Callable, TypeVar

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError

OLDEST = (5, 0, 0)
TIMEOUT = 60
_PARTS = ("docker", "requests", "urllib3", "idna", "certifi", "charset_normalizer")
_LOADED_WITH_IT = (*_PARTS, "chardet", "websocket", "six", "requests_unixsocket")

_WHILE_IT_DIES = (0.1, 0.2, 0.5, 1.0, 2.0)

_T = TypeVar("_T")


class EngineClient:
    """The few changes a replacement needs; every refusal of the engine becomes a ``FleetError``."""

    def __init__(self, sdk: Any, api: Any) -> None:
        self._sdk = sdk
        self._api = api

    def create(self, name: str, body: dict[str, Any]) -> str:
        made = self._ask(f"create container {name}", lambda: self._api.create_container_from_config(body, name))
        return str(made["Id"])

    def start(self, container: str) -> None:
        self._ask(f"start container {container}", lambda: self._api.start(container))

    def unpause(self, container: str) -> None:
        self._ask(f"unpause container {container}", lambda: self._api.unpause(container))

    def stop(self, container: str, timeout: int) -> None:
        self._ask(f"stop container {container}", lambda: self._api.stop(container, timeout=timeout))

    def rename(self, container: str, name: str) -> None:
        self._ask(f"rename container {container} to {name}", lambda: self._api.rename(container, name))

    def remove(self, container: str) -> None:
        """Remove it, running or not, with the volumes that have no name and belong to it alone."""
        self._ask(f"remove container {container}", lambda: self._api.remove_container(container, v=True, force=True))

    def update(self, container: str, body: dict[str, Any]) -> None:
        # The SDK's own call knows no NanoCpus.
        address = f"{self._api.base_url}/v{self._api.api_version}/containers/{container}/update"
        answer = self._ask(f"update container {container}", lambda: self._api.post(address, json=body, timeout=TIMEOUT))
        if answer.status_code >= 400:
            raise _refused(f"update container {container}", _said(answer.text))

    def set_restart_policy(self, container: str, policy: str) -> None:
        """Set it even while the process dies: the engine still counts such a container as running then and refuses."""
        body = {"RestartPolicy": {"Name": policy}}
        for pause in _WHILE_IT_DIES:
            try:
                return self.update(container, body)
            except FleetError as error:
                if error.finding["check"] != "engine-refused":
                    raise
                time.sleep(pause)
        return self.update(container, body)

    def _ask(self, what: str, call: Callable[[], _T]) -> _T:
        requests = sys.modules["requests"]
        try:
            return call()
        except self._sdk.errors.APIError as error:
            raise _refused(what, str(error.explanation or error)) from error
        except (requests.exceptions.RequestException, self._sdk.errors.DockerException, OSError) as error:
            raise FleetError(
                "engine-unavailable", f"The container engine went away while asked to {what}: {error}."
            ) from error


def _said(text: str) -> str:
    """The engine's own words, whether or not something between changed their form."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())


def client(socket_path: str, sdk_folder: str | None = None) -> EngineClient:
    """A client whose SDK has proven itself by a ping of this very engine."""
    tried = []
    sources = [None] + ([sdk_folder] if sdk_folder and os.path.isdir(sdk_folder) else [])
    for folder in sources:
        try:
            return _load(socket_path, folder)
        except Exception as error:
            tried.append(f"{folder or 'the system packages'}: {type(error).__name__}: {error}")
            _forget()
    if sdk_folder and len(sources) == 1:
        tried.append(f"{sdk_folder}: there is no such folder")
    raise FleetError(
        "sdk-missing",
        "No Docker SDK for Python works with the engine at {} and Python {} ({}).".format(
            socket_path, ".".join(str(part) for part in sys.version_info[:3]), "; ".join(tried)
        ),
        key="sdk_folder",
        value=sdk_folder,
    )


def _load(socket_path: str, folder: str | None) -> EngineClient:
    if folder:
        _forget()
        sys.path.insert(0, folder)
    try:
        sdk: Any = importlib.import_module("docker")
        version = tuple(int(part) for part in str(sdk.__version__).split(".")[:3] if part.isdigit())
        if version < OLDEST:
            raise ImportError(f"version {sdk.__version__} is too old")
        if folder:
            _check_complete(folder)
        api = sdk.APIClient(base_url="unix://" + socket_path, version="auto", timeout=TIMEOUT)
        api.ping()
    except BaseException:
        if folder:
            sys.path.remove(folder)
        raise
    return EngineClient(sdk, api)


def _check_complete(folder: str) -> None:
    root = os.path.realpath(folder) + os.sep
    for part in _PARTS:
        module = importlib.import_module(part)
        place = os.path.realpath(module.__file__ or "")
        if not place.startswith(root):
            raise ImportError(f"{part} comes from {place}, the folder is not complete")


def _forget() -> None:
    """Make Python import the SDK and what it stands on anew."""
    for name in list(sys.modules):
        if name.split(".", 1)[0] in _LOADED_WITH_IT:
            del sys.modules[name]
    importlib.invalidate_caches()


def _refused(what: str, message: str) -> FleetError:
    text = message.strip().rstrip(".")
    return FleetError("engine-refused", f"The container engine refused to {what}: {text}.")
