# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet: servers, a registry and a metadata service on a network of their own.

Everything carries the fleet's label; down() removes exactly what carries it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool

from . import access, artefacts, builder, cache, engine, images, machine, oci, vendor
from .errors import SimError
from .node import CAPABILITIES, Node, login_files
from .progress import say, step
from .spec import NodeSpec

LABEL = "ascend-fleet-sim.fleet"
NODE_LABEL = "ascend-fleet-sim.node"
DIGEST_LABEL = "ascend-fleet-sim.digest"
# The test run that started it (ASCEND_FLEET_RUN), so that what a killed test left is found and taken down.
RUN_LABEL = "ascend-fleet-sim.run"
REGISTRY_HOST, METADATA_HOST, FIRST_NODE_HOST = 2, 3, 11
SERVICE_PORTS = {"registry": 5000, "metadata": 80}
SERVICE_IMAGES: dict[str, Callable[[docker.DockerClient], Path]] = {
    "light": artefacts.light,
    "workbench": artefacts.workbench,
    "comfyui-base": artefacts.comfyui_base,
    "vllm": lambda client: artefacts.vllm(client)[0],
    "diffusers": lambda client: artefacts.diffusers(client)[0],
}
IMAGE_VERSION = "1"
_SERVICE_SECONDS = 90.0
_OVERLAP_TRIES = 5
_TMPFS = {"/run": "", "/run/lock": "", "/tmp": "exec"}


