# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of files into a staging directory: resumed, in parallel, each verified as it arrives.

What is downloaded stays when the process is killed; the same list continues where it was. ``publish``
gives the finished tree its name. For weights, data sets and packages alike. Private to the collection.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import pwd
import random
import re
import shutil
import ssl
import stat
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, NamedTuple, Sequence, Tuple
from urllib.parse import urlsplit

from ansible_collections.ascend.fleet.plugins.module_utils import _hashing, _transfer_http
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._transfer_http import Client, RefusedError, shown
from ansible_collections.ascend.fleet.plugins.module_utils._weights_terms import Done

TREE, PARTS, JOURNAL = "tree", "parts", "journal"
POINTER_HEAD = b"version https://git-lfs.github.com/spec/"
HTML_HEADS = (b"<!doctype html", b"<html")
# readinto waits until it is filled, and what it holds is lost when the process is killed.
NETWORK_BUFFER = 1 << 18
HTML_NAMES = (".html", ".htm")
# What a file system needs beside the files themselves.
SPARE = 16 << 20

Headers = Tuple[Tuple[str, str], ...]


class Item(NamedTuple):
    """A file to bring. Without size or digest it is only as good as the connection."""

    path: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    headers: Headers = ()
    state: str | None = None
    """Tells one content of the address from another where no digest does: a time, a version."""

    @property
    def key(self) -> str:
        """Names the content, so that a part of one content never continues another."""
        identity = self.sha256 or self.git_sha1 or f"{self.url} {self.path} {self.size} {self.state}"
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


class Limits(NamedTuple):
    parallel: int = 4
    attempts: int = 6
    backoff: float = 1.0
    longest_backoff: float = 60.0


Explain = Callable[[RefusedError], "FleetError | None"]


class CancelledError(Exception):
    """Another file failed, or the work was told to stop."""


