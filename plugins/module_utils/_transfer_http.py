# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP for downloads: certificates checked, proxies obeyed, secrets kept to their host. Private to the collection."""

from __future__ import annotations

import email.utils
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from typing import Any, Mapping, NamedTuple
from urllib.parse import urlsplit

AGENT = "ascend-fleet"
SECRET_HEADERS = ("authorization", "cookie", "x-fleet-auth")
# What a server may say of itself that passes by.
PASSING = (408, 425, 429, 500, 502, 503, 504)
LONGEST_WAIT = 300.0
ERROR_BODY = 4096

# What goes wrong between here and the server, as opposed to what the server says.
TRANSPORT_ERRORS = (OSError, http.client.HTTPException)


class Access(NamedTuple):
    """How the outside is reached."""

    proxy: Mapping[str, str] = {}
    no_proxy: tuple[str, ...] = ()
    ca_file: str | None = None
    validate_certs: bool = True
    timeout: float = 60.0


class RefusedError(Exception):
    """The server answered, but not with what was asked for."""

    def __init__(self, status: int, url: str, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"{shown(url)} answered {status}")
        self.status = status
        self.url = url
        self.headers = headers
        self.body = body

    @property
    def passes(self) -> bool:
        return self.status in PASSING

    def retry_after(self) -> float | None:
        return retry_after(self.headers.get("Retry-After"), time.time())


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds of a Retry-After header, which holds a number or a date."""
    if not value:
        return None
    if value.strip().isdigit():
        return min(float(value), LONGEST_WAIT)
    parsed = email.utils.parsedate_tz(value)
    return None if parsed is None else min(max(0.0, email.utils.mktime_tz(parsed) - now), LONGEST_WAIT)


def shown(url: str) -> str:
    """A URL for people: without login and without its query, which may be a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def bypasses(host: str, no_proxy: tuple[str, ...]) -> bool:
    """Whether a host is reached without the proxy: a name, its domain, or everything."""
    for entry in no_proxy:
        name = entry.strip().lstrip(".").lower()
        if name == "*" or host.lower() == name or (name and host.lower().endswith("." + name)):
            return True
    return False


def origin_of(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is None:
            return None
        before, after = origin_of(req.full_url), origin_of(newurl)
        if before[0] == "https" and after[0] != "https":
            raise urllib.error.URLError(f"{shown(req.full_url)} leads to {shown(newurl)}, which is not encrypted")
        if before != after:
            for name in [name for name in new.headers if name.lower() in SECRET_HEADERS]:
                del new.headers[name]
        return new


class _Proxies(urllib.request.ProxyHandler):
    """urllib asks its environment what goes past the proxy; here the caller says it."""

    def __init__(self, access: Access) -> None:
        super().__init__({scheme: url for scheme, url in access.proxy.items() if url})
        self._no_proxy = access.no_proxy

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> Any:
        if bypasses(host_of(req.full_url), self._no_proxy):
            return None
        return super().proxy_open(req, proxy, type)


class Client:
    def __init__(self, access: Access | None = None) -> None:
        self.access = access or Access()
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            _Proxies(self.access),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=_context(self.access)),
            urllib.request.HTTPDefaultErrorHandler(),
            _Redirects(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def open(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        timeout: float | None = None,
    ) -> http.client.HTTPResponse:
        """The answer to one request; RefusedError when it is none, one of TRANSPORT_ERRORS when nobody answers."""
        request = urllib.request.Request(url, data=data, headers={"User-Agent": AGENT, **(headers or {})})
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=timeout or self.access.timeout)
        except urllib.error.HTTPError as error:
            with error:
                body = error.read(ERROR_BODY).decode("utf-8", "replace")
            raise RefusedError(error.code, url, dict(error.headers.items()), body) from None
        return answer

    def json(
        self, url: str, headers: Mapping[str, str] | None = None, body: Any = None, timeout: float | None = None
    ) -> tuple[Any, dict[str, str]]:
        """A JSON answer and its headers."""
        data = None if body is None else json.dumps(body).encode()
        with self.open(url, headers, data, timeout) as answer:
            text = answer.read()
            return json.loads(text), dict(answer.headers.items())


def _context(access: Access) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=access.ca_file)
    if access.ca_file:
        context.load_default_certs()
    if not access.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
