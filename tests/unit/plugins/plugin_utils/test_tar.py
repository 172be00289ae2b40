# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives unpacked on the controller, with a Python that filters them and with one that cannot yet."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from ansible_collections.ascend.fleet.plugins.plugin_utils import _tar

pytestmark = pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")


@pytest.fixture(params=["of today", "before 3.11.4"], autouse=True)
def _python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "of today":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def unpacked(tmp_path: Path, *members: tuple[str, bytes, dict[str, object]]) -> Path:
    packed, folder = io.BytesIO(), tmp_path / "folder"
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind, more in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
            for key, value in more.items():
                setattr(member, key, value)
            archive.addfile(member)
    packed.seek(0)
    folder.mkdir()
    with tarfile.open(fileobj=packed) as archive:
        _tar.extract(archive, folder)
    return folder


def test_files_and_folders_arrive_as_those_of_the_user(tmp_path: Path) -> None:
    program = ("a/b/run", tarfile.REGTYPE, {"mode": 0o6777, "uid": 4242, "uname": "nobody"})
    found = (unpacked(tmp_path, ("a", tarfile.DIRTYPE, {}), program) / "a/b/run").stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (os.geteuid(), 0o755)


@pytest.mark.parametrize("name", ["../x", "a/../../x", ".."])
def test_what_would_lie_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(tarfile.TarError, match=r"outside|would"):
        unpacked(tmp_path, (name, tarfile.REGTYPE, {}))
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    ("kind", "target"),
    [(tarfile.SYMTYPE, "/etc"), (tarfile.SYMTYPE, "../.."), (tarfile.LNKTYPE, "../x"), (tarfile.CHRTYPE, "")],
)
def test_no_link_leads_outside_and_no_device_is_made(tmp_path: Path, kind: bytes, target: str) -> None:
    try:
        folder = unpacked(tmp_path, ("a", kind, {"linkname": target}))
    except tarfile.TarError:
        folder = tmp_path / "folder"
    assert os.listdir(folder) == []
