# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared storage: what is mounted, who answers, which paths would hang, and the units that mount it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _host_mounts, _mounts, _node_storage
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import Result, System
from tests.unit.plugins.module_utils.host_node import Node, names, want

SFS = {
    "path": "/mnt/sfs_turbo",
    "source": "192.0.2.20:/",
    "type": "nfs",
    "options": ["vers=3", "hard", "nolock"],
    "timeout": 3,
    "mount_timeout": 60,
}
UNIT = "/etc/systemd/system/mnt-sfs_turbo.mount"
LINE = "36 25 0:31 / {point} rw,relatime shared:1 - {type} {source} rw\n"


def table(*rows):
    return "".join(LINE.format(point=point, type=kind, source=source) for point, kind, source in rows)


@pytest.fixture
def node(tmp_path):
    found = Node(tmp_path)
    found.put("/sbin/mount.nfs", "")
    found.put(_mounts.TABLE, table(("/", "ext4", "/dev/sda1")))
    found.mounting = True

    def enable(system_run):
        def run(argv, timeout, env, data):
            if list(argv[:3]) == ["systemctl", "enable", "--now"] and argv[3].endswith(".mount"):
                found.calls.append(list(argv))
                if not found.mounting:
                    return Result(1, "", "Job failed.")
                found.put(_mounts.TABLE, table(("/", "ext4", "/dev/sda1"), (SFS["path"], "nfs", SFS["source"])))
                found.enabled = True
                return Result(0, "", "")
            result = system_run(argv, timeout, env, data)
            if list(argv[:2]) == ["systemctl", "show"] and getattr(found, "enabled", False):
                return result._replace(out=result.out + "\nId=mnt-sfs_turbo.mount\nUnitFileState=enabled\n")
            return result

        return run

    found.system = System(root=str(tmp_path), runner=enable(found._run))
    return found


# What is mounted


def test_the_table_of_mounts_as_the_kernel_writes_it(tmp_path):
    node = Node(tmp_path)
    rows = [
        ("/", "ext4", "/dev/sda1"),
        (r"/mnt/a\040b", "nfs4", r"192.0.2.20:/x\040y"),
        ("/auto", "autofs", "systemd-1"),
    ]
    node.put(_mounts.TABLE, table(*rows) + "malformed line\n")
    found = _mounts.table(node.system)
    assert found == {"/": ("/dev/sda1", "ext4"), "/mnt/a b": ("192.0.2.20:/x y", "nfs4")}
    assert [point for point in found if _mounts.is_remote(found[point])] == ["/mnt/a b"]


def test_this_machines_own_table_is_read():
    assert _mounts.table(System())["/"].type


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/mnt/dead", "/mnt/dead"),
        ("/mnt/dead/models/x", "/mnt/dead"),
        ("/mnt/deadlock", None),
        ("/mnt/live/models", None),
        ("/data/models", "/mnt/dead"),
        ("/near/models", "/mnt/dead"),
        ("/mnt/live/../dead/x", "/mnt/dead"),
        ("/circle/x", None),
        ("/nowhere/at/all", None),
    ],
)
def test_a_path_is_followed_without_a_look_at_the_dead_mount(tmp_path, path, point):
    for folder in ("mnt/dead", "mnt/live"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data").symlink_to("/mnt/dead")
    (tmp_path / "near").symlink_to("mnt/./dead")
    (tmp_path / "circle").symlink_to("circle")
    asked = []

    class Watched(System):
        def path(self, path):
            asked.append(path)
            return super().path(path)

    assert _mounts.below(Watched(str(tmp_path)), path, ["/mnt/dead"]) == point
    assert not [one for one in asked if one.startswith("/mnt/dead") and not one.startswith("/mnt/deadlock")]


# Who answers


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Result(0, "nfs\n", ""), None),
        (Result(-9, "", "", timed_out=True), "does not answer within 3 seconds"),
        (Result(1, "", "stat: cannot read file system information for '/m': Stale file handle"), "(Stale file handle)"),
        (Result(1, "", ""), "(exit status 1)"),
    ],
)
def test_a_file_server_answers_or_does_not(result, told):
    silent = _mounts.silent(System(runner=lambda *_: result), ["/m"], 3.0)
    assert (told is None and silent == {}) or told in silent["/m"]


