# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd units of a node: reading them, and the files that order the boot. Private to the collection."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils._system import System

UNIT_DIR = "/etc/systemd/system"
LIBRARY = "/usr/local/lib/ascend-fleet"
HEADER = "# Written by ascend.fleet; changes are overwritten.\n"

DOCKER = "docker.service"
BLOCK = "ascend-fleet-metadata-block.service"
DRIVER = "ascend-fleet-npu-wait.service"
SLICE = "ascend-fleet.slice"
# systemd nests a slice below the slices that its name is made of.
SLICE_PATH = "ascend.slice/ascend-fleet.slice"

BLOCK_UNIT = f"{UNIT_DIR}/{BLOCK}"
BLOCK_SCRIPT = f"{LIBRARY}/metadata-block"
DRIVER_UNIT = f"{UNIT_DIR}/{DRIVER}"
DRIVER_SCRIPT = f"{LIBRARY}/npu-wait"
SLICE_UNIT = f"{UNIT_DIR}/{SLICE}"
ORDER_DROPIN = f"{UNIT_DIR}/{DOCKER}.d/50-ascend-fleet-order.conf"
PROXY_DROPIN = f"{UNIT_DIR}/{DOCKER}.d/50-ascend-fleet-proxy.conf"
SETTINGS = "/etc/ascend-fleet"
PROXY_ENVIRONMENT = f"{SETTINGS}/engine.env"
OWN_FOLDERS = (LIBRARY, SETTINGS)

FIREWALLS = (
    "firewalld.service",
    "iptables.service",
    "netfilter-persistent.service",
    "nftables.service",
    "ufw.service",
)
DRIVER_TIMEOUT = 300
MOUNTS_FOR = "RequiresMountsFor="
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "InvocationID",
    "NeedDaemonReload",
    "ExecStart",
    "Environment",
    "EnvironmentFiles",
    "DropInPaths",
)


# --- reading


def remove(system: System, path: str) -> None:
    """A file of ours, and its folder with the last one."""
    system.remove(path)
    folder = os.path.dirname(path)
    if folder in OWN_FOLDERS and system.isdir(folder) and not system.listdir(folder):
        os.rmdir(system.path(folder))


def show(system: System, more: Sequence[str] = ()) -> dict[str, dict[str, str]] | None:
    """State of the units by name, in one call; None where systemd does not run."""
    units = [DOCKER, BLOCK, DRIVER, SLICE, *more]
    result = system.run(["systemctl", "show", "--property=" + ",".join(PROPERTIES), *units], timeout=20)
    return parse_show(result.out) if result.rc == 0 else None


def reload(system: System) -> None:
    system.run(["systemctl", "daemon-reload"], timeout=60)


def parse_show(text: str) -> dict[str, dict[str, str]]:
    units: dict[str, dict[str, str]] = {}
    for block in text.strip().split("\n\n"):
        values: dict[str, str] = {}
        for line in block.splitlines():
            name, _equals, value = line.partition("=")
            values[name] = f"{values[name]}\n{value}" if values.get(name) else value
        if "Id" in values:
            units[values["Id"]] = values
    return units


def environment_files(text: str) -> list[str]:
    """Paths in ``EnvironmentFiles=/etc/sysconfig/docker (ignore_errors=yes)``."""
    return re.findall(r"^(/.*?)(?: \(ignore_errors=\w+\))?$", text, re.MULTILINE)


def parse_environment(text: str) -> dict[str, str]:
    values = {}
    for line in text.replace("\\\n", "").splitlines():
        stripped = line.strip()
        name, equals, value = stripped.partition("=")
        if not equals or stripped[0] in "#;":
            continue
        try:
            words = shlex.split(value, comments=False)
        except ValueError:
            continue
        values[name.strip()] = " ".join(words)
    return values


def command_line(system: System, unit: dict[str, str]) -> list[str]:
    """The arguments that systemd would start the unit's program with, variables put in."""
    match = re.search(r"argv\[\]=(.*?) ; ignore_errors=", unit.get("ExecStart", ""))
    if match is None:
        return []
    variables: dict[str, str] = {}
    for word in _split(unit.get("Environment", "")):
        name, _equals, value = word.partition("=")
        variables[name] = value
    for path in environment_files(unit.get("EnvironmentFiles", "")):
        variables.update(parse_environment(system.read(path) or ""))
    argv: list[str] = []
    for word in _split(match.group(1)):
        whole = re.fullmatch(r"\$(\w+)", word)
        if whole:
            argv += _split(variables.get(whole.group(1), ""))
        else:
            argv.append(re.sub(r"\$\{(\w+)\}", lambda found: variables.get(found.group(1), ""), word))
    return argv


