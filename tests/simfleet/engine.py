# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's Docker Engine: found, or installed and started where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import DockerException

from . import cache
from .errors import SimError
from .progress import say, step

_START_SECONDS = 60.0
_SYSTEMD_RUNS = Path("/run/systemd/system")


def connect() -> docker.DockerClient:
    """A client of the engine that answers; SimError says what to do when none does."""
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except DockerException as error:
        raise SimError(
            f"No Docker Engine answers at {_address()} ({error}). Start it, add yourself to the "
            "group docker, or set DOCKER_HOST; as root, `make demo` installs and starts one."
        ) from error
    return client


def ensure_engine() -> docker.DockerClient:
    """A client; installs the OS's engine and starts it when root finds none."""
    try:
        return connect()
    except SimError:
        if os.geteuid() != 0 or os.environ.get("DOCKER_HOST"):
            raise
    if not shutil.which("dockerd"):
        _install()
    _start()
    return connect()


def _address() -> str:
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def _install() -> None:
    if not shutil.which("apt-get"):
        raise SimError(
            "There is no Docker Engine on this machine and no apt-get to install one; install "
            "the Docker Engine with your system's package manager, then run this again."
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step("Install docker.io from the machine's package sources"):
        for arguments in (["update", "-qq"], ["install", "-y", "-qq", "docker.io", "iptables"]):
            done = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SimError(
                    f"apt-get {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}; repair "
                    "the machine's package sources or install the Docker Engine by hand."
                )


def _start() -> None:
    """By the service manager where there is one, else by hand with a note that we did."""
    process = None
    if _SYSTEMD_RUNS.is_dir():
        subprocess.run(["systemctl", "enable", "--now", "docker"], check=False)
    else:
        say("Start dockerd by hand: nothing on this machine starts services")
        process = _dockerd()
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            connect()
            return
        except SimError:
            time.sleep(0.5)
        if process is not None and process.poll() is not None:
            # One that was killed a moment ago may still be there, and no second one starts beside it.
            process = _dockerd()
    raise SimError(
        f"dockerd did not answer within {_START_SECONDS:.0f} s of its start; its log is "
        f"{cache.root() / 'engine' / 'dockerd.log'} or in `journalctl -u docker`."
    )


def _dockerd() -> subprocess.Popen[bytes]:
    folder = cache.root() / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dockerd.log").open("ab") as log:
        process = subprocess.Popen(
            ["dockerd"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    (folder / "dockerd.pid").write_text(f"{process.pid}\n", encoding="ascii")
    return process
