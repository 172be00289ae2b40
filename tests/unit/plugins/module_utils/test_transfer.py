# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a server that counts what it sends and breaks on demand."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _hashing, _transfer
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Item, Limits, Staging, Transfer
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access, Client, bypasses, retry_after
from tests.doubles.hub_server import Faults, HubServer

REPO = "acme/tiny"
SIZE = 3 * _hashing.BUFFER + 12345
QUICK = Limits(parallel=3, attempts=3, backoff=0.01, longest_backoff=0.05)


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


FILES = {"a.safetensors": noise(1, SIZE), "sub/b.safetensors": noise(2, SIZE), "config.json": b'{"a": 1}'}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({REPO: dict(FILES)}) as server:
        yield server


def items(hub: HubServer, digests: bool = True) -> list[Item]:
    return [
        Item(path, hub.plain(REPO, path), len(content), hashlib.sha256(content).hexdigest() if digests else None)
        for path, content in FILES.items()
    ]


def transfer(folder: Path, limits: Limits = QUICK, access: Access | None = None) -> Transfer:
    return Transfer(Staging(str(folder / "staging")), Client(access or Access(timeout=5)), limits)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_arrive_whole_and_get_their_name_at_the_end(hub: HubServer, tmp_path: Path) -> None:
    work = transfer(tmp_path)
    done = work.run(items(hub))
    assert not (tmp_path / "model").exists()
    _transfer.publish(work.staging, str(tmp_path / "model"))
    assert content(tmp_path / "model") == FILES
    assert {one.path: one.sha256 for one in done} == {p: hashlib.sha256(c).hexdigest() for p, c in FILES.items()}
    assert hub.bytes_sent == sum(map(len, FILES.values()))
    assert os.listdir(tmp_path) == ["model"]


def test_a_cut_connection_continues_where_it_ended(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.cut_at = {"a.safetensors": 1_500_000, "sub/b.safetensors": 2_000_000}
    work = transfer(tmp_path)
    work.run(items(hub))
    assert content(Path(work.staging.tree)) == FILES
    assert hub.bytes_sent == sum(map(len, FILES.values()))


def test_a_killed_process_loses_nothing_that_arrived(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.bytes_per_second = 1_000_000
    child = os.fork()
    if not child:
        transfer(tmp_path).run(items(hub))
        os._exit(0)
    deadline = time.monotonic() + 60
    while (arrived := stored(tmp_path)) < 1_000_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    hub.faults.bytes_per_second = None
    before = len(hub.asked)
    work = transfer(tmp_path)
    work.run(items(hub))
    assert content(Path(work.staging.tree)) == FILES
    ranges = [re.match(r"bytes=(\d+)-", headers.get("Range", "")) for _path, headers in hub.asked[before:]]
    # What is written and not known to be on the disk is fetched once more.
    assert sum(int(start[1]) for start in ranges if start) > 0.7 * arrived


def stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "staging").rglob("*") if path.is_file())


def test_finished_files_are_not_asked_for_again(hub: HubServer, tmp_path: Path) -> None:
    transfer(tmp_path).run(items(hub))
    asked = len(hub.asked)
    transfer(tmp_path).run(items(hub))
    assert len(hub.asked) == asked


GIT_V1 = hashlib.sha1(b"blob 2\0v1").hexdigest()
GIT_V2 = hashlib.sha1(b"blob 2\0v2").hexdigest()
SHA_V1 = hashlib.sha256(b"v1").hexdigest()


@pytest.mark.parametrize(
    ("before", "after", "lacks"),
    [
        (Item("a", "https://x/v1", 2), Item("a", "https://x/v1", 2), False),
        (Item("a", "https://x/v1"), Item("a", "https://x/v1"), False),
        (Item("a", "https://x/v1", 2), Item("a", "https://x/v2", 2), True),
        (Item("a", "https://x/v1"), Item("a", "https://x/v2"), True),
        (Item("a", "https://x/?revision=v1", 2), Item("a", "https://x/?revision=v2", 2), True),
        (Item("a", "file:///a", 2, state="1"), Item("a", "file:///a", 2, state="2"), True),
        (Item("a", "https://x/v1", 2), Item("a", "https://x/v2", 2, SHA_V1), False),
        (Item("a", "https://x/v1", 2), Item("a", "https://x/v1", 2, "0" * 64), True),
        (Item("a", "https://x/v1", 2), Item("a", "https://x/v2", 2, None, GIT_V1), False),
        (Item("a", "https://peer/v1", 2, SHA_V1), Item("a", "https://x/v1", 2, None, GIT_V1), False),
        (Item("a", "https://x/v1", 2, None, GIT_V1), Item("a", "https://x/v1", 2, None, GIT_V2), True),
    ],
)
def test_a_finished_file_is_kept_for_the_content_that_it_is(
    tmp_path: Path, before: Item, after: Item, lacks: bool
) -> None:
    staging = Staging(str(tmp_path))
    arrived = tmp_path / "arrived"
    arrived.write_bytes(b"v1")
    staging.enter(before, str(arrived), 2, SHA_V1)
    assert staging.lacks(after) is lacks
    assert Staging(str(tmp_path)).lacks(after) is lacks


