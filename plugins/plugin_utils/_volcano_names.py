# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, labels and quantities as Kubernetes writes them. Pure; private to the collection."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

LABEL_LENGTH = 63
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\{image_url\}")
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_UNITS = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def is_dns_label(name: str) -> bool:
    return len(name) <= LABEL_LENGTH and bool(_DNS_LABEL.fullmatch(name))


def is_service_name(name: str) -> bool:
    """A DNS label that begins with a letter, since the svc plugin makes a Service of the same name."""
    return is_dns_label(name) and name[0].isalpha()


def is_subdomain(name: str) -> bool:
    return len(name) <= 253 and bool(_SUBDOMAIN.fullmatch(name))


def is_label_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return (not slash or is_subdomain(prefix)) and _is_label_word(name)


def is_label_value(value: str) -> bool:
    return value == "" or _is_label_word(value)


def _is_label_word(word: str) -> bool:
    return len(word) <= LABEL_LENGTH and bool(_LABEL_WORD.fullmatch(word))


def is_env_name(name: str) -> bool:
    return bool(_ENV_NAME.fullmatch(name)) and name not in {".", ".."} and not name.startswith("..")


def is_image(reference: str) -> bool:
    return len(reference) <= 512 and bool(_IMAGE.fullmatch(reference))


def placeholder(text: str) -> str | None:
    """The first ${...} in a text that nothing will ever replace."""
    found = _PLACEHOLDER.search(text)
    return found.group(0) if found else None


def quantity(value: Any) -> Decimal | None:
    """The number that a quantity such as 2650m, 3200Mi or 8 stands for; None for anything else."""
    if isinstance(value, bool):
        return None
    found = _QUANTITY.fullmatch(str(value))
    if not found:
        return None
    number, unit = found.groups()
    if unit and unit[0] in "eE" and len(unit) > 1:
        return Decimal(number) * Decimal(10) ** int(unit[1:])
    return Decimal(number) * _UNITS[unit or ""]


def cpu_text(cores: Decimal) -> str:
    """Cores, rounded down: whole ones as such, fewer than one in thousandths."""
    return str(int(cores)) if cores >= 1 else f"{int(cores * 1000)}m"


def memory_text(amount: Decimal) -> str:
    """Bytes, rounded down to the largest unit that loses little."""
    unit = "Gi" if amount >= 8 * _UNITS["Gi"] else "Mi"
    return f"{int(amount / _UNITS[unit])}{unit}"