class Staging:
    """A directory beside the target that holds what has arrived."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.tree = os.path.join(folder, TREE)
        self.parts = os.path.join(folder, PARTS)
        self._journal = os.path.join(folder, JOURNAL)
        self._lock = threading.Lock()
        for path in (self.tree, self.parts):
            os.makedirs(path, exist_ok=True)
        self.done: dict[str, Done] = {one.path: one for one in self._read() if self._holds(one)}

    def _read(self) -> list[Done]:
        try:
            with open(self._journal, encoding="utf-8") as stream:
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            # A killed run may leave a half line.
            try:
                found.append(Done(*json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found

    def _holds(self, one: Done) -> bool:
        try:
            stat = os.stat(self.path(one.path))
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (one.size, one.mtime_ns)

    def path(self, relative: str) -> str:
        return os.path.join(self.tree, relative)

    def part(self, item: Item) -> str:
        return os.path.join(self.parts, item.key)

    def lacks(self, item: Item) -> bool:
        done = self.done.get(item.path)
        if done is None or not agrees(item, done, self.tree):
            return True
        if not item.sha256:
            self.done[item.path] = done._replace(key=item.key)
        return False

    def missing_bytes(self, items: Iterable[Item]) -> int:
        return sum(max(0, (item.size or 0) - length_of(self.part(item))) for item in items if self.lacks(item))

    def enter(self, item: Item, source: str, size: int, sha256: str) -> Done:
        """Move a verified file to its place in the tree."""
        target = self.path(item.path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(source, target)
        return self.record(item.path, size, sha256, item.key)

    def record(self, path: str, size: int, sha256: str, key: str | None) -> Done:
        done = Done(path, size, sha256, os.stat(self.path(path)).st_mtime_ns, key)
        with self._lock, open(self._journal, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(done) + "\n")
            self.done[path] = done
        return done

    def keep(self, known: Done, folder: str) -> None:
        """Take over a file that a directory on the same file system holds already."""
        target = self.path(known.path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        # Of a symbolic link, os.link would make another name of the link itself.
        source = os.path.realpath(os.path.join(folder, known.path))
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
        self.record(known.path, known.size, known.sha256, known.key)

    def prune(self, wanted: Iterable[str]) -> None:
        """Take out what an earlier list brought and this one does not want."""
        wanted = set(wanted)
        for folder, folders, names in os.walk(self.tree, topdown=False):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in names + links:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.tree) not in wanted:
                    os.unlink(path)
            if folder != self.tree and not os.listdir(folder):
                os.rmdir(folder)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Transfer:
    """Brings items into a staging directory; ``fetch`` may be called from several threads."""

    def __init__(
        self,
        staging: Staging,
        client: Client,
        limits: Limits | None = None,
        progress: Callable[[int], None] | None = None,
        explain: Explain | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.staging = staging
        self.client = client
        self.limits = limits or Limits()
        self.progress = progress or (lambda count: None)
        self.explain = explain or (lambda refused: None)
        self.cancelled = cancelled or threading.Event()
        self._failed = threading.Event()
        self.arrived: Callable[[Done], None] = lambda done: None
        self.received = 0
        self._lock = threading.Lock()

    def run(self, items: Sequence[Item]) -> list[Done]:
        """Everything, largest first; the first failure stops the rest and is raised."""
        check_paths(item.path for item in items)
        check_space(self.staging.folder, self.staging.missing_bytes(items))
        order = sorted(items, key=lambda item: -(item.size or 0))
        with ThreadPoolExecutor(self.limits.parallel) as pool:
            futures = [pool.submit(self._one_of_many, item) for item in order]
        errors = [future.exception() for future in futures]
        for error in sorted(filter(None, errors), key=lambda error: isinstance(error, CancelledError)):
            raise error
        return [self.staging.done[item.path] for item in items]

    def _one_of_many(self, item: Item) -> Done:
        try:
            return self.fetch(item)
        except BaseException:
            self._failed.set()
            raise

    def _check(self) -> None:
        if self.cancelled.is_set() or self._failed.is_set():
            raise CancelledError()

    def _alive(self, _read: int = 0) -> None:
        """Nothing more has arrived, but the work goes on."""
        self._check()
        self.progress(0)

    def fetch(self, item: Item) -> Done:
        """One file, verified and in its place."""
        if not self.staging.lacks(item):
            return self.staging.done[item.path]
        attempt, fresh = 0, False
        while True:
            self._check()
            before = length_of(self.staging.part(item))
            try:
                return self._attempt(item)
            except _RestartError as restart:
                os.unlink(self.staging.part(item))
                if fresh:
                    raise restart.error from None
                fresh = True
                continue
            except RefusedError as refused:
                if not refused.passes:
                    raise self.explain(refused) or refusal(refused, item.path) from None
                reason: Exception = refused
                pause = refused.retry_after()
            except _transfer_http.TRANSPORT_ERRORS as error:
                reason, pause = _passing(error, self.staging.folder, item), None
            attempt = 0 if length_of(self.staging.part(item)) > before else attempt + 1
            if attempt >= self.limits.attempts:
                raise gave_up(item, reason, attempt) from reason
            self._pause(pause if pause is not None else self._backoff(attempt))

    def take(self, item: Item) -> Done:
        """One file whose part the controller has written; it cannot be asked for again."""
        part, sums = self.staging.part(item), _Sums(item)
        # Of an empty file nothing is sent.
        open(part, "ab").close()
        size = _hashing.feed(part, sums.hashes, self._alive)
        problem = sums.problem(size)
        if problem:
            os.unlink(part)
            message = f"{item.path}, as the controller sent it, {problem}."
            raise FleetError("transfer-content", message, "It has changed there meanwhile; run again.", value=item.path)
        return self.staging.enter(item, part, size, sums.sha256.hexdigest())

    def _backoff(self, attempt: int) -> float:
        longest: float = min(self.limits.backoff * 2**attempt, self.limits.longest_backoff)
        return longest * (0.5 + random.random() / 2)

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._alive()
            self._failed.wait(min(1.0, seconds))

    def _attempt(self, item: Item) -> Done:
        part = self.staging.part(item)
        offset = length_of(part)
        if item.size is not None and offset > item.size:
            os.unlink(part)
            offset = 0
        if offset and not (item.sha256 or item.git_sha1):
            # Nothing tells whether the file is still the one of which a part is here.
            os.unlink(part)
            offset = 0
        sums = _Sums(item)
        if offset:
            _hashing.feed(part, sums.hashes, self._alive)
        elif item.size == 0:
            open(part, "ab").close()
        if offset != item.size:
            offset = self._stream(item, part, offset, sums)
        problem = sums.problem(offset)
        if problem:
            raise _RestartError(FleetError("transfer-content", f"{item.path} of {shown(item.url)} {problem}."))
        done = self.staging.enter(item, part, offset, sums.sha256.hexdigest())
        self.arrived(done)
        return done

    def _stream(self, item: Item, part: str, offset: int, sums: _Sums) -> int:
        headers = dict(item.headers)
        headers["Accept-Encoding"] = "identity"
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            answer: Any = (
                _LocalFile(item.url, offset) if item.url.startswith("file:") else self.client.open(item.url, headers)
            )
        except RefusedError as refused:
            if refused.status == 416:
                raise _RestartError(
                    FleetError("transfer-content", f"{item.path} of {shown(item.url)} is shorter.")
                ) from None
            raise
        with answer:
            if offset and answer.status != 206:
                sums.restart()
                offset = 0
            expected = _expected(item, answer.headers.get("Content-Length"), offset)
            with open(part, "r+b" if offset else "wb", buffering=0) as stream:
                stream.seek(offset)
                return self._copy(item, answer, stream, offset, expected, sums)

    def _copy(self, item: Item, answer: Any, stream: Any, offset: int, expected: int | None, sums: _Sums) -> int:
        view = memoryview(bytearray(NETWORK_BUFFER))
        content_type = answer.headers.get("Content-Type") or ""
        while True:
            self._check()
            count = answer.readinto(view)
            if not count:
                break
            if not offset:
                _recognise(item, bytes(view[: min(count, 256)]), content_type)
            offset += count
            if expected is not None and offset > expected:
                raise _RestartError(
                    FleetError("transfer-content", f"{shown(item.url)} sends more than {expected} bytes.")
                )
            for one in sums.hashes:
                one.update(view[:count])
            _write(stream, view[:count])
            with self._lock:
                self.received += count
            self.progress(count)
        if expected is not None and offset < expected:
            raise OSError(f"the connection ended after {offset} of {expected} bytes")
        os.fsync(stream.fileno())
        return offset


class _RestartError(Exception):
    """What has arrived is not what was wanted: once more from its first byte, then it is an error."""

    def __init__(self, error: FleetError) -> None:
        super().__init__(str(error))
        self.error = error


class _Sums:
    """The digests of one file while it streams."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.restart()

    def restart(self) -> None:
        self.sha256 = hashlib.sha256()
        self.git: Any = None
        if self.item.git_sha1 and self.item.size is not None:
            self.git = _hashing.git_blob(self.item.size)

    @property
    def hashes(self) -> list[Any]:
        return [one for one in (self.sha256, self.git) if one is not None]

    def problem(self, size: int) -> str | None:
        wanted = self.item
        if wanted.size is not None and size != wanted.size:
            return f"has {size} bytes instead of {wanted.size}"
        if wanted.sha256 and self.sha256.hexdigest() != wanted.sha256:
            return f"has the sha256 {self.sha256.hexdigest()} instead of {wanted.sha256}"
        if self.git is not None and self.git.hexdigest() != wanted.git_sha1:
            return f"has the git digest {self.git.hexdigest()} instead of {wanted.git_sha1}"
        return None


