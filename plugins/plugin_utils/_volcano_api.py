# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads from a Kubernetes API server: small, with one kind of error for each remedy. Private to the collection.

Credentials come as kubernetes.core takes them: options, K8S_AUTH_* variables, a pod's own account, kubeconfig.
What changes something goes through those modules; this only reads, so that a wait of hours costs few and known calls.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import proxy_bypass

from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PAGE = 500
_OPTIONS = ("kubeconfig", "context", "host", "api_key", "ca_cert", "validate_certs")
_FALSE = ("0", "false", "no")


class ApiError(Exception):
    """The API server did not do what it was asked; `check` says which remedy helps."""

    check = "cluster-unreachable"

    def problem(self) -> Problem:
        return Problem(self.check, "cluster", f"{self}.")


class UnreachableError(ApiError):
    """No answer, or one that says to come back later."""


class RefusedError(ApiError):
    """The credentials are wrong or have expired."""

    check = "cluster-refused"


class ForbiddenError(ApiError):
    """The credentials are good, but not for this."""

    check = "cluster-forbidden"


class Reader(Protocol):
    """What reading needs of a cluster."""

    def get(self, path: str, query: Mapping[str, str | int] | None = None, accept: str = JSON) -> Any:
        """The answer as data; None when there is no such object."""

    def text(self, path: str, query: Mapping[str, str | int] | None = None) -> str | None:
        """The answer as text; None when there is no such object."""


def namespaced(namespace: str, kind: str, name: str = "", group: str = "") -> str:
    """The path of an object, or of all objects of its kind."""
    base = f"/apis/{group}" if group else "/api/v1"
    words = [base, "namespaces", quote(namespace, safe=""), kind, *([quote(name, safe="")] if name else [])]
    return "/".join(words)


def items(reader: Reader, path: str, query: Mapping[str, str | int] | None = None) -> list[dict[str, Any]]:
    """Every object of a list, page by page."""
    found: list[dict[str, Any]] = []
    more = ""
    while True:
        page = reader.get(path, {**(query or {}), "limit": PAGE, **({"continue": more} if more else {})})
        if page is None:
            return found
        found += page.get("items") or []
        more = page.get("metadata", {}).get("continue") or ""
        if not more:
            return found


class Cluster:
    """A real API server."""

    def __init__(self, options: Mapping[str, Any], timeout: float = 30) -> None:
        try:
            self._urllib3: Any = importlib.import_module("urllib3")
            client: Any = importlib.import_module("kubernetes.client")
            config: Any = importlib.import_module("kubernetes.config")
        except ImportError as error:
            raise ApiError(
                f"the Python library {error.name} is missing on the controller (pip install kubernetes)"
            ) from error
        given = {key: _option(key, options.get(key)) for key in _OPTIONS}
        try:
            self._config = _configuration(client, config, given)
        except Exception as error:
            raise ApiError(f"no usable credentials for a cluster: {_first_line(error)}") from error
        self._timeout = timeout
        self._pool = self._open()
        self.calls = 0

    def get(self, path: str, query: Mapping[str, str | int] | None = None, accept: str = JSON) -> Any:
        body = self._request(path, query, accept)
        if body is None:
            return None
        try:
            return json.loads(body)
        except ValueError as error:
            raise UnreachableError(f"{self._config.host} answers {path} with something that is no JSON") from error

    def text(self, path: str, query: Mapping[str, str | int] | None = None) -> str | None:
        body = self._request(path, query, "*/*")
        return None if body is None else body.decode("utf-8", "replace")

    def _open(self) -> Any:
        config = self._config
        tls = {
            "cert_reqs": "CERT_REQUIRED" if config.verify_ssl else "CERT_NONE",
            "ca_certs": config.ssl_ca_cert,
            "cert_file": config.cert_file,
            "key_file": config.key_file,
            "retries": False,
            "timeout": self._timeout,
            "maxsize": 8,
        }
        if getattr(config, "tls_server_name", None):
            tls["server_hostname"] = config.tls_server_name
        if not config.verify_ssl:
            self._urllib3.disable_warnings(self._urllib3.exceptions.InsecureRequestWarning)
        bypassed = proxy_bypass(urlsplit(config.host).netloc, {"no": getattr(config, "no_proxy", "") or ""})
        if config.proxy and not bypassed:
            return self._urllib3.ProxyManager(config.proxy, **tls)
        return self._urllib3.PoolManager(**tls)

    def _request(self, path: str, query: Mapping[str, str | int] | None, accept: str) -> bytes | None:
        self.calls += 1
        url = self._config.host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        try:
            answer = self._pool.request("GET", url, headers={"Accept": accept, **self._credentials()})
        except self._urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self._config.host} does not answer ({_first_line(error)})") from error
        body: bytes = answer.data
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise _error(answer.status, path, body, self._config.host)
        return body

    def _credentials(self) -> dict[str, str]:
        """Asked for each time, so that a token that a plugin renews is the new one."""
        settings = self._config.auth_settings().values()
        return {s["key"]: s["value"] for s in settings if s["in"] == "header" and s["value"]}


def _option(name: str, given: Any) -> Any:
    """An option, or the variable by which AWX and kubernetes.core pass it."""
    if given is None:
        given = os.environ.get(f"K8S_AUTH_{name.upper()}")
        if name == "validate_certs" and given is None:
            given = os.environ.get("K8S_AUTH_VERIFY_SSL")
        if name == "ca_cert" and given is None:
            given = os.environ.get("K8S_AUTH_SSL_CA_CERT")
    if name == "validate_certs" and isinstance(given, str):
        return given.lower() not in _FALSE
    return given


def _configuration(client: Any, config: Any, given: Mapping[str, Any]) -> Any:
    made = client.Configuration()
    if not (given["host"] and given["api_key"]):
        if given["kubeconfig"] or given["context"] or "KUBERNETES_SERVICE_HOST" not in os.environ:
            path = os.path.expanduser(str(given["kubeconfig"])) if given["kubeconfig"] else None
            config.load_kube_config(config_file=path, context=given["context"], client_configuration=made)
        else:
            config.load_incluster_config(client_configuration=made)
    if given["host"]:
        made.host = str(given["host"])
    if given["api_key"]:
        made.api_key = {"authorization": f"Bearer {given['api_key']}"}
    if given["ca_cert"]:
        made.ssl_ca_cert = os.path.expanduser(str(given["ca_cert"]))
    if given["validate_certs"] is not None:
        made.verify_ssl = given["validate_certs"]
    return made


def _error(status: int, path: str, body: bytes, host: str) -> ApiError:
    if status == 401:
        return RefusedError(f"{host} refuses the credentials (401); the token has expired or is another cluster's")
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = _first_line(body.decode("utf-8", "replace"))
    if status == 403:
        return ForbiddenError(f"{said or 'access is forbidden'} (403)")
    return UnreachableError(f"{host} answers {path} with status {status}: {said}")


def _first_line(error: Any) -> str:
    words = str(error).strip().splitlines()
    return words[0][:200] if words else type(error).__name__
