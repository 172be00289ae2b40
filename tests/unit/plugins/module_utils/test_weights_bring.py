# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights into a directory: by one writer, from others, and whole or not at all. Nodes are folders here."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _weights_bring,
    _weights_lease,
    _weights_manifest,
    _weights_peers,
    _weights_share,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Limits
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access
from ansible_collections.ascend.fleet.plugins.module_utils._weights_bring import Delivery, Order, Outcome
from ansible_collections.ascend.fleet.plugins.module_utils._weights_lease import Lease, Timing
from ansible_collections.ascend.fleet.plugins.module_utils._weights_peers import Row
from ansible_collections.ascend.fleet.plugins.module_utils._weights_share import Board, Share
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import MANIFEST_NAME, Wish
from tests.doubles.hub_server import Faults, HubServer

REPO = "acme/tiny"
FILES = {f"model-{number}.safetensors": random.Random(number).randbytes(700_000) for number in range(4)}
FILES["config.json"] = b'{"hidden_size": 1}'
TOTAL = sum(map(len, FILES.values()))
QUICK = Timing(beat=0.1, stale=1.0)
SYSTEM = System()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({REPO: dict(FILES)}) as server:
        yield server


def order(hub: HubServer, path: Path, **more: Any) -> Order:
    return Order(
        str(path),
        Wish(f"huggingface:{REPO}"),
        endpoints={"huggingface": hub.url},
        access=Access(timeout=5),
        limits=Limits(parallel=2, attempts=2, backoff=0.01),
        timing=QUICK,
    )._replace(**more)


def deliver(wanted: Order, board: Board | None = None, told: list[str] | None = None) -> Outcome:
    board = board or Board(_weights_manifest.asked(wanted.wish))
    return Delivery(SYSTEM, wanted, board, (told if told is not None else []).append).run()


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


# One directory -------------------------------------------------------------------------------------------------------


