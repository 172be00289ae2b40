# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed, meet each other, or run out of room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _package
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._shared_lock import SharedLock
from ansible_collections.ascend.fleet.plugins.modules import ascendcloud_package
from tests.doubles import packages

FILES, SIZE = 120, 1 << 20
RUN = """
import json, sys
from ansible_collections.ascend.fleet.plugins.module_utils import _package
from ansible_collections.ascend.fleet.plugins.modules import ascendcloud_package
print(json.dumps(_package.converge(ascendcloud_package.wanted(json.loads(sys.argv[1])), False)))
"""


def params(folder: Path, **options: object) -> dict[str, object]:
    return {
        "src": [str(folder / "packages")],
        "dest": str(folder / "out"),
        "parts": [{"name": "AIGC", "match": "*", "include": [], "sha256": None}],
        "version": None, "sha256": None, "python": None, "architecture": "any", "soc": None, "verify": "full",
        "lock_timeout": 60, "workers": 2, "max_size": "100G", "max_ratio": 200, **options,
    }  # fmt: skip


def start(folder: Path, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # Whoever interrupts it must be faster on a busy machine too.
    command = ["nice", "-n", "19", sys.executable, "-c", RUN, json.dumps(params(folder, **options))]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder: Path, **options: object) -> dict[str, object]:
    return _package.converge(ascendcloud_package.wanted(params(folder, **options)), False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package of many megabytes, so that its unpacking can be interrupted."""
    (tmp_path / "packages").mkdir()
    block = os.urandom(SIZE)
    content = {f"d{index % 7}/{index}": block for index in range(FILES)}
    packages.outer(tmp_path / "packages", {"AIGC": packages.zipped(content, zipfile.ZIP_STORED)})
    return tmp_path


def whole(folder: Path) -> bool:
    files = [path for path in (folder / "out/AIGC").rglob("*") if path.is_file()]
    return len(files) == FILES and {path.stat().st_size for path in files} == {SIZE}


def stages(folder: Path) -> list[Path]:
    return [path for path in folder.glob(".out.ascend-fleet-*") if path.is_dir()]


def until(condition, seconds: float = 20):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.0005)
    return found


def in_the_middle(folder: Path, process: subprocess.Popen[str]) -> None:
    until(lambda: [path for stage in stages(folder) for path in stage.glob("AIGC/*/*")])
    signal_all(process, signal.SIGSTOP)
    assert not (folder / "out").exists(), process.communicate()


def signal_all(process: subprocess.Popen[str], number: signal.Signals) -> None:
    for pid in (process.pid, *children(process)):
        os.kill(pid, number)


def children(process: subprocess.Popen[str]) -> list[int]:
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in found.split()]


def is_gone(pid: int) -> bool:
    """Ended, whether or not somebody has looked at its end."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_killed_run_leaves_nothing_at_dest_and_the_next_one_finishes(folder):
    process = start(folder)
    in_the_middle(folder, process)
    workers = children(process)
    assert workers
    process.kill()
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    process.communicate()
    until(lambda: all(map(is_gone, workers)))
    assert not (folder / "out").exists()
    assert (folder / ".out.ascend-fleet-lock").exists()
    began = time.monotonic()
    assert run(folder)["changed"]
    assert time.monotonic() - began < 20, "the dead run's lock was waited for"
    assert whole(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["out", "packages"]
    assert not run(folder)["changed"]


def test_a_killed_replacement_leaves_the_former_folder_whole(folder):
    run(folder)
    (folder / "packages" / packages.file_name()).unlink()
    block = os.urandom(SIZE)
    content = {f"new/{index}": block for index in range(FILES)}
    packages.outer(folder / "packages", {"AIGC": packages.zipped(content, zipfile.ZIP_STORED)}, stamp="2")
    process = start(folder)
    until(lambda: [path for stage in stages(folder) for path in stage.glob("AIGC/new/*")])
    process.kill()
    process.communicate()
    assert whole(folder)
    assert (folder / "out/AIGC/d0/0").exists()
    assert run(folder)["changed"]
    assert whole(folder)
    assert (folder / "out/AIGC/new/0").exists()


def test_of_two_runs_at_once_one_unpacks_and_the_other_waits_for_it(folder):
    first = start(folder)
    in_the_middle(folder, first)
    second = start(folder)
    lock = folder / ".out.ascend-fleet-lock"
    holder = json.loads(lock.read_text())["pid"]
    assert holder == first.pid
    until(lambda: "nanosleep" in Path(f"/proc/{second.pid}/wchan").read_text())
    signal_all(first, signal.SIGCONT)
    results = [json.loads(process.communicate(timeout=60)[0]) for process in (first, second)]
    assert [result["changed"] for result in results] == [True, False]
    assert results[1]["waited"]
    assert whole(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["out", "packages"]


def test_waiting_has_an_end_that_says_who_holds_it(folder):
    with SharedLock(str(folder / ".out.ascend-fleet-lock"), 1), pytest.raises(FleetError) as caught:
        run(folder, lock_timeout=0.2)
    assert caught.value.finding["check"] == "package-locked"
    assert f"process {os.getpid()}" in str(caught.value)


def test_the_lock_of_a_silent_holder_elsewhere_is_taken_over(tmp_path):
    path = tmp_path / "lock"
    path.write_text(json.dumps({"token": "there", "host": "n2", "where": "elsewhere", "pid": 1, "born": "1"}))
    with pytest.raises(FleetError, match="n2"), SharedLock(str(path), 0.1, stale=30):
        pass
    with SharedLock(str(path), 20, stale=0.3) as lock:
        assert lock.waited
        assert json.loads(path.read_text())["token"] == lock.token
    assert not path.exists()


def test_the_lock_of_a_holder_that_still_beats_is_not_taken(tmp_path):
    path = tmp_path / "lock"
    beats = iter(range(100000))

    class Waiting(SharedLock):
        def _try(self) -> bool:
            path.write_text(json.dumps({"token": "there", "host": "n2", "where": "elsewhere", "beat": next(beats)}))
            return super()._try()

    with pytest.raises(FleetError, match="still works"), Waiting(str(path), 1, stale=0.3):
        pass


def test_a_run_that_lost_its_lock_publishes_nothing(folder, monkeypatch):
    monkeypatch.setattr(SharedLock, "is_mine", lambda lock: False)
    with pytest.raises(FleetError, match=r"took .* over"):
        run(folder)
    assert not (folder / "out").exists()
    assert not stages(folder)


@pytest.fixture
def small_disk(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size={FILES * SIZE // 2 + (FILES << 12)}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_room_is_looked_at_first(folder, small_disk):
    with pytest.raises(FleetError) as caught:
        run(folder, dest=str(small_disk / "out"))
    assert caught.value.finding["check"] == "package-space"
    assert "bytes are needed" in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_room_that_others_take_meanwhile_leaves_nothing_behind(folder, small_disk, monkeypatch):
    monkeypatch.setattr(_package, "_room", lambda *_given: None)
    with pytest.raises(FleetError) as caught:
        run(folder, dest=str(small_disk / "out"))
    assert caught.value.finding["check"] == "package-space"
    assert list(small_disk.iterdir()) == []


def test_workers_that_are_killed_are_told(folder):
    process = start(folder)
    in_the_middle(folder, process)
    for worker in children(process):
        os.kill(worker, signal.SIGKILL)
    process.send_signal(signal.SIGCONT)
    _out, error = process.communicate(timeout=60)
    assert process.returncode
    assert "A worker process was killed" in error
    assert not (folder / "out").exists()
    assert not stages(folder)
