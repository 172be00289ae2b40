# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make setup`: virtual environments and collections in the cache, linked into the checkout.

Runs under any Python 3.8 or newer without a package; what it makes needs Python 3.11.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pythons
from layout import CACHE, COLLECTIONS, ROOT, VENV, VENV_NEXT, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = [(3, 11), (3, 12), (3, 13), (3, 14)]
NEXT = [(3, 12), (3, 13), (3, 14)]
BUNDLE = "ansible==12.3.0"
GALAXY_SECONDS = 180
PIP_SECONDS = 1800


class SetupError(Exception):
    """What is missing, and the way to get it."""


class Wanted(NamedTuple):
    name: str
    version: str

    @property
    def folder(self) -> str:
        return self.name.replace(".", "/")


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


@contextmanager
def only_one() -> Iterator[None]:
    """One setup at a time on this machine: the others wait and then find everything made."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup is at work on this machine, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def link(path: Path, target: Path | str) -> None:
    if path.is_symlink() and os.readlink(path) == str(target):
        return
    if path.exists() and not path.is_symlink():
        raise SetupError(f"{path} is not a link that setup made: move it away and run it again.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def pip(venv: Path, *args: str) -> None:
    """Runs pip, showing what it collects; its whole output only when it fails."""
    argv = [str(venv / "bin" / "python"), "-m", "pip", *args]
    common = ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    seen: list[str] = []
    with subprocess.Popen(
        [*argv, *common], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            seen.append(line)
            if line.startswith(("Collecting ", "Installing ", "Successfully ")):
                print(f"  {line.partition(' (from ')[0].rstrip()[:100]}", flush=True)
    if process.returncode:
        sys.stderr.write("".join(seen[-30:]))
        raise SetupError(
            f"pip could not install what {args[-1]} names (its own words stand above). "
            "It needs a package index: set PIP_INDEX_URL to a mirror, or PIP_FIND_LINKS to a "
            "folder of wheels, or https_proxy, and run `make setup` again."
        )


def make_venv(minors: list[tuple[int, int]], requirements: Path, name: str) -> Path:
    python = pythons.find(minors)
    if python is None:
        wanted = " or ".join(f"{major}.{minor}" for major, minor in minors)
        raise SetupError(
            f"no Python {wanted} with the modules venv and ensurepip was found. Install one "
            "(Debian, Ubuntu: apt-get install python3.11 python3.11-venv; openEuler, HCE: "
            "dnf install python3.11; or pyenv), or name one: make setup PYTHON=/path/to/python3.11"
        )
    version = ".".join(map(str, python.version))
    venv = CACHE / f"{name}-{digest(requirements, version, python.path)}"
    done = venv / ".complete"
    if done.exists() and pythons.probe(str(venv / "bin" / "python")):
        return venv
    say(f"making {venv} with Python {version} ({python.path})")
    started = time.monotonic()
    shutil.rmtree(venv, ignore_errors=True)
    try:
        subprocess.run([python.path, "-m", "venv", str(venv)], check=True)
        pip(venv, "install", "-r", str(requirements))
        done.touch()
    except BaseException:
        shutil.rmtree(venv, ignore_errors=True)
        raise
    say(f"{venv.name} is ready after {time.monotonic() - started:.0f} s")
    return venv


def wanted_collections() -> list[Wanted]:
    text = (ROOT / "tests" / "requirements.yml").read_text()
    return [Wanted(*m) for m in re.findall(r"- name: (\S+)\n\s+version: (\S+)", text)]


def from_galaxy(venv: Path, wanted: list[Wanted], target: Path) -> bool:
    say("fetching collections with ansible-galaxy")
    argv = [str(venv / "bin" / "ansible-galaxy"), "collection", "install", "--no-deps"]
    argv += ["--timeout", "20", "-p", str(target), *(f"{w.name}:{w.version}" for w in wanted)]
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(target)}
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, cwd=CACHE,
            timeout=GALAXY_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def from_bundle(venv: Path, wanted: list[Wanted], target: Path) -> None:
    say(f"Galaxy cannot be reached: taking them from the package {BUNDLE} instead")
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".bundle-") as folder:
        pip(venv, "download", "--no-deps", "--only-binary=:all:", "-d", folder, BUNDLE)
        wheel = next(Path(folder).glob("*.whl"))
        folders = tuple(f"ansible_collections/{w.folder}/" for w in wanted)
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.startswith(folders)]
            archive.extractall(target, names)


def make_collections(venv: Path) -> Path:
    """The collections the tests run with, complete or not there at all."""
    wanted = wanted_collections()
    final = CACHE / f"collections-{digest(ROOT / 'tests' / 'requirements.yml', BUNDLE)}"
    if final.exists():
        return final
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".collections-") as folder:
        target = Path(folder) / "made"
        if not from_galaxy(venv, wanted, target):
            shutil.rmtree(target, ignore_errors=True)
            from_bundle(venv, wanted, target)
        absent = [
            w.name for w in wanted
            if not (target / "ansible_collections" / w.folder / "MANIFEST.json").exists()
        ]  # fmt: skip
        if absent:
            raise SetupError(f"neither Galaxy nor {BUNDLE} gave {', '.join(absent)}: check the proxy settings.")
        target.rename(final)
    return final


def set_up_next() -> Path | None:
    """The second environment; None where this machine has no Python that new."""
    if pythons.find(NEXT) is None:
        return None
    with only_one():
        venv = make_venv(NEXT, ROOT / "requirements-test-next.txt", "venv-next")
        link(VENV_NEXT, venv)
    return venv


def set_up() -> None:
    with only_one():
        venv = make_venv(MAIN, ROOT / "requirements-test.txt", "venv")
        collections = make_collections(venv)
        link(VENV, venv)
        for wanted in wanted_collections():
            link(
                COLLECTIONS / wanted.folder,
                collections / "ansible_collections" / wanted.folder,
            )
        link(COLLECTIONS / "ascend" / "fleet", "../../..")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--next", action="store_true", help="also the newest ansible-core")
    args = parser.parse_args()
    started = time.monotonic()
    try:
        set_up()
        if args.next and set_up_next() is None:
            say("no Python 3.12 or newer on this machine: the newest ansible-core is left out")
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; what was half made is removed", file=sys.stderr)
        return 130
    say(f"ready in {time.monotonic() - started:.1f} s: {VENV} -> {os.readlink(VENV)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
