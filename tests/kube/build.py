# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver, built from Debian's source package and kept in the cache with Debian's etcd.

No package and no package index carries the program ready-made. The source package of bookworm is the whole
upstream tree with its vendored modules, so that it compiles without a module proxy.

Usage: python -m tests.kube.build        says where the binaries are, after building them if need be
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.simfleet import cache

SUITE = "bookworm"
SOURCE = "kubernetes"
VERSION = "1.20.2"
PACKAGES = ("golang-1.19-go", "golang-1.19-src", "golang-github-modern-go-reflect2-dev", "etcd-server")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TREE = "k8s.io/kubernetes"
VENDORED = f"{TREE}/vendor/k8s.io"
PROGRAMS = ("kube-apiserver", "etcd")

# The vendored reflect2 reads the layout of Go's maps and crashes with a Go newer than itself.
NEWER_MODULE = "github.com/modern-go/reflect2"


class Correction(NamedTuple):
    """A line of the source that this Go does not carry out as its authors meant."""

    path: str
    before: str
    after: str


CORRECTIONS = (
    # Go 1.19 shares one zero value between types: `default: ""` of a CRD would be refused as null.
    Correction(
        "vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go",
        "if data == nil || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data)) {",
        "if data == nil {",
    ),
)
RECIPE = "1"


class BuildError(Exception):
    """What keeps the server from being built, and the remedy."""


def folder() -> Path:
    """Where the binaries of this recipe are kept."""
    parts = (RECIPE, SUITE, VERSION, *PACKAGES, *(text for c in CORRECTIONS for text in c))
    return cache.root() / f"kube-apiserver-{VERSION}-{cache.digest(*parts)}"


def cached() -> Path | None:
    """The folder of the binaries when they were built before."""
    made = folder()
    return made if all((made / name).exists() for name in PROGRAMS) else None


def say(text: str) -> None:
    print(f"kube: {text}", flush=True)


def mirror() -> str:
    """The Debian mirror that this machine's own package sources name."""
    chosen = os.environ.get("ASCEND_FLEET_DEBIAN_MIRROR")
    if chosen:
        return chosen
    if not shutil.which("apt-get"):
        raise BuildError("apt-get is missing: build on Debian or Ubuntu, or copy the cache of such a machine.")
    line = "$(REPO_URI) $(ORIGIN) $(COMPONENT)"
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", line, "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for found in done.stdout.splitlines():
        address, origin, component = found.split(" ")
        if origin == "Debian" and component == "main" and "security" not in address:
            return address
    raise BuildError(
        "the machine's package sources name no Debian mirror: set ASCEND_FLEET_DEBIAN_MIRROR to the address of one."
    )


def run(argv: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> None:
    """A command at the lowest priority; its output is shown only when it fails."""
    done = subprocess.run(
        ["nice", "-n", "19", *argv], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"{argv[0]} {argv[1]} failed (status {done.returncode}): {done.stdout[-2000:]}")


def download(work: Path) -> None:
    """Packages and source by apt, with lists and a cache of its own; the machine's stay as they are."""
    address = mirror()
    if not KEYRING.exists():
        raise BuildError(
            f"{KEYRING} is missing, without which Debian's packages cannot be trusted: install debian-archive-keyring."
        )
    say(f"fetching the source of {SOURCE} and {', '.join(PACKAGES)} from {address}")
    for name in ("lists/partial", "archives/partial"):
        (work / "apt" / name).mkdir(parents=True)
    entry = f"[signed-by={KEYRING}] {address} {SUITE} main\n"
    (work / "apt/sources.list").write_text(f"deb {entry}deb-src {entry}", encoding="utf-8")
    (work / "apt/apt.conf").write_text(
        f'Dir::Etc::sourcelist "{work}/apt/sources.list";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{work}/apt/lists";\nDir::Cache "{work}/apt";\nAPT::Sandbox::User "";\n',
        encoding="utf-8",
    )
    env = {**os.environ, "APT_CONFIG": str(work / "apt/apt.conf")}
    run(["apt-get", "-qq", "update"], work, env)
    run(["apt-get", "-qq", "download", *PACKAGES], work, env)
    run(["apt-get", "-qq", "source", "--download-only", SOURCE], work, env)


def unpack(work: Path) -> Path:
    """The tree of the source with the corrections, where a Go without modules looks for it."""
    for package in sorted(work.glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), "root"], work)
    archive = next(work.glob(f"{SOURCE}_*.orig.tar.gz"))
    tree = work / "gopath/src" / TREE
    tree.mkdir(parents=True)
    run(["tar", "-xzf", str(archive), "--strip-components=1", "-C", str(tree)], work)
    module = tree / "vendor" / NEWER_MODULE
    shutil.rmtree(module)
    shutil.copytree(
        work / "root/usr/share/gocode/src" / NEWER_MODULE, module, ignore=shutil.ignore_patterns("*_test.go")
    )
    for correction in CORRECTIONS:
        path = tree / correction.path
        text = path.read_text(encoding="utf-8")
        if correction.before not in text:
            raise BuildError(f"{correction.path} is not the file that was read: the recipe needs another look.")
        path.write_text(text.replace(correction.before, correction.after), encoding="utf-8")
    return tree


