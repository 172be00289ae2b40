# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine below the fleet offers: resolver, mtu, package sources, free numbers."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
INOTIFY_INSTANCES = 1024
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")


def os_release() -> dict[str, str]:
    """The machine's /etc/os-release."""
    path = Path("/etc/os-release")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip().strip('"') for key, _sep, value in pairs}


def nameserver() -> str | None:
    """The first resolver a container can use too (not one on the machine's loopback)."""
    for candidate in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        path = Path(candidate)
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        for found in re.findall(r"^\s*nameserver\s+([0-9.]+)\s*$", text, re.M):
            if not found.startswith("127."):
                return str(found)
    return None


def mtu() -> int:
    """The smallest mtu of the machine's own links, never above ethernet's."""
    sizes = [1500]
    for link in Path("/sys/class/net").glob("*"):
        if (link / "device").exists() or link.name.startswith(("eth", "en")):
            sizes.append(int((link / "mtu").read_text(encoding="ascii")))
    return min(sizes)


def allow_many_servers() -> bool:
    """Whether the machine has room for many systemds: each needs about eight inotify instances.

    All servers share one limit of the machine, 128 by default; root raises it until the next boot.
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text(encoding="ascii")) >= INOTIFY_INSTANCES:
        return True
    try:
        limit.write_text(f"{INOTIFY_INSTANCES}\n", encoding="ascii")
    except OSError:
        return False
    return True


def free_major(count: int = 3) -> int:
    """The first of `count` character device majors in a row that no driver owns."""
    text = Path("/proc/devices").read_text(encoding="ascii").partition("Block devices")[0]
    taken = {int(number) for number in re.findall(r"^\s*(\d+) ", text, re.M)}
    for major in range(236, 512):
        if taken.isdisjoint(range(major, major + count)):
            return major
    raise LookupError("no free character device major on this machine")


def routed_networks() -> list[ipaddress.IPv4Network]:
    """Networks that the machine itself reaches directly."""
    found = []
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[i])[::-1], "big") for i in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((address, bin(mask).count("1"))))
    return found


def free_subnet(taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """A /24 that overlaps none of the taken ones nor a route of the machine."""
    busy = [*taken, *routed_networks()]
    for third in range(256):
        candidate = ipaddress.IPv4Network(f"10.213.{third}.0/24")
        if not any(candidate.overlaps(other) for other in busy):
            return candidate
    raise LookupError("no free /24 in 10.213.0.0/16 on this machine")


def apt_sources() -> dict[str, bytes]:
    """The machine's own apt sources and the keys they name, by path."""
    folder = Path("/etc/apt/sources.list.d")
    paths = [Path("/etc/apt/sources.list"), *folder.glob("*.list"), *folder.glob("*.sources")]
    files: dict[str, bytes] = {}
    for path in sorted(path for path in paths if path.is_file()):
        files[str(path)] = path.read_bytes()
        for key in re.findall(r"(?:signed-by=|Signed-By:\s*)(/[^\s\]]+)", path.read_text("utf-8"), re.I):
            if Path(key).is_file():
                files[key] = Path(key).read_bytes()
    return files


def apt_settings() -> str:
    """The machine's apt settings about where and how to fetch, as an apt.conf."""
    if not shutil.which("apt-config"):
        return ""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r"^Acquire::(Check-|http|https|Retries|ForceIPv4|Languages)\S* ")
    return "".join(f"{line}\n" for line in dump.splitlines() if wanted.match(line))


def pip_settings() -> dict[str, str]:
    """pip's settings as it reads them from files and environment: {"find-links": ...}."""
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings: dict[str, str] = {}
    # environment lines come first in pip's list, and they win over every file
    for scope, key, value in re.findall(r"^([^.\s]+)\.([a-z-]+)='(.*)'$", shown, re.M):
        if scope in ("global", ":env:", "install"):
            settings.setdefault(key, value.replace("\\n", " ").strip())
    return settings


def pip_local_paths(settings: dict[str, str]) -> list[str]:
    """Local folders and files that those settings point to.

    A local index links to files beside itself, so its parent belongs to it.
    """
    paths = set()
    for key, value in settings.items():
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                beside = path.parent if key.endswith("index-url") else path
                paths.add(str(path if beside == Path("/") else beside))
    return sorted(paths)


def ca_bundle() -> str | None:
    """The machine's bundle of trusted authorities."""
    named = os.environ.get("SSL_CERT_FILE")
    return next((path for path in (named, *_CA_BUNDLES) if path and Path(path).is_file()), None)


def proxy_environment() -> dict[str, str]:
    """The machine's proxy settings in both spellings."""
    found = {}
    for name in PROXY_VARIABLES:
        value = os.environ.get(name) or os.environ.get(name.upper())
        if value:
            found[name] = found[name.upper()] = value
    return found


def vllm_kernels() -> str:
    """Which of vLLM's native CPU libraries this processor uses; the others need not be kept."""
    text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^flags\s*:(.*)$", text, re.M)
    flags = set(found.group(1).split()) if found else set()
    if not found or {"avx512f", "avx512_bf16"} <= flags:
        return "_C"
    return "_C_AVX512" if "avx512f" in flags else "_C_AVX2"