def agrees(item: Item, done: Done, folder: str) -> bool:
    """Whether a verified file of a folder is the wanted one. It is read where only git's digest can tell."""
    if item.sha256:
        return item.sha256 == done.sha256
    if item.key == done.key:
        return True
    if not item.git_sha1 or item.size not in (None, done.size):
        return False
    blob = _hashing.git_blob(done.size)
    try:
        _hashing.feed(os.path.join(folder, done.path), [blob])
    except OSError:
        return False
    return bool(blob.hexdigest() == item.git_sha1)


def local(item: Item) -> str:
    """The path of an item that is a file of the node."""
    return _path_of(item.url)


def _path_of(url: str) -> str:
    return urllib.request.url2pathname(urlsplit(url).path)


def time_of(path: str) -> str | None:
    """The state of an item that is a file of the node."""
    try:
        return str(os.stat(path).st_mtime_ns)
    except OSError:
        return None


def length_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def check_paths(paths: Iterable[str]) -> None:
    """Refuse names that lead out of the directory."""
    for path in paths:
        words = path.split("/")
        if not path or path.startswith("/") or "\\" in path or "\0" in path or {"..", ".", ""} & set(words):
            raise FleetError(
                "transfer-content", f"The source names a file {path!r} that lies outside of its directory."
            )


def check_links(paths: Iterable[str]) -> None:
    """Refuse links by which a user would have root publish what this user may not read."""
    around = functools.lru_cache(maxsize=None)(_linkers)
    for path in paths:
        users = _linkers(path) if os.path.islink(path) else around(os.path.dirname(path))
        for user in users:
            if _is_kept_from(user, os.path.realpath(path)):
                raise FleetError(
                    "transfer-content",
                    f"{path} is there by a link of user {user}, who may not read {os.path.realpath(path)}.",
                    "Put the file itself there, or let its owner make the link.",
                    value=path,
                )


