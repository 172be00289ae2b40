# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on one node for the others: filled once from outside, then read-only, gone at the end.

Private to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Dict, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader
from ansible_collections.ascend.fleet.plugins.module_utils._engine_stream import order
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._image_content import RegistryError
from ansible_collections.ascend.fleet.plugins.module_utils._image_copy import Target, copy
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference, parse
from ansible_collections.ascend.fleet.plugins.module_utils._image_sources import Sources, peer_repository

Json = Dict[str, Any]

NAME = "ascend-fleet-image-peer"
INNER_PORT = 5000
# The image says where it keeps its content; this is where, whatever it says.
ROOT = "/var/lib/ascend-fleet-images"
READ_ONLY = "REGISTRY_STORAGE_MAINTENANCE_READONLY"
START_SECONDS = 30


def present(
    reader: EngineReader, image: str, address: str, port: int, references: Sequence[str], sources: Sources, dry: bool
) -> list[str]:
    """What was done: fill a registry that only this node sees, then show it to others, read-only."""
    wanted = [parse(reference) for reference in references]
    current = reader.inspect(NAME)
    if current is not None and _serves(current, address, port) and _has_all(f"{address}:{port}", wanted, sources):
        return []
    done = [f"fill the peer registry with {reference.full}" for reference in wanted]
    if dry:
        return [*done, f"serve them at {address}:{port}"]
    if reader.image(image) is None:
        message = f"The image {image} of the peer registry is not on the node."
        raise FleetError("image-missing", message, key="fleet_image_peer_image", value=image)
    _start(reader, image, "127.0.0.1", port, False)
    target = Target(f"127.0.0.1:{port}")
    for reference in wanted:
        _fill(reference, target, sources)
    _start(reader, image, address, port, True)
    return [*done, f"serve them at {address}:{port}"]


def absent(reader: EngineReader, dry: bool) -> list[str]:
    if reader.inspect(NAME) is None:
        return []
    if not dry:
        _remove(reader)
        order(reader, "DELETE", f"/volumes/{NAME}", f"remove volume {NAME}")
    return ["remove the peer registry with its content"]


def _fill(reference: Reference, target: Target, sources: Sources) -> None:
    failure: RegistryError | None = None
    for registry, _mirrored in sources.origins(reference):
        try:
            copy(registry, reference, target, peer_repository(reference), lambda text: None)
            return
        except RegistryError as error:
            failure = error
    raise failure or AssertionError("there is a registry for every name")


def _has_all(host: str, wanted: Sequence[Reference], sources: Sources) -> bool:
    target = Target(host)
    for reference in wanted:
        digest = sources.ask(reference, lambda registry: registry.digest(reference))  # noqa: B023 - asked at once
        if not target.has(f"/v2/{peer_repository(reference)}/manifests/{digest}"):
            return False
    return True


def _serves(current: Json, address: str, port: int) -> bool:
    environment = current["Config"].get("Env") or []
    bound = (current["HostConfig"].get("PortBindings") or {}).get(f"{INNER_PORT}/tcp") or [{}]
    return (
        bool(current["State"].get("Running"))
        and any(item.startswith(f"{READ_ONLY}=") for item in environment)
        and (bound[0].get("HostIp"), bound[0].get("HostPort")) == (address, str(port))
    )


def _start(reader: EngineReader, image: str, address: str, port: int, read_only: bool) -> None:
    """Never writable for anybody but this node."""
    _remove(reader)
    environment = [f"REGISTRY_HTTP_ADDR=:{INNER_PORT}", f"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY={ROOT}"]
    if read_only:
        environment.append(f"{READ_ONLY}={{enabled: true}}")
    body = {
        "Image": image,
        "Env": environment,
        "ExposedPorts": {f"{INNER_PORT}/tcp": {}},
        "HostConfig": {
            "Binds": [f"{NAME}:{ROOT}"],
            "PortBindings": {f"{INNER_PORT}/tcp": [{"HostIp": address, "HostPort": str(port)}]},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
        },
    }
    order(reader, "POST", f"/containers/create?name={NAME}", f"create container {NAME}", body)
    order(reader, "POST", f"/containers/{NAME}/start", f"start container {NAME}")
    _until_it_answers(reader, f"{address}:{port}")


def _until_it_answers(reader: EngineReader, host: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if Target(host).has("/v2/"):
                return
        except FleetError:
            pass
        current = reader.inspect(NAME) or {"State": {}}
        if not current["State"].get("Running") or time.monotonic() > deadline:
            last = " / ".join(reader.logs(NAME, 3).split("\n")) or "it says nothing"
            message = f"The peer registry does not answer at {host} within {START_SECONDS} s: {last}."
            raise FleetError("image-pull", message, "Look at fleet_image_peer_image and fleet_image_peer_port.")
        time.sleep(0.2)


def _remove(reader: EngineReader) -> None:
    if reader.inspect(NAME) is not None:
        order(reader, "DELETE", f"/containers/{NAME}?force=1", f"remove container {NAME}")
