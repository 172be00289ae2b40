# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values against a table of options: typed values, and every flaw instead of the first. Private to the collection.

The table is data (``entry-1.yml``, ``argument_specs.yml``); what a type means is in ``TYPES`` and ``COMPOUND``.
"""

from __future__ import annotations

import contextlib
import copy
import ipaddress
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import CAPABILITIES

Options = Mapping[str, Mapping[str, Any]]

ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
HEADER_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_./-]*$")
SERVICE_NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{1,62}$")
RESERVED_NAMES = frozenset({"all", "always", "never", "tagged", "untagged"})
SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$", re.IGNORECASE)
SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
PORT = re.compile(
    r"^(?:(?P<ip>\d+(?:\.\d+){3}|\[[0-9a-fA-F:]+\]):)?(?P<host>\d+)(?::(?P<inner>\d+))?(?:/(?P<proto>tcp|udp))?$"
)
WHOLE = re.compile(r"-?[0-9]{1,18}")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
PRINTABLE = re.compile(r"[ -~]*")
REQUEST = re.compile(r"/[!-~]*")
# The engine counts bytes in 64 bits.
SIZE_LIMIT = 1 << 62
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Flaw(NamedTuple):
    """One wrong value: what is wrong with it, and what to do."""

    key: str
    value: Any
    message: str
    remedy: str


class _WrongError(Exception):
    def __init__(self, message: str, remedy: str, key: str = "", value: Any = None) -> None:
        super().__init__(message)
        self.flaw = Flaw(key, value, message, remedy)


def check(
    options: Options, values: Mapping[str, Any], prefix: str = "", what: str = "entry"
) -> tuple[dict[str, Any], list[Flaw]]:
    """Typed values for all options, defaults included, and the flaws; a flawed key keeps its default."""
    typed: dict[str, Any] = {}
    flaws: list[Flaw] = []
    meant = set()
    for key, value in values.items():
        if key not in options:
            flaws.append(Flaw(f"{prefix}{key}", value, f"is no key of this {what}", suggestion(str(key), options)))
            meant.update(_near(str(key), options))
    for key, option in options.items():
        value = values.get(key)
        typed[key] = copy.deepcopy(option.get("default"))
        if value is not None:
            typed[key], found = parse(option, value, f"{prefix}{key}")
            flaws += found
        elif option.get("required") and key not in meant:
            flaws.append(Flaw(f"{prefix}{key}", None, "is missing", f"Add {prefix}{key}: {_short(option)}"))
        elif isinstance(typed[key], Mapping) and "options" in option:
            typed[key] = check(option["options"], typed[key])[0]
    return typed, flaws


def suggestion(key: str, known: Iterable[str], prefix: str = "") -> str:
    """What may have been meant; a common ``prefix`` does not count for likeness."""
    near = _near(key.removeprefix(prefix), [name.removeprefix(prefix) for name in known])
    return f"Did you mean {prefix}{near[0]}?" if near else "Remove it, or correct its name."


def written(value: Any, remedy: str) -> str:
    """``remedy``, or what to do about a list or mapping that came as text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        return "It is text, as INI files leave what is not Python: write it in YAML, or with True, False and None."
    return remedy


