# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data for training and evaluation: complete and of the right format, or absent."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _dataset, _dataset_call, _dataset_formats, _work
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System
from ansible_collections.ascend.fleet.plugins.module_utils._transfer import Limits
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Access
from tests.doubles.hub_server import Faults, HubServer

REPO = "data/sets"
RECORDS = json.dumps([{"instruction": "Say yes.", "input": "", "output": "Yes."}] * 50).encode()
NOISE = random.Random(7).randbytes(3_000_000)
PARQUET = b"PAR1" + NOISE + b"f" * 100 + struct.pack("<I", 100) + b"PAR1"
OTHER = json.dumps([{"instruction": "Say no.", "output": "No."}]).encode()
FILES = {"train.parquet": PARQUET, "alpaca_gpt4_data.json": RECORDS}
SYSTEM = System()


def silent(_text: str) -> None:
    return None


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({REPO: {**FILES, "data.tar.gz": tar(FILES), "wrong.json": b'{"instruction": "x"}'}}) as server:
        yield server


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wanted(hub: HubServer, where: Path, **changes: Any) -> _dataset.Want:
    items = tuple(_dataset.item(path, hub.plain(REPO, path), sha(content)) for path, content in FILES.items())
    values = {"format": "alpaca", "files": items, "access": Access(timeout=5), **changes}
    return _dataset.Want(str(where / "data"), **values)


def content(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found.pop(_dataset.MANIFEST, None)
    return found


def tar(files: dict[str, bytes], mode: str = "w:gz", edit: Callable[[tarfile.TarInfo], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            if edit:
                edit(entry)
            archive.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


# Formats


def cut(data: bytes, end: int) -> bytes:
    return data[:end]


ALPACA = [
    ({"a.parquet": PARQUET, "b.json": RECORDS, "README.md": b"x"}, None),
    ({"a.jsonl": b'{"instruction": "x", "output": "y"}\n\n'}, None),
    ({"a.parquet": b"<html>" + PARQUET}, "does not begin with PAR1"),
    ({"a.parquet": PARQUET[:-1]}, "is cut off"),
    ({"a.parquet": b"PAR1" + struct.pack("<I", 999) + b"PAR1"}, "footer of 999 bytes"),
    ({"a.json": RECORDS[:-2]}, "is no JSON"),
    ({"a.json": b'{"instruction": "x"}'}, "is no JSON list"),
    ({"a.json": b"[]"}, "is no JSON list"),
    ({"a.json": b"[1]"}, "something else than records (item 0)"),
    ({"a.json": b'[{"instruction": "x"}]'}, "has no text output in record 0"),
    ({"a.jsonl": b'{"instruction": "x", "output": "y"}\n{"instr\n'}, "in line 2: is no JSON"),
    ({"a.jsonl": b'{"instruction": "caf\xe9", "output": "y"}\n'}, "is no UTF-8: invalid continuation byte"),
    ({"a.json": b'[{"instruction": "caf\xe9", "output": "y"}]'}, "is no JSON"),
    ({"README.md": b"x"}, "no .parquet, .json or .jsonl"),
]


def lay(folder: Path, files: dict[str, bytes]) -> list[str]:
    for parent in {(folder / name).parent for name in files}:
        parent.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)


@pytest.mark.parametrize(("files", "problem"), ALPACA)
def test_alpaca_is_judged(tmp_path, files, problem):
    judged = _dataset_formats.alpaca(str(tmp_path), lay(tmp_path, files))
    assert judged.problem is None if problem is None else problem in judged.problem


def mme(layout: str) -> dict[str, bytes]:
    files = {}
    for task, questions in _dataset_formats.MME.items():
        split = layout == "B" and task in ("artwork", "celebrity", "landmark", "posters", "scene")
        images, texts = (f"{task}/images", f"{task}/questions_answers_YN") if split else (task, task)
        for number in range(questions // 2):
            files[f"{images}/{number:04}.jpg"] = b"image"
            files[f"{texts}/{number:04}.txt"] = (
                b"Is it so? Please answer yes or no.\tYes\nIs it not? Please answer yes or no.\tNo\n"
            )
    return files


@pytest.mark.parametrize("layout", ["A", "B"])
def test_mme_is_whole_in_both_layouts(tmp_path, layout):
    judged = _dataset_formats.mme(str(tmp_path), lay(tmp_path, mme(layout)))
    assert judged == ("14 sub-tasks, 2374 questions", None)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda f: [f.pop(name) for name in list(f) if name.startswith("OCR/")],
            "1 of the 14 sub-tasks are missing, OCR",
        ),
        (lambda f: f.pop("count/0002.txt"), "count has 4 questions instead of 6"),
        (lambda f: f.pop("count/0002.jpg"), "count has no image to 0002.txt"),
        (lambda f: f.update({"color/0001.txt": b"One question\tYes\n"}), "color has 1 questions instead of 2"),
        (lambda f: f.update({"color/0001.txt": b"Q\tMaybe\nQ\tNo\n"}), "no question, tabulator, Yes or No"),
        (lambda f: f.pop("scene/images/0000.jpg"), "scene has no image to questions_answers_YN/0000.txt"),
    ],
)
def test_mme_that_lacks_something_is_told(tmp_path, monkeypatch, change, problem):
    monkeypatch.setattr(_dataset_formats, "MME", dict.fromkeys(_dataset_formats.MME, 6))
    files = mme("B")
    change(files)
    assert problem in _dataset_formats.mme(str(tmp_path), lay(tmp_path, files)).problem