def check_target(path: str) -> None:
    """Refuse links by which a user would have root replace, or fill, a directory of somebody else."""
    real = place = os.path.realpath(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    owner = os.stat(place).st_uid
    for user in _linkers(path) - {owner}:
        raise FleetError(
            "transfer-content",
            f"{path} leads by a link of user {user} to {real}, which belongs to user {owner}.",
            "Name the directory itself, or let root make the link.",
            key="path",
            value=path,
        )


def _linkers(path: str) -> set[int]:
    """Whose links lead to a file; those of root stand for themselves."""
    found, place, ahead = set(), "/", path.split("/")
    while ahead:
        step = os.path.normpath(os.path.join(place, ahead.pop(0)))
        if os.path.islink(step):
            found.add(os.lstat(step).st_uid)
            ahead = os.readlink(step).split("/") + ahead
            # What follows an absolute link begins at the root.
            place = "/" if not ahead[0] else place
        else:
            place = step
    return found - {0}


def _is_kept_from(user: int, path: str) -> bool:
    try:
        name = pwd.getpwuid(user)
        groups = set(os.getgrouplist(name.pw_name, name.pw_gid))
    except KeyError:
        groups = set()

    def may(place: str, right: int) -> bool:
        found = os.stat(place)
        return found.st_uid == user or bool(found.st_mode >> (3 if found.st_gid in groups else 0) & right)

    parents = [path[: at.start()] or "/" for at in re.finditer("/", path)]
    return not (may(path, stat.S_IROTH) and all(may(parent, stat.S_IXOTH) for parent in parents))


def check_space(folder: str, wanted: int) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if wanted and wanted + SPARE > free:
        raise FleetError(
            "transfer-space",
            f"{human(wanted)} are to come, but the file system of {folder} has {human(free)} free.",
            key="path",
            value=folder,
        )


def human(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def refusal(refused: RefusedError, path: str) -> FleetError:
    """What an answer means that will not change by asking again."""
    known = {
        401: "asks for a login",
        403: "forbids it",
        404: "has no such file",
        410: "has it no more",
    }
    what = known.get(refused.status, f"answers {refused.status}")
    remedy = {
        401: "Give a token that may read it.",
        403: "Give a token that may read it.",
        404: "Correct the address or the revision.",
    }.get(refused.status)
    message = f"{path} cannot be fetched: {shown(refused.url)} {what} (HTTP {refused.status})."
    return FleetError("transfer-refused", message, remedy, value=shown(refused.url))


def gave_up(item: Item, reason: Exception, attempts: int) -> FleetError:
    text = str(getattr(reason, "reason", None) or reason).rstrip(".")
    times = f", {attempts} times in a row" if attempts > 1 else ""
    message = f"{item.path} cannot be fetched from {shown(item.url)}: {text}{times}."
    return FleetError("transfer-failed", message, value=shown(item.url))


def publish(staging: Staging, target: str) -> None:
    """Give the tree the target's name, or that of what the target is a link to.

    Whoever looks sees the old directory or the new one.
    """
    check_target(target)
    target = os.path.realpath(target)
    _sync(staging.tree)
    if not os.path.lexists(target):
        os.rename(staging.tree, target)
    else:
        previous = os.path.join(staging.folder, "previous")
        shutil.rmtree(previous, ignore_errors=True)
        os.rename(target, previous)
        os.rename(staging.tree, target)
    _sync(os.path.dirname(target))
    staging.remove()


def put_back(folder: str, target: str) -> None:
    """A run killed between the two renames leaves the old directory aside: it comes back."""
    check_target(target)
    previous, target = os.path.join(folder, "previous"), os.path.realpath(target)
    if os.path.isdir(previous) and not os.path.lexists(target):
        os.rename(previous, target)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _expected(item: Item, content_length: str | None, offset: int) -> int | None:
    if item.size is not None:
        return item.size
    return offset + int(content_length) if content_length and content_length.isdigit() else None


def _recognise(item: Item, head: bytes, content_type: str) -> None:
    """Name the two usual impostors before their digest is found to be wrong."""
    text = head.lstrip().lower()
    if not item.path.lower().endswith(HTML_NAMES) and text.startswith(HTML_HEADS):
        raise FleetError(
            "transfer-content",
            f"{shown(item.url)} answers with an HTML page ({content_type or 'no type'}) instead of {item.path}.",
            "Look at the address in a browser: a login page, a portal or a proxy answers in its place.",
            value=shown(item.url),
        )
    if head.startswith(POINTER_HEAD) and item.size != len(head):
        raise FleetError(
            "transfer-content",
            f"{shown(item.url)} answers with a git-lfs pointer instead of {item.path}.",
            "Name the repository as git+https://..., or an address that serves the file itself.",
            value=shown(item.url),
        )


def _write(stream: Any, view: memoryview) -> None:
    while view:
        view = view[stream.write(view) :]


def _passing(error: Exception, folder: str, item: Item) -> Exception:
    """An error after which asking again makes sense; any other is raised."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise FleetError(
            "transfer-space",
            f"The file system of {folder} is full; what has arrived stays there.",
            key="path",
            value=folder,
        ) from error
    if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
        raise gave_up(item, error, 1) from error
    if isinstance(error, OSError) and error.filename:
        raise error
    return error


class _LocalFile:
    """A file of the node, read as if a server had sent it."""

    def __init__(self, url: str, offset: int) -> None:
        self._stream = open(_path_of(url), "rb", buffering=0)  # noqa: SIM115 - __exit__
        self._stream.seek(offset)
        self.status = 206 if offset else 200
        self.headers: dict[str, str] = {}
        self.readinto = self._stream.readinto

    def __enter__(self) -> _LocalFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stream.close()
