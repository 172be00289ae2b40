# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority that nobody knows, and a server's certificate that it signed."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificates(folder: Path, address: str) -> tuple[Path, Path]:
    """The authority, and a file with key and certificate for the address."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-batch")
    openssl(*new, "-x509", "-subj", "/CN=Our own authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", f"/CN={address}", "-keyout", "server.key", "-out", "server.csr")
    (folder / "san").write_text(f"subjectAltName=IP:{address}\n")
    sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san", "-days", "2")
    openssl("x509", "-req", "-in", "server.csr", *sign, "-out", "server.crt")
    server = folder / "server.pem"
    server.write_text((folder / "server.crt").read_text() + (folder / "server.key").read_text())
    return folder / "ca.pem", server
