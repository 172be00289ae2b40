# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock dies with its holder; the lease outlives the call and expires."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _lock
from ansible_collections.ascend.fleet.plugins.module_utils._document import LEASE_FILE, STATE_DIR
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, answered
from ansible_collections.ascend.fleet.plugins.module_utils._system import System


@pytest.fixture
def system(tmp_path):
    return System(root=str(tmp_path))


def write_lease(system, run_id, expires):
    system.write(LEASE_FILE, json.dumps({"run_id": run_id, "owner": "ann@ctl:1", "expires": expires}))


def test_a_second_process_cannot_take_the_lock_until_the_first_is_killed(system):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _lock.Lock(system).try_acquire()
        os.write(writer, b"1")
        signal.pause()
    os.read(reader, 1)
    assert not _lock.Lock(system).try_acquire()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert _lock.Lock(system).try_acquire()


def test_who_waited_for_a_lock_that_was_removed_shares_it_with_nobody(system, monkeypatch):
    first, second = _lock.Lock(system), _lock.Lock(system)
    assert first.try_acquire()
    # The file goes between the opening by the second and its turn.
    opened = second._open
    monkeypatch.setattr(second, "_open", lambda: [opened(), first._fd is not None and first.remove()][0])
    assert second.try_acquire()
    assert not _lock.Lock(system).try_acquire()


def test_whoever_meets_the_lock_is_told_who_holds_it(system):
    lock = _lock.Lock(system)
    assert lock.try_acquire()
    lock.sign({"id": "r1", "owner": "ann@ctl:1"})
    second = _lock.Lock(system)
    assert not second.try_acquire()
    assert "run r1 of ann@ctl:1." in second.refusal().told()


def test_a_lock_that_cannot_be_opened_is_a_failure_with_a_remedy(system):
    # A file where the state directory belongs: what root meets as well.
    system.write(STATE_DIR, "")
    with pytest.raises(FleetError, match="cannot be opened") as caught:
        _lock.Lock(system).try_acquire()
    assert "become: true" in caught.value.told()


def test_a_full_file_system_is_told_with_the_lock(system, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    lock = _lock.Lock(system)
    assert lock.try_acquire()
    monkeypatch.setattr(os, "pwrite", full)
    result = answered(lambda: lock.sign({"id": "r1"}))
    assert result["findings"][0]["check"] == "node-files"
    assert f"{_lock.LOCK_FILE} cannot be written: No space left on device." in result["msg"]


@pytest.mark.parametrize(
    ("lease", "taken"),
    [
        (None, True),
        (("other", 99), True),
        (("other", 101), False),
        (("mine", 101), True),
    ],
    ids=["free", "expired", "valid", "own"],
)
def test_a_lease_is_taken_only_when_free_expired_or_own(system, monkeypatch, lease, taken):
    monkeypatch.setattr(_lock.time, "time", lambda: 100.0)
    if lease:
        write_lease(system, *lease)
    if not taken:
        with pytest.raises(FleetError, match="run other of ann@ctl:1"):
            _lock.claim(system, "mine", "bob@ctl:2", 60)
        return
    _lock.claim(system, "mine", "bob@ctl:2", 60)
    assert _lock.read_lease(system) == {"run_id": "mine", "owner": "bob@ctl:2", "seconds": 60, "expires": 160.0}
    assert stat.S_IMODE(os.stat(system.path(LEASE_FILE)).st_mode) == 0o600


@pytest.mark.parametrize(("back", "taken"), [(0, False), (50, False), (86400, True)])
def test_a_lease_of_a_clock_that_was_set_back_blocks_nobody_for_longer_than_its_time(system, monkeypatch, back, taken):
    monkeypatch.setattr(_lock.time, "time", lambda: 1e6)
    _lock.claim(system, "other", "ann@ctl:1", 600)
    assert (_lock.holder_of(system, "mine", 1e6 - back) is None) is taken


def test_a_dead_holder_is_replaced_by_name_only(system, monkeypatch):
    monkeypatch.setattr(_lock.time, "time", lambda: 100.0)
    write_lease(system, "other", 900)
    with pytest.raises(FleetError):
        _lock.claim(system, "mine", "bob", 60, take_over="somebody-else")
    _lock.claim(system, "mine", "bob", 60, take_over="other")
    assert _lock.read_lease(system)["run_id"] == "mine"


def test_only_the_holder_releases(system):
    _lock.claim(system, "mine", "bob", 60)
    assert not _lock.release(system, "other")
    assert _lock.read_lease(system) is not None
    assert _lock.release(system, "mine")
    assert _lock.read_lease(system) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', '{"run_id": "a", "expires": "soon"}'])
def test_a_damaged_lease_blocks_nobody(system, text):
    system.write(LEASE_FILE, text)
    _lock.claim(system, "mine", "bob", 60)
    assert _lock.read_lease(system)["run_id"] == "mine"
