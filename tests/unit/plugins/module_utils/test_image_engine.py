# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines say: of a pull that failed, and of their way out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils._image_engine import PullError
from ansible_collections.ascend.fleet.plugins.module_utils._image_engine_docker import DockerImages
from ansible_collections.ascend.fleet.plugins.module_utils._image_reference import parse

DIGEST = "sha256:0fab403c" + "401" * 18 + "ab"

LOGIN = [
    "unauthorized: authentication required",
    "Get https://reg/v2/x/manifests/1: unauthorized: incorrect username or password",
    'Head "https://reg/v2/x/manifests/1": no basic auth credentials',
    "denied: requested access to the resource is denied",
    "denied: permission_denied: The token provided does not match expected scopes.",
    "pull access denied for x, repository does not exist or may require 'docker login'",
    "server message: insufficient_scope: authorization failed",
    "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized",
    "unexpected status from HEAD request to https://reg/v2/x/manifests/1: 403 Forbidden",
    "failed to do request: unexpected status code 401",
    "received unexpected HTTP status: 403",
    "Unexpected status code [403]",
    'level=debug response.status="401"',
    "failed to copy: httpReadSeeker: failed open: unexpected status code https://reg/v2/x/blobs/1: 403 Forbidden",
    "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value",
    "<title>Error 403 (Forbidden)!!1</title>",
]
AGAIN = [
    "read tcp 10.0.0.5:44018->10.0.0.9:443: read: connection reset by peer",
    "read tcp 10.0.0.5:401->10.0.0.9:403: read: connection reset by peer",
    f'Get "https://reg/v2/x/blobs/{DIGEST}": net/http: TLS handshake timeout',
    f"failed to copy {DIGEST}: unexpected EOF",
    "error pulling image configuration: download failed after attempts=6: dial tcp 10.0.3.40:4013: i/o timeout",
    "received 401 of 403 bytes: unexpected EOF",
    "received unexpected HTTP status: 503 Service Unavailable",
    "toomanyrequests: You have reached your unauthenticated pull rate limit",
    "open /var/lib/docker/tmp/GetImageBlob401: permission denied",
    "nothing was heard of it",
]
# (what the engine says, check, whether it is tried again)
CASES = [
    *((said, "registry-login", False) for said in LOGIN),
    *((said, "image-pull", True) for said in AGAIN),
    ("write /var/lib/docker/tmp/1: no space left on device", "image-space", False),
    ("write /var/lib/docker/tmp/1: disk quota exceeded", "image-space", False),
    ("manifest unknown: manifest unknown", "image-unknown", False),
    ("name unknown: repository name not known to registry", "image-unknown", False),
    ("manifest for reg/x:1 not found", "image-unknown", False),
    ('failed to resolve reference "reg/x:1": reg/x:1: not found', "image-unknown", False),
    ("tls: failed to verify certificate: x509: signed by unknown authority", "registry-unreachable", False),
    ("remote error: tls: bad certificate", "registry-unreachable", False),
    ("http: server gave HTTP response to HTTPS client", "registry-unreachable", False),
    ("no matching manifest for linux/arm64/v8 in the manifest list entries", "image-platform", False),
    ("no match for platform in manifest sha256:1: not found", "image-platform", False),
    (f"failed commit on ref: unexpected commit digest {DIGEST}, expected sha256:1", "image-pull", True),
    ("filesystem layer verification failed for digest sha256:1", "image-pull", True),
]


@pytest.mark.parametrize(("said", "check", "again"), CASES)
def test_what_an_engine_says_is_understood(said, check, again):
    error = PullError(parse("reg:5000/x:1"), said)
    assert (error.finding["check"], error.again) == (check, again)


@pytest.mark.parametrize(
    ("told", "past"),
    [
        ("localhost, .example.com ,10.0.0.0/8", ["localhost", ".example.com", "10.0.0.0/8"]),
        ("localhost,", ["localhost"]),
        ("", []),
        (None, []),
    ],
)
def test_the_engine_says_what_goes_past_its_proxy(told, past):
    info = {"HttpProxy": "http://proxy:3128", "HttpsProxy": "", "NoProxy": told}
    engine = DockerImages(SimpleNamespace(info=lambda: info))
    assert engine.network().proxy == {"http": "http://proxy:3128", "https": "", "no_proxy": past}
