# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a registry what stands behind a name, with nothing but the standard library. Private to the collection.

The engine transfers the content. What is asked here is small: whether a tag has new content, how
large it is, for which machines, and whether a login is taken.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, NamedTuple, NoReturn, TypeVar

from ansible_collections.ascend.fleet.plugins.module_utils._image_content import (
    INDEXES,
    Access,
    Content,
    RegistryError,
    inside,
)
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import Reference

Json = Dict[str, Any]
Answer = TypeVar("Answer")

TIMEOUT = 8.0
# A manifest is a list of layers; a registry that sends more than this sends something else.
LONGEST = 8 << 20
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
ACCEPT = ", ".join(INDEXES + MANIFESTS)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Manifest(NamedTuple):
    """A manifest or an index as the registry gives it."""

    digest: str
    media_type: str
    body: bytes
    blobs: list[Json]


class Registry:
    """One registry, or one mirror of it. Tokens are kept as long as the object."""

    def __init__(self, access: Access, timeout: float = TIMEOUT) -> None:
        self.access = access
        self._timeout = timeout
        self._opener: urllib.request.OpenerDirector | None = None
        self._schemes = ["https", "http"] if access.insecure or _loopback(access.host) else ["https"]
        self._tokens: dict[str, str] = {}

    def digest(self, reference: Reference, wanted: str | None = None) -> str:
        """The digest behind a tag; a question of one small exchange."""
        _body, headers = self._manifest("HEAD", reference, wanted or reference.digest or str(reference.tag))
        told = headers.get("Docker-Content-Digest")
        # A registry need not tell the digest in answer to HEAD.
        return told or self.content(reference, None).digest

    def content(self, reference: Reference, architecture: str | None, wanted: str | None = None) -> Content:
        """Everything the registry tells of an image for machines of ``architecture``."""
        document, digest = self._document(reference, wanted or reference.digest or str(reference.tag))
        if "manifests" not in document:
            return self._single(reference, digest, digest, document)
        rows = [row for row in document["manifests"] if (row.get("platform") or {}).get("os") == "linux"]
        platforms = sorted({row["platform"].get("architecture", "") for row in rows})
        chosen = next((row for row in rows if row["platform"].get("architecture") == architecture), None)
        if chosen is None:
            return Content(digest, digest, platforms)
        inner, manifest = self._document(reference, chosen["digest"])
        return self._single(reference, digest, manifest, inner)._replace(platforms=platforms)

    def tree(self, reference: Reference) -> list[str]:
        """The names of all manifests behind a reference, an index last."""
        top = str(reference.digest or reference.tag)
        document, _digest = self._document(reference, top)
        return [*(row["digest"] for row in document.get("manifests") or []), top]

    def manifest(self, reference: Reference, name: str) -> Manifest:
        body, headers = self._manifest("GET", reference, name)
        if name.startswith("sha256:"):
            self._verified(body, name, reference)
        document = self._parsed(body, reference)
        media_type = str(document.get("mediaType") or headers.get("Content-Type"))
        config = [document["config"]] if document.get("config") else []
        return Manifest(_sha256(body), media_type, body, [*(document.get("layers") or []), *config])

    def blob(self, reference: Reference, digest: str) -> Any:
        """The content of a blob as a stream; whoever reads it checks it."""
        address = f"{self.base}/v2/{self.access.repository(reference)}/blobs/{digest}"

        def opened(authorization: str | None) -> Any:
            headers = {"Authorization": authorization} if authorization else {}
            return self._opened(urllib.request.Request(address, headers=headers), timeout=60)

        try:
            return self._authorized(reference, opened)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and self._challenges(error):
                self._refused(error, reference)
            raise self._error("registry-unreachable", reference, f"does not give {digest} ({reason(error)})") from error

    def token(self, reference: Reference) -> str | None:
        """The Authorization header that reading this repository takes; None where it takes none."""
        self._manifest("HEAD", reference, reference.digest or str(reference.tag))
        return self._tokens.get(self.access.repository(reference))

    @property
    def base(self) -> str:
        """Scheme and host that answered last."""
        return f"{self._schemes[0]}://{self.access.host}"

    def _single(self, reference: Reference, digest: str, manifest: str, document: Json) -> Content:
        config = document.get("config") or {}
        layers = tuple((row["digest"], int(row["size"])) for row in document.get("layers") or [])
        described = self._config(reference, config)
        return Content(
            digest,
            manifest,
            [described["architecture"]] if described.get("architecture") else [],
            sum(size for _digest, size in layers) + int(config.get("size") or 0),
            layers,
            tuple((described.get("rootfs") or {}).get("diff_ids") or ()),
            config.get("digest"),
        )

    def _config(self, reference: Reference, config: Json) -> Json:
        if not config.get("digest"):
            return {}
        path = f"/v2/{self.access.repository(reference)}/blobs/{config['digest']}"
        body, _headers = self._ask("GET", path, reference, "application/octet-stream, */*")
        self._verified(body, config["digest"], reference)
        return self._parsed(body, reference)

    def _document(self, reference: Reference, name: str) -> tuple[Json, str]:
        body, headers = self._manifest("GET", reference, name)
        if name.startswith("sha256:"):
            self._verified(body, name, reference)
        document = self._parsed(body, reference)
        told = headers.get("Docker-Content-Digest")
        return document, told or name if name.startswith("sha256:") else str(told or _sha256(body))

    def _manifest(self, method: str, reference: Reference, name: str) -> tuple[bytes, http.client.HTTPMessage]:
        path = f"/v2/{self.access.repository(reference)}/manifests/{urllib.parse.quote(name, safe=':')}"
        return self._ask(method, path, reference, ACCEPT)

    def _verified(self, body: bytes, digest: str, reference: Reference) -> None:
        if _sha256(body) != digest:
            raise self._error("image-pull", reference, f"gives content for {digest} that is not what this digest says")

    def _parsed(self, body: bytes, reference: Reference) -> Json:
        try:
            found = json.loads(body.decode())
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._error("registry-unreachable", reference, "answers with something that is not a manifest")
        return found

    # HTTP

    def _ask(self, method: str, path: str, reference: Reference, accept: str) -> tuple[bytes, http.client.HTTPMessage]:
        def sent(authorization: str | None) -> tuple[bytes, http.client.HTTPMessage]:
            return self._send(method, path, {"Accept": accept}, authorization)

        try:
            return self._authorized(reference, sent)
        except urllib.error.HTTPError as refusal:
            self._refused(refusal, reference)
        except (OSError, http.client.HTTPException) as error:
            raise self._error("registry-unreachable", reference, f"does not answer ({reason(error)})") from error

    def _authorized(self, reference: Reference, ask: Callable[[str | None], Answer]) -> Answer:
        """What is answered with the token at hand; with a new one where there is none yet or its time is over."""
        repository = self.access.repository(reference)
        try:
            return ask(self._tokens.get(repository))
        except urllib.error.HTTPError as refusal:
            if not self._challenges(refusal):
                raise
            self._tokens[repository] = self._authorize(refusal, reference)
        return ask(self._tokens[repository])

    def _challenges(self, refusal: urllib.error.HTTPError) -> bool:
        """Whether the registry asks who one is. Where it sends its readers to has no claim to its login."""
        own = urllib.parse.urlsplit(str(refusal.url)).netloc == self.access.host
        return own and refusal.code == http.client.UNAUTHORIZED

    def _send(
        self, method: str, path: str, headers: dict[str, str], authorization: str | None
    ) -> tuple[bytes, http.client.HTTPMessage]:
        if authorization:
            headers = {**headers, "Authorization": authorization}
        while True:
            address = f"{self._schemes[0]}://{self.access.host}{path}"
            try:
                return self._open(urllib.request.Request(address, headers=headers, method=method))
            except urllib.error.HTTPError as refusal:
                # What an HTTPS server says to plain HTTP, and the other way round, is no answer of a registry.
                refusal.read(1024)
                raise
            except (OSError, http.client.HTTPException):
                if len(self._schemes) == 1:
                    raise
                del self._schemes[0]

    def _open(self, request: urllib.request.Request) -> tuple[bytes, http.client.HTTPMessage]:
        with self._opened(request, self._timeout) as answer:
            return answer.read(LONGEST), answer.headers

    def _opened(self, request: urllib.request.Request, timeout: float) -> Any:
        if self._opener is None:
            self._opener = _opener(self.access)
        return self._opener.open(request, timeout=timeout)

    def _authorize(self, refusal: urllib.error.HTTPError, reference: Reference) -> str:
        """What to say to a registry that answered with a challenge."""
        scheme, _space, rest = (refusal.headers.get("WWW-Authenticate") or "").partition(" ")
        basic = self.access.basic()
        if scheme.lower() == "basic" and basic:
            return basic
        if scheme.lower() != "bearer":
            self._refused(refusal, reference)
        given = dict(_CHALLENGE.findall(rest))
        scope = given.get("scope") or f"repository:{self.access.repository(reference)}:pull"
        query = urllib.parse.urlencode({"service": given.get("service", ""), "scope": scope})
        request = urllib.request.Request(f"{given.get('realm', '')}?{query}")
        if basic:
            request.add_unredirected_header("Authorization", basic)
        try:
            body, _headers = self._open(request)
        except urllib.error.HTTPError as error:
            self._refused(error, reference)
        except (OSError, ValueError, http.client.HTTPException) as error:
            what = f"names a token server that does not answer ({reason(error)})"
            raise self._error("registry-unreachable", reference, what) from error
        told = self._parsed(body, reference)
        return f"Bearer {told.get('token') or told.get('access_token')}"

    def _refused(self, refusal: urllib.error.HTTPError, reference: Reference) -> NoReturn:
        if refusal.code in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            what = "refuses the login" if self.access.login else "wants a login"
            raise self._error("registry-login", reference, f"{what} for {self.access.repository(reference)}")
        if refusal.code == http.client.NOT_FOUND:
            named = f"{self.access.repository(reference)}:{reference.tag or reference.digest}"
            raise self._error("image-unknown", reference, f"has no image {named}")
        raise self._error("registry-unreachable", reference, f"answers with status {refusal.code}")

    def _error(self, check: str, reference: Reference, what: str) -> RegistryError:
        return RegistryError(check, f"The registry {self.access.host} {what}.", key="image", value=reference.full)


def reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return reason(inner)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


class _Redirect(urllib.request.HTTPRedirectHandler):
    """A registry sends its reader elsewhere for content; its login is for itself alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        again = super().redirect_request(req, fp, code, msg, headers, newurl)
        if again is not None:
            again.method = req.get_method()
            if urllib.parse.urlsplit(newurl)[:2] != urllib.parse.urlsplit(req.full_url)[:2]:
                again.headers.pop("Authorization", None)
        return again


def _opener(access: Access) -> urllib.request.OpenerDirector:
    handlers = [urllib.request.HTTPSHandler(context=_context(access)), _Proxy(access.proxy or {}), _Redirect()]
    return urllib.request.build_opener(*handlers)


def _context(access: Access) -> ssl.SSLContext:
    if access.insecure:
        # Where no certificate is judged, the authorities of the node need not be read, which takes long.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context()
    for text in access.ca:
        context.load_verify_locations(cadata=text)
    return context


class _Proxy(urllib.request.ProxyHandler):
    """The proxies of the inventory and none of the environment's."""

    def __init__(self, proxy: Json) -> None:
        super().__init__({key: proxy[key] for key in ("http", "https") if proxy.get(key)})
        self._inside = [str(name) for name in proxy.get("no_proxy") or []]

    def proxy_open(self, req: Any, proxy: str, type: str) -> Any:
        if inside(req.host, self._inside):
            return None
        return super().proxy_open(req, proxy, type)


def _loopback(host: str) -> bool:
    return host.startswith(("127.", "localhost:", "[::1]")) or host == "localhost"


def _sha256(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()