def escaped(path: str) -> str:
    """A path as systemd writes it into the name of a unit."""
    escaped = []
    for index, character in enumerate(path.strip("/")):
        if character == "/":
            escaped.append("-")
        elif (character.isalnum() and character.isascii()) or character in ":_" or (character == "." and index):
            escaped.append(character)
        else:
            escaped += [f"\\x{byte:02x}" for byte in character.encode()]
    return "".join(escaped)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


# --- files that order the boot


def slice_unit() -> str:
    return HEADER + "[Unit]\nDescription=Fleet containers on the host's network\nBefore=slices.target\n"


def block_unit() -> str:
    # Whoever sets firewall rules at boot runs first, or it would flush ours. A reload sets the rules
    # again; a restart would take docker.service, which requires this unit, with it.
    return (
        HEADER
        + "[Unit]\n"
        + "Description=Keep containers from the metadata address\n"
        + f"Wants={SLICE}\n"
        + f"After={SLICE} {' '.join(FIREWALLS)}\n"
        + f"Before={DOCKER}\n\n"
        + "[Service]\n"
        + "Type=oneshot\n"
        + "RemainAfterExit=yes\n"
        + f"ExecStart={BLOCK_SCRIPT} apply\n"
        + f"ExecReload={BLOCK_SCRIPT} apply\n"
    )


def driver_unit() -> str:
    return (
        HEADER
        + "[Unit]\n"
        + "Description=Wait for the device nodes of the NPU driver\n"
        + f"Before={DOCKER}\n\n"
        + "[Service]\n"
        + "Type=oneshot\n"
        + "RemainAfterExit=yes\n"
        + f"TimeoutStartSec={DRIVER_TIMEOUT + 30}\n"
        + f"ExecStart={DRIVER_SCRIPT}\n"
    )


def driver_script(dev: str, expected: int | None) -> str:
    cards = expected or 1
    folder = shlex.quote(dev)
    return f"""#!/bin/sh
{HEADER}waited=0
while :; do
    found=$(find {folder}/ -maxdepth 1 -name 'davinci[0-9]*' | wc -l)
    if [ "$found" -ge {cards} ] && [ -e {folder}/davinci_manager ]; then
        exit 0
    fi
    if [ "$waited" -ge {DRIVER_TIMEOUT} ]; then
        echo "{dev}: $found of {cards} NPU device nodes after {DRIVER_TIMEOUT} seconds, is the driver loaded?" >&2
        exit 1
    fi
    waited=$((waited + 1))
    sleep 1
done
"""


def order_dropin(mounts: list[str], driver: bool, block: bool) -> str | None:
    """What docker.service waits for; None where there is nothing."""
    lines = []
    if mounts:
        lines.append(MOUNTS_FOR + " ".join(_quoted(mount) for mount in sorted(mounts)))
    if driver:
        # Wanted, not required: services without cards run on a node whose driver is broken.
        lines += [f"Wants={DRIVER}", f"After={DRIVER}"]
    if block:
        # Required: without the block no container may start.
        lines += [f"Requires={BLOCK}", f"After={BLOCK}"]
    return HEADER + "[Unit]\n" + "\n".join(lines) + "\n" if lines else None


def awaited_mounts(dropin: str) -> list[str]:
    """The mounts of a drop-in that ``order_dropin`` wrote."""
    lines = [line[len(MOUNTS_FOR) :] for line in dropin.splitlines() if line.startswith(MOUNTS_FOR)]
    return [path.replace("%%", "%") for line in lines for path in _split(line)]


def _quoted(path: str) -> str:
    path = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{path}"' if re.search(r"[\s\"'\\]", path) else path


def proxy_dropin() -> str:
    return f"{HEADER}[Service]\nEnvironmentFile={PROXY_ENVIRONMENT}\n"


def proxy_environment(proxy: dict[str, Any]) -> str:
    """Values for an EnvironmentFile: unlike Environment= it leaves % alone, which passwords hold encoded."""
    names = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY", "no_proxy": "NO_PROXY"}
    lines = []
    for key, name in names.items():
        value = proxy.get(key)
        if isinstance(value, (list, tuple)):
            value = ",".join(map(str, value))
        if value:
            escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$")
            lines.append(f'{name}="{escaped}"\n')
    return HEADER + "".join(lines)