def test_all_are_asked_at_once_and_none_is_waited_for_longer_than_told():
    def slow(argv, timeout, env, data):
        time.sleep(timeout)
        return Result(-9, "", "", timed_out=True)

    start = time.monotonic()
    assert len(_mounts.silent(System(runner=slow), [f"/m{n}" for n in range(8)], 0.5)) == 8
    assert time.monotonic() - start < 2


def document(*services, **host):
    return {
        "host": {"mounts": [], "directories": [], "work_dir": None, "wait_mounts": [], **host},
        "services": services,
    }


def service(name, *mounts, checks=()):
    binds = [{"type": "bind", "source": source} for source in mounts]
    return {"name": name, "container": {"mounts": binds}, "checks": list(checks)}


USES = [
    (document(service("chat", "/mnt/dead/models/x")), "which chat needs,"),
    (document(service("a", "/mnt/dead/x"), service("b", "/mnt/dead/y")), "which a, b need,"),
    (document(service("chat", checks=[{"path": "/mnt/dead/x"}])), "which chat needs,"),
    (document(work_dir="/mnt/dead/work"), "mounted at /mnt/dead does not"),
    (document(directories=[{"path": "/mnt/dead/x"}]), "mounted at /mnt/dead does not"),
    (document(mounts=[{**SFS, "path": "/mnt/dead"}]), "mounted at /mnt/dead does not"),
    ({**document(), "artefacts": {"models": [{"path": "/mnt/dead/m", "services": ["chat"]}]}}, "which chat needs,"),
    (
        {**document(), "artefacts": {"images": [{"archive": {"path": "/mnt/dead/i.tar", "on": "node"}}]}},
        "mounted at /mnt/dead does not",
    ),
]


@pytest.mark.parametrize(("wanted", "told"), USES)
def test_dead_storage_is_told_with_those_who_need_it(tmp_path, wanted, told):
    node = Node(tmp_path)
    node.put(
        _mounts.TABLE, table(("/", "ext4", "x"), ("/mnt/dead", "nfs", "192.0.2.20:/"), ("/mnt/live", "fuse.sshfs", "y"))
    )
    dead = Result(-9, "", "", timed_out=True)
    node.answers[f"stat --file-system --format=%T {tmp_path}/mnt/dead"] = dead
    found = _node_storage.findings(node.system, wanted)
    assert [(item["check"], item["severity"], item["value"]) for item in found] == [
        ("storage-dead", "error", "/mnt/dead")
    ]
    assert told in found[0]["message"]


def test_dead_storage_that_nobody_needs_stops_nobody(tmp_path):
    node = Node(tmp_path)
    node.put(_mounts.TABLE, table(("/mnt/dead", "nfs", "192.0.2.20:/")))
    node.answers["stat"] = Result(-9, "", "", timed_out=True)
    # What another service of the node has to wait for at boot is not looked at.
    part = document(service("chat", "/srv/models"), wait_mounts=["/mnt/dead/x"])
    assert _node_storage.findings(node.system, part) == []


def test_a_node_without_network_storage_is_asked_nothing(tmp_path):
    node = Node(tmp_path)
    node.put(_mounts.TABLE, table(("/", "ext4", "x"), ("/srv", "xfs", "y")))
    assert _node_storage.findings(node.system, document(service("chat", "/srv/models"))) == []
    assert node.calls == []


