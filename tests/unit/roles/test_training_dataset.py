# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role training_dataset asks a source as the inventory says: through the proxy, and with the token of the item."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests import role_run
from tests.doubles.hub_server import Faults, HubServer

RECORDS = b'[{"instruction": "Say yes.", "output": "Yes."}]'
SUMS = f"{hashlib.sha256(RECORDS).hexdigest()}  alpaca.json\n".encode()
TOKEN = "a-token-of-the-test"
# Nothing but the proxy knows this host.
SOURCE = "http://data.invalid/plain/team/set/SHA256SUMS"


def bring(folder: Path, proxy: HubServer, **more: Any) -> role_run.Ran:
    item = {"path": str(folder / "set"), "format": "alpaca", "source": SOURCE, **more}
    return role_run.run(
        "training_dataset", folder, {"training_dataset_items": [item], "fleet_proxy": {"http": proxy.url}}
    )


@pytest.fixture
def proxy():
    with HubServer({"team/set": {"SHA256SUMS": SUMS, "alpaca.json": RECORDS}}, faults=Faults(token=TOKEN)) as running:
        yield running


def test_a_private_source_behind_the_proxy(tmp_path, proxy):
    secret = tmp_path / "token"
    secret.touch(mode=0o600)
    secret.write_text(f"{TOKEN}\n")
    done = bring(tmp_path, proxy, token_file=str(secret))
    assert done.rc == 0, done.out
    assert (tmp_path / "set/alpaca.json").read_bytes() == RECORDS
    assert {path for path, _headers in proxy.asked} == {SOURCE, SOURCE.replace("SHA256SUMS", "alpaca.json")}
    assert TOKEN not in done.out


def test_without_the_token_it_is_refused(tmp_path, proxy):
    done = bring(tmp_path, proxy)
    assert done.rc != 0
    assert "transfer-refused" in done.out
    assert proxy.asked


def test_new_data_in_the_source_are_published_and_once(tmp_path):
    source, item = tmp_path / "from", {"path": str(tmp_path / "set"), "format": "alpaca"}
    item["source"] = f"controller:{source}"
    source.mkdir()
    for text in (RECORDS, RECORDS.replace(b"yes", b"so")):
        (source / "alpaca.json").write_bytes(text)
        for changed in (True, False):
            done = role_run.run("training_dataset", tmp_path, {"training_dataset_items": [item]})
            assert (done.rc, bool(done.changed)) == (0, changed), done.out
            assert (tmp_path / "set/alpaca.json").read_bytes() == text
