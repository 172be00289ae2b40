# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small images that tests run: made from the machine's own packages, since nothing can be pulled everywhere."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

MINI = "ascend-fleet-test/mini:1"
PACKAGE = "busybox-static"
_APPLETS = (
    "cat chmod chown echo env false grep head hostname httpd kill ls mkdir nc ps rm sh sleep stat tail touch true wget"
)
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nma-user:x:1000:100:user:/home/ma-user:/bin/sh\n",
    "etc/group": "root:x:0:\nusers:x:100:\n",
    "home/ma-user/brought-by-image": "kept\n",
    "srv/index.html": "it answers\n",
    "srv/answer.json": '{"choices": [{"message": {"content": "hello"}}], "count": 0}\n',
}
_FOLDERS = ("bin", "dev", "etc", "home", "home/ma-user", "proc", "root", "run", "srv", "sys", "tmp")
# What an image of the field brings of its own, so that tests see it is never mistaken for somebody's change.
_CHANGES = ("ENV FROM_IMAGE=1", "LABEL from.image=yes", "WORKDIR /srv", 'CMD ["sleep", "1000000"]')


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "ascend-fleet" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def busybox() -> Path:
    """A static busybox: the machine's own, or the one in the OS package, which is then kept."""
    kept = cache() / "busybox"
    if kept.exists():
        return kept
    installed = next((Path(p) for p in ("/bin/busybox", "/usr/bin/busybox") if _is_static(Path(p))), None)
    if installed is not None:
        shutil.copy(installed, kept)
        return kept
    with tempfile.TemporaryDirectory(prefix="ascend-fleet-busybox-") as name:
        folder = Path(name)
        # apt drops to a user of its own, which cannot write into a private folder.
        folder.chmod(0o755)
        subprocess.run(
            ["apt-get", "-o", "APT::Sandbox::User=root", "download", PACKAGE],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "x")], check=True)
        found = next(p for p in (folder / "x").rglob("bin/busybox") if p.is_file())
        new = kept.with_suffix(".new")
        shutil.copy(found, new)
        new.rename(kept)
    return kept


def _is_static(path: Path) -> bool:
    if not path.is_file():
        return False
    told = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    return "not a dynamic executable" in told.stdout + told.stderr


def rootfs() -> bytes:
    """The same bytes each time, so that the same image has the same content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in _FOLDERS:
            _add(archive, folder, tarfile.DIRTYPE, 0o755)
        _add(archive, "bin/busybox", tarfile.REGTYPE, 0o755, busybox().read_bytes())
        for applet in _APPLETS.split():
            _add(archive, f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        for name, text in _FILES.items():
            _add(archive, name, tarfile.REGTYPE, 0o644, text.encode())
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), link
    archive.addfile(entry, io.BytesIO(content))


def build_mini(tag: str = MINI, docker: Sequence[str] = ("docker",), changes: Sequence[str] = ()) -> str:
    """Import the image into an engine unless it is there; ``changes`` make a variant of it. Gives the tag."""
    content = rootfs()
    wanted = [*_CHANGES, *changes]
    mark = hashlib.sha256(content + "\n".join(wanted).encode()).hexdigest()
    shown = subprocess.run(
        [*docker, "image", "inspect", "--format", "{{.Comment}}", tag], capture_output=True, text=True, check=False
    )
    if shown.returncode != 0 or shown.stdout.strip() != mark:
        options = [part for change in wanted for part in ("--change", change)]
        subprocess.run(
            [*docker, "import", "--message", mark, *options, "-", tag], input=content, check=True, capture_output=True
        )
    return tag