def test_a_digest_that_agrees_takes_nothing_from_what_is_known(tmp_path: Path) -> None:
    staging = Staging(str(tmp_path))
    (tmp_path / "arrived").write_bytes(b"v1")
    origin = Item("a", "https://x/v1", 2)
    staging.enter(origin, str(tmp_path / "arrived"), 2, SHA_V1)
    assert not staging.lacks(Item("a", "https://peer/a", 2, SHA_V1))
    assert not staging.lacks(origin)


def test_a_finished_file_that_was_changed_comes_again(hub: HubServer, tmp_path: Path) -> None:
    work = transfer(tmp_path)
    work.run(items(hub))
    Path(work.staging.path("config.json")).write_text("spoilt!!")
    again = transfer(tmp_path)
    again.run(items(hub))
    assert Path(again.staging.path("config.json")).read_bytes() == FILES["config.json"]


def test_a_part_that_was_spoilt_on_the_disk_is_thrown_away(hub: HubServer, tmp_path: Path) -> None:
    work = transfer(tmp_path)
    wanted = items(hub)
    Path(work.staging.part(wanted[0])).write_bytes(b"x" * 1000)
    work.run(wanted)
    assert content(Path(work.staging.tree)) == FILES


def test_a_server_without_ranges_starts_from_the_first_byte(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = Faults(cut_at={"a.safetensors": 1_500_000}, no_ranges=True)
    work = transfer(tmp_path)
    work.run(items(hub))
    assert content(Path(work.staging.tree)) == FILES


@pytest.mark.parametrize(
    ("faults", "check", "words"),
    [
        (Faults(wrong={"a.safetensors"}), "transfer-content", "has the sha256"),
        (Faults(page={"a.safetensors"}), "transfer-content", "HTML page"),
        (Faults(pointer={"a.safetensors"}), "transfer-content", "git-lfs pointer"),
        (Faults(token="secret"), "transfer-refused", "asks for a login"),
        (Faults(broken=1000), "transfer-failed", "answered 503, 3 times in a row"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_sentence_and_not_kept(
    hub: HubServer, tmp_path: Path, faults: Faults, check: str, words: str
) -> None:
    hub.faults = faults
    work = transfer(tmp_path)
    with pytest.raises(FleetError) as caught:
        work.run(items(hub))
    assert caught.value.finding["check"] == check
    assert words in str(caught.value)
    assert "a.safetensors" not in content(Path(work.staging.tree))


def test_a_busy_server_is_given_the_time_it_asks_for(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = Faults(busy=1, retry_after="1")
    began = time.monotonic()
    transfer(tmp_path).run(items(hub)[:1])
    assert 1 <= time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("99999", 300.0),
        ("soon", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=10) == seconds


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(FleetError, match="refused"):
            transfer(tmp_path).run([Item("x", url, 3, "0" * 64)])


def test_a_redirect_to_another_server_takes_no_secret_along(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.token = "secret"
    with HubServer({REPO: dict(FILES)}) as other:
        hub.elsewhere = other.url
        path, body = "a.safetensors", FILES["a.safetensors"]
        url = f"{hub.url}/{REPO}/resolve/main/{path}"
        headers = (("Authorization", "Bearer secret"),)
        transfer(tmp_path).run([Item(path, url, len(body), hashlib.sha256(body).hexdigest(), None, headers)])
        (_asked, sent), *_rest = other.asked
    assert hub.asked[0][1]["Authorization"] == "Bearer secret"
    assert "Authorization" not in sent


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", ".", "a\\b", ""])
def test_a_name_that_leads_out_is_refused_before_anything_is_asked(hub: HubServer, tmp_path: Path, path: str) -> None:
    with pytest.raises(FleetError, match="outside"):
        transfer(tmp_path).run([Item(path, hub.plain(REPO, "config.json"))])
    assert hub.asked == []


def test_too_little_room_is_seen_before_anything_is_asked(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="free") as caught:
        transfer(tmp_path).run([Item("huge", hub.plain(REPO, "huge"), 10**16, "0" * 64)])
    assert caught.value.finding["check"] == "transfer-space"
    assert hub.asked == []


def test_a_certificate_that_nobody_vouches_for_ends_it_at_once(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *files], check=True, capture_output=True)
    with HubServer({REPO: dict(FILES)}, certificate=(certificate, key)) as hub:
        with pytest.raises(FleetError, match="certificate") as caught:
            transfer(tmp_path, Limits(attempts=50)).run(items(hub))
        assert "times" not in str(caught.value)
        trusted = transfer(tmp_path, access=Access(ca_file=str(certificate), timeout=5))
        trusted.run(items(hub))
    assert content(Path(trusted.staging.tree)) == FILES


def test_a_proxy_is_asked_unless_the_host_goes_past_it(hub: HubServer, tmp_path: Path) -> None:
    with HubServer({}) as proxy:
        through = Access(proxy={"http": proxy.url}, timeout=5)
        with pytest.raises(FleetError):
            transfer(tmp_path, access=through).run(items(hub))
        assert proxy.asked
        assert hub.asked == []
        transfer(tmp_path, access=through._replace(no_proxy=("127.0.0.1",))).run(items(hub))
    assert hub.asked


@pytest.mark.parametrize(
    ("host", "entries", "past"),
    [
        ("hub.example.com", ("example.com",), True),
        ("hub.example.com", (".example.com",), True),
        ("example.com", (".example.com",), True),
        ("badexample.com", ("example.com",), False),
        ("anything", ("*",), True),
        ("host", ("",), False),
    ],
)
def test_no_proxy_names_hosts_and_domains(host: str, entries: tuple[str, ...], past: bool) -> None:
    assert bypasses(host, entries) is past


def test_replacing_a_directory_never_shows_half_of_it(hub: HubServer, tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    work = transfer(tmp_path)
    work.run(items(hub))
    _transfer.publish(work.staging, str(target))
    assert content(target) == FILES


def test_a_run_killed_between_the_two_renames_gives_the_old_directory_back(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    (staging / "previous").mkdir(parents=True)
    (staging / "previous" / "old").write_text("old")
    _transfer.put_back(str(staging), str(tmp_path / "model"))
    assert (tmp_path / "model" / "old").read_text() == "old"


def test_one_failure_stops_the_other_files(hub: HubServer, tmp_path: Path) -> None:
    hub.faults = Faults(page={"config.json"}, bytes_per_second=500_000)
    began = time.monotonic()
    with pytest.raises(FleetError, match="HTML"):
        transfer(tmp_path).run(items(hub))
    assert time.monotonic() - began < 4
    assert threading.active_count() < 20


FULL = """
import sys
sys.path[:0] = {paths!r}
from ansible_collections.ascend.fleet.plugins.module_utils import _transfer
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Client
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
_transfer.check_space = lambda folder, wanted: None
work = _transfer.Transfer(_transfer.Staging(sys.argv[1]), Client())
try:
    work.run([_transfer.Item("a", sys.argv[2], {size}, {digest!r})])
except FleetError as error:
    print(error.finding["check"], error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted for it, as root")
def test_a_disk_that_fills_up_on_the_way_is_named_and_keeps_what_arrived(hub: HubServer, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        body = FILES["a.safetensors"]
        code = FULL.format(paths=sys.path, size=len(body), digest=hashlib.sha256(body).hexdigest())
        url = hub.plain(REPO, "a.safetensors")
        ran = subprocess.run(
            [sys.executable, "-c", code, str(disk / "staging"), url],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ran.stdout.startswith("transfer-space"), ran.stdout + ran.stderr
        assert "is full" in ran.stdout
        assert sum(path.stat().st_size for path in (disk / "staging" / "parts").iterdir()) > 1_000_000
        assert list((disk / "staging" / "tree").iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
@pytest.mark.parametrize(
    ("link_of", "directory_of", "refused"),
    [(1234, 0, True), (1234, 4321, True), (1234, 1234, False), (0, 1234, False), (1234, None, True), (0, None, False)],
)
@pytest.mark.parametrize("below", ["", "/model"], ids=["the directory", "a folder above"])
def test_nobody_leads_root_to_a_directory_of_another(
    tmp_path: Path, link_of: int, directory_of: int | None, refused: bool, below: str
) -> None:
    link, real = tmp_path / "link", tmp_path / "real"
    if directory_of is not None:
        Path(f"{real}{below}").mkdir(parents=True)
        os.chown(f"{real}{below}", directory_of, 0)
    link.symlink_to(real)
    os.lchown(link, link_of, 0)
    work = transfer(tmp_path)
    with pytest.raises(FleetError, match="by a link of user 1234") if refused else contextlib.nullcontext():
        _transfer.publish(work.staging, f"{link}{below}" if directory_of is not None else str(link))
