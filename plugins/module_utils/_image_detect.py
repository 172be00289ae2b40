# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine of a node keeps the images. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader, EngineUnavailable
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import ImageEngine
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine_docker import DockerImages
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

Json = Dict[str, Any]

DOCKER = "docker"
CONTAINERD = "containerd"
# Where containerd keeps running containers of a namespace: kubelet runs them there, or does not use containerd.
PODS = "/run/containerd/io.containerd.runtime.v2.task/{namespace}"
ADDRESS = "/run/containerd/containerd.sock"
NAMESPACE = "k8s.io"


def is_docker(store: Json | None) -> bool:
    """Whether the document leaves no choice."""
    return bool((store or {}).get("engine", DOCKER) == DOCKER)


def engine(system: System, reader: EngineReader, store: Json | None) -> ImageEngine:
    """The engine that the document names; with ``auto`` kubelet's containerd, else Docker, else containerd."""
    if is_docker(store):
        return DockerImages(reader)
    containerd = _containerd(system, store or {})
    if store and store["engine"] == CONTAINERD:
        if containerd is None:
            raise _none(store or {}, "containerd with ctr or nerdctl")
        return containerd
    if containerd and system.exists(PODS.format(namespace=store_namespace(store))):
        return containerd
    try:
        reader.ping()
        return DockerImages(reader)
    except EngineUnavailable:
        if containerd is None:
            raise _none(
                store or {}, f"neither Docker at {reader.socket_path} nor containerd with ctr or nerdctl"
            ) from None
    return containerd


def _containerd(system: System, store: Json) -> ImageEngine | None:
    # Most documents name Docker, and a node reads the source of everything anew at each call.
    from ansible_collections.ascend.fleet.plugins.module_utils import _image_engine_containerd

    return _image_engine_containerd.detect(system, store.get("address") or ADDRESS, store_namespace(store))


def store_namespace(store: Json | None) -> str:
    return str((store or {}).get("namespace") or NAMESPACE)


def _none(store: Json, what: str) -> FleetError:
    where = store.get("address") or ADDRESS
    message = f"The node has no engine for images: {what} at {where} was looked for and not found."
    return FleetError("image-engine", message, key="engine", value=store.get("engine"))
