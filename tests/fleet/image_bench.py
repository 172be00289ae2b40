# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose images the collection's own node code brings, past ssh; what came is seen by docker and ctr."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.fleet.conftest import docker
from tests.playbook_run import ROOT
from tests.simfleet import oci
from tests.simfleet.node import Node, Ran

Json = dict[str, Any]

LIBRARY = "/opt/ascend-test"
STATE = "/var/lib/ascend-fleet"
STATUS = f"{STATE}/status/work.json"
_DRIVER = b"""
import importlib, json, sys
sys.path.insert(0, "/opt/ascend-test")
asked = json.load(open(sys.argv[1]))
called = importlib.import_module("ansible_collections.ascend.fleet.plugins.module_utils." + asked["called"])
print(json.dumps(called.handle(asked["params"], asked["check_mode"])))
"""
MODULE_DEFAULTS = {
    "state": "present",
    "digest": None,
    "archive": None,
    "check": "always",
    "engine": "auto",
    "docker_socket": "/var/run/docker.sock",
    "namespace": "k8s.io",
    "username": None,
    "password": None,
    "insecure": True,
    "mirror": None,
    "ca_path": None,
    "retries": 1,
}


class Bench:
    def __init__(self, node: Node, address: str = "/run/containerd/containerd.sock") -> None:
        self.node = node
        self.address = address
        self.put(node)

    def put(self, node: Node) -> None:
        base = f"{LIBRARY}/ansible_collections/ascend/fleet/plugins/module_utils"
        files = {f"{LIBRARY}/driver.py": (0o644, _DRIVER)}
        for path in (ROOT / "plugins" / "module_utils").glob("*.py"):
            files[f"{base}/{path.name}"] = (0o644, path.read_bytes())
        node.exec("mkdir", "-p", base)
        node.put(files)

    def document(self, images: list[Json], registries: list[Json] | None = None, **store: Any) -> Json:
        given = {"engine": "docker", "address": self.address, "namespace": None, "retries": 2, "prune": False, **store}
        npus = {"needed": False, "expected": None, "npu_smi": None, "dev": "/dev", "sysfs": "/sys"}
        engine = {"kind": "docker", "manage": False, "socket": "/var/run/docker.sock", "package_dir": None}
        return {
            "schema": 1,
            "node": self.node.name,
            "host": {
                "work_dir": f"{STATE}/work",
                "npus": {**npus, "ascend_root": "/usr/local/Ascend", "timeout": 30},
                "engine": {**engine, "daemon": {}, "proxy": None},
                "sdk": {"manage": False, "folder": f"{STATE}/sdk"},
                "ca_bundle": None,
                "mounts": [],
            },
            "artefacts": {
                "images": images,
                "image_store": given,
                "registries": registries or [],
                "models": [],
                "packages": [],
            },
            "bakes": [],
            "services": [],
            "jobs": [],
            "prune": "ignore",
            "release": [],
            "reach": [],
        }

    def call(
        self, document: Json, action: str = "apply", check_mode: bool = False, wait: float = 120, **more: Any
    ) -> Json:
        run = {"id": more.pop("run", "run-1"), "owner": "test", "lease_seconds": 60}
        params = {
            "action": action,
            "document": document,
            "scope": ["images"],
            "interrupting": True,
            "earlier": [],
            "run": run,
            "wait": wait,
            "work": None,
            "secrets": {},
            "files": {},
            "proxy": None,
            "logins": [],
            "take_over": None,
            **more,
        }
        return self._ask("_node_call", params, check_mode)

    def module(self, reference: str, check_mode: bool = False, **params: Any) -> Json:
        """What the module container_image answers."""
        given = {**MODULE_DEFAULTS, "reference": reference, "address": self.address, **params}
        return self._ask("_container_image", given, check_mode)

    def _ask(self, called: str, params: Json, check_mode: bool) -> Json:
        asked = json.dumps({"called": called, "params": params, "check_mode": check_mode})
        self.node.put({f"{LIBRARY}/asked.json": (0o600, asked.encode())})
        ran = self.node.exec("python3", f"{LIBRARY}/driver.py", f"{LIBRARY}/asked.json", check=False)
        assert ran.rc == 0, ran.out
        answer: Json = json.loads(ran.out.strip().splitlines()[-1])
        return answer

    def status(self) -> Json:
        ran = self.node.exec("cat", STATUS, check=False)
        return dict(json.loads(ran.out)) if ran.rc == 0 else {}

    def until(self, what: str, holds: Any, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
            time.sleep(0.05)

    def ctr(self, *words: str, check: bool = True) -> Ran:
        return self.node.exec("ctr", "-a", self.address, "-n", "k8s.io", *words, check=check)

    def names(self, engine: str) -> set[str]:
        """Names of the images, told by the engine's own program."""
        if engine == "docker":
            return set(docker(self.node, "images", "--format", "{{.Repository}}:{{.Tag}}").split()) - {"<none>:<none>"}
        told = self.ctr("images", "check").out.splitlines()
        whole = [line for line in told[1:] if "complete" in line.split() and line.rstrip().endswith("true")]
        return self._named(line.split()[0] for line in whole)

    def every_name(self, engine: str) -> set[str]:
        """Names that stand for anything at all, half images included."""
        return self.names(engine) if engine == "docker" else self._named(self.ctr("images", "ls", "-q").out.split())

    def _named(self, names: Iterable[str]) -> set[str]:
        """Without the ids under which containerd keeps every image for kubelet as well."""
        return {name for name in names if not name.startswith("sha256:")}

    def clear(self) -> None:
        self.node.exec(
            "sh",
            "-c",
            "docker ps -aq | xargs -r docker rm --force --volumes; "
            # What others were made from goes only after them, and nothing tells which that is.
            "for round in 1 2 3 4; do docker images -aq | sort -u | xargs -r docker rmi -f; done; "
            "ctr -n k8s.io images ls -q | xargs -r ctr -n k8s.io images rm --sync; "
            "ctr -n k8s.io content ls -q | xargs -r ctr -n k8s.io content rm; "
            f"rm -rf {STATE}/lease.json {STATE}/images.json {STATE}/images {STATUS}",
            check=False,
        )


def image(reference: str, digest: str | None = None, archive: str | None = None, **more: Any) -> Json:
    given = {"path": archive, "on": "node"} if archive else None
    return {
        "reference": reference,
        "digest": digest,
        "archive": given,
        "check": "always",
        "needs": None,
        "services": [],
        **more,
    }


def made(folder: Path, seed: str, layers: int = 3, size: int = 1 << 20) -> Path:
    """An image whose layers do not shrink when they are packed, or (seed "empty") to nearly nothing."""
    target = folder / hashlib.sha256(f"{seed} {layers} {size}".encode()).hexdigest()[:12]
    if not target.exists():
        parts = []
        for number in range(layers):
            stream = bytes(size) if seed == "empty" else hashlib.shake_256(f"{seed}-{number}".encode()).digest(size)
            parts.append(oci.tar_of([(f"part-{number}", 0o644, stream)]))
        oci.write(target, parts, {"Cmd": ["/none"], "Env": ["PATH=/bin"]})
    return target


def save(node: Node, reference: str, path: str) -> None:
    node.exec("docker", "save", "-o", path, reference)
