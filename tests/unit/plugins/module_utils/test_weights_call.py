# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of model_weights as its action plugin makes them, with the detached work for real."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _lock, _weights_call, _weights_share, _work
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import SPARE
from tests.doubles.hub_server import Faults, HubServer

REPO = "acme/tiny"
FILES = {f"model-{number}.safetensors": bytes([number]) * 1_500_000 for number in range(3)}
FILES["config.json"] = b"{}"
TOTAL = sum(map(len, FILES.values()))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({REPO: dict(FILES)}) as server:
        yield server


class Calls:
    """One node whose state is kept in a folder of the test."""

    def __init__(self, hub: HubServer, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.path = folder / "models" / "tiny"

    def params(self, **more: Any) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "source": f"huggingface:{REPO}",
            "revision": None,
            "include": [],
            "exclude": [],
            "token": None,
            "endpoints": {"huggingface": self.hub.url},
            "proxy": None,
            "ca_file": None,
            "validate_certs": True,
            "parallel": 2,
            "verify": "size",
            "takeover_after": 5,
            "share": None,
            "shared": False,
            "run": None,
            "look": False,
            "begin": False,
            "wait": 30,
            "work": None,
            "upload": None,
            "resolved": None,
            "sent": False,
            "take_over": None,
            **more,
        }

    def __call__(self, check_mode: bool = False, **more: Any) -> dict[str, Any]:
        return _weights_call.handle(self.params(**more), check_mode)

    def status(self) -> dict[str, Any]:
        (file,) = (self.folder / "status" / "weights").glob("*.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.path.glob("[!.]*")}


@pytest.fixture
def call(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setattr(_weights_call, "STATUS_DIR", str(tmp_path / "status"))
    monkeypatch.setattr(_lock, "LEASE_FILE", str(tmp_path / "lease.json"))
    return Calls(hub, tmp_path)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def test_check_mode_says_what_the_run_then_does(call: Calls) -> None:
    predicted = call(check_mode=True)
    assert not call.path.exists()
    assert call.hub.bytes_sent == 0
    done = call()
    assert call.files() == FILES
    assert predicted["changed"] is done["changed"] is True
    assert predicted["diff"] == done["diff"]
    for key in ("path", "reason", "files", "bytes", "source_bytes", "peer_bytes", "revision"):
        assert predicted[key] == done[key], key
    assert {one["path"]: one["size"] for one in predicted["fetch"]} == {path: len(FILES[path]) for path in FILES}


def test_check_mode_names_only_what_is_lacking(call: Calls) -> None:
    call()
    (call.path / "model-1.safetensors").unlink()
    predicted = call(check_mode=True)
    assert [one["path"] for one in predicted["fetch"]] == ["model-1.safetensors"]
    assert call()["source_bytes"] == predicted["source_bytes"] == 1_500_000


def test_check_mode_tells_a_small_file_from_another_of_its_size(call: Calls) -> None:
    call()
    call.hub.repositories[REPO]["config.json"] = b"[]"
    (call.path / "model-1.safetensors").unlink()
    predicted = call(check_mode=True)
    assert {one["path"] for one in predicted["fetch"]} == {"config.json", "model-1.safetensors"}
    assert call()["source_bytes"] == predicted["source_bytes"] == 1_500_002
    assert call.files()["config.json"] == b"[]"


def test_check_mode_names_what_differs_in_size_of_what_the_controller_would_send(call: Calls) -> None:
    call()
    sizes = {path: len(body) for path, body in FILES.items()} | {"config.json": 1}
    listed = [[path, "controller:", size] for path, size in sizes.items()]
    upload = {"resolved": None, "items": listed}
    predicted = call(check_mode=True, source="controller:/models/tiny", sent=True, upload=upload)
    assert (predicted["changed"], predicted["fetch"]) == (True, [{"path": "config.json", "size": 1}])


def test_a_second_call_and_its_check_change_nothing_and_ask_nobody(call: Calls) -> None:
    call()
    asked = len(call.hub.asked)
    assert call()["changed"] is call(check_mode=True)["changed"] is False
    assert len(call.hub.asked) == asked


def test_looking_says_why_and_asks_nobody(call: Calls) -> None:
    assert call(look=True)["reason"] == "the model is not on the node"
    call()
    assert call(look=True)["reason"] is None
    call.hub.asked.clear()
    assert call(look=True, revision="v2")["reason"] == "its revision is None instead of 'v2'"
    assert call.hub.asked == []


def test_reading_again_finds_what_hides_behind_size_and_time(call: Calls) -> None:
    call()
    assert call(look=True, verify="full")["reason"] == "its files are to be read again"
    assert call(verify="full")["changed"] is call(check_mode=True, verify="full")["changed"] is False
    file = call.path / "model-1.safetensors"
    stat = file.stat()
    file.write_bytes(b"x" * 1_500_000)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    predicted = call(check_mode=True, verify="full")
    assert predicted["reason"] == "the content of model-1.safetensors is not what was delivered"
    assert file.read_bytes() == b"x" * 1_500_000
    done = call(verify="full")
    assert (done["changed"], done["source_bytes"]) == (True, predicted["source_bytes"]) == (True, 1_500_000)
    assert call.files() == FILES


def test_begun_work_is_followed_and_joined(call: Calls) -> None:
    call.hub.faults.bytes_per_second = 1_500_000
    begun = call(begin=True)
    joined = call(wait=0)
    assert begun["pending"]["work"] == joined["pending"]["work"]
    done = call(work=begun["pending"]["work"])
    assert done["changed"] is True
    assert done["seconds"] > 0.5
    assert call.hub.bytes_sent == TOTAL


def test_other_work_on_the_same_directory_is_refused(call: Calls) -> None:
    call.hub.faults.bytes_per_second = 1_500_000
    begun = call(begin=True)
    refused = call(include=["*.json"])
    assert refused["findings"][0]["check"] == "model-busy"
    assert call(work=begun["pending"]["work"])["changed"] is True
    assert call.files() == FILES


def test_killed_work_is_told_and_the_next_call_goes_on(call: Calls) -> None:
    call.hub.faults.bytes_per_second = 1_000_000
    begun = call(begin=True)
    until(lambda: call.hub.bytes_sent > 2_500_000)
    os.kill(call.status()["pid"], signal.SIGKILL)
    ended = call(work=begun["pending"]["work"])
    assert "ended without a result" in ended["msg"]
    assert not call.path.exists()
    call.hub.faults.bytes_per_second = None
    call.hub.sent.clear()
    assert call()["changed"] is True
    assert call.files() == FILES
    assert call.hub.bytes_sent < TOTAL - 1_000_000


def test_a_failure_is_one_finding_and_leaves_no_directory(call: Calls) -> None:
    call.hub.faults = Faults(wrong={"model-2.safetensors"})
    failed = call()
    assert failed["failed"] is True
    assert [one["check"] for one in failed["findings"]] == ["transfer-content"]
    assert not call.path.exists()


@pytest.mark.parametrize(
    ("more", "check"),
    [({"source": "Qwen/Qwen2"}, "model-source"), ({"source": "huggingface:acme/none"}, "transfer-refused")],
)
def test_refusals(call: Calls, more: dict[str, Any], check: str) -> None:
    for check_mode in (True, False):
        assert call(check_mode=check_mode, **more)["findings"][0]["check"] == check


def test_a_run_holds_the_lease_of_the_node(call: Calls) -> None:
    mine = {"id": "a", "owner": "me@here:1", "lease_seconds": 60}
    assert call(run=mine)["changed"] is True
    (call.path / "config.json").unlink()
    refused = call(run={**mine, "id": "b"})
    assert refused["findings"][0]["check"] == "lease-held"
    assert call(run={**mine, "id": "b"}, take_over="a")["changed"] is True


def test_work_of_a_run_that_ends_leaves_no_file(call: Calls) -> None:
    status = call.folder / "status" / "weights"
    assert call(run={"id": "a", "owner": "me@here:1", "lease_seconds": 60})["changed"] is True
    assert len(list(status.iterdir())) == 2
    _work.sweep(System(), str(status), "b")
    assert len(list(status.iterdir())) == 2
    until(lambda: not _weights_call._lock_of(System(), str(call.path)).is_held())
    _work.sweep(System(), str(status), "a")
    assert list(status.iterdir()) == []
    assert call()["changed"] is False


def test_a_port_that_is_taken_is_a_warning(call: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_weights_share, "PORT_PATIENCE", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        share = {"address": "127.0.0.1", "port": taken.getsockname()[1], "secret": "s", "peers": []}
        done = call(share={**share, "patience": 1, "linger": 1})
    assert done["changed"] is True
    assert "cannot be served" in done["warnings"][0]


def test_the_controller_sends_to_the_next_node_when_the_one_it_sent_to_is_gone(call: Calls) -> None:
    gone = {"address": None, "port": 1, "secret": "s", "peers": ["http://127.0.0.1:1"], "patience": 0.3, "linger": 0}
    source = {"source": "controller:/models/tiny", "sent": True}
    told = call(share=gone, begin=True, **source)
    listed = [[path, "controller:", len(body), sha256(body).hexdigest()] for path, body in FILES.items()]
    while "pending" in told:
        given, asked = {}, told["pending"]["upload"]
        if asked and asked["files"] is None:
            given = {"upload": {"resolved": None, "items": listed}}
        for one in (asked or {}).get("files") or []:
            Path(one["part"]).write_bytes(FILES[one["path"]])
        told = call(work=told["pending"]["work"], **source, **given)
    assert told["changed"] is True, told
    assert call.files() == FILES
    assert call.hub.asked == []


def test_who_has_it_serves_it_without_a_change(call: Calls) -> None:
    call()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    share = {"address": "127.0.0.1", "port": port, "secret": "s", "peers": [], "patience": 2, "linger": 5}
    assert call(share=share)["changed"] is False
    other = {**share, "address": None, "peers": [f"http://127.0.0.1:{port}"]}
    taken = call(path=str(call.folder / "other" / "tiny"), share=other, endpoints={"huggingface": "http://127.0.0.1:1"})
    assert taken["peer_bytes"] == TOTAL, taken
    assert taken["source_bytes"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted for it, as root")
@pytest.mark.parametrize("linked", [False, True])
def test_a_full_disk_is_seen_first_and_leaves_what_was_there(call: Calls, linked: bool) -> None:
    disk = call.folder / ("disk" if linked else "models")
    disk.mkdir()
    if linked:
        call.path.parent.mkdir()
        call.path.symlink_to(disk / call.path.name)
    small = SPARE + 2_000_000
    mount = ["mount", "-t", "tmpfs", "-o", f"size={small}", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        assert call(include=["*-0.*", "*.json"])["changed"] is True
        before = call.files()
        for check_mode in (True, False):
            failed = call(check_mode=check_mode)
            assert [one["check"] for one in failed["findings"]] == ["transfer-space"]
        assert call.files() == before
    finally:
        subprocess.run(["umount", str(disk)], check=True)