class Fleet:
    """A named fleet. Two of different names run side by side."""

    def __init__(
        self, name: str, nodes: Iterable[NodeSpec] = (), *, metadata: bool = True, registry: bool = True
    ) -> None:
        if not name.replace("-", "").isalnum():
            raise SimError(f"A fleet cannot be called {name!r}; use letters, digits and dashes.")
        self.name = name
        self.specs = list(nodes)
        self.metadata = metadata
        self.registry = registry
        self.folder = cache.root() / "fleets" / name
        self._client: docker.DockerClient | None = None

    # life

    def __enter__(self) -> Fleet:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> Fleet:
        """Start what is not running yet; after a failure or Ctrl-C nothing is left."""
        client = self.client
        tags = {name: images.ensure(client, name) for name in self._images()}
        try:
            with step(f"Start fleet {self.name}"):
                self._start(tags)
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Remove this fleet's containers, volumes, network and files, and nothing else."""
        client, mine = self.client, {"label": f"{LABEL}={self.name}"}
        for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)
        for volume in client.volumes.list(filters=mine):
            with contextlib.suppress(NotFound):
                volume.remove(force=True)
        networks: list[Any] = client.networks.list(filters=mine)
        for network in networks:
            with contextlib.suppress(NotFound):
                network.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    @classmethod
    def find(cls, name: str) -> Fleet:
        """The fleet of that name that is up, as another process started it."""
        record = cache.root() / "fleets" / name / "fleet.json"
        if not record.exists():
            raise SimError(f"There is no fleet {name!r}; start one with `python -m tests.simfleet up`.")
        loaded = json.loads(record.read_text(encoding="utf-8"))
        specs = [NodeSpec(**spec) for spec in loaded["nodes"]]
        fleet = cls(name, specs, metadata=loaded["metadata"], registry=loaded["registry"])
        if not fleet.client.networks.list(names=[f"^{fleet._full('net')}$"]):
            raise SimError(f"Fleet {name!r} is not up any more; start it again, or remove it with down.")
        return fleet

    def publish(self, name: str) -> str:
        """Put a service image ("light", "vllm") into the fleet's registry; returns its reference."""
        folder = SERVICE_IMAGES[name](self.client)
        with step(f"Push image {name} to the fleet's registry"):
            oci.push(folder, self.registry_address, name, IMAGE_VERSION)
        return f"{self.registry_address}/{name}:{IMAGE_VERSION}"

    # parts

    @property
    def client(self) -> docker.DockerClient:
        """The machine's engine."""
        if self._client is None:
            self._client = engine.ensure_engine()
        return self._client

    @property
    def nodes(self) -> list[Node]:
        """The servers, in order."""
        return [self.node(spec.name) for spec in self.specs]

    def node(self, name: str) -> Node:
        """The server of that name."""
        for spec in self.specs:
            if spec.name == name:
                container = self._container(name)
                if container is None:
                    raise SimError(f"Server {name} of fleet {self.name} does not exist; run up first.")
                return Node(spec, container, self.address(name))
        known = ", ".join(spec.name for spec in self.specs)
        raise SimError(f"Fleet {self.name} has no server {name!r}; it has {known}.")

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        """The fleet's network."""
        found = self.client.networks.list(names=[f"^{self._full('net')}$"])
        if not found:
            raise SimError(f"Fleet {self.name} is not up.")
        return ipaddress.IPv4Network(found[0].attrs["IPAM"]["Config"][0]["Subnet"])

    def address(self, name: str) -> str:
        """The address of a server, of "registry" or of "metadata"."""
        fixed = {"registry": REGISTRY_HOST, "metadata": METADATA_HOST}
        order = [spec.name for spec in self.specs]
        host = fixed[name] if name in fixed else FIRST_NODE_HOST + order.index(name)
        return str(self.subnet[host])

    @property
    def registry_address(self) -> str:
        """host:port by which the servers and this machine reach the registry."""
        return f"{self.address('registry')}:{SERVICE_PORTS['registry']}"

    @property
    def private_key(self) -> Path:
        """The key that every server lets in, as root and as ops."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The servers' host keys."""
        return self.folder / "known_hosts"

    # steps of up

    def _images(self) -> list[str]:
        wanted = {spec.image for spec in self.specs}
        if self.metadata or self.registry:
            wanted.add("services")
        return sorted(wanted)

    def _start(self, tags: dict[str, str]) -> None:
        if not machine.allow_many_servers():
            say(
                "  this machine allows few servers at once; should one not boot, run "
                f"`sudo sysctl fs.inotify.max_user_instances={machine.INOTIFY_INSTANCES}`"
            )
        self._network()
        self._record()
        for name, wanted in (("metadata", self.metadata), ("registry", self.registry)):
            if wanted:
                self._service(name, tags["services"])
        for spec in self.specs:
            self._server(spec, tags[spec.image])
        for name, wanted in (("metadata", self.metadata), ("registry", self.registry)):
            if wanted:
                self._until_listening(name)
        for node in self.nodes:
            node.wait_ready()

    def _full(self, part: str) -> str:
        return f"asim-{self.name}-{part}"

    def _labels(self, part: str) -> dict[str, str]:
        return {LABEL: self.name, NODE_LABEL: part, RUN_LABEL: os.environ.get("ASCEND_FLEET_RUN", "")}

    def _container(self, part: str) -> Container | None:
        try:
            found: Container = self.client.containers.get(self._full(part))
        except NotFound:
            return None
        return found

    def _network(self) -> None:
        if self.client.networks.list(names=[f"^{self._full('net')}$"]):
            return
        for _try in range(_OVERLAP_TRIES):
            with cache.locked("subnets"):
                subnet = machine.free_subnet(self._taken())
                try:
                    self.client.networks.create(
                        self._full("net"),
                        driver="bridge",
                        labels=self._labels("net"),
                        options={"com.docker.network.driver.mtu": str(machine.mtu())},
                        ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                        check_duplicate=True,
                    )
                    return
                except APIError as error:
                    if "overlap" not in str(error):
                        raise
        raise SimError("No free network could be made for the fleet; remove unused Docker networks.")

    def _taken(self) -> list[ipaddress.IPv4Network]:
        found = []
        for network in self.client.networks.list():
            for config in network.attrs.get("IPAM", {}).get("Config") or []:
                if ":" not in config.get("Subnet", ":"):
                    found.append(ipaddress.IPv4Network(config["Subnet"]))
        return found

    def _record(self) -> None:
        """Keys, known_hosts and the fleet's own record, before any server starts."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        access.key_pair(self.private_key, f"simulated fleet {self.name}")
        lines = []
        for spec in self.specs:
            key = access.key_pair(self.folder / f"host_{spec.name}", spec.name)
            lines.append(access.known_hosts_line(self.address(spec.name), key))
        self.known_hosts.write_text("".join(lines), encoding="ascii")
        record = {
            "nodes": [spec.as_dict() for spec in self.specs],
            "metadata": self.metadata,
            "registry": self.registry,
            "pid": os.getpid(),
        }
        (self.folder / "fleet.json").write_text(json.dumps(record, indent=1), encoding="utf-8")

    def _service(self, name: str, image: str) -> None:
        commands = {
            "metadata": ["python3", "/opt/services/metadata.py"],
            "registry": ["docker-registry", "serve", "/opt/services/registry.yml"],
        }
        volumes = [f"{self._full(name)}:/var/lib/docker-registry"] if name == "registry" else []
        self._run(
            name,
            image=image,
            command=commands[name],
            host_config={"cap_add": ["NET_ADMIN"], "binds": volumes},
        )

    def _until_listening(self, name: str) -> None:
        address = (self.address(name), SERVICE_PORTS[name])
        deadline = time.monotonic() + _SERVICE_SECONDS
        while True:
            try:
                socket.create_connection(address, timeout=1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    container = self._container(name)
                    console = container.logs(tail=20).decode() if container else "(no container)"
                    raise SimError(
                        f"The fleet's {name} does not answer at {address}; its console: {console}"
                    ) from error
                time.sleep(0.2)

    def _server(self, spec: NodeSpec, image: str) -> None:
        binds = [f"{self._full(spec.name)}:/var/lib/docker"]
        mode = "rw" if spec.writable else "ro"
        binds += [f"{here}:{there}:{mode}" for here, there in spec.mounts.items()]
        environment = {
            "container": "docker",
            "SIM_OS": spec.os,
            "SIM_SPEC": cache.digest(json.dumps(spec.as_dict(), sort_keys=True)),
            "SIM_DNS": machine.nameserver() or "",
            "SIM_MTU": str(machine.mtu()),
            "SIM_METADATA": self.address("metadata") if self.metadata else "",
            "SIM_REGISTRY": self.registry_address,
        }
        files = vendor.files(spec, machine.free_major())
        if spec.mounts:
            lines = [f"storage.example:/{name} {there} nfs noauto,_netdev 0 0\n" for name, there in _shares(spec)]
            files["/etc/fstab"] = (0o644, "".join(lines).encode())
        public = self.private_key.with_name(self.private_key.name + ".pub")
        files.update(login_files(public, self.folder / f"host_{spec.name}"))
        # A package mirror that fails once must fail no test.
        files["/etc/apt/apt.conf.d/80-patience"] = (0o644, b'Acquire::Retries "5";\n')
        self._run(
            spec.name,
            image=image,
            hostname=spec.name,
            entrypoint=["/usr/local/sbin/ascend-sim-init"],
            stop_signal="SIGRTMIN+3",
            environment=environment,
            files=files,
            host_config={
                "binds": binds,
                "cap_add": CAPABILITIES,
                "cgroupns": "private",
                "device_cgroup_rules": ["a *:* rwm"],
                "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
                "tmpfs": _TMPFS,
            },
        )

    def _remove(self, container: Container) -> None:
        """A container and its volume."""
        container.remove(force=True, v=True)
        for volume in self.client.volumes.list(filters={"name": container.name}):
            if volume.name == container.name:
                volume.remove(force=True)

    def _run(
        self,
        part: str,
        *,
        host_config: dict[str, Any],
        files: vendor.Files | None = None,
        **options: Any,
    ) -> None:
        made_of = cache.digest(json.dumps([options, host_config], sort_keys=True, default=str))
        existing = self._container(part)
        if existing is not None:
            if existing.labels.get(DIGEST_LABEL) == made_of:
                existing.start()
                return
            say(f"  {part} is not as asked for any more and is made anew")
            self._remove(existing)
        self.client.volumes.create(self._full(part), labels=self._labels(part))
        api = self.client.api
        endpoint = api.create_endpoint_config(ipv4_address=self.address(part))
        created = api.create_container(
            name=self._full(part),
            labels={**self._labels(part), DIGEST_LABEL: made_of},
            networking_config=api.create_networking_config({self._full("net"): endpoint}),
            host_config=api.create_host_config(
                network_mode=self._full("net"), restart_policy={"Name": "always"}, **host_config
            ),
            **options,
        )
        container = self.client.containers.get(created["Id"])
        if files:
            container.put_archive("/", builder.pack(files))
        container.start()
        say(f"  {part} at {self.address(part)}")


def _shares(spec: NodeSpec) -> list[tuple[str, str]]:
    """The shared folders as a real server's fstab names them: (share, where it is mounted)."""
    return [(f"share{number}", there) for number, there in enumerate(spec.mounts.values())]
