# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata service of a simulated cloud: what must not be readable from containers."""

import json
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = "169.254.169.254"
DOCUMENTS = {
    "/openstack/latest/meta_data.json": {"uuid": "simulated", "availability_zone": "sim-1a"},
    "/openstack/latest/securitykey": {"credential": {"access": "SIMULATED-ACCESS", "secret": "SIMULATED-SECRET"}},
}


class Handler(BaseHTTPRequestHandler):
    """GET of a known document, 404 for everything else; each request is logged."""

    def do_GET(self):
        """Answer one request."""
        document = DOCUMENTS.get(self.path)
        body = json.dumps(document if document else {"paths": sorted(DOCUMENTS)}).encode()
        self.send_response(200 if document or self.path == "/" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


subprocess.run(["ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo"], check=True)
ThreadingHTTPServer(("", 80), Handler).serve_forever()
