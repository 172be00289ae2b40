# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks inside a container of a node, with what roles use, and every way in which there is no way in."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import fleet_workbench, playbook_run
from tests.doubles import lfs_release
from tests.doubles.lfs_server import LfsServer
from tests.fleet.conftest import COLLECTIONS, docker, until
from tests.fleet.users import ASKED, PASSWORD, asked
from tests.simfleet import inventory
from tests.simfleet.fleet import Fleet
from tests.simfleet.node import Node

pytestmark = pytest.mark.fleet

PLAYBOOK = Path(__file__).parent / "playbooks" / "node_container.yml"
LARGE = 50 << 20
BYTES = bytes(range(256)) * 300
BYTES_DIGEST = hashlib.sha256(BYTES).hexdigest()
WHEEL = "tiny-1.0-py3-none-any.whl"
REPOSITORY = (
    "git init -q /srv/repository && cd /srv/repository && echo one > file && git add . && "
    "git -c user.name=a -c user.email=a@b commit -qm one && git tag v1"
)
REFUSED = "sudo on the node asks for a password and got none, or a wrong one"


class Box:
    """A container on n1, and hosts that stand for it."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.node: Node = fleet.node("n1")
        self.folder = folder
        document: dict[str, Any] = yaml.safe_load(inventory.render(fleet))
        group = document["all"]["children"]["fleet"]
        known = group["hosts"]["n1"]
        inside = {**known, "ansible_connection": "ascend.fleet.node_container", "ansible_node_container": "box"}
        common = document["all"]["vars"]["ansible_ssh_common_args"]
        key = document["all"]["vars"]["ansible_ssh_private_key_file"]
        files = common.replace("'", "")
        hop = f"ssh -i {key} {files} -W %h:%p root@{fleet.address('n2')}"
        group["hosts"] = {
            "node": known,
            "box": inside,
            "ops": {**inside, "ansible_user": "ops"},
            "asked": {**inside, "ansible_user": ASKED, "ansible_node_container_sudo_password": PASSWORD},
            "jump": {**inside, "ansible_ssh_common_args": f"{common} -o ProxyCommand='{hop}' -o ControlPath=none"},
            "absent": {**inside, "ansible_node_container": "nobody-made-it"},
            "stopped": {**inside, "ansible_node_container": "stopped"},
            "paused": {**inside, "ansible_node_container": "paused"},
            "stranger": {**inside, "ansible_node_container_user": "stranger"},
            "unasked": {**inside, "ansible_user": ASKED},
            "mistaken": {**inside, "ansible_user": ASKED, "ansible_node_container_sudo_password": "no"},
            "helpless": {**inside, "ansible_user": "ops", "ansible_node_container_sudo": "never"},
            "toolless": {**inside, "ansible_node_container_cli": "no-such-client"},
        }
        self.hosts = folder / "hosts.yml"
        self.hosts.write_text(yaml.safe_dump(document, sort_keys=False))

    def ansible(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(playbook_run.PROGRAM).with_name(program)), "-i", str(self.hosts), *arguments]
        environment = playbook_run.environment(COLLECTIONS)
        return subprocess.run(
            command, check=False, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=300
        )

    def play(self) -> subprocess.CompletedProcess[str]:
        return self.ansible("ansible-playbook", str(PLAYBOOK), "-e", f"files={self.folder}", "-e", f"wheel={WHEEL}")

    def run(self, *command: str, name: str = "box") -> str:
        """A command in the container, past ssh."""
        return docker(self.node, "exec", name, *command)

    def digest(self, path: str) -> str:
        return self.run("sha256sum", path).split()[0]


def wheel(path: Path) -> None:
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "ANSWER = 42\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in (*archive.namelist(), f"{info}/RECORD")))


@pytest.fixture(scope="module")
def box(servers: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    found = Box(servers, tmp_path_factory.mktemp("box"))
    (found.folder / "bytes").write_bytes(BYTES)
    (found.folder / "large").write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
    (found.folder / "template.j2").write_text("{{ inventory_hostname }} sagt Grüße\n")
    with zipfile.ZipFile(found.folder / "tree.zip", "w") as archive:
        archive.writestr("tree/leaf", "green\n")
    wheel(found.folder / WHEEL)
    for name in ("box", "stopped", "paused"):
        fleet_workbench.start_box(found.node, name)
    docker(found.node, "kill", "stopped")
    docker(found.node, "pause", "paused")
    found.run("sh", "-c", f"mkdir -p /srv/wheels; {REPOSITORY}")
    text = base64.b64encode((found.folder / WHEEL).read_bytes()).decode()
    found.run("sh", "-c", f"echo {text} | base64 -d > /srv/wheels/{WHEEL}")
    with asked(found.node):
        yield found
    docker(found.node, "rm", "--force", "box", "stopped", "paused")


@pytest.fixture(scope="module")
def first(box: Box) -> subprocess.CompletedProcess[str]:
    return box.play()


def test_everything_that_a_role_uses_works_inside(first: subprocess.CompletedProcess[str]):
    assert first.returncode == 0, first.stdout + first.stderr


def test_what_was_asked_for_is_there(box: Box, first: subprocess.CompletedProcess[str]):
    place = "/srv/box"
    assert box.run("cat", f"{place}/größer als nötig/text") == "Grüße, 你好, ' \" $HOME `id`"
    assert box.digest(f"{place}/bytes") == BYTES_DIGEST
    rendered = "box sagt Grüße\n"
    assert box.run("cat", f"{place}/rendered") == rendered.strip()
    assert box.run("cat", f"{place}/tree/leaf") == "green"
    assert box.run("cat", f"{place}/clone/file") == "one"
    assert box.run(f"{place}/venv/bin/python", "-c", "import tiny; print(tiny.ANSWER)") == "42"
    owners = box.run("stat", "--format", "%U %a %s", f"{place}/rendered", f"{place}/empty", "/home/ma-user/of-box")
    assert owners.splitlines() == [f"ma-user 640 {len(rendered.encode())}", "root 644 0", "ma-user 600 4"]


@pytest.mark.parametrize("host", ["ops", "asked", "jump"])
def test_a_user_with_sudo_and_a_way_through_another_node_lead_there_too(
    box: Box, first: subprocess.CompletedProcess[str], host: str
):
    assert box.digest(f"/srv/{host}/bytes") == BYTES_DIGEST
    assert box.run("stat", "--format", "%U", f"/home/ma-user/made by {host}") == "ma-user"


def test_large_files_arrive_whole_both_ways(box: Box, first: subprocess.CompletedProcess[str]):
    wanted = hashlib.sha256((box.folder / "large").read_bytes()).hexdigest()
    assert box.digest("/srv/large") == wanted
    assert hashlib.sha256((box.folder / "fetched").read_bytes()).hexdigest() == wanted


def test_a_second_run_changes_nothing(box: Box, first: subprocess.CompletedProcess[str]):
    again = box.play()
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("changed=0") == 4, again.stdout


def test_nothing_of_it_is_on_the_node(box: Box, first: subprocess.CompletedProcess[str]):
    names = ("box", "large", "repository", "wheels")
    assert [name for name in names if box.node.exec("test", "-e", f"/srv/{name}", check=False).rc == 0] == []
    assert box.node.exec("test", "-e", "/home/ma-user", check=False).rc != 0


NO_WAY_IN = {
    "absent": "There is no container nobody-made-it on",
    "stopped": "Container stopped on ADDRESS is exited, not running; start it.",
    "paused": "Container paused on ADDRESS is paused, not running; start it.",
    "stranger": "Container box on ADDRESS cannot be entered as user stranger:",
    "unasked": f"Container box on ADDRESS cannot be entered: {REFUSED}",
    "mistaken": f"Container box on ADDRESS cannot be entered: {REFUSED}",
    "helpless": "Container box on ADDRESS cannot be entered:",
    "toolless": "Container box on ADDRESS cannot be entered:",
}


@pytest.fixture(scope="module", params=["ping", "copy"])
def refused(request: pytest.FixtureRequest, box: Box) -> str:
    arguments = {"ping": [], "copy": ["-a", "content=x dest=/tmp/x"]}[request.param]
    done = box.ansible("ansible", ":".join(NO_WAY_IN), "-m", request.param, *arguments)
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("host", NO_WAY_IN)
def test_where_there_is_no_way_in_the_host_is_unreachable(box: Box, refused: str, host: str):
    assert f"{host} | UNREACHABLE!" in refused
    assert NO_WAY_IN[host].replace("ADDRESS", box.node.address) in refused


def test_a_loss_can_be_a_failure_that_is_rescued(box: Box):
    done = box.ansible("ansible", "absent", "-m", "ping", "-e", "ansible_node_container_on_loss=fail")
    assert "absent | FAILED!" in done.stdout
    assert "There is no container nobody-made-it" in done.stdout + done.stderr


def test_a_container_that_dies_under_a_task_fails_it(box: Box):
    fleet_workbench.start_box(box.node, "dying")
    try:
        arguments = ("ansible", "box", "-e", "ansible_node_container=dying", "-m", "raw", "-a", "kill -9 -1; sleep 60")
        done, again = box.ansible(*arguments), box.ansible(*arguments)
    finally:
        docker(box.node, "rm", "--force", "dying")
    assert done.returncode != 0
    assert "box | CHANGED" not in done.stdout
    assert "Container dying on" in again.stdout
    assert "UNREACHABLE" in again.stdout


def test_the_environment_file_reaches_every_command_and_no_list_of_processes(box: Box):
    box.run("sh", "-c", "printf 'export TOKEN=s3cret\\n' > /dev/shm/environment")
    option = "ansible_node_container_environment_file=/dev/shm/environment"
    shown = box.ansible(
        "ansible",
        "box",
        "-e",
        option,
        "-m",
        "shell",
        "-a",
        "echo $TOKEN; cat /proc/[0-9]*/cmdline | grep -c s3cre[t] || true",
    )
    assert shown.stdout.splitlines()[1:3] == ["s3cret", "0"], shown.stdout


@pytest.fixture
def model(box: Box, servers: Fleet) -> Iterator[str]:
    """Where a repository with a large file is cloned from."""
    with LfsServer(box.folder / "served", host=str(servers.subnet[1])) as served:
        served.create("team/model.git", {}, {"weights": BYTES})
        yield served.url("team/model.git")
    removal = "rm -rf /srv/model; apt-get -qq purge -y git-lfs"
    box.node.exec("sh", "-c", removal)


def test_git_lfs_comes_from_packages_to_a_server_and_from_a_release_into_a_container(box: Box, model: str):
    release = json.dumps({"release": lfs_release.release(box.folder).variables})
    arguments = ("ansible-playbook", str(PLAYBOOK.with_name("git_lfs.yml")), "-e", release)
    first, again = box.ansible(*arguments), box.ansible(*arguments)
    assert first.returncode == 0, first.stdout + first.stderr
    assert again.stdout.count("changed=0") == 2, again.stdout
    box.node.exec("git", "clone", "--quiet", model, "/srv/model")
    assert box.node.exec("sha256sum", "/srv/model/weights").out.split()[0] == BYTES_DIGEST
    box.run("su", "ma-user", "-c", f"git clone --quiet {model} /home/ma-user/model")
    assert box.digest("/home/ma-user/model/weights") == BYTES_DIGEST
    assert box.run("sh", "-c", "command -v git-lfs") == "/usr/local/bin/git-lfs"
    assert box.node.exec("dpkg-query", "--show", "--showformat=${Status}", "git-lfs").out == "install ok installed"


def test_the_password_for_sudo_is_in_no_output_and_in_no_list_of_processes(box: Box):
    command = [str(Path(playbook_run.PROGRAM).with_name("ansible")), "-i", str(box.hosts), "asked", "-vvvv"]
    with subprocess.Popen(
        [*command, "-m", "raw", "-a", "sleep 4242"],
        env=playbook_run.environment(COLLECTIONS),
        cwd=box.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        until("the command runs", lambda: box.node.exec("pgrep", "--full", "^sleep 4242", check=False).rc == 0)
        there = box.node.exec("sh", "-c", "cat /proc/[0-9]*/cmdline").out
        here = "".join(read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
        box.node.exec("pkill", "--full", "^sleep 4242")
        told, _nothing = running.communicate(timeout=60)
    assert "sleep 4242" in there
    assert "sleep 4242" in here
    assert "asked | FAILED" in told
    part = PASSWORD[-7:]
    assert [place for place in (there, here, told) if part in place] == []


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
