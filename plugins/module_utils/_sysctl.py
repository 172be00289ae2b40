# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet forwarding, now and after the next boot. Private to the collection.

The value after a boot is what all files together say: systemd-sysctl reads every folder of
``FOLDERS`` and, where a link like 99-sysctl.conf leads to it, /etc/sysctl.conf; the program
``sysctl --system`` reads /etc/sysctl.conf last. Both must come to the wanted value.
"""

from __future__ import annotations

import fnmatch
import os
from typing import Any, Iterable, List, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

OWN_FILE = "/etc/sysctl.d/99-zz-ascend-fleet.conf"
SYSCTL_CONF = "/etc/sysctl.conf"
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
HEADER = "# Written by ascend.fleet; changes are overwritten.\n"
NEUTRALISED = "# ascend.fleet: undid the forwarding of containers: "
BOOT = "systemd-sysctl"
SYSTEM = "sysctl --system"
GLOB_CHARACTERS = "*?["


class Setting(NamedTuple):
    key: str
    # Other names of the same kernel variable: a write to one of them undoes the key as well.
    aliases: tuple[str, ...]


SETTINGS = {
    "ipv4": Setting("net/ipv4/ip_forward", ("net/ipv4/conf/all/forwarding",)),
    "ipv6": Setting("net/ipv6/conf/all/forwarding", ()),
}


class Line(NamedTuple):
    """One assignment of one file; ``value`` is None for a key that is excluded from globs."""

    file: str
    number: int
    text: str
    key: str
    value: str | None


Lines = List[Line]


def dotted(key: str) -> str:
    return key.replace("/", ".")


def _key(name: str) -> str:
    return dotted(SETTINGS[name].key)


def normalise(key: str) -> str:
    """``net.ipv4.conf.eth0/1.forwarding`` and ``net/ipv4/...``: the first separator says which one is meant."""
    key = key.strip().lstrip("/")
    for character in key:
        if character == "/":
            return key
        if character == ".":
            return key.translate(str.maketrans("./", "/."))
    return key


def parse(text: str, file: str) -> Lines:
    lines: Lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if not stripped or stripped[0] in "#;":
            continue
        name, equals, value = stripped.partition("=")
        if not equals and not name.startswith("-"):
            continue
        name = name[1:] if name.startswith("-") else name
        lines.append(Line(file, number, raw, normalise(name), value.strip() if equals else None))
    return lines


def concerns(line: Line, settings: Iterable[Setting]) -> bool:
    names = [name for setting in settings for name in (setting.key, *setting.aliases)]
    return any(line.key == name or fnmatch.fnmatchcase(name, line.key) for name in names)


def truth(value: str | None) -> bool | None:
    """The kernel's reading of a value; None where it would refuse it."""
    words = (value or "").split()
    try:
        return bool(int(words[0], 0)) if words else None
    except ValueError:
        return None


def outcome(lines: Lines, setting: Setting, reader: str = BOOT) -> Line | None:
    """The line whose value stands when the reader has applied all."""
    table: dict[str, Line] = {}
    excluded = set()
    for line in lines:
        if reader == SYSTEM and line.value is None:
            # Here an exclusion says something about globs only; systemd-sysctl drops the assignment as well.
            excluded.add(line.key)
            continue
        known = table.get(line.key)
        # systemd-sysctl does not move an assignment that is repeated.
        if reader == BOOT and known is not None and known.value == line.value:
            continue
        table.pop(line.key, None)
        table[line.key] = line
    last = None
    for line in table.values():
        if line.value is None or truth(line.value) is None:
            continue
        if any(character in line.key for character in GLOB_CHARACTERS):
            names = [name for name in (setting.key, *setting.aliases) if name not in table and name not in excluded]
            hit = any(fnmatch.fnmatchcase(name, line.key) for name in names)
        else:
            hit = line.key == setting.key or line.key in setting.aliases
        if hit:
            last = line
    return last


def undoing(lines: Lines, setting: Setting, reader: str = BOOT) -> Line | None:
    """The line that keeps the setting from being on, if the lines want it on at all."""
    last = outcome(lines, setting, reader)
    if last is not None:
        return None if truth(last.value) else last
    excluded = [line for line in lines if line.key == setting.key and line.value is None]
    return excluded[-1] if excluded else None


def is_on(lines: Lines, setting: Setting) -> bool:
    last = outcome(lines, setting)
    return last is not None and bool(truth(last.value))


# --- observe


def resolve(system: System, path: str) -> str:
    """Follow links inside the system's own root."""
    for _unused in range(8):
        try:
            target = os.readlink(system.path(path))
        except OSError:
            return path
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))
    return path


