# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared storage on a server: mounted by its unit, and never waited for once the file server has stopped.

The kernel here has no NFS client. sshfs, a FUSE file system, stands in for it; its server is the second node.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.ascend.fleet.plugins.module_utils import _host_mounts
from ansible_collections.ascend.fleet.plugins.plugin_utils._host_settings import NFS_OPTIONS
from tests import playbook_run
from tests.fleet.conftest import COLLECTIONS, Ground

pytestmark = pytest.mark.fleet

POINT = "/mnt/sfs_turbo"
KEY = "/root/.ssh/storage"
UNIT = _host_mounts.unit_path(POINT)
BARE: dict[str, Any] = {"fleet_metadata_block": "unmanaged", "fleet_batch": "100%"}


def shell(node: Any, script: str) -> str:
    return str(node.exec("sh", "-c", script).out).strip()


@pytest.fixture
def storage(ground: Ground) -> Iterator[dict[str, Any]]:
    """What mounts a folder of n2 on n1."""
    client, server = ground.node("n1"), ground.node("n2")
    # A server has this device from its kernel; here systemd makes it at every boot.
    shell(client, "echo 'c /dev/fuse 0666 root root - 10:229' > /etc/tmpfiles.d/fuse.conf")
    shell(client, "systemd-tmpfiles --create fuse.conf; mkdir -p /root/.ssh")
    shell(client, f"test -f {KEY} || ssh-keygen -q -t ed25519 -N '' -f {KEY}")
    public = shell(client, f"cat {KEY}.pub")
    shell(
        server,
        "mkdir -p /srv/export /root/.ssh && echo weights > /srv/export/file"
        f" && echo '{public}' >> /root/.ssh/authorized_keys",
    )
    options = ["_netdev", "allow_other", f"IdentityFile={KEY}", "StrictHostKeyChecking=accept-new"]
    source = f"root@{ground.fleet.node('n2').address}:/srv/export"
    yield {"path": POINT, "source": source, "type": "fuse.sshfs", "options": options, "timeout": 3}
    shell(server, "pkill -CONT sftp-server || true")
    shell(
        client,
        f"systemctl disable --now {UNIT.rpartition('/')[2]}; umount -l {POINT}; rm -f {UNIT};"
        " systemctl daemon-reload; true",
    )
    shell(server, "rm -rf /srv/export; sed -i '/storage/d' /root/.ssh/authorized_keys; true")


def test_storage_is_mounted_for_good_and_its_death_hangs_nothing(ground: Ground, storage: dict[str, Any]) -> None:
    client, server = ground.node("n1"), ground.node("n2")
    serve = "exec httpd -f -p 80 -h /data"
    steps = {"type": "http", "steps": [{"path": "/file", "status": [200], "expect": [{"contains": "weights"}]}]}
    web = ground.service("web", port=8000, mounts=[f"{POINT}:/data:ro"], command=[serve], probe=steps)
    variables = {**BARE, "fleet_mounts": [storage], "fleet_services": [web]}

    first = ground.run("site", "--limit", "n1", **variables)
    assert first.rc == 0, first.out
    assert shell(client, f"findmnt --noheadings --output FSTYPE {POINT}") == "fuse.sshfs"
    assert shell(client, "curl --silent --max-time 5 http://127.0.0.1:8000/file") == "weights"
    assert POINT in shell(client, "systemctl show --property=RequiresMountsFor docker.service")
    second = ground.run("site", "--limit", "n1", **variables)
    assert (second.rc, second.changed) == (0, {"n1": 0}), second.out

    # It stays like this, so that whoever waits for it never ends.
    shell(server, "pkill -STOP sftp-server")
    for playbook in ("preflight", "drift"):
        dead = ground.run(playbook, "--limit", "n1", **variables)
        assert dead.rc != 0
        failures = {item["check"]: item for item in dead.verdict["failures"]}
        assert "which web needs, does not answer within 3 seconds" in failures["storage-dead"]["message"], dead.out
    # Somebody whose services need none of it is not held up.
    other = ground.run("preflight", "--limit", "n1", **{**BARE, "fleet_services": [ground.service("own", port=8001)]})
    assert "storage-dead" not in str(other.verdict["failures"])
    shell(server, "pkill -CONT sftp-server")

    client.reboot()
    assert shell(client, f"findmnt --noheadings --output FSTYPE {POINT}") == "fuse.sshfs"
    back = ground.run("site", "--limit", "n1", **variables)
    assert (back.rc, back.changed) == (0, {"n1": 0}), back.out


def test_the_roles_alone_mount_storage_and_fill_it(ground: Ground, storage: dict[str, Any]) -> None:
    client, data = ground.node("n1"), ground.folder / "alpaca"
    data.mkdir()
    (data / "alpaca.json").write_text('[{"instruction": "Say yes.", "output": "Yes."}]')
    item = {"path": f"{POINT}/training_data", "format": "alpaca", "source": f"controller:{data}"}
    roles = [
        {"role": "ascend.fleet.shared_storage", "vars": {"shared_storage_mounts": [storage]}},
        {"role": "ascend.fleet.training_dataset", "vars": {"training_dataset_items": [item]}},
    ]
    play = ground.folder / "storage.yml"
    play.write_text(yaml.safe_dump([{"hosts": "fleet", "gather_facts": False, "roles": roles}]))

    def run(*arguments: str) -> str:
        argv = [playbook_run.PROGRAM, "-i", str(ground.hosts(BARE)), str(play), "--limit", "n1", *arguments]
        environment = playbook_run.environment(COLLECTIONS)
        done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("--check")
    assert shell(client, f"test -e {UNIT} || echo absent") == "absent"
    run()
    assert shell(client, f"findmnt --noheadings --output FSTYPE {POINT}") == "fuse.sshfs"
    assert "Say yes." in shell(ground.node("n2"), "cat /srv/export/training_data/alpaca.json")
    assert "changed=0" in run()


def test_the_unit_for_nfs_is_right_for_systemd(ground: Ground) -> None:
    mount = {"path": POINT, "source": "192.0.2.20:/", "type": "nfs", "options": NFS_OPTIONS, "mount_timeout": 60}
    node, name = ground.node("n1"), UNIT.rpartition("/")[2]
    script = f"mkdir -p /run/judged && cat > /run/judged/{name} <<'END'\n{_host_mounts.unit(mount)}END\n"
    shell(node, script)
    judged = node.exec("systemd-analyze", "verify", f"/run/judged/{name}", check=False)
    assert (judged.rc, str(judged.out)) == (0, "")
    wrong = shell(
        node,
        f"cd /run/judged; sed -i 's/Where=.*/Where=elsewhere/' {name}; systemd-analyze verify {name} 2>&1; true",
    )
    assert "Where" in wrong
