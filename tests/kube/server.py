# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd and kube-apiserver as child processes in a folder of their own, and a small client for the tests."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import requests
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

READY_SECONDS = 120
ISSUER = "https://kubernetes.default.svc"


class ServerError(Exception):
    """A server that did not start, with the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def key_pair(path: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(65537, 2048)
    encoding, none = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, none))
    path.chmod(0o600)
    return key


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1: file and key."""
    key = key_pair(folder / f"{name}.key")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.crt"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path, folder / f"{name}.key"


class Process:
    """A child in a process group of its own, which ends with the tests even when those are killed."""

    def __init__(self, argv: list[str], log: Path) -> None:
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self.argv, self.log = [*guard, *argv], log
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.child is None:
            return
        for sign in (number, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(10)
                break
        self.child = None

    def check(self) -> None:
        if self.child is None or self.child.poll() is not None:
            raise ServerError(f"{self.argv} ended: {self.log.read_text(errors='replace')[-2000:]}")


class ApiServer:
    """A whole control plane without a scheduler and without controllers."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate, key = certificate(folder, "apiserver")
        self.signing_key = key_pair(folder / "accounts.key")
        tokens = folder / "tokens.csv"
        tokens.write_text(f'{self.token},admin,admin,"system:masters"\n', encoding="utf-8")
        tokens.chmod(0o600)
        etcd_port, peer_port = free_port(), free_port()
        client, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
        self.etcd = Process(
            [
                str(binaries / "etcd"), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}",
            ],
            folder / "etcd.log",
        )  # fmt: skip
        accounts = str(folder / "accounts.key")
        self.server = Process(
            [
                str(binaries / "kube-apiserver"), f"--etcd-servers={client}",
                "--bind-address=127.0.0.1", f"--secure-port={self.port}", "--endpoint-reconciler-type=none",
                f"--tls-cert-file={self.certificate}", f"--tls-private-key-file={key}",
                f"--token-auth-file={tokens}", "--authorization-mode=RBAC",
                f"--service-account-issuer={ISSUER}", f"--service-account-key-file={accounts}",
                f"--service-account-signing-key-file={accounts}", "--service-cluster-ip-range=10.96.0.0/24",
                "--disable-admission-plugins=ServiceAccount", "--kubelet-preferred-address-types=InternalIP",
            ],
            folder / "apiserver.log",
        )  # fmt: skip
        self.session = requests.Session()
        # REQUESTS_CA_BUNDLE of the environment would be taken instead of `verify`.
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {self.token}"
        self.session.verify = str(self.certificate)

    def __enter__(self) -> ApiServer:
        try:
            self.etcd.start()
            self.server.start()
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.stop()
        self.etcd.stop()

    def wait_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            self.etcd.check()
            self.server.check()
            with contextlib.suppress(requests.RequestException):
                if self.session.get(f"{self.url}/readyz", timeout=5).ok:
                    return
            time.sleep(0.2)
        raise ServerError(f"the API server is not ready after {READY_SECONDS} s: {self.server.log}")

    def kill(self) -> None:
        """As when its machine loses power."""
        self.server.stop(signal.SIGKILL)

    def restart(self) -> None:
        self.server.start()
        self.wait_ready()

    def request(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Any:
        """The answer as data, None when there is no such object; anything else unexpected is an error."""
        data = None if body is None else json.dumps(body)
        answer = self.session.request(method, self.url + path, data=data, headers={"Content-Type": content}, timeout=20)
        if answer.status_code == 404:
            return None
        if not answer.ok:
            raise ServerError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def put_status(self, path: str, status: dict[str, Any]) -> Any:
        return self.request("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")

    def kubeconfig(self, path: Path, token: str | None = None) -> Path:
        authority = base64.b64encode(self.certificate.read_bytes()).decode()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": {"token": token or self.token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        path.chmod(0o600)
        return path

    def account_token(self, namespace: str, name: str, uid: str, seconds: float) -> str:
        """A token of a service account, for less time than the API would grant, or for none."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": [ISSUER],
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "iat": now,
            "nbf": now,
            "exp": int(now + seconds),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        }
        parts = [_segment({"alg": "RS256", "typ": "JWT"}), _segment(claims)]
        signature = self.signing_key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _base64(signature)])


def _segment(content: dict[str, Any]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