def files(system: System) -> list[str]:
    """Every sysctl.d file that counts, in the order it is applied."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for name in system.listdir(folder):
            if name.endswith(".conf"):
                found.setdefault(name, f"{folder}/{name}")
    return [found[name] for name in sorted(found, key=os.fsencode)]


def _read(system: System, paths: list[str]) -> list[dict[str, Any]]:
    found = []
    for path in paths:
        target = resolve(system, path)
        text = "" if target == "/dev/null" else system.read(target) or ""
        # Most files say nothing about forwarding: what is not kept need not be parsed either.
        if "forward" not in text and not any(character in text for character in GLOB_CHARACTERS):
            lines: Lines = []
        else:
            lines = [line for line in parse(text, target) if concerns(line, SETTINGS.values())]
        if lines or path == OWN_FILE:
            found.append({"path": path, "target": target, "lines": [line._asdict() for line in lines]})
    return found


def observe(system: System) -> dict[str, Any]:
    return {
        "runtime": {name: _runtime(system, setting) for name, setting in SETTINGS.items()},
        "files": _read(system, files(system)),
        "sysctl_conf": _read(system, [SYSCTL_CONF]),
        "own": system.read(OWN_FILE),
    }


def _runtime(system: System, setting: Setting) -> str | None:
    text = system.read("/proc/sys/" + setting.key)
    return None if text is None else text.strip()


# --- plan


def wanted_text(names: list[str]) -> str:
    return HEADER + "".join(f"{_key(name)} = 1\n" for name in names)


def _lines_of(sources: list[dict[str, Any]]) -> Lines:
    return [Line(**line) for source in sources for line in source["lines"]]


def _with_own_file(sources: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    own = parse(wanted_text(names), OWN_FILE)
    name = os.path.basename(OWN_FILE)
    rest = [source for source in sources if os.path.basename(source["path"]) != name]
    rest.append({"path": OWN_FILE, "target": OWN_FILE, "lines": [line._asdict() for line in own]})
    return sorted(rest, key=lambda source: os.fsencode(os.path.basename(source["path"])))


def _overriders(
    sources: list[dict[str, Any]], observed: dict[str, Any], names: list[str]
) -> list[tuple[str, str, Line]]:
    """Every line that undoes a setting, in turn, as (name, reader, line)."""
    boot = _lines_of(sources)
    readers = {BOOT: boot, SYSTEM: boot + _lines_of(observed["sysctl_conf"])}
    found: list[tuple[str, str, Line]] = []
    for name in names:
        for reader, lines in readers.items():
            left = list(lines)
            while True:
                line = undoing(left, SETTINGS[name], reader)
                if line is None:
                    break
                left.remove(line)
                if not any(line == other for _name, _reader, other in found):
                    found.append((name, reader, line))
    return found


def plan(want: dict[str, Any], observed: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``want``: manage, ipv4, ipv6, neutralise and optionally state."""
    if not want.get("manage", True):
        return [], []
    if want.get("state") == "absent":
        gone = observed["own"] is not None
        reason = "Forwarding is no longer managed here."
        return ([action("host", "remove", OWN_FILE, reason, before=observed["own"])] if gone else []), []
    names, sources, written = _persist(want, observed)
    actions = [_set_runtime(name, observed) for name in names if not truth(observed["runtime"][name])] + written
    overriders = _overriders(sources, observed, names)
    if want.get("neutralise"):
        return actions + _neutralise(overriders, observed), []
    return actions, [_overridden(name, reader, line) for name, reader, line in overriders]


def _persist(
    want: dict[str, Any], observed: dict[str, Any]
) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """The wanted settings, the files as they are to be, and what is written for that."""
    names = [name for name in SETTINGS if want.get(name) and want.get("state") != "absent"]
    # What our file sets beyond that is somebody's earlier wish and stays.
    own = parse(observed["own"] or "", OWN_FILE)
    together = [name for name in SETTINGS if name in names or is_on(own, SETTINGS[name])]
    sources, text = observed["files"], wanted_text(together)
    differs = observed["own"] is not None and observed["own"] != text
    if not names or (not differs and all(is_on(_lines_of(sources), SETTINGS[name]) for name in names)):
        return names, sources, []
    reason = "Forwarding must come back after the next boot."
    write = action("host", "write", OWN_FILE, reason, before=observed["own"], after=text)
    return names, _with_own_file(sources, together), [] if observed["own"] == text else [write]


