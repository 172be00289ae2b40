# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a directory holds training or evaluation data of the form it is said to have. Private to the collection."""

from __future__ import annotations

import json
import os
import struct
from typing import Callable, NamedTuple, Sequence

PARQUET_MAGIC = b"PAR1"
# Longer files are judged by their ends; reading them whole would take the node's memory.
WHOLE_JSON = 1 << 30
IMAGES = (".jpg", ".jpeg", ".png")
ANSWERS = ("yes", "no")

# Sub-tasks of MME with the number of their questions.
MME = {
    "existence": 60,
    "count": 60,
    "position": 60,
    "color": 60,
    "posters": 294,
    "celebrity": 340,
    "scene": 400,
    "landmark": 400,
    "artwork": 400,
    "OCR": 40,
    "commonsense_reasoning": 140,
    "numerical_calculation": 40,
    "text_translation": 40,
    "code_reasoning": 40,
}
# In one layout image and questions lie beside each other, in the other in these two folders.
MME_IMAGES, MME_QUESTIONS = "images", "questions_answers_YN"


class Judged(NamedTuple):
    """What a directory holds, in words, and what is wrong with it, or None."""

    told: str
    problem: str | None


def alpaca(folder: str, paths: Sequence[str]) -> Judged:
    """Parquet files, and JSON lists of records with an instruction and an output."""
    records = count = 0
    for path in paths:
        judge = _ALPACA.get(os.path.splitext(path)[1].lower())
        if judge is None:
            continue
        found, problem = judge(os.path.join(folder, path))
        if problem:
            return Judged("", f"{path} {problem}")
        count += 1
        records += found
    if not count:
        return Judged("", "there is no .parquet, .json or .jsonl file in it")
    return Judged(f"{count} files, {records} records in JSON", None)


def _parquet(path: str) -> tuple[int, str | None]:
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(4)
        stream.seek(max(0, size - 8))
        tail = stream.read(8)
    if size < 12 or head != PARQUET_MAGIC:
        return 0, "is no parquet file: it does not begin with PAR1"
    if tail[4:] != PARQUET_MAGIC:
        return 0, "is cut off: a parquet file ends with PAR1"
    footer = struct.unpack("<I", tail[:4])[0]
    if not 0 < footer <= size - 12:
        return 0, f"has a footer of {footer} bytes, which do not fit into its {size}"
    return 0, None


def _json(path: str) -> tuple[int, str | None]:
    if os.path.getsize(path) > WHOLE_JSON:
        return 0, _ends(path)
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except ValueError as error:
        return 0, f"is no JSON: {error}"
    if not isinstance(content, list) or not content:
        return 0, "is no JSON list of records"
    return len(content), _records(content)


def _jsonl(path: str) -> tuple[int, str | None]:
    count = number = 0
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                problem = _records([json.loads(line)])
                if problem:
                    return 0, f"in line {number}: {problem}"
                count += 1
    except UnicodeDecodeError as error:
        return 0, f"is no UTF-8: {error.reason}"
    except ValueError as error:
        return 0, f"in line {number}: is no JSON: {error}"
    return count, None if count else "holds no record"


def _records(content: list[object]) -> str | None:
    for number, record in enumerate(content):
        if not isinstance(record, dict):
            return f"holds something else than records (item {number})"
        lacking = [key for key in ("instruction", "output") if not isinstance(record.get(key), str)]
        if lacking:
            return f"has no text {' and '.join(lacking)} in record {number}"
    return None


def _ends(path: str) -> str | None:
    with open(path, "rb") as stream:
        head = stream.read(64).lstrip()
        stream.seek(-64, os.SEEK_END)
        tail = stream.read().rstrip()
    return None if head.startswith(b"[") and tail.endswith(b"]") else "is no JSON list of records"


_ALPACA: dict[str, Callable[[str], tuple[int, str | None]]] = {".parquet": _parquet, ".json": _json, ".jsonl": _jsonl}


def mme(folder: str, paths: Sequence[str]) -> Judged:
    """Fourteen sub-tasks, in either layout, each with its number of questions and an image to every two of them."""
    tasks: dict[str, list[str]] = {}
    for path in paths:
        task, slash, rest = path.partition("/")
        if slash:
            tasks.setdefault(task, []).append(rest)
    missing = [task for task in MME if task not in tasks]
    if missing:
        return Judged("", f"{len(missing)} of the {len(MME)} sub-tasks are missing, {missing[0]} first")
    for task, wanted in MME.items():
        problem = _task(os.path.join(folder, task), tasks[task], wanted)
        if problem:
            return Judged("", f"{task} {problem}")
    return Judged(f"{len(MME)} sub-tasks, {sum(MME.values())} questions", None)


def _task(folder: str, paths: list[str], wanted: int) -> str | None:
    split = any(path.startswith(f"{MME_QUESTIONS}/") for path in paths)
    place = {"question": f"{MME_QUESTIONS}/", "image": f"{MME_IMAGES}/"} if split else {"question": "", "image": ""}
    images = {os.path.splitext(path)[0] for path in paths if path.lower().endswith(IMAGES)}
    questions = 0
    for path in paths:
        name = path[len(place["question"]) :]
        if not (path.startswith(place["question"]) and path.endswith(".txt") and "/" not in name):
            continue
        if place["image"] + os.path.splitext(name)[0] not in images:
            return f"has no image to {path}"
        found, problem = _lines(os.path.join(folder, path))
        if problem:
            return f"{problem} in {path}"
        questions += found
    return None if questions == wanted else f"has {questions} questions instead of {wanted}"


def _lines(path: str) -> tuple[int, str | None]:
    with open(path, encoding="utf-8", errors="replace") as stream:
        lines = [line.rstrip("\r\n") for line in stream if line.strip()]
    for line in lines:
        _question, tab, answer = line.partition("\t")
        if not tab or answer.strip().lower() not in ANSWERS:
            return 0, "has a line that is no question, tabulator, Yes or No"
    return len(lines), None if len(lines) == 2 else f"has {len(lines)} questions instead of 2"


def anything(_folder: str, paths: Sequence[str]) -> Judged:
    return Judged(f"{len(paths)} files", None if paths else "it is empty")


FORMATS: dict[str, Callable[[str, Sequence[str]], Judged]] = {"alpaca": alpaca, "mme": mme, "any": anything}