# Bringing


def test_files_come_once_and_a_second_time_costs_nothing(hub, tmp_path):
    want = wanted(hub, tmp_path)
    first = _dataset.bring(SYSTEM, want, silent)
    assert (first["changed"], first["holds"], first["files"]) == (True, "2 files, 50 records in JSON", 2)
    assert content(tmp_path / "data") == FILES
    sent = hub.bytes_sent
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is False
    assert hub.bytes_sent == sent
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize(
    ("spoil", "full"),
    [
        (lambda f: (f / "train.parquet").unlink(), False),
        (lambda f: (f / "train.parquet").write_bytes(PARQUET[:-9]), False),
        (lambda f: _same_size_and_time(f / "train.parquet"), True),
    ],
)
def test_what_was_changed_is_brought_again_whole(hub, tmp_path, spoil, full):
    want = wanted(hub, tmp_path, full=full)
    _dataset.bring(SYSTEM, want, silent)
    spoil(tmp_path / "data")
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is True
    assert content(tmp_path / "data") == FILES


def _same_size_and_time(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(b"X" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_files_of_somebody_else_are_left_alone(hub, tmp_path):
    lay(tmp_path / "data", {"mine": b"x"})
    with pytest.raises(FleetError, match="somebody else"):
        _dataset.bring(SYSTEM, wanted(hub, tmp_path), silent)
    assert content(tmp_path / "data") == {"mine": b"x"}


@pytest.mark.parametrize(
    "files", [{"wrong.json": None}, {"train.parquet": "0" * 64}], ids=["not the format", "not the digest"]
)
def test_wrong_data_are_never_published(hub, tmp_path, files):
    items = tuple(_dataset.item(path, hub.plain(REPO, path), digest) for path, digest in files.items())
    with pytest.raises(FleetError) as caught:
        _dataset.bring(SYSTEM, wanted(hub, tmp_path, files=items), silent)
    assert caught.value.finding["check"] in ("dataset-format", "transfer-content")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "wrong", [b'{"instruction": "caf\xe9", "output": "y"}\n', b"[" * 200_000], ids=["no UTF-8", "too deep"]
)
def test_data_that_cannot_be_read_are_looked_at_anew_once_they_are_corrected(hub, tmp_path, wrong):
    right = b'{"instruction": "cafe", "output": "y"}\n'
    want = wanted(hub, tmp_path, files=(_dataset.item("a.jsonl", hub.plain(REPO, "a.jsonl"), None),))
    hub.repositories[REPO]["a.jsonl"] = wrong
    with pytest.raises(FleetError) as caught:
        _dataset.bring(SYSTEM, want, silent)
    assert caught.value.finding["check"] == "dataset-format"
    hub.repositories[REPO]["a.jsonl"] = right
    _dataset.bring(SYSTEM, want, silent)
    assert content(tmp_path / "data") == {"a.jsonl": right}


def test_a_cut_connection_and_a_page_of_html(hub, tmp_path):
    hub.faults = Faults(cut_at={"train.parquet": 1_000_000}, busy=1, retry_after="0")
    _dataset.bring(SYSTEM, wanted(hub, tmp_path), silent)
    assert content(tmp_path / "data") == FILES
    shutil.rmtree(tmp_path / "data")
    hub.faults = Faults(page={"alpaca_gpt4_data.json"})
    with pytest.raises(FleetError, match="HTML page"):
        _dataset.bring(SYSTEM, wanted(hub, tmp_path), silent)


def test_a_directory_of_the_node_is_linked(hub, tmp_path):
    lay(tmp_path / "source", FILES)
    _dataset.bring(SYSTEM, wanted(hub, tmp_path, files=(), directory=str(tmp_path / "source")), silent)
    assert (tmp_path / "data/train.parquet").samefile(tmp_path / "source/train.parquet")


def test_files_of_the_node_lie_beside_those_of_a_directory(hub, tmp_path):
    """As with a bundle, which brings the fetched files of an item as a directory."""
    lay(tmp_path / "source", FILES)
    lay(tmp_path / "own", {"more.json": RECORDS, "alpaca_gpt4_data.json": OTHER})
    named = [str(path.relative_to(tmp_path / "own")) for path in (tmp_path / "own").iterdir()]
    files = tuple(_dataset.item(name, str(tmp_path / "own" / name), None) for name in named)
    want = _dataset.looked(wanted(hub, tmp_path, files=files, directory=str(tmp_path / "source")))
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is True
    assert content(tmp_path / "data") == {**FILES, "more.json": RECORDS, "alpaca_gpt4_data.json": OTHER}
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is False


def test_links_stand_for_the_files_that_they_lead_to(hub, tmp_path):
    """As in the cache of Hugging Face, whose snapshots lead to blobs beside them."""
    source = tmp_path / "cache/snapshots/1"
    lay(tmp_path / "cache/blobs", {"b1": PARQUET, "b2": RECORDS})
    source.mkdir(parents=True)
    (source / "train.parquet").symlink_to("../../blobs/b1")
    (source / "alpaca_gpt4_data.json").symlink_to(tmp_path / "cache/blobs/b2")
    want = wanted(hub, tmp_path, files=(), directory=str(source))
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is True
    assert content(tmp_path / "data") == FILES
    assert not [path for path in (tmp_path / "data").iterdir() if path.is_symlink()]
    assert (tmp_path / "data/train.parquet").samefile(tmp_path / "cache/blobs/b1")
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is False


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that everybody can enter."""
    with tempfile.TemporaryDirectory(prefix="ascend-fleet-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def _linked_file(folder: Path) -> dict[str, Any]:
    (folder / "source").mkdir()
    (folder / "source/a.txt").symlink_to(folder / "owned/a.txt")
    return {"directory": str(folder / "source"), "link": folder / "source/a.txt"}


def _linked_directory(folder: Path) -> dict[str, Any]:
    (folder / "source").symlink_to(folder / "owned")
    return {"directory": str(folder / "source"), "link": folder / "source"}


def _linked_name(folder: Path) -> dict[str, Any]:
    (folder / "a.txt").symlink_to("owned/a.txt")
    return {"files": (_dataset.item("a.txt", str(folder / "a.txt"), None),), "link": folder / "a.txt"}


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
@pytest.mark.parametrize("source", [_linked_file, _linked_directory, _linked_name])
@pytest.mark.parametrize(
    ("link_of", "file_of", "modes", "refused"),
    [
        (1234, 0, (0o755, 0o600), True),
        (1234, 0, (0o755, 0o644), False),
        (1234, 0, (0o700, 0o644), True),
        (1234, 1234, (0o755, 0o600), False),
        (0, 1234, (0o700, 0o600), False),
    ],
)
def test_a_link_to_what_its_user_may_not_read_is_refused(hub, common, source, link_of, file_of, modes, refused):
    lay(common / "owned", {"a.txt": b"x"})
    for path, mode in zip((common / "owned", common / "owned/a.txt"), modes, strict=True):
        path.chmod(mode)
        os.chown(path, file_of, 0)
    given = source(common)
    os.lchown(given.pop("link"), link_of, 0)
    want = wanted(hub, common, **{"files": (), **given}, format="any")
    if refused:
        with pytest.raises(FleetError, match=f"by a link of user 1234, who may not read {common}/owned/a.txt"):
            _dataset.bring(SYSTEM, want, silent)
    else:
        _dataset.bring(SYSTEM, want, silent)
    assert (common / "data").exists() is not refused


def test_a_directory_of_data_that_is_a_link_stays_one(hub, tmp_path):
    real = tmp_path / "large/data"
    (tmp_path / "data").symlink_to(real)
    for items in (wanted(hub, tmp_path).files, wanted(hub, tmp_path).files[:1]):
        assert _dataset.bring(SYSTEM, wanted(hub, tmp_path, files=items), silent)["changed"] is True
        assert (tmp_path / "data").readlink() == real
        assert set(content(real)) == {one.path for one in items}
    assert os.listdir(real.parent) == ["data"]


def _directory(folder: Path) -> dict[str, Any]:
    return {"directory": str(folder)}


def _file(folder: Path) -> dict[str, Any]:
    return {"files": (_dataset.item("a.json", str(folder / "a.json"), None),)}


def _archive(folder: Path) -> dict[str, Any]:
    (folder.parent / "a.tar").write_bytes(tar({"a.json": (folder / "a.json").read_bytes()}, "w"))
    os.utime(folder.parent / "a.tar", ns=(0, (folder / "a.json").stat().st_mtime_ns))
    return {"archive": _dataset.item("archive", str(folder.parent / "a.tar"), None)}


@pytest.mark.parametrize("source", [_directory, _file, _archive])
def test_new_data_of_the_node_are_published_once(hub, tmp_path, source):
    def bring() -> dict[str, Any]:
        want = wanted(hub, tmp_path, **{"files": (), **source(tmp_path / "source")})
        return _dataset.bring(SYSTEM, _dataset.looked(want), silent)

    lay(tmp_path / "source", {"a.json": RECORDS})
    assert [bring()["changed"], bring()["changed"]] == [True, False]
    # As model_weights does: another file in the place of the former.
    (tmp_path / "source/a.json").unlink()
    lay(tmp_path / "source", {"a.json": OTHER})
    again = bring()
    assert (again["changed"], again["reason"]) == (True, "its source has changed")
    assert content(tmp_path / "data") == {"a.json": OTHER}
    assert bring()["changed"] is False


def test_nodes_with_sources_of_their_own_share_the_data(hub, tmp_path, monkeypatch):
    """The same file at the same place, with another time on each node."""
    source = tmp_path / "local/a.json"

    def bring(node: str, content: bytes = RECORDS) -> bool:
        monkeypatch.setattr(_dataset.socket, "gethostname", lambda: node)
        lay(source.parent, {source.name: content})
        os.utime(source, ns=(0, ord(node) + len(content)))
        want = _dataset.looked(wanted(hub, tmp_path, files=(_dataset.item(source.name, str(source), None),)))
        changed = _dataset.bring(SYSTEM, want, silent)["changed"]
        source.unlink()
        return changed

    assert [bring(node) for node in "ababab"] == [True, True] + 4 * [False]
    assert [bring(node, OTHER) for node in "abab"] == [True, True, False, False]
    assert content(tmp_path / "data") == {"a.json": OTHER}
    # One of them alone has something new.
    assert [bring("a"), bring("a")] == [True, False]
    assert content(tmp_path / "data") == {"a.json": RECORDS}


def test_a_source_that_is_gone_leaves_its_data(hub, tmp_path):
    def bring() -> dict[str, Any]:
        want = wanted(hub, tmp_path, files=(), directory=str(tmp_path / "source"))
        return _dataset.bring(SYSTEM, _dataset.looked(want), silent)

    lay(tmp_path / "source", FILES)
    bring()
    # Storage that is not mounted leaves an empty directory.
    for path in (tmp_path / "source").iterdir():
        path.unlink()
    assert bring()["changed"] is False
    (tmp_path / "source").rmdir()
    assert bring()["changed"] is False


# Archives


@pytest.mark.parametrize("packed", [zipped, tar, lambda files: tar(files, "w"), lambda files: tar(files, "w:xz")])
def test_an_archive_gives_its_folder(hub, tmp_path, packed):
    archive = tmp_path / "archive"
    archive.write_bytes(
        packed({f"./top/inner/{name}".replace("./", "", packed is zipped): d for name, d in FILES.items()})
    )
    want = wanted(hub, tmp_path, files=(), archive=_dataset.item("archive", str(archive), None), folder="top/inner")
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is True
    assert content(tmp_path / "data") == FILES
    assert _dataset.bring(SYSTEM, want, silent)["changed"] is False


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_that_ends_with_a_zip_is_a_tar(hub, tmp_path, mode):
    files = {**FILES, "more.zip": zipped({"inner.json": RECORDS})}
    (tmp_path / "archive").write_bytes(tar(files, mode))
    want = wanted(hub, tmp_path, files=(), archive=_dataset.item("archive", str(tmp_path / "archive"), None))
    _dataset.bring(SYSTEM, want, silent)
    assert content(tmp_path / "data") == files


def test_manifests_in_a_source_are_not_of_this_directory(hub, tmp_path):
    more = {**FILES, _dataset.MANIFEST: b"{}", "sub/.ascend-fleet-model.json": b"{}"}
    (tmp_path / "archive").write_bytes(tar(more))
    lay(tmp_path / "source", more)
    for source in (
        {"archive": _dataset.item("archive", str(tmp_path / "archive"), None)},
        {"directory": str(tmp_path / "source")},
    ):
        want = wanted(hub, tmp_path, **{"files": (), **source})
        assert _dataset.bring(SYSTEM, want, silent)["changed"] is True
        assert content(tmp_path / "data") == FILES
        assert _dataset.bring(SYSTEM, want, silent)["changed"] is False


def test_an_archive_comes_over_http_with_its_digest(hub, tmp_path):
    archive = _dataset.item("archive", hub.plain(REPO, "data.tar.gz"), hub.sha256(REPO, "data.tar.gz"))
    _dataset.bring(SYSTEM, wanted(hub, tmp_path, files=(), archive=archive), silent)
    assert content(tmp_path / "data") == FILES


def kind(value: bytes, target: str = "") -> Callable[[tarfile.TarInfo], None]:
    def edit(entry: tarfile.TarInfo) -> None:
        entry.type, entry.linkname = value, target

    return edit


EVIL = [
    (tar({"../out": b"x"}), "no plain name"),
    (tar({"/out": b"x"}), "no plain name"),
    (tar({"a/../../out": b"x"}), "no plain name"),
    (tar({"link": b""}, edit=kind(tarfile.SYMTYPE, "/etc")), "neither a file nor a folder"),
    (tar({"link": b""}, edit=kind(tarfile.LNKTYPE, "/etc/passwd")), "neither a file nor a folder"),
    (tar({"pipe": b""}, edit=kind(tarfile.FIFOTYPE)), "neither a file nor a folder"),
    (tar({"a": b"x", "a/b": b"y"}), "as a file and as a folder"),
    (tar(FILES)[:-2000], "damaged"),
    (zipped({"../out": b"x"}), "leads out of its folder"),
    (zipped({"zeros": b"\0" * (100 << 20)}), "times its size"),
    (tar({"zeros": b"\0" * (100 << 20)}), "times its own size"),
    (b"no archive at all", "neither a zip nor a tar"),
    (tar({"other/a.json": RECORDS}), "holds no file below top"),
]


@pytest.mark.parametrize(("data", "told"), EVIL, ids=[told for _data, told in EVIL])
def test_an_archive_that_is_not_safe_leaves_nothing(hub, tmp_path, data, told):
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "archive").write_bytes(data)
    archive = _dataset.item("archive", str(folder / "archive"), None)
    only = "top" if told.endswith("top") else None
    with pytest.raises(FleetError, match=told):
        _dataset.bring(SYSTEM, wanted(hub, folder, files=(), archive=archive, format="any", folder=only), silent)
    assert not (folder / "data").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


def test_an_archive_may_not_unpack_to_more_than_allowed(hub, tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(tar(FILES))
    want = wanted(hub, tmp_path, files=(), archive=_dataset.item("archive", str(archive), None), max_size=1000)
    with pytest.raises(FleetError, match="more than 1 kB"):
        _dataset.bring(SYSTEM, want, silent)


# Killed, and two at once


def test_a_killed_run_goes_on_where_it_was(hub, tmp_path):
    script = (
        "import sys, json\n"
        "from ansible_collections.ascend.fleet.plugins.module_utils import _dataset\n"
        "from ansible_collections.ascend.fleet.plugins.module_utils._system import System\n"
        "items = tuple(_dataset.item(*row) for row in json.loads(sys.argv[2]))\n"
        "_dataset.bring(System(), _dataset.Want(sys.argv[1], 'alpaca', items), lambda text: None)\n"
    )
    rows = [[path, hub.plain(REPO, path), sha(data)] for path, data in FILES.items()]
    hub.faults = Faults(bytes_per_second=1_000_000)
    argv = [sys.executable, "-c", script, str(tmp_path / "data"), json.dumps(rows)]
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        deadline = time.monotonic() + 20
        while hub.bytes_sent < 1_000_000:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "data").exists()
    hub.faults = Faults()
    before = hub.bytes_sent
    _dataset.bring(SYSTEM, wanted(hub, tmp_path), silent)
    assert content(tmp_path / "data") == FILES
    assert hub.bytes_sent - before < len(PARQUET)


def test_a_corrected_address_brings_its_own_file(hub, tmp_path):
    for version, letter in (("v1", "a"), ("v2", "b")):
        record = {"instruction": letter, "input": "", "output": letter}
        for name in ("a.json", "b.json"):
            hub.repositories[REPO][f"{version}/{name}"] = json.dumps([record]).encode()

    def run(first: str, second: str) -> None:
        places = {"a.json": first, "b.json": second}
        items = tuple(_dataset.item(name, hub.plain(REPO, f"{at}/{name}"), None) for name, at in places.items())
        _dataset.bring(SYSTEM, wanted(hub, tmp_path, files=items, limits=Limits(parallel=1)), silent)

    with pytest.raises(FleetError, match="no such file"):
        run("v1", "v3")
    run("v2", "v2")
    assert [json.loads(body)[0]["output"] for body in content(tmp_path / "data").values()] == ["b", "b"]


def test_two_at_once_fetch_one_copy(hub, tmp_path):
    want = wanted(hub, tmp_path)
    results: list[dict[str, Any]] = []

    def bring() -> None:
        results.append(_dataset.bring(SYSTEM, want, silent))

    threads = [threading.Thread(target=bring) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 2
    assert content(tmp_path / "data") == FILES
    assert hub.bytes_sent < 1.2 * sum(len(data) for data in FILES.values())


@pytest.fixture
def small(tmp_path):
    """A file system of 24 MB, of which 16 are kept free for the file system itself."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_file_system_that_is_too_small_is_left_as_it_was_and_filled_when_it_grows(small, tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(tar({f"{n}.json": RECORDS + b" " * 2_000_000 for n in range(6)}))
    item = _dataset.item("archive", str(archive), sha(archive.read_bytes()))
    want = _dataset.Want(str(small / "data"), "alpaca", archive=item)
    with pytest.raises(FleetError) as caught:
        _dataset.bring(SYSTEM, want, silent)
    assert caught.value.finding["check"] == "transfer-space"
    assert not (small / "data").exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
    assert _dataset.bring(SYSTEM, want, silent)["files"] == 6
    assert os.listdir(small) == ["data"]


# The module's call


def params(hub: HubServer, folder: Path, **changes: Any) -> dict[str, Any]:
    files = [{"path": p, "url": hub.plain(REPO, p), "sha256": sha(d), "size": None} for p, d in FILES.items()]
    given = {"path": str(folder / "data"), "format": "alpaca", "files": files, "archive": None, "directory": None}
    given.update(verify="size", max_size=1 << 40, parallel=4, proxy=None, ca_file=None, validate_certs=True, wait=20)
    return {**given, **changes}


@pytest.fixture
def status(tmp_path, monkeypatch):
    monkeypatch.setattr(_dataset_call, "STATUS_DIR", str(tmp_path / "status"))


def test_check_mode_tells_what_would_happen(hub, tmp_path, status):
    told = _dataset_call.handle(params(hub, tmp_path), check_mode=True)
    assert (told["changed"], told["reason"]) == (True, "the data are not on the node")
    assert hub.bytes_sent == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"files": []}, "Neither files nor an archive nor a directory"),
        ({"archive": {"url": "/x", "sha256": None, "folder": None}}, "Files and an archive"),
        ({"files": [{"path": "../x", "url": "/x", "sha256": None, "size": None}]}, "outside of its directory"),
        ({"files": [{"path": "x", "url": "ftp://x", "sha256": None, "size": None}]}, "neither a URL nor"),
        ({"files": [{"path": "x", "url": "/x", "sha256": "abc", "size": None}]}, "no sha256"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(hub, tmp_path, status, changes, told):
    answer = _dataset_call.handle(params(hub, tmp_path, **changes), check_mode=False)
    assert answer["failed"]
    assert told in answer["msg"]


@pytest.fixture
def call(hub, tmp_path, status) -> Callable[..., dict[str, Any]]:
    """In a process of its own: the module forks."""
    script = (
        "import sys, json\n"
        "from ansible_collections.ascend.fleet.plugins.module_utils import _dataset_call\n"
        "_dataset_call.STATUS_DIR = sys.argv[1]\n"
        "print(json.dumps(_dataset_call.handle(json.loads(sys.argv[2]), False)))\n"
    )

    def call(**changes: Any) -> dict[str, Any]:
        argv = [sys.executable, "-c", script, str(tmp_path / "status"), json.dumps(params(hub, tmp_path, **changes))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(argv, check=True, env=environment, capture_output=True)
        return json.loads(done.stdout)

    return call


def followed(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while "pending" in (answer := call()):
        assert time.monotonic() < deadline
    return answer


def test_work_in_the_background_is_followed_to_its_end(call, tmp_path):
    assert "pending" in call(wait=0)
    ended = followed(lambda: call(wait=1))
    assert (ended["changed"], ended["holds"]) == (True, "2 files, 50 records in JSON")
    assert call()["changed"] is False
    wrong = call(path=str(tmp_path / "other"), format="mme")
    assert "sub-tasks are missing" in wrong["msg"]
    assert not (tmp_path / "other").exists()
    assert _work.read_status(SYSTEM, str(tmp_path / "status/datasets/none.json")) is None


def test_what_ends_between_two_looks_is_told(call, hub):
    hub.faults.bytes_per_second = 2_000_000
    for _again in range(2):
        assert "pending" in call(wait=0)
        assert followed(lambda: call(wait=0))["changed"] is True
        shutil.rmtree(call().get("path"))


def test_a_source_that_changes_meanwhile_is_brought_once_more(call, hub, tmp_path):
    source = tmp_path / "source/b.json"
    lay(source.parent, {source.name: RECORDS})
    hub.faults.bytes_per_second = 2_000_000
    given = {"directory": str(source.parent), "wait": 0}
    assert "pending" in call(**given)
    # Work that has not begun yet would see the new file only.
    staged = tmp_path / ".data.ascend-fleet/tree/b.json"
    while not staged.exists():
        time.sleep(0.02)
    source.unlink()
    lay(source.parent, {source.name: OTHER})
    assert "pending" in call(**given)
    for changed, reason in ((True, "the data are not on the node"), (True, "its source has changed"), (False, None)):
        ended = followed(lambda: call(**given, verify="size"))
        assert (ended["changed"], ended["reason"]) == (changed, reason)
    assert content(tmp_path / "data")["b.json"] == OTHER