def go_environment(work: Path) -> dict[str, str]:
    root = work / "root/usr/lib/go-1.19"
    return {
        **os.environ,
        "GOROOT": str(root),
        "GOPATH": str(work / "gopath"),
        "GOCACHE": str(work / "gocache"),
        "HOME": str(work),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "GO111MODULE": "off",
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
        "GOFLAGS": f"-p={os.environ.get('ASCEND_FLEET_JOBS', '1')}",
    }


def openapi_packages(tree: Path) -> Iterator[str]:
    """Packages whose types the generated description covers, the way the upstream makefile finds them."""
    marker = re.compile(r"^// *\+k8s:openapi-gen=", re.MULTILINE)
    left_out = {"code-generator", "sample-apiserver", "testdata"}
    for top in ("vendor/k8s.io", "pkg", "cmd", "plugin"):
        for base, names, files in os.walk(tree / top, followlinks=True):
            names[:] = sorted(set(names) - left_out)
            sources = (Path(base) / n for n in files if n.endswith(".go") and not n.endswith("_test.go"))
            if any(marker.search(path.read_text(encoding="utf-8", errors="replace")) for path in sources):
                yield f"{TREE}/{Path(base).relative_to(tree)}"


def compile_server(work: Path, tree: Path, target: Path) -> None:
    env = go_environment(work)
    generator = work / "openapi-gen"
    say("generating the API description")
    run(["go", "build", "-o", str(generator), "./vendor/k8s.io/kube-openapi/cmd/openapi-gen"], tree, env)
    header = "vendor/k8s.io/code-generator/hack/boilerplate.go.txt"
    run(
        [
            str(generator), "--logtostderr", "-i", ",".join(sorted(openapi_packages(tree))),
            "-p", f"{TREE}/pkg/generated/openapi", "-O", "zz_generated.openapi", "-h", header,
            "-r", str(work / "violations"),
        ],
        tree, env,
    )  # fmt: skip
    say("compiling kube-apiserver (some 7 minutes of processor time)")
    major, minor, _patch = VERSION.split(".")
    flags = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    words = [
        f"-X {package}.{name}={value}"
        for package in (f"{VENDORED}/component-base/version", f"{VENDORED}/client-go/pkg/version")
        for name, value in flags.items()
    ]
    run(
        ["go", "build", "-ldflags", " ".join(["-s", "-w", *words]), "-o", str(target), "./cmd/kube-apiserver"],
        tree, env,
    )  # fmt: skip


def make(partial: Path) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache.root(), prefix=".kube-build-") as name:
        work = Path(name)
        download(work)
        tree = unpack(work)
        partial.mkdir()
        compile_server(work, tree, partial / "kube-apiserver")
        shutil.copy2(work / "root/usr/bin/etcd", partial / "etcd")
        run([str(partial / "kube-apiserver"), "--version"], work)
        run([str(partial / "etcd"), "--version"], work)
    say(f"built in {time.monotonic() - started:.0f} s")


def binaries() -> Path:
    """The folder of kube-apiserver and etcd, built when it is not there yet."""
    cache.root().mkdir(parents=True, exist_ok=True)
    return cache.kept(folder(), make)


def main() -> int:
    try:
        say(str(binaries()))
    except BuildError as error:
        print(f"kube: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
