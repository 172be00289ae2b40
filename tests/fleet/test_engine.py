# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reaches the engine of a server in use: a restart, batch by batch, and the authority of a registry."""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fleet.conftest import Ground, answer, docker, inspect
from tests.simfleet.builder import pack
from tests.simfleet.node import Node

pytestmark = pytest.mark.fleet

NOTE = "/var/lib/ascend-fleet/engine-restart.json"
TLS_PORT = 5443


def shown(node: Node, name: str) -> str:
    return str(node.exec("systemctl", "show", "--value", "-p", name, "docker").out).strip()


def began(node: Node) -> dict[str, str]:
    """What changes with each start: of the engine, and of the service."""
    return {"engine": shown(node, "InvocationID"), "service": inspect(node, "web")["State"]["StartedAt"]}


def test_a_restart_that_interrupts_services_comes_batch_by_batch_and_is_verified(ground: Ground) -> None:
    nodes = [ground.node("n1"), ground.node("n2")]
    entries: dict[str, Any] = {"fleet_batch": 1, "fleet_services": [ground.service("web", port=8000)]}
    restarted: dict[str, Any] = {**entries, "fleet_docker_daemon": {"log-level": "warn"}}
    try:
        first = ground.run("site", **entries)
        assert first.rc == 0, first.out
        assert json.loads(docker(nodes[0], "info", "--format", "{{json .LiveRestoreEnabled}}")) is False
        before = [began(node) for node in nodes]

        prepared = ground.run("prepare", **restarted)
        assert prepared.rc == 0, prepared.out
        assert [began(node) for node in nodes] == before
        assert [json.loads(node.read(NOTE))["reasons"] for node in nodes] == [["log-level"]] * 2

        site = ground.run("site", **restarted)
        assert site.rc == 0, site.out
        assert site.verdict["ok"] is True
        for node, was in zip(nodes, before, strict=True):
            now = began(node)
            assert now["engine"] != was["engine"]
            assert now["service"] > was["service"]
            assert answer(node, 8000) == "web"
            assert node.exec("test", "-e", NOTE, check=False).rc != 0
        actions = [
            {act["action"] for act in site.record("deploy", name)["plan"] if act["interrupts"]} for name in ("n1", "n2")
        ]
        assert actions == [{"restart_engine"}] * 2
        # The second server is touched only when the first one has proved that it answers.
        assert inspect(nodes[1], "web")["State"]["StartedAt"][:19] + "Z" >= site.record("verify", "n1")["time"]

        again = ground.run("site", **restarted)
        assert (again.rc, again.changed) == (0, {"n1": 0, "n2": 0}), again.out
    finally:
        usual = """sed -i 's/"warn"/"info"/' /etc/docker/daemon.json && systemctl restart docker"""
        for node in nodes:
            node.exec("sh", "-c", f"docker ps -aq | xargs -r docker rm -f; {usual}")


class Authority:
    """A private authority, as an operator's registry has it."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority of a simulated fleet")])
        self.bundle = folder / "ca.pem"
        self.bundle.write_bytes(_pem(self._signed(self.name, self.key, x509.BasicConstraints(True, None))))

    def certificate(self, address: str) -> tuple[bytes, bytes]:
        """Key and certificate of a server at that address."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        return _private(key), _pem(self._signed(name, key, alternative))

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=False)
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        return builder.not_valid_after(now + datetime.timedelta(hours=1)).sign(self.key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture
def private_registry(ground: Ground, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The fleet's registry once more, behind TLS with a certificate that no system knows; its address and authority."""
    authority = Authority(tmp_path)
    registry = ground.fleet.client.containers.get(f"asim-{ground.fleet.name}-registry")
    key, certificate = authority.certificate(ground.fleet.address("registry"))
    settings = "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/docker-registry}}\n"
    settings += f"http: {{addr: ':{TLS_PORT}', tls: {{certificate: /tls/cert.pem, key: /tls/key.pem}}}}\n"
    files = {"/tls/key.pem": (0o600, key), "/tls/cert.pem": (0o644, certificate)}
    registry.put_archive("/", pack({**files, "/tls/registry.yml": (0o644, settings.encode())}))
    registry.exec_run(["docker-registry", "serve", "/tls/registry.yml"], detach=True)
    yield f"{ground.fleet.address('registry')}:{TLS_PORT}", authority.bundle
    registry.exec_run(["pkill", "-f", "/tls/registry.yml"])


def test_a_bundle_makes_a_private_registry_trusted_while_services_run(
    ground: Ground, private_registry: tuple[str, Path]
) -> None:
    """The engine reads the system's authorities when it starts, which must wait until images are there."""
    address, bundle = private_registry
    node = ground.node()
    image = f"{address}/mini:1"
    registries = [{"address": ground.fleet.registry_address, "insecure": True}, {"address": address}]
    plain = {"fleet_services": [ground.service("web", port=8000)], "fleet_registries": registries}
    private = {**plain, "fleet_services": [{**ground.service("web", port=8000), "image": image}]}
    try:
        first = ground.run("site", "--limit", "n1", **plain)
        assert first.rc == 0, first.out
        refused = ground.run("site", "--limit", "n1", **private)
        assert refused.rc != 0
        [failure] = refused.verdict["failures"]
        assert failure["check"] == "registry-unreachable"
        assert address in failure["message"]
        assert "certificate" in failure["message"]
        assert image not in docker(node, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
        assert answer(node, 8000) == "web"

        trusted = ground.run("site", "--limit", "n1", **private, fleet_ca_bundle=str(bundle))
        assert trusted.rc == 0, trusted.out
        assert image in docker(node, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
        assert answer(node, 8000) == "web"
        config = json.loads(node.read("/etc/docker/daemon.json"))
        assert address not in config.get("insecure-registries", [])
        assert node.exec("curl", "-sf", f"https://{address}/v2/").rc == 0

        again = ground.run("site", "--limit", "n1", **private, fleet_ca_bundle=str(bundle))
        assert (again.rc, again.changed) == (0, {"n1": 0}), again.out
    finally:
        node.exec("sh", "-c", f"docker ps -aq | xargs -r docker rm -f; docker rmi {image}; rm -rf /etc/docker/certs.d")
        forgotten = ground.run("prepare", "--limit", "n1")
    assert forgotten.rc == 0, forgotten.out
    assert node.exec("curl", "-s", f"https://{address}/v2/", check=False).rc == 60