def test_what_will_be_mounted_is_neither_missed_nor_checked_before():
    actions = [{"scope": "host", "action": "mount", "target": "/mnt/sfs"}, {"scope": "images", "action": "pull"}]
    points = _node_storage.coming(actions)
    kept = {"path": "/mnt/sfs_other/x"}
    seen = _node_storage.without_unmounted(service("chat", checks=[{"path": "/mnt/sfs/x"}, kept, {"port": 1}]), points)
    assert (points, seen["checks"]) == (["/mnt/sfs"], [kept, {"port": 1}])


# A file server that is really stopped


@pytest.fixture
def stopped_server(tmp_path):
    """sshfs over a local sftp-server without any network: mount point, and the pids of server and file system."""
    sftp = next(
        (p for p in ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server") if os.path.exists(p)), None
    )
    if not (sftp and os.path.exists("/usr/bin/sshfs") and os.path.exists("/dev/fuse") and os.geteuid() == 0):
        pytest.skip("needs root, /dev/fuse, and the packages sshfs and openssh-sftp-server")
    (tmp_path / "export").mkdir()
    point = tmp_path / "mnt"
    point.mkdir()
    pid = tmp_path / "pid"
    shell = tmp_path / "ssh"
    shell.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec {sftp}\n")
    shell.chmod(0o755)
    argv = ["sshfs", "-f", "-o", f"ssh_command={shell}", f"server:{tmp_path}/export", str(point)]
    mounter = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while str(point) not in _mounts.table(System()) or not (pid.exists() and pid.read_text()):
            if mounter.poll() is not None:
                pytest.skip("FUSE file systems cannot be mounted here")
        yield point, int(pid.read_text()), mounter.pid
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=False)
        mounter.kill()
        mounter.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGCONT)


def test_a_stopped_server_hangs_neither_the_question_nor_the_node(stopped_server):
    point, server, _mounter = stopped_server
    wanted = document(service("chat", f"{point}/models"), mounts=[{**SFS, "path": str(point), "timeout": 1}])
    assert _node_storage.findings(System(), wanted) == []
    os.kill(server, signal.SIGSTOP)
    start = time.monotonic()
    found = _node_storage.findings(System(), wanted)
    assert time.monotonic() - start < 5
    assert [item["check"] for item in found] == ["storage-dead"]
    assert f"mounted at {point}, which chat needs, does not answer within 1 seconds" in found[0]["message"]
    os.kill(server, signal.SIGCONT)
    assert _node_storage.findings(System(), wanted) == []


def test_a_dead_fuse_program_is_told_in_the_kernels_words(stopped_server):
    point, server, mounter = stopped_server
    os.kill(server, signal.SIGSTOP)
    os.kill(mounter, signal.SIGKILL)
    found = _node_storage.findings(System(), document(service("chat", str(point))))
    assert [item["check"] for item in found] == ["storage-dead"]
    assert "Transport endpoint is not connected" in found[0]["message"]


# The units


def test_the_unit_of_sfs_turbo():
    assert _host_mounts.unit_path("/mnt/sfs_turbo") == UNIT
    assert _host_mounts.unit_path("/mnt/my-data") == r"/etc/systemd/system/mnt-my\x2ddata.mount"
    assert _host_mounts.unit(SFS).splitlines()[1:] == [
        "[Unit]",
        "Description=Shared storage at /mnt/sfs_turbo",
        "",
        "[Mount]",
        "What=192.0.2.20:/",
        "Where=/mnt/sfs_turbo",
        "Type=nfs",
        "Options=vers=3,hard,nolock",
        "TimeoutSec=60",
        "",
        "[Install]",
        "WantedBy=remote-fs.target",
    ]


def test_a_mount_comes_before_what_may_lie_on_it_and_a_second_run_plans_nothing(node):
    wanted = want(mounts=[SFS], work_dir="/mnt/sfs_turbo/work")
    actions, findings = node.plan(wanted)
    assert findings == []
    assert names(actions)[:3] == ["write_mount", "mount", "create_directory"]
    node.converge(wanted)
    assert node.read(UNIT) == _host_mounts.unit(SFS)
    assert node.plan(wanted) == ([], [])