def _near(key: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(key, list(known), n=1, cutoff=0.6)


def parse(option: Mapping[str, Any], value: Any, key: str) -> tuple[Any, list[Flaw]]:
    kind = option.get("type", "str")
    try:
        if kind in COMPOUND:
            return COMPOUND[kind](option, value, key)
        typed = TYPES[kind](value, option)
        _limits(option, typed)
    except _WrongError as wrong:
        flaw = wrong.flaw
        where = f"{key}{flaw.key}"
        return copy.deepcopy(option.get("default")), [
            Flaw(where, flaw.value if flaw.key else value, flaw.message, flaw.remedy)
        ]
    return typed, []


def _list(option: Mapping[str, Any], value: Any, key: str) -> tuple[Any, list[Flaw]]:
    elements = option.get("elements") or {"type": "any"}
    if isinstance(elements, str):
        elements = {"type": elements, "options": option.get("options")} if "options" in option else {"type": elements}
    scalar = elements.get("type", "str") not in ("dict", "list", "any", "raw")
    if scalar and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif scalar and isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        return copy.deepcopy(option.get("default")), [
            Flaw(key, value, "is not a list", written(value, "Write a list, one item a line with a dash."))
        ]
    typed: list[Any] = []
    flaws: list[Flaw] = []
    for index, item in enumerate(value):
        result, found = parse(elements, item, f"{key}[{index}]")
        flaws += found
        if not found:
            typed.append(result)
    return typed, flaws


def _dict(option: Mapping[str, Any], value: Any, key: str) -> tuple[Any, list[Flaw]]:
    if not isinstance(value, Mapping):
        parser = PARSERS.get(str(option.get("parse")))
        if "shorthand" in option and isinstance(value, str):
            inner = option["options"][option["shorthand"]]
            typed, flaws = parse(inner, value, key)
            return (option.get("default"), flaws) if flaws else check(option["options"], {option["shorthand"]: typed})
        if parser and isinstance(value, str | int) and not isinstance(value, bool):
            parsed = parser(str(value))
            value = value if parsed is None else parsed
        if parser and isinstance(value, str | int) and not isinstance(value, bool):
            return option.get("default"), [
                Flaw(key, value, f"is not {option['expects']}", "Correct it, or write key: value lines below it.")
            ]
        if not isinstance(value, Mapping):
            form = " or text" if parser or "shorthand" in option else ""
            return option.get("default"), [
                Flaw(key, value, "is not a mapping" + form, written(value, "Write key: value lines below it."))
            ]
    if not option.get("options"):
        return {str(name): item for name, item in value.items()}, []
    return check(option["options"], value, f"{key}.", what=key)


def _limits(option: Mapping[str, Any], value: Any) -> None:
    choices = option.get("choices")
    if choices and value not in choices:
        near = get_close_matches(str(value), [str(choice) for choice in choices], n=1)
        listed = ", ".join(str(choice) for choice in choices)
        raise _WrongError(
            "is not among the choices",
            f"Did you mean {near[0]}? Choices: {listed}." if near else f"Choose one of {listed}.",
        )
    pattern = option.get("pattern")
    if pattern and not re.fullmatch(pattern, str(value)):
        raise _WrongError(f"is not {option.get('expects', 'of the right form')}", "Correct the value.")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, high, above = option.get("min"), option.get("max"), option.get("above")
    if (
        (low is not None and value < low)
        or (high is not None and value > high)
        or (above is not None and value <= above)
    ):
        raise _WrongError("is out of range", f"Use a number {_range(low, high, above)}.")


def _range(low: Any, high: Any, above: Any) -> str:
    lower = f"from {low}" if low is not None else f"above {above}" if above is not None else ""
    upper = f"to {high}" if lower.startswith("from") else f"up to {high}"
    return f"{lower} {upper}".strip() if high is not None else lower if above is not None else f"{lower} upwards"


def _short(option: Mapping[str, Any]) -> str:
    text = str(option.get("description") or "")
    return text[:1].lower() + text[1:] if text else "a value."


def _str(value: Any, _option: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise _WrongError(
            "is not text", "Put the value in quotes." if isinstance(value, int | float) else "Write text."
        )
    if not value.strip():
        raise _WrongError("is empty", "Give a value, or leave the key out.")
    if "\0" in value:
        raise _WrongError("holds a null character", "Write the text without it.")
    return value


def _id(value: Any, option: Mapping[str, Any]) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _str(value, option)
    if not USER.fullmatch(text):
        raise _WrongError("is no user", "Write a number such as 1000, or a name, perhaps with :group.")
    return text


def _name(value: Any, option: Mapping[str, Any]) -> str:
    text = _str(value, option)
    if text in RESERVED_NAMES:
        raise _WrongError("is a reserved word of Ansible", "Choose another name.")
    if not SERVICE_NAME.fullmatch(text):
        raise _WrongError(
            "is no valid name",
            "Use 2 to 63 small letters, digits, dots, dashes or underscores, a letter or digit first.",
        )
    return text


def _int(value: Any, _option: Mapping[str, Any]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        return int(value)
    raise _WrongError("is not a whole number", "Write a whole number.")


def _number(value: Any, _option: Mapping[str, Any]) -> float:
    number = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            number = float(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise _WrongError("is not a number", "Write a number.")
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        raise _WrongError("is not a finite number", "Write a number.")
    return number


def _bool(value: Any, _option: Mapping[str, Any]) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in BOOLEANS:
        return BOOLEANS[value.strip().lower()]
    raise _WrongError("is neither true nor false", "Write true or false.")


def _size(value: Any, option: Mapping[str, Any]) -> int:
    match = SIZE.match(str(value).strip()) if isinstance(value, str | int) and not isinstance(value, bool) else None
    size = float(match.group(1)) * SIZE_UNITS[match.group(2).lower()] if match else 0.0
    if not 1 <= size < SIZE_LIMIT:
        raise _WrongError("is not a size", "Write a size such as 16g or 512m, or a number of bytes.")
    if size < option.get("least", 1):
        least = option["least"] // SIZE_UNITS["m"]
        raise _WrongError(
            f"is less than {least}m, since a number without a unit counts bytes", "Add the unit, as in 16g."
        )
    return int(size)


def _path(value: Any, option: Mapping[str, Any]) -> str:
    text = _str(value, option)
    if not text.startswith("/"):
        raise _WrongError("is not an absolute path", "Write the whole path, beginning with /.")
    if ".." in text.split("/") or "\0" in text or "\n" in text:
        raise _WrongError("holds .. or a line break", "Write the path without them.")
    return re.sub(r"/+", "/", text).rstrip("/") or "/"


def _request(value: Any, option: Mapping[str, Any]) -> str:
    text = _str(value, option)
    if not text.startswith("/"):
        raise _WrongError("is not the path of a request", "Write what follows host and port, beginning with /.")
    if not REQUEST.fullmatch(text):
        raise _WrongError("holds what no request may", "Write it as in an address, a blank as %20.")
    return text


def _address(value: Any, _option: Mapping[str, Any]) -> str:
    # A zone belongs to one interface of one machine, and no engine takes it.
    text = value if isinstance(value, str) and "%" not in value else ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _WrongError(
            "is not an IP address", "Write an address such as 10.0.0.4; 127.0.0.1 or 0.0.0.0 as bind."
        ) from None


def _capability(value: Any, option: Mapping[str, Any]) -> str:
    name = _str(value, option)
    if name.removeprefix("CAP_") not in CAPABILITIES:
        raise _WrongError("is not a capability", suggestion(name, CAPABILITIES) + " An example is SYS_NICE.")
    return name


def _pattern(value: Any, option: Mapping[str, Any]) -> str:
    text = ",".join(_str(item, option) for item in value) if isinstance(value, list) else _str(value, option)
    if not text.strip(", "):
        # Left empty by a template it would stand for every host.
        raise _WrongError("names no host", "Name a group, a host or a pattern, or leave the key out.")
    return text


def _argv(option: Mapping[str, Any], value: Any, key: str) -> tuple[Any, list[Flaw]]:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise _WrongError(f"cannot be split into words ({error})", "Close the quotes, or write a list.") from None
    if not isinstance(value, list | tuple):
        raise _WrongError("is not a command", "Write a list of words, or one line of text.")
    flaws: list[Flaw] = []
    for index, word in enumerate(value):
        if isinstance(word, bool) or not isinstance(word, str | int | float):
            flaws.append(Flaw(f"{key}[{index}]", word, "is not a word", "Put the word in quotes."))
        elif "\0" in str(word):
            flaws.append(Flaw(f"{key}[{index}]", word, "holds a null character", "Write the word without it."))
    return (copy.deepcopy(option.get("default")) if flaws else [str(word) for word in value]), flaws


def _env(option: Mapping[str, Any], value: Any, key: str) -> tuple[Any, list[Flaw]]:
    if not isinstance(value, Mapping):
        raise _WrongError("is not a mapping", "Write NAME: value lines below it.")
    allowed = HEADER_NAME if option.get("header_names") else ENV_NAME
    printable = option.get("printable")
    flaws: list[Flaw] = []
    for name, text in value.items():
        where = f"{key}.{name}"
        if not isinstance(name, str) or not allowed.fullmatch(name):
            flaws.append(Flaw(where, text, "is no valid name", "Use letters, digits and underscores."))
        elif not isinstance(text, str):
            remedy = "Put the value in quotes." if isinstance(text, int | float) else "Write text."
            flaws.append(Flaw(where, text, "is not text", remedy))
        elif "\0" in text:
            flaws.append(Flaw(where, text, "holds a null character", "Write the text without it."))
        elif printable and not PRINTABLE.fullmatch(text):
            flaws.append(Flaw(where, text, "holds what no header may", "Write one line of printable ASCII characters."))
    return (copy.deepcopy(option.get("default")) if flaws else {str(k): str(v) for k, v in value.items()}), flaws


def _npus(value: Any, option: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, str) and "," in value:
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        try:
            count = _int(value, option)
        except _WrongError:
            raise _WrongError("is neither a number of cards nor a list of them", "Write 2, or [0, 1].") from None
        if count < 0:
            raise _WrongError("is below 0", "Write 0 for the CPU, or a number of cards.")
        return {"count": count, "cards": None}
    cards: list[int] = []
    for index, item in enumerate(value):
        try:
            card = _int(item, option)
        except _WrongError:
            raise _WrongError("is no card", "Write the number N of /dev/davinciN.", f"[{index}]", item) from None
        if card < 0:
            raise _WrongError("is below 0", "Write the number N of /dev/davinciN.", f"[{index}]", card)
        if card in cards:
            raise _WrongError(f"names card {card} twice", "Name each card once.")
        cards.append(card)
    if not cards:
        raise _WrongError("is an empty list", "Write 0 for the CPU, or name the cards.")
    return {"count": len(cards), "cards": cards}


def _any(value: Any, _option: Mapping[str, Any]) -> Any:
    return value


def parse_mount(text: str) -> Any:
    parts = text.split(":")
    if (len(parts) == 3 and parts[2] not in ("ro", "rw")) or len(parts) not in (2, 3):
        return None
    kind = "bind" if parts[0].startswith("/") else "volume"
    return {"type": kind, "source": parts[0], "target": parts[1], "read_only": parts[2:] == ["ro"]}


def parse_port(text: str) -> Any:
    match = PORT.match(text)
    if not match:
        return None
    found = {
        "host_ip": (match["ip"] or "").strip("[]") or None,
        "host_port": match["host"],
        "container_port": match["inner"],
        "protocol": match["proto"],
    }
    return {key: value for key, value in found.items() if value is not None}


PARSERS: dict[str, Callable[[str], Any]] = {"mount": parse_mount, "port": parse_port}

TYPES: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "str": _str,
    "id": _id,
    "name": _name,
    "int": _int,
    "number": _number,
    "bool": _bool,
    "size": _size,
    "path": _path,
    "request": _request,
    "file": _str,
    "folder": _str,
    "address": _address,
    "capability": _capability,
    "pattern": _pattern,
    "npus": _npus,
    "any": _any,
    "raw": _any,
}

# Types with parts: each part has its own flaw.
COMPOUND: dict[str, Callable[[Mapping[str, Any], Any, str], tuple[Any, list[Flaw]]]] = {
    "list": _list,
    "dict": _dict,
    "argv": _argv,
    "env": _env,
}