def test_the_first_time_brings_everything_and_the_second_asks_nobody(hub: HubServer, tmp_path: Path) -> None:
    wanted = order(hub, tmp_path / "tiny")
    first = deliver(wanted)
    assert content(tmp_path / "tiny") == FILES
    assert (first.changed, first.files, first.bytes, first.source_bytes) == (True, len(FILES), TOTAL, TOTAL)
    asked = len(hub.asked)
    assert deliver(wanted).changed is False
    assert len(hub.asked) == asked
    assert os.listdir(tmp_path) == ["tiny"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file: file.unlink(), "model-0.safetensors is missing"),
        (lambda file: file.write_bytes(b"short"), "model-0.safetensors is changed"),
        (lambda file: file.write_bytes(b"x" * 700_000), "model-0.safetensors is changed"),
    ],
)
def test_only_what_was_damaged_comes_again(
    hub: HubServer, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    wanted = order(hub, tmp_path / "tiny")
    deliver(wanted)
    hub.sent.clear()
    damage(tmp_path / "tiny" / "model-0.safetensors")
    again = deliver(wanted)
    assert again.reason == reason
    assert again.source_bytes == hub.bytes_sent == 700_000
    assert content(tmp_path / "tiny") == FILES


def test_damage_that_hides_behind_size_and_time_is_found_by_reading_all(hub: HubServer, tmp_path: Path) -> None:
    wanted = order(hub, tmp_path / "tiny")
    deliver(wanted)
    file = tmp_path / "tiny" / "model-2.safetensors"
    stat = file.stat()
    file.write_bytes(b"x" * 700_000)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert deliver(wanted).changed is False
    assert deliver(wanted._replace(full=True)).reason == (
        "the content of model-2.safetensors is not what was delivered"
    )
    assert content(tmp_path / "tiny") == FILES


def test_files_that_are_there_without_a_manifest_are_read_and_kept(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path, body in FILES.items():
        (folder / path).write_bytes(body)
    (folder / "model-1.safetensors").write_bytes(b"y" * 700_000)
    (folder / "notes.txt").write_text("mine")
    outcome = deliver(order(hub, folder))
    assert outcome.changed
    assert hub.bytes_sent == 700_000
    assert content(folder) == {**FILES, "notes.txt": b"mine"}


def test_what_the_new_patterns_do_not_want_goes_and_what_people_put_there_stays(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    deliver(order(hub, folder))
    (folder / "notes.txt").write_text("mine")
    hub.sent.clear()
    outcome = deliver(order(hub, folder, wish=Wish(f"huggingface:{REPO}", include=("*.json", "*-0.*"))))
    assert str(outcome.reason).startswith("its include is []")
    assert set(content(folder)) == {"config.json", "model-0.safetensors", "notes.txt"}
    assert hub.bytes_sent == 0


def test_manifests_in_a_source_are_not_of_this_directory(tmp_path: Path) -> None:
    others = {MANIFEST_NAME: b"{}", "sub/.ascend-fleet-data.json": b"{}"}
    with HubServer({REPO: {**FILES, **others}}) as hub:
        assert deliver(order(hub, tmp_path / "tiny")).changed is True
        assert content(tmp_path / "tiny") == FILES
        assert deliver(order(hub, tmp_path / "tiny")).changed is False


def test_links_of_people_to_directories_stay(hub: HubServer, tmp_path: Path) -> None:
    folder, loras = tmp_path / "tiny", tmp_path / "loras"
    deliver(order(hub, folder))
    loras.mkdir()
    (loras / "mine").write_text("mine")
    (folder / "loras").symlink_to(loras)
    for include in ("*.json", "*-0.*"):
        deliver(order(hub, folder, wish=Wish(f"huggingface:{REPO}", include=(include,))))
        assert (folder / "loras").readlink() == loras
    assert (loras / "mine").read_text() == "mine"


@pytest.mark.parametrize("dangling", [False, True])
def test_a_directory_that_is_a_link_is_replaced_where_it_leads_to(
    hub: HubServer, tmp_path: Path, dangling: bool
) -> None:
    link, real = tmp_path / "models/tiny", tmp_path / "large/disk/tiny"
    link.parent.mkdir()
    link.symlink_to(real)
    if not dangling:
        real.mkdir(parents=True)
        (real / "notes.txt").write_text("mine")
    deliver(order(hub, link))
    deliver(order(hub, link, wish=Wish(f"huggingface:{REPO}", include=("*.json",))))
    assert link.readlink() == real
    assert set(content(real)) == {"config.json", *(() if dangling else ("notes.txt",))}
    assert [os.listdir(link.parent), os.listdir(real.parent)] == [["tiny"], ["tiny"]]


@pytest.mark.parametrize("faults", [Faults(wrong={"model-3.safetensors"}), Faults(page={"config.json"})])
def test_a_failure_leaves_no_directory(hub: HubServer, tmp_path: Path, faults: Faults) -> None:
    hub.faults = faults
    with pytest.raises(FleetError):
        deliver(order(hub, tmp_path / "tiny"))
    assert not (tmp_path / "tiny").exists()
    hub.faults = Faults()
    hub.sent.clear()
    deliver(order(hub, tmp_path / "tiny"))
    assert content(tmp_path / "tiny") == FILES
    assert hub.bytes_sent < TOTAL


def test_a_failure_leaves_the_directory_as_it_was(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    deliver(order(hub, folder, wish=Wish(f"huggingface:{REPO}", include=("*.json",))))
    before = content(folder)
    hub.faults.wrong = {"model-3.safetensors"}
    with pytest.raises(FleetError, match="sha256"):
        deliver(order(hub, folder))
    assert content(folder) == before


def test_small_files_of_another_commit_are_not_those_that_a_failed_run_left(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.wrong = {"model-3.safetensors"}
    wanted = order(hub, tmp_path / "tiny", limits=Limits(parallel=1, attempts=2, backoff=0.01))
    with pytest.raises(FleetError):
        deliver(wanted)
    staged = tmp_path / ".tiny.ascend-fleet" / "tree" / "config.json"
    staged.write_bytes(FILES["config.json"])
    stat = staged.stat()
    journal = staged.parent.parent / "journal"
    digest = hashlib.sha256(FILES["config.json"]).hexdigest()
    with journal.open("a") as stream:
        stream.write(json.dumps(["config.json", stat.st_size, digest, stat.st_mtime_ns]) + "\n")
    hub.faults = Faults()
    newer = b'{"hidden_size": 2}'
    hub.repositories[REPO]["config.json"] = newer
    deliver(wanted)
    assert content(tmp_path / "tiny") == {**FILES, "config.json": newer}


def node_source(folder: Path, body: bytes) -> str:
    folder.mkdir(exist_ok=True)
    for name in ("a.safetensors", "b.safetensors"):
        (folder / name).write_bytes(body)
    return f"node:{folder}"


def test_files_of_equal_size_come_from_the_source_that_is_asked_for(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    for source in (node_source(tmp_path / "v1", b"v1"), node_source(tmp_path / "v2", b"v2")):
        wanted = order(hub, folder, wish=Wish(source))
        deliver(wanted)
        assert set(content(folder).values()) == {source[-2:].encode()}
        assert deliver(wanted).changed is False


def test_of_a_source_without_digests_only_what_changed_comes_again(hub: HubServer, tmp_path: Path) -> None:
    wanted = order(hub, tmp_path / "tiny", wish=Wish(node_source(tmp_path / "v1", b"v1")))
    deliver(wanted)
    (tmp_path / "v1" / "a.safetensors").write_bytes(b"v2")
    (tmp_path / "tiny" / "b.safetensors").unlink()
    assert deliver(wanted).source_bytes == 4
    assert content(tmp_path / "tiny") == {"a.safetensors": b"v2", "b.safetensors": b"v1"}
    (tmp_path / "tiny" / "b.safetensors").unlink()
    assert deliver(wanted).source_bytes == 2


def test_a_mount_point_cannot_be_replaced(hub: HubServer) -> None:
    with pytest.raises(FleetError, match="mount point"):
        deliver(order(hub, Path("/proc")))


# Several writers -----------------------------------------------------------------------------------------------------


def test_of_many_nodes_on_one_storage_one_downloads(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.bytes_per_second = 2_000_000
    wanted = order(hub, tmp_path / "tiny")
    with ThreadPoolExecutor(5) as nodes:
        outcomes = list(nodes.map(lambda _node: deliver(wanted), range(5)))
    assert sorted(outcome.changed for outcome in outcomes) == [False] * 4 + [True]
    assert hub.bytes_sent == TOTAL
    assert content(tmp_path / "tiny") == FILES
    assert os.listdir(tmp_path) == ["tiny"]


def test_a_killed_writer_is_succeeded_and_its_files_are_used(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.bytes_per_second = 1_000_000
    wanted = order(hub, tmp_path / "tiny")
    child = os.fork()
    if not child:
        deliver(wanted)
        os._exit(0)
    until(lambda: hub.bytes_sent > 1_200_000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not (tmp_path / "tiny").exists()
    hub.faults.bytes_per_second = None
    hub.sent.clear()
    deliver(wanted)
    assert content(tmp_path / "tiny") == FILES
    assert hub.bytes_sent < TOTAL - 600_000


def foreign_lease(folder: Path, number: int = 1) -> Path:
    """The lease of a node whose processes cannot be seen from here."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"lease-{number:06d}"
    path.write_text(json.dumps({"host": "other", "pid": 1, "boot": "elsewhere", "beat": 1, "note": ""}))
    return path


def test_a_silent_node_is_taken_over_and_a_beating_one_is_not(tmp_path: Path) -> None:
    path = foreign_lease(tmp_path)
    stop = threading.Event()

    def beat() -> None:
        number = 1
        while not stop.wait(0.1):
            number += 1
            path.write_text(json.dumps({"host": "other", "pid": 1, "boot": "elsewhere", "beat": number, "note": ""}))

    thread = threading.Thread(target=beat)
    thread.start()
    met: list[str] = []
    began = time.monotonic()
    lease = Lease(str(tmp_path), QUICK)

    def waiting(owner: _weights_lease.Owner) -> bool:
        met.append(owner.host)
        if time.monotonic() - began > 2:
            stop.set()
        return True

    assert lease.acquire(waiting)
    thread.join()
    assert time.monotonic() - began > 2.5
    assert "other" in met
    assert lease.holds()
    lease.release()
    assert os.listdir(tmp_path) == []


def test_a_late_owner_sees_that_it_was_succeeded(tmp_path: Path) -> None:
    lease = Lease(str(tmp_path), QUICK)
    lease.acquire(lambda owner: False)
    foreign_lease(tmp_path, 2)
    until(lease.lost.is_set)
    assert not lease.holds()
    lease.release()
    assert os.listdir(tmp_path) == ["lease-000002"]


def test_many_at_once_become_owner_one_after_the_other(tmp_path: Path) -> None:
    inside = 0
    most = 0
    guard = threading.Lock()

    def node(_number: int) -> None:
        nonlocal inside, most
        lease = Lease(str(tmp_path / "x"), QUICK)
        assert lease.acquire(lambda owner: True)
        with guard:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with guard:
            inside -= 1
        lease.release()

    with ThreadPoolExecutor(8) as nodes:
        list(nodes.map(node, range(8)))
    assert most == 1


# From node to node ---------------------------------------------------------------------------------------------------


class Nodes:
    """Folders that share as nodes do."""

    def __init__(self, hub: HubServer, folder: Path, count: int) -> None:
        self.hub = hub
        self.folder = folder
        self.ports = [free_port() for _port in range(count)]
        self.shares: dict[int, Share] = {}
        self.boards: dict[int, Board] = {}

    def path(self, index: int) -> Path:
        return self.folder / f"n{index}" / "tiny"

    def order(self, index: int, patience: float = 3.0) -> Order:
        addresses = [f"http://127.0.0.1:{port}" for port in self.ports]
        row = Row(_weights_peers.peers_of(index, addresses), "secret", patience)
        return order(self.hub, self.path(index), row=row)

    def run(self, index: int, patience: float = 3.0) -> Outcome:
        wanted = self.order(index, patience)
        board = self.boards[index] = Board(_weights_manifest.asked(wanted.wish))
        self.shares[index] = Share("127.0.0.1", self.ports[index], "secret", board)
        return deliver(wanted, board)

    def close(self) -> None:
        for share in self.shares.values():
            share.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def nodes(hub: HubServer, tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(hub, tmp_path, 6)
    yield made
    made.close()


def test_one_copy_leaves_the_source_for_six_nodes(hub: HubServer, nodes: Nodes) -> None:
    hub.faults.bytes_per_second = 3_000_000
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(nodes.run, range(6)))
    assert hub.bytes_sent == TOTAL
    assert [outcome.source_bytes for outcome in outcomes] == [TOTAL, 0, 0, 0, 0, 0]
    assert [outcome.peer_bytes for outcome in outcomes] == [0] + [TOTAL] * 5
    assert all(content(nodes.path(index)) == FILES for index in range(6))


def test_a_node_that_comes_late_takes_from_those_who_have_it(hub: HubServer, nodes: Nodes) -> None:
    nodes.run(0)
    hub.sent.clear()
    assert nodes.run(0 + 1).peer_bytes == TOTAL
    assert nodes.run(3).peer_bytes == TOTAL
    assert hub.bytes_sent == 0


def test_when_the_first_dies_the_next_goes_to_the_source_with_what_it_has(hub: HubServer, nodes: Nodes) -> None:
    hub.faults.bytes_per_second = 1_000_000
    child = os.fork()
    if not child:
        nodes.run(0)
        os._exit(0)
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(nodes.run, index, 1.0) for index in (1, 2)]
        until(lambda: nodes.path(1).parent.exists() and any((nodes.path(1).parent).rglob("tree/*.safetensors")))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        hub.faults.bytes_per_second = None
        sent = hub.bytes_sent
        outcomes = [other.result() for other in others]
    assert content(nodes.path(1)) == content(nodes.path(2)) == FILES
    assert hub.bytes_sent - sent < TOTAL
    assert outcomes[1].source_bytes == 0


def test_what_the_source_refuses_one_node_the_others_do_not_ask_again(hub: HubServer, nodes: Nodes) -> None:
    hub.faults.gated = True

    def run(index: int) -> str:
        with pytest.raises(FleetError) as caught:
            nodes.run(index)
        return str(caught.value.finding["check"])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == ["model-gated"] * 4
    assert len([path for path, _headers in hub.asked if "/resolve/" in path]) <= 2


def test_a_holder_that_sends_something_else_is_left(hub: HubServer, nodes: Nodes) -> None:
    nodes.run(0)
    for path in nodes.path(0).glob("*.safetensors"):
        path.write_bytes(b"z" * path.stat().st_size)
    outcome = nodes.run(1)
    assert content(nodes.path(1)) == FILES
    assert outcome.source_bytes == TOTAL - len(FILES["config.json"])


def test_who_does_not_know_the_secret_gets_nothing_and_is_not_believed(hub: HubServer, nodes: Nodes) -> None:
    nodes.run(0)
    url = f"http://127.0.0.1:{nodes.ports[0]}"
    client = _weights_peers.Upstream(Row((), "x"), {}).client
    assert _weights_share.ask(client, url, "wrong") is None
    assert _weights_share.ask(client, url, "secret") is not None
    with pytest.raises(Exception, match="403"):
        client.open(url + "/file/config.json")
    item = _weights_share.item(url, "secret", "../../etc/passwd", 1, "0" * 64)
    with pytest.raises(Exception, match="404"):
        client.open(item.url, dict(item.headers))


def test_serving_ends_by_itself(tmp_path: Path) -> None:
    share = Share("127.0.0.1", 0, "secret", Board({}))
    began = time.monotonic()
    share.linger(0.5, lambda: False)
    assert time.monotonic() - began < 3
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(share._server.server_address)


@pytest.mark.parametrize(
    ("index", "asks"),
    [(0, []), (1, [0]), (2, [0, 1]), (3, [1, 0, 2]), (6, [2, 0, 5, 4, 3, 1]), (100, [49, 24, 11, 5, 2, 0])],
)
def test_the_tree(index: int, asks: list[int]) -> None:
    assert _weights_peers.order(index)[: len(asks)] == asks
    assert all(position < index for position in _weights_peers.order(index))


# From the controller -------------------------------------------------------------------------------------------------


def controller(folder: Path, listing: dict[str, Any], pause: float = 0.0) -> None:
    """What the action plugin does: list, then send what is asked for."""
    ask = folder / ".tiny.ascend-fleet" / "upload.json"
    until(ask.exists)
    assert json.loads(ask.read_text())["files"] is None
    time.sleep(pause)
    (ask.parent / "list.json").write_text(json.dumps(listing))
    until(lambda: ask.exists() and json.loads(ask.read_text())["files"] is not None)
    for one in json.loads(ask.read_text())["files"]:
        time.sleep(pause)
        Path(one["part"]).write_bytes(FILES.get(one["path"], b""))


def test_files_of_the_controller_are_waited_for_and_verified(hub: HubServer, tmp_path: Path) -> None:
    rows = [[path, "controller:", len(body), hashlib.sha256(body).hexdigest()] for path, body in FILES.items()]
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(deliver, order(hub, tmp_path / "tiny", wish=Wish("controller:/x"), sent=True))
        controller(tmp_path, {"resolved": "state", "items": rows})
        outcome = work.result(20)
    assert outcome.revision == "state"
    assert content(tmp_path / "tiny") == FILES


@pytest.mark.parametrize(
    ("sent", "problem"),
    [(b'{"hidden_size": 2}', "has the sha256"), (FILES["config.json"] + b"x", "has 19 bytes instead of 18")],
)
def test_a_file_that_changed_on_the_controller_is_named_and_sent_again(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes, problem: str
) -> None:
    files = {**FILES, "empty.txt": b""}
    rows = [[path, "controller:", len(body), hashlib.sha256(body).hexdigest()] for path, body in files.items()]
    wanted = order(hub, tmp_path / "tiny", wish=Wish("controller:/x"), sent=True)
    with ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as meanwhile:
            meanwhile.setitem(FILES, "config.json", sent)
            work = pool.submit(deliver, wanted)
            controller(tmp_path, {"resolved": "state", "items": rows})
            with pytest.raises(FleetError) as caught:
                work.result(20)
        assert caught.value.finding["check"] == "transfer-content"
        assert f"config.json, as the controller sent it, {problem}" in str(caught.value)
        work = pool.submit(deliver, wanted)
        controller(tmp_path, {"resolved": "state", "items": rows})
        work.result(20)
    assert content(tmp_path / "tiny") == files


def test_a_slow_controller_is_told_of_all_the_time(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_weights_bring, "TOLD_EVERY", 0.05)
    rows = [[path, "controller:", len(body), hashlib.sha256(body).hexdigest()] for path, body in FILES.items()]
    told: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(deliver, order(hub, tmp_path / "tiny", wish=Wish("controller:/x"), sent=True), None, told)
        controller(tmp_path, {"resolved": "state", "items": rows}, pause=0.5)
        work.result(20)
    assert told.count("tiny: asking for the list of files") > 2
    assert told.count("tiny: 700 kB of 3 MB") > 2


def test_reading_again_is_told_of_all_the_time(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_weights_bring, "TOLD_EVERY", 0.0)
    wanted = order(hub, tmp_path / "tiny")
    deliver(wanted)
    told: list[str] = []
    deliver(wanted._replace(full=True), told=told)
    assert told.count("tiny: reading 3 MB again") >= len(FILES)


def test_a_controller_that_falls_silent(hub: HubServer, tmp_path: Path) -> None:
    wanted = order(hub, tmp_path / "tiny", sent=True, upload_patience=0.3)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(deliver, wanted)
        controller(tmp_path, {"resolved": "s", "items": [["a", "controller:", 3, "0" * 64]]})
        with pytest.raises(FleetError, match="stopped sending"):
            work.result(20)
    assert not (tmp_path / "tiny").exists()