def test_storage_alone_is_planned_alone(node):
    from ansible_collections.ascend.fleet.plugins.module_utils import _host, _host_apply

    local = {**SFS, "path": "/srv/models", "source": None}
    wanted = want(mounts=[SFS, local])
    actions, findings = _host.plan_storage(wanted, _host.observe_storage(node.system, wanted))
    assert (names(actions), findings) == (["write_mount", "mount", "create_directory"], [])
    _host_apply.apply(wanted, actions, node.system, lambda _text: None)
    assert (node.root / "srv/models").is_dir()
    assert _host.plan_storage(wanted, _host.observe_storage(node.system, wanted)) == ([], [])
    seen = _host.observe_storage(node.system, want())
    assert names(_host.plan_storage(want(), seen)[0]) == ["remove_mount"]
    assert _host.plan_storage(want(), seen, partial=True) == ([], [])


def test_other_options_wait_for_the_next_mount(node):
    node.converge(want(mounts=[SFS]))
    node.calls.clear()
    changed = want(mounts=[{**SFS, "options": ["vers=4"]}])
    actions, findings = node.plan(changed)
    assert (names(actions), findings) == (["write_mount"], [])
    assert "until the next boot" in actions[0]["reason"]
    node.converge(changed)
    assert not node.asked("systemctl", "enable")
    assert not node.asked("umount")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda n: n.put(_mounts.TABLE, table((SFS["path"], "nfs", "192.0.2.99:/x"))), "from 192.0.2.99:/x already"),
        (lambda n: n.put("/etc/fstab", f"/dev/sdb1 {SFS['path']} ext4 defaults 0 0\n"), "/etc/fstab mounts /dev/sdb1"),
    ],
)
def test_what_is_mounted_there_by_others_stays(node, prepare, told):
    prepare(node)
    actions, findings = node.plan(want(mounts=[SFS]))
    assert [item["check"] for item in findings] == ["mount-conflict"]
    assert told in findings[0]["message"]
    assert not {"write_mount", "mount"} & set(names(actions))


def test_the_same_mount_in_fstab_or_by_hand_is_taken_over(node):
    node.put("/etc/fstab", f"192.0.2.20:/ {SFS['path']} nfs vers=3 0 0\n")
    node.put(_mounts.TABLE, table((SFS["path"], "nfs", "192.0.2.20:")))
    actions, findings = node.plan(want(mounts=[SFS]))
    assert findings == []
    assert names(actions)[:2] == ["write_mount", "mount"]


def test_the_client_is_installed_first_and_the_mount_predicted(node):
    os.unlink(node.root / "sbin/mount.nfs")
    actions, findings = node.plan(want(mounts=[SFS]))
    assert findings == []
    assert names(actions)[:3] == ["install_mount_client", "write_mount", "mount"]
    assert actions[0]["after"] == {"manager": "apt", "packages": ["nfs-common"]}
    assert actions[2]["predicted_because"] == "its client is installed before"


def test_a_mount_that_fails_says_why(node):
    node.mounting = False
    node.answers["journalctl"] = Result(0, "mount.nfs: Connection refused for 192.0.2.20:/\n", "")
    with pytest.raises(FleetError, match=r"192.0.2.20:/ cannot be mounted at /mnt/sfs_turbo: .*Connection refused"):
        node.converge(want(mounts=[SFS]))


def test_a_mount_that_left_the_inventory_leaves_the_boot(node):
    node.converge(want(mounts=[SFS]))
    node.put("/etc/systemd/system/srv.mount", "[Mount]\n")
    node.calls.clear()
    assert node.plan(want(), partial=True) == ([], [])
    actions, _findings = node.plan(want())
    assert [(step["action"], step["target"]) for step in actions] == [("remove_mount", UNIT)]
    node.converge(want())
    assert node.read(UNIT) is None
    assert node.asked("systemctl", "disable", "mnt-sfs_turbo.mount")
    assert node.asked("umount", SFS["path"])
    assert node.read("/etc/systemd/system/srv.mount")
