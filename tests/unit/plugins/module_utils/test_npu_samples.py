# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers against recorded output of real servers, where the recordings are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ascend.fleet.plugins.module_utils import _npu_host, _npu_queries, _npu_smi

SHARED = Path(os.environ.get("ASCEND_FLEET_SHARED", Path(__file__).resolve().parents[4].parent / "shared"))
SAMPLES = SHARED / "npu-samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no recorded npu-smi output in {SAMPLES}")

RECORDED = sorted(path.name.removesuffix(".expected.json") for path in SAMPLES.glob("*.expected.json"))
# What no part of the collection reads: topology, watch, HCCS counters, memory by process, the network of the chips,
# a folder listing.
UNREAD = (
    "info -t topo",
    "info watch",
    "info -t hccs",
    "info -t proc-mem",
    "hccn_tool",
    "hccn.conf",
    "ls /dev/davinci*",
)

# Recordings that are not whole. Every other recorded table must be believed.
NOT_WHOLE = {
    "015": _npu_smi.CUT,
    "019": _npu_smi.PROCESSES,
    "022": _npu_smi.CUT,
    "023": _npu_smi.PROCESSES,
    "024": _npu_smi.CUT,
    "040": _npu_smi.PROCESSES,
    "046": _npu_smi.PROCESSES,
}


def _mapping(text: str) -> dict[str, Any]:
    header, rows = _npu_queries.parse_mapping_rows(text)
    return {"header": header, "rows": rows}


READERS = {
    "info -l": lambda text: _npu_queries.parse_listing(text)._asdict(),
    "info -m": _mapping,
    "info -t": lambda text: _npu_queries.parse_details(text)._asdict(),
    "info file": _npu_host.parse_info,
}


def _recording(name: str) -> tuple[str, dict[str, Any]]:
    text = (SAMPLES / f"{name}.txt").read_bytes().decode()
    return text, json.loads((SAMPLES / f"{name}.expected.json").read_text())


@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_gives_its_values(name: str) -> None:
    text, expected = _recording(name)
    kind = expected.pop("kind", None)
    if kind in UNREAD:
        pytest.skip(f"nothing reads {kind}")
    if kind is not None:
        assert READERS[kind](text) == expected
        return
    table = _npu_smi.parse(text)
    assert {"version": table.version, "npus": table.npus, "processes": table.processes} == expected


@pytest.mark.parametrize("name", [name for name in RECORDED if name < "050"])
def test_a_recorded_table_is_believed_unless_it_is_not_whole(name: str) -> None:
    table = _npu_smi.parse(_recording(name)[0])
    kinds = {problem.kind for problem in table.problems}
    expected = NOT_WHOLE.get(name[:3])
    assert table.recognised
    assert (expected in kinds) if expected else not kinds