def _set_runtime(name: str, observed: dict[str, Any]) -> dict[str, Any]:
    reason = "The running kernel does not forward packets of containers."
    return action("host", "sysctl", SETTINGS[name].key, reason, before=observed["runtime"][name], after="1")


def _overridden(name: str, reader: str, line: Line) -> dict[str, Any]:
    return finding(
        "forwarding-overridden",
        f"Line {line.number} of {line.file} ({line.text.strip()}) turns {_key(name)} off again "
        f"when {reader} reads all files.",
        key=_key(name),
        value=f"{line.file}:{line.number}",
    )


def _neutralise(overriders: list[tuple[str, str, Line]], observed: dict[str, Any]) -> list[dict[str, Any]]:
    paths = {s["target"]: s["path"] for s in observed["files"] + observed["sysctl_conf"]}
    by_file: dict[str, list[Line]] = {}
    for _name, _reader, line in overriders:
        by_file.setdefault(line.file, []).append(line)
    actions = []
    for file, lines in by_file.items():
        # Files of packages and of /run are not ours to edit: one of the same name in /etc replaces them.
        target = file if file.startswith("/etc/") else "/etc/sysctl.d/" + os.path.basename(paths[file])
        lines = sorted(lines, key=lambda line: line.number)
        before = {"source": file, "lines": {str(line.number): line.text for line in lines}}
        after = {"source": file, "lines": {str(line.number): NEUTRALISED + line.text for line in lines}}
        reason = "A later file would turn forwarding off again at boot."
        actions.append(action("host", "neutralise", target, reason, before=before, after=after))
    return actions


# --- apply


def apply(system: System, actions: list[dict[str, Any]]) -> None:
    for step in actions:
        try:
            APPLY[step["action"]](system, step)
        except OSError as error:
            message = f"{step['target']} cannot be changed: {error.strerror}."
            raise FleetError("forwarding-refused", message, key=step["target"]) from error


def _apply_runtime(system: System, step: dict[str, Any]) -> None:
    try:
        with open(system.path("/proc/sys/" + step["target"]), "w", encoding="ascii") as handle:
            handle.write(step["after"] + "\n")
    except OSError as error:
        raise FleetError(
            "forwarding-refused",
            f"The kernel does not let {dotted(step['target'])} be set to {step['after']}: {error.strerror}.",
            key=dotted(step["target"]),
            value=step["after"],
        ) from error


def _apply_write(system: System, step: dict[str, Any]) -> None:
    system.write(step["target"], step["after"])


def _apply_remove(system: System, step: dict[str, Any]) -> None:
    system.remove(step["target"])


def _apply_neutralise(system: System, step: dict[str, Any]) -> None:
    source, numbers = step["after"]["source"], {int(number) for number in step["after"]["lines"]}
    lines = (system.read(source) or "").splitlines(keepends=True)
    text = "".join(NEUTRALISED + line if number in numbers else line for number, line in enumerate(lines, 1))
    stat = system.stat(source)
    mode = 0o644 if stat is None else stat.st_mode & 0o777
    system.write(step["target"], text, mode, *((None, None) if stat is None else (stat.st_uid, stat.st_gid)))


APPLY = {
    "sysctl": _apply_runtime,
    "write": _apply_write,
    "remove": _apply_remove,
    "neutralise": _apply_neutralise,
}


# --- what the module returns


def overridden_by(want: dict[str, Any], observed: dict[str, Any]) -> list[dict[str, Any]]:
    names, sources, _actions = _persist(want, observed)
    return [
        {"file": line.file, "line": line.number, "text": line.text.strip(), "key": _key(name), "reader": reader}
        for name, reader, line in _overriders(sources, observed, names)
    ]


def report(observed: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The running values, and the values after a boot with the lines that decide them."""
    boot = _lines_of(observed["files"])
    persistent: dict[str, Any] = {}
    for name in names:
        line = outcome(boot, SETTINGS[name])
        persistent[_key(name)] = None if line is None else {"value": line.value, "file": line.file, "line": line.number}
    return {"runtime": {_key(name): observed["runtime"][name] for name in names}, "persistent": persistent}


def diff(step: dict[str, Any]) -> dict[str, str]:
    header = dotted(step["target"]) if step["action"] == "sysctl" else step["target"]
    before, after = step["before"], step["after"]
    if step["action"] == "neutralise":
        before, after = "\n".join(before["lines"].values()), "\n".join(after["lines"].values())
    sides = [text if text is None or text.endswith("\n") else text + "\n" for text in (before, after)]
    return {"before_header": header, "after_header": header, "before": sides[0] or "", "after": sides[1] or ""}
