# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that one step of a probe hands to the next, and where a value stands in a reply. Private to the collection.

``${name}`` stands for a value that an earlier step captured, ``${random}`` for a number that is
new with every attempt. A name that nobody captured stays as it is written.
"""

from __future__ import annotations

import random
import re
from typing import Any, Callable, Dict
from urllib.parse import quote

Values = Dict[str, Any]

RANDOM = "random"
MISSING = object()

_REFERENCE = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")
_RANDOM_LIMIT = 1 << 24


def first_values() -> Values:
    return {RANDOM: random.randrange(_RANDOM_LIMIT)}


def fill(value: Any, values: Values) -> Any:
    """The value with its references filled in; a text that is one reference and nothing else takes on the type."""
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value)
        if whole and whole.group(1) in values:
            return values[whole.group(1)]
        return _replace(value, values, str)
    if isinstance(value, dict):
        return {key: fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    return value


def fill_url(path: str, values: Values) -> str:
    return _replace(path, values, lambda value: quote(str(value), safe=""))


def walk(document: Any, path: str, values: Values | None = None) -> Any:
    """The value at a dotted path, or ``MISSING``; a number picks from an array."""
    here = document
    for part in path.split(".") if path else []:
        key = _replace(part, values or {}, str)
        if isinstance(here, dict) and key in here:
            here = here[key]
        elif isinstance(here, list) and key.lstrip("-").isdigit() and -len(here) <= int(key) < len(here):
            here = here[int(key)]
        else:
            return MISSING
    return here


def _replace(text: str, values: Values, form: Callable[[Any], str]) -> str:
    return _REFERENCE.sub(lambda found: form(values[found[1]]) if found[1] in values else found[0], text)
