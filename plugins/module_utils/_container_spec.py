# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container shall be: the options, their one normal form, its digest. Private to the collection.

``OPTIONS`` declares every option once. The argument spec of ``ascend_container`` is made from
it, and ``normalise`` brings what people write into the form that is compared and created.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import Any, Callable, Dict, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils._document import SECRETS_DIR, digest
from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding

Spec = Dict[str, Any]
Finding = Dict[str, Any]

DEFAULT_SHM = 64 * 1024 * 1024
FORBIDDEN_TARGET = "/home/ma-user"
LABEL_NAMESPACE = "io.ascend.fleet."

_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")
_ENV_NAME = re.compile(r"^[^=\s\0]+$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$", re.IGNORECASE)
_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_PERMISSIONS = "rwm"
# Those of capabilities(7), which has had no new one since Linux 5.9.
CAPABILITIES = {
    "ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE",
    "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE",
    "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
}  # fmt: skip


class OptionError(Exception):
    """A value that cannot be used: what is wrong with it, and what to write instead."""

    def __init__(self, message: str, remedy: str, key: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        self.key = key


class Option(NamedTuple):
    type: str
    clean: Callable[[Any], Any]
    default: Any = None
    elements: str | None = None
    choices: list[str] | None = None
    options: dict[str, dict[str, Any]] | None = None
    required: bool = False
    no_log: bool | None = None


# Values ---------------------------------------------------------------------------------------


def parse_size(value: Any) -> int | None:
    """Bytes; None and 0 both mean that there is no limit."""
    if value in (None, "", 0):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.match(str(value).strip())
    if not match or isinstance(value, bool):
        raise OptionError(f"{value!r} is no size", "Write a number of bytes or a size such as 512m or 16g.")
    return int(float(match.group(1)) * 1024 ** _UNITS[match.group(2).lower()]) or None


def parse_path(value: Any) -> str:
    text = str(value)
    if not text.startswith("/"):
        raise OptionError(f"{value!r} is no absolute path", "Write the path from the root, beginning with /.")
    return f"/{posixpath.normpath(text).lstrip('/')}"


def parse_device(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        parts = [value["host"], value.get("container") or value["host"], value.get("permissions") or _PERMISSIONS]
    else:
        parts = str(value).split(":")
        if len(parts) == 2 and not parts[1].startswith("/"):
            parts.insert(1, parts[0])
    parts = parts + [parts[0], _PERMISSIONS][len(parts) - 1 :]
    if len(parts) != 3 or not parts[2] or set(parts[2]) - set(_PERMISSIONS):
        raise OptionError(f"{value!r} is no device", "Write /dev/x, /dev/x:/dev/y or /dev/x:/dev/y:rwm.")
    return {
        "host": parse_path(parts[0]),
        "container": parse_path(parts[1]),
        "permissions": "".join(letter for letter in _PERMISSIONS if letter in parts[2]),
    }


def parse_capability(value: Any) -> str:
    name = str(value).strip().upper()
    return name[len("CAP_") :] if name.startswith("CAP_") else name


def _known_capability(value: Any) -> str:
    name = parse_capability(value)
    if name not in CAPABILITIES:
        raise OptionError(f"{value!r} is no capability", "Write a name such as SYS_NICE, or ALL.")
    return name


def parse_security_option(value: Any) -> str:
    text = str(value).strip()
    for name in ("label", "apparmor", "seccomp", "no-new-privileges"):
        if text.startswith(f"{name}:"):
            text = f"{name}={text[len(name) + 1 :]}"
    return "no-new-privileges" if text == "no-new-privileges=true" else text


def parse_host(value: Any) -> str:
    name, separator, address = str(value).replace("=", ":", 1).partition(":")
    if not (name and separator and address):
        raise OptionError(f"{value!r} is no host entry", "Write name:address.")
    return f"{name}:{address}"


def parse_ulimit(value: Any) -> dict[str, int]:
    parts = [value.get("soft"), value.get("hard")] if isinstance(value, dict) else str(value).split(":")
    if len(parts) == 1:
        parts = parts * 2
    try:
        soft, hard = (int(str(part)) for part in parts)
    except ValueError:
        raise OptionError(f"{value!r} is no limit", "Write a number, -1 for unlimited, or soft:hard.") from None
    return {"soft": soft, "hard": hard}


def parse_user(value: Any) -> str:
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def parse_words(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise OptionError(f"{value!r} cannot be split into words ({error})", "Write a list of words.") from None
    if not isinstance(value, (list, tuple)):
        raise OptionError(f"{value!r} is no list of words", "Write a list of words, or one text.")
    for word in value:
        if isinstance(word, bool) or not isinstance(word, (str, int, float)):
            raise OptionError(f"{word!r} is no word", "Put the word in quotes.")
    return [str(word) for word in value]


def _command(value: Any) -> list[str] | None:
    return parse_words(value) or None


def _flag(value: Any) -> bool:
    return bool(value)


def _same(value: Any) -> Any:
    return value


def _image(value: Any) -> str:
    text = _text(value).strip()
    if not text:
        raise OptionError("no image is given", "Name the image by reference or id.")
    return text


def _name(value: Any) -> str:
    text = _text(value)
    if not _NAME.match(text):
        raise OptionError(f"{value!r} is no container name", "Use letters, digits, _ . and -.")
    return text


def _strings(value: Any, what: str, pattern: re.Pattern[str] | None = None) -> dict[str, str]:
    cleaned = {}
    for key, item in (value or {}).items():
        if pattern and not pattern.match(str(key)):
            raise OptionError(f"{key!r} is no name of a {what}", "Use a name without spaces and =.", str(key))
        if isinstance(item, (bool, float)) or item is None or not isinstance(item, (str, int)):
            raise OptionError(f"{key} is {item!r}, which is no text", "Put the value in quotes.", str(key))
        cleaned[str(key)] = str(item)
    return cleaned


def _env(value: Any) -> dict[str, str]:
    return _strings(value, "variable", _ENV_NAME)


def _labels(value: Any) -> dict[str, str]:
    cleaned = _strings(value, "label")
    for key in cleaned:
        if key.startswith(LABEL_NAMESPACE):
            raise OptionError(f"the label {key} is the fleet's own", f"Use a label outside {LABEL_NAMESPACE}*.", key)
    return cleaned


def _set_of(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def clean(value: Any) -> list[Any]:
        found = {digest(item): item for item in map(parse, value or [])}
        return sorted(found.values(), key=sort_key)

    return clean


def sort_key(item: Any) -> Any:
    if isinstance(item, dict):
        return [(key, str(item[key])) for key in sorted(item)]
    return str(item)


def _devices(value: Any) -> list[dict[str, str]]:
    devices: list[dict[str, str]] = _set_of(parse_device)(value)
    _unique(devices, "container", "device")
    return devices


def _mount(value: dict[str, Any]) -> dict[str, Any]:
    kind = value.get("type") or "bind"
    source = value.get("source")
    if kind not in ("bind", "volume", "tmpfs"):
        raise OptionError(f"{kind!r} is no type of mount", "Use bind, volume or tmpfs.")
    if not value.get("target"):
        raise OptionError(f"a mount of {source} has no target", "Give the path inside the container as target.")
    target = parse_path(value["target"])
    if kind == "bind" and not source:
        raise OptionError(f"the mount at {target} has no source", "Give the path on the node as source.")
    mount: dict[str, Any] = {
        "type": kind,
        "source": parse_path(source) if kind == "bind" else ("" if kind == "tmpfs" else _text(source)),
        "target": target,
        "read_only": bool(value.get("read_only")),
    }
    if value.get("create") is not None and kind == "bind":
        mount["create"] = {
            "owner": value["create"].get("owner"),
            "mode": parse_mode(value["create"].get("mode") or "0755"),
        }
    if value.get("optional"):
        mount["optional"] = True
    return mount


def parse_mode(value: Any) -> str:
    text = str(value)
    if isinstance(value, (bool, int)) or not re.match(r"^0?[0-7]{3,4}$", text):
        raise OptionError(f"{value!r} is no mode", 'Write the mode as text in quotes, such as "0755".')
    return text.rjust(4, "0")


def _mounts(value: Any) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = _set_of(_mount)(value)
    _unique(mounts, "target", "mount")
    return mounts


def _unique(items: list[dict[str, Any]], key: str, what: str) -> None:
    seen: dict[str, Any] = {}
    for item in items:
        if item[key] in seen:
            raise OptionError(f"two {what}s stand at {item[key]}", "Keep one of them.")
        seen[item[key]] = item


def _secret(value: dict[str, Any]) -> dict[str, Any]:
    identity = str(value["id"]).strip("/")
    if posixpath.normpath(identity) != identity or identity.startswith(".."):
        raise OptionError(f"{value['id']!r} is no id of a secret", "Write service/name.")
    return {
        "id": identity,
        "target": parse_path(value["target"]),
        "mode": parse_mode(value.get("mode") or "0600"),
    }


def _port(value: Any) -> dict[str, Any]:
    cleaned = {
        "host_ip": _text(value.get("host_ip") or "127.0.0.1"),
        "host_port": value.get("host_port"),
        "container_port": value.get("container_port"),
        "protocol": _text(value.get("protocol") or "tcp").lower(),
    }
    for key in ("host_port", "container_port"):
        number = cleaned[key]
        if isinstance(number, bool) or not str(number).isdigit() or not 0 < int(str(number)) < 65536:
            raise OptionError(f"{key} is {number!r}, which is no port", "Write a number from 1 to 65535.")
        cleaned[key] = int(str(number))
    if cleaned["protocol"] not in ("tcp", "udp"):
        raise OptionError(f"{value.get('protocol')!r} is no protocol", "Use tcp or udp.")
    return cleaned


def _ports(value: Any) -> list[dict[str, Any]]:
    ports: list[dict[str, Any]] = _set_of(_port)(value)
    seen = set()
    for port in ports:
        place = (port["host_ip"], port["host_port"], port["protocol"])
        if place in seen:
            raise OptionError("port %s:%d is published twice" % place[:2], "Keep one of them.")
        seen.add(place)
    return ports


def _network(value: Any) -> str:
    text = _text(value) or "bridge"
    if text.startswith("container:"):
        raise OptionError(f"{text!r} shares another container's network", "Use bridge, host, none or a network's name.")
    return "bridge" if text == "default" else text


def _cpus(value: Any) -> float | None:
    try:
        number = float(value or 0)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise OptionError(f"{value!r} is no number of processors", "Write a number such as 4 or 2.5.")
    return round(number, 9) or None


def _shm(value: Any) -> int:
    return parse_size(value) or DEFAULT_SHM


def _restart(value: Any) -> str:
    text = "no" if value in (False, "no", "", None) else str(value)
    if text not in ("always", "no"):
        raise OptionError(f"{value!r} is no restart policy", "Use always or no; no other survives a killed engine.")
    return text


def _ulimits(value: Any) -> dict[str, dict[str, int]]:
    return {str(name): parse_ulimit(limit) for name, limit in (value or {}).items()}


def _log(value: Any) -> dict[str, Any] | None:
    """None leaves rotation to the engine's own settings."""
    wanted = {key: str(item) for key, item in (value or {}).items() if item not in (None, "")}
    return {"driver": "json-file", "options": {k.replace("_", "-"): v for k, v in wanted.items()}} if wanted else None


def _pids(value: Any) -> int | None:
    return int(value) if value and int(value) > 0 else None


def _seconds(value: Any) -> int:
    if value is None or int(value) < 0:
        raise OptionError(f"{value!r} is no time to stop in", "Write seconds, 0 or more.")
    return int(value)


def _ipc(value: Any) -> str | None:
    if value not in (None, "", "private", "host"):
        raise OptionError(f"{value!r} is no ipc mode", "Use private or host.")
    return "host" if value == "host" else None


_MOUNT_OPTIONS: dict[str, dict[str, Any]] = {
    "type": {"type": "str", "choices": ["bind", "volume", "tmpfs"], "default": "bind"},
    "source": {"type": "str"},
    "target": {"type": "str", "required": True},
    "read_only": {"type": "bool", "default": False},
    "create": {"type": "dict", "options": {"owner": {"type": "int"}, "mode": {"type": "str", "default": "0755"}}},
}
_SECRET_OPTIONS: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0600"},
}
_PORT_OPTIONS: dict[str, dict[str, Any]] = {
    "host_ip": {"type": "str", "default": "127.0.0.1"},
    "host_port": {"type": "int", "required": True},
    "container_port": {"type": "int", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
}
_LOG_OPTIONS: dict[str, dict[str, Any]] = {"max_size": {"type": "str"}, "max_file": {"type": "str"}}

OPTIONS: dict[str, Option] = {
    "name": Option("str", _name, required=True),
    "image": Option("str", _image),
    "command": Option("raw", _command),
    "entrypoint": Option("raw", parse_words),
    "user": Option("str", parse_user),
    "working_dir": Option("str", _text),
    "hostname": Option("str", _text),
    "env": Option("dict", _env),
    "devices": Option("list", _devices, elements="str"),
    "mounts": Option("list", _mounts, elements="dict", options=_MOUNT_OPTIONS),
    "secret_files": Option("list", _set_of(_secret), elements="dict", options=_SECRET_OPTIONS, no_log=False),
    "ports": Option("list", _ports, elements="dict", options=_PORT_OPTIONS),
    "network": Option("str", _network, default="bridge"),
    "shm_size": Option("str", _shm),
    "memory": Option("str", parse_size),
    "cpus": Option("float", _cpus),
    "labels": Option("dict", _labels),
    "init": Option("bool", _flag, default=True),
    "restart": Option("str", _restart, default="always", choices=["always", "no"]),
    "stop_timeout": Option("int", _seconds, default=120),
    "ulimits": Option("dict", _ulimits),
    "cap_add": Option("list", _set_of(_known_capability), elements="str"),
    "cap_drop": Option("list", _set_of(_known_capability), elements="str"),
    "security_opt": Option("list", _set_of(parse_security_option), elements="str"),
    "ipc": Option("str", _ipc, choices=["private", "host"]),
    "pids_limit": Option("int", _pids),
    "extra_hosts": Option("list", _set_of(parse_host), elements="str"),
    "log": Option("dict", _log, options=_LOG_OPTIONS),
    "cgroup_parent": Option("str", _text),
}


def argument_spec() -> dict[str, dict[str, Any]]:
    """What ``AnsibleModule`` wants to know about the options."""
    arguments: dict[str, dict[str, Any]] = {}
    for name, option in OPTIONS.items():
        argument: dict[str, Any] = {"type": option.type}
        for key in ("default", "elements", "choices", "options", "no_log"):
            value = getattr(option, key)
            if value is not None:
                argument[key] = value
        if option.required:
            argument["required"] = True
        arguments[name] = argument
    return arguments


def normalise(options: dict[str, Any]) -> tuple[Spec, list[Finding]]:
    """The one form of a spec, and everything that is wrong with what was given.

    Of options that stand for the fleet's own, ``kind``, ``service`` and ``npus`` (davinci numbers)
    are taken as well: they become labels.
    """
    name = str(options.get("name") or "")
    problems: list[Finding] = []
    spec: Spec = {}
    for key in sorted(set(options) - set(OPTIONS) - set(_FLEET_KEYS)):
        problems.append(_problem(name, key, options[key], f"{key} is no option of a container", "Leave it out."))
    for key, option in OPTIONS.items():
        value = options.get(key)
        try:
            spec[key] = option.clean(option.default if value is None else value)
        except OptionError as wrong:
            problems.append(
                _problem(name, key + (f".{wrong.key}" if wrong.key else ""), value, str(wrong), wrong.remedy)
            )
        except (TypeError, ValueError, KeyError, AttributeError):
            problems.append(
                _problem(name, key, value, f"the value is no {option.type} of the right form", "See the documentation.")
            )
    for key, default in _FLEET_KEYS.items():
        spec[key] = options.get(key) or default
    spec["npus"] = sorted(spec["npus"])
    if not problems:
        problems = _together(spec)
        _add_secret_mounts(spec)
    return spec, problems


_FLEET_KEYS: dict[str, Any] = {"service": "", "kind": "container", "npus": [], "job": ""}


def settle(spec: Spec, exists: Callable[[str], bool]) -> Spec:
    """The spec on a node: mounts that may be left out and whose source is not there, are left out."""
    kept = [mount for mount in spec["mounts"] if not mount.get("optional") or exists(mount["source"])]
    return dict(spec, mounts=[{k: v for k, v in mount.items() if k != "optional"} for mount in kept])


def spec_digest(spec: Spec) -> str:
    """Names a settled spec, on the label of its container."""
    return digest(spec)


def with_card_access(spec: Spec, access: dict[str, Any], cards: list[int]) -> Spec:
    """The spec with what its cards need: ``access`` holds devices, mounts and env from the SoC table."""
    given = {mount["target"] for mount in spec["mounts"]}
    extra = [mount for mount in access.get("mounts") or [] if parse_path(mount["target"]) not in given]
    resolved = dict(spec, npus=sorted(cards))
    resolved["devices"] = _devices(spec["devices"] + [parse_device(device) for device in access.get("devices") or []])
    resolved["mounts"] = _mounts(spec["mounts"] + extra)
    resolved["env"] = dict(_env(access.get("env")), **spec["env"])
    return resolved


def _add_secret_mounts(spec: Spec) -> None:
    for secret in spec["secret_files"]:
        source = f"{SECRETS_DIR}/{secret['id']}"
        spec["mounts"].append({"type": "bind", "source": source, "target": secret["target"], "read_only": True})
    spec["mounts"].sort(key=sort_key)


def _together(spec: Spec) -> list[Finding]:
    """What is right by itself and wrong together."""
    name = spec["name"]
    problems = []
    if spec["network"] in ("host", "none") and spec["ports"]:
        problems.append(
            _problem(
                name,
                "ports",
                None,
                f"ports cannot be published with network {spec['network']}",
                "Leave ports out: on the host's network a process listens on the host's own ports.",
            )
        )
    if spec["memory"] and spec["shm_size"] > spec["memory"]:
        problems.append(
            _problem(
                name,
                "shm_size",
                spec["shm_size"],
                "shm_size is larger than memory, which counts shared memory too",
                "Raise memory or lower shm_size.",
            )
        )
    for target in [mount["target"] for mount in spec["mounts"]] + [s["target"] for s in spec["secret_files"]]:
        if hides(target, FORBIDDEN_TARGET):
            problems.append(
                finding(
                    "mount-forbidden",
                    f"Container {name} would mount {target} over the image's own files below {FORBIDDEN_TARGET}.",
                    service=name,
                    key="mounts",
                    value=target,
                )
            )
    targets = [mount["target"] for mount in spec["mounts"]]
    for secret in spec["secret_files"]:
        if secret["target"] in targets:
            problems.append(
                _problem(
                    name, "secret_files", secret["target"], "a mount stands at the same place", "Move one of them."
                )
            )
    return problems


def hides(target: str, folder: str) -> bool:
    """Whether a mount at target changes what is seen at folder: at it, below it, or above it."""
    return (f"{target}/").startswith(f"{folder}/") or (f"{folder}/").startswith(f"{target.rstrip('/')}/")


def _problem(name: str, key: str, value: Any, message: str, remedy: str) -> Finding:
    return finding(
        "option-invalid",
        f"Container {name or '?'}, option {key}: {message.rstrip('.')}.",
        remedy,
        service=name or None,
        key=key,
        value=None if key.startswith("env") else value,
    )
