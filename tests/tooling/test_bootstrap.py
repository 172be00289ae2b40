# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample's way from a password to a key, on a server that knows no key yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.fleet

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "only-on-this-simulated-server"
OPEN_TO_PASSWORDS = """
set -e
echo 'root:%s' | chpasswd
rm -f /root/.ssh/authorized_keys /etc/ssh/ops_authorized_keys
printf 'PasswordAuthentication yes\\nPermitRootLogin yes\\nUseDNS no\\n' > /etc/ssh/sshd_config.d/simulated.conf
systemctl restart ssh
ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
"""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, str]]:
    """The address of a server that wants a password, and the fingerprint on its console."""
    from tests.simfleet.fleet import Fleet
    from tests.simfleet.spec import NodeSpec

    specs = [NodeSpec("n1", cards=0)]
    with Fleet(f"bootstrap-{os.getpid()}", specs, metadata=False, registry=False) as fleet:
        told = fleet.node("n1").exec("sh", "-c", OPEN_TO_PASSWORDS % PASSWORD)
        yield fleet.address("n1"), told.out.split()[-3]


@pytest.fixture
def sample(tmp_path: Path, server: tuple[str, str]) -> Path:
    """The sample inventory with nothing but its addresses changed."""
    copy = tmp_path / "sample"
    shutil.copytree(ROOT / "inventories/sample", copy)
    (copy / "hosts.yml").write_text(
        yaml.safe_dump({"fleet": {"children": {"npu_nodes": {"hosts": {"npu1": {"ansible_host": server[0]}}}}}})
    )
    (tmp_path / "home/.ssh").mkdir(parents=True, mode=0o700)
    (tmp_path / "password").write_text(PASSWORD)
    return copy


def bootstrap(sample: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home = sample.parent / "home"
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), str(sample / "bootstrap.yml")]
    argv += ["-i", str(sample / "hosts.yml"), *arguments]
    env = {**os.environ, "HOME": str(home), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    env |= {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    return subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )


def ssh(sample: Path, address: str, *options: str) -> subprocess.CompletedProcess[str]:
    known = [f"-oUserKnownHostsFile={sample}/known_hosts", "-oStrictHostKeyChecking=yes", "-oBatchMode=yes"]
    argv = ["ssh", "-F", "none", *known, *options, f"root@{address}", "true"]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_a_wrong_host_key_is_refused_before_any_password_is_sent(sample: Path) -> None:
    done = bootstrap(
        sample,
        f"--connection-password-file={sample.parent}/password",
        "-e",
        "bootstrap_fingerprint=SHA256:somebodyelse",
    )
    assert done.returncode != 0
    assert "not SHA256:somebodyelse" in " ".join(done.stdout.split())
    assert "correct bootstrap_fingerprint" in done.stdout
    assert not (sample / "known_hosts").exists()
    assert "Put the key on the servers" not in done.stdout


def test_nobody_to_confirm_is_a_refusal(sample: Path) -> None:
    done = bootstrap(sample, f"--connection-password-file={sample.parent}/password")
    assert done.returncode != 0
    assert "was not confirmed" in done.stdout + done.stderr
    assert not (sample / "known_hosts").exists()


def test_from_a_password_to_a_key(sample: Path, server: tuple[str, str]) -> None:
    address, fingerprint = server
    key = sample.parent / "home/.ssh/ascend-fleet"
    arguments = [f"--connection-password-file={sample.parent}/password", "-e", f"bootstrap_fingerprint={fingerprint}"]
    done = bootstrap(sample, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert key.stat().st_mode & 0o077 == 0
    assert ssh(sample, address, "-i", str(key), "-oIdentitiesOnly=yes").returncode == 0
    assert ssh(sample, address, "-oIdentityFile=none").returncode != 0
    again = bootstrap(sample)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0" in again.stdout
