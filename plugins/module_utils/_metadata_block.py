# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep containers from the metadata address of the cloud. Private to the collection.

Containers on a bridge pass the forward hook: the chain DOCKER-USER with Docker's iptables backend, a
table of our own with its nftables backend. Containers on the host's network leave like any process;
they are told apart by their cgroup, so the fleet's are put under one slice.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from typing import Any

from ansible_collections.ascend.fleet.plugins.module_utils import _units
from ansible_collections.ascend.fleet.plugins.module_utils._findings import FleetError, action, finding
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

CHAIN = "ASCEND-FLEET-METADATA"
TABLE = "ascend_fleet"
USER_CHAIN = "DOCKER-USER"
RECORD = "/run/ascend-fleet/metadata-block"
CGROUPS = "/sys/fs/cgroup"
# The class that marks processes under the slice where cgroup v1 rules; any number nobody else uses.
CLASS_ID = 0xAF1EE7
ENGINE_CHAIN = "-N DOCKER"
VARIANTS = ("iptables", "iptables-nft", "iptables-legacy")

PATH = "path"
CLASS = "class"
NONE = "none"


# --- observe


def observe(
    system: System, want: dict[str, Any], backend: str, iptables_off: bool, engine_runs: bool
) -> dict[str, Any]:
    """``backend`` is iptables or nftables, as the engine has or will have it."""
    if want["state"] == "unmanaged":
        return {"managed": False}
    observed: dict[str, Any] = {
        "managed": True,
        "backend": backend,
        "parent": "FORWARD" if iptables_off else USER_CHAIN,
        "script": system.read(_units.BLOCK_SCRIPT),
        "unit": system.read(_units.BLOCK_UNIT),
        "slice": system.read(_units.SLICE_UNIT),
        "cgroup": cgroup(system),
        "record": parse_record(system.read(RECORD)),
    }
    if backend == "nftables":
        observed["rules"] = _nft_rules(system)
    else:
        observed["program"], observed["rules"] = _iptables_rules(system, engine_runs)
    return observed


def cgroup(system: System) -> dict[str, Any]:
    """How processes under the slice can be told apart here: method, folder to create, identity of the folder."""
    unified = system.exists(CGROUPS + "/cgroup.controllers")
    if unified:
        return _by_path(system, CGROUPS)
    # With cgroup v1 the class of net_cls works wherever it is mounted.
    for line in (system.read("/proc/self/mounts") or "").splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[2] == "cgroup" and "net_cls" in fields[3].split(","):
            folder = f"{fields[1]}/{_units.SLICE_PATH}"
            found = (system.read(f"{folder}/net_cls.classid") or "").strip()
            return {"method": CLASS, "folder": folder, "identity": found}
    if system.exists(CGROUPS + "/unified/cgroup.controllers"):
        return _by_path(system, CGROUPS + "/unified")
    return {"method": NONE, "folder": None, "identity": None}


def _by_path(system: System, root: str) -> dict[str, Any]:
    folder = f"{root}/{_units.SLICE_PATH}"
    stat = system.stat(folder)
    return {"method": PATH, "folder": folder, "identity": None if stat is None else str(stat.st_ino)}


def parse_record(text: str | None) -> dict[str, str]:
    """What the script wrote about its last run: ``name value`` lines, then the rules as they then stood."""
    head, _separator, rules = (text or "").partition("rules\n")
    record = dict(line.partition(" ")[::2] for line in head.splitlines())
    if text is not None:
        record["rules"] = rules
    return record


def _iptables_rules(system: System, engine_runs: bool) -> tuple[str | None, list[str]]:
    """The filter table of the variant that Docker uses, and that variant."""
    first: tuple[str | None, list[str]] = (None, [])
    for program in VARIANTS:
        result = system.run([program, "-w", "5", "-S"], timeout=20)
        if result.rc != 0:
            continue
        rules = result.out.splitlines()
        if ENGINE_CHAIN in rules:
            return program, rules
        if first[0] is None:
            first = (program, rules)
        if not engine_runs:
            break
    return first


def chains_lost(observed: dict[str, Any]) -> bool:
    """Whether the rules could be read and no variant has the chain that the engine makes when it starts."""
    if not observed["managed"] or observed["backend"] == "nftables":
        return False
    return observed["program"] is not None and ENGINE_CHAIN not in observed["rules"]


def _nft_rules(system: System) -> str | None:
    result = system.run(["nft", "-s", "list", "table", "ip", TABLE], timeout=20)
    return result.out if result.rc == 0 else None


# --- plan


def address_of(text: str) -> str:
    return text if "/" in text else text + "/32"


def chain_rules(want: dict[str, Any]) -> list[str]:
    rules = [
        f"-A {CHAIN} -p {protocol} -m {protocol} --dport {port} -j RETURN"
        for port in sorted(want.get("except_ports") or [])
        for protocol in ("tcp", "udp")
    ]
    # Refused rather than dropped: a program that only looks for metadata fails at once.
    return [*rules, f"-A {CHAIN} -j REJECT --reject-with icmp-port-unreachable"]


def host_match(method: str) -> str:
    return f"--path {_units.SLICE_PATH}" if method == PATH else f"--cgroup {CLASS_ID}"


def jumps(want: dict[str, Any], parent: str) -> list[str]:
    return [f"-A {parent} -d {address_of(a)} -j {CHAIN}" for a in want["addresses"]]


def host_jumps(want: dict[str, Any], method: str) -> list[str]:
    return [f"-A OUTPUT -d {address_of(a)} -m cgroup {host_match(method)} -j {CHAIN}" for a in want["addresses"]]


def script(want: dict[str, Any], observed: dict[str, Any]) -> str:
    if observed["backend"] == "nftables":
        body = _nft_script(want, observed["cgroup"])
    else:
        body = _iptables_script(want, observed)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f"#!/bin/sh\n{_units.HEADER}set -eu\nwanted={digest}\nrecord={RECORD}\n{body}"


_PREPARE = """mkdir -p "$(dirname "$record")"
rm -f "$record"
host='no, the kernel has no cgroup that tells containers apart'
identity=
"""
_FINISH = """{
    echo "wanted $wanted"
    echo "host $host"
    echo "identity $identity"
    echo rules
    list
} > "$record.new"
mv "$record.new" "$record"
"""


def _folder_script(cgroup: dict[str, Any]) -> str:
    """The cgroup must be there before a rule can name it; systemd keeps that of an active slice."""
    folder = shlex.quote(str(cgroup["folder"]))
    if cgroup["method"] == CLASS:
        # A cgroup takes the class of its parent only when it is made: those of running containers are told.
        return (
            f"mkdir -p {folder} || true\n"
            f"find {folder} -name net_cls.classid 2>/dev/null | while read -r class; do\n"
            f'    echo {CLASS_ID} > "$class" || true\n'
            "done\n"
            f"identity=$(cat {folder}/net_cls.classid 2>/dev/null || true)\n"
        )
    return f"mkdir -p {folder} || true\nidentity=$(stat -c %i {folder} 2>/dev/null || true)\n"


def _iptables_script(want: dict[str, Any], observed: dict[str, Any]) -> str:
    program, parent, cgroup = observed["program"] or "iptables", observed["parent"], observed["cgroup"]
    insert = _insert(jumps(want, parent))
    host = _insert(host_jumps(want, cgroup["method"]))
    restore = program + "-restore"
    text = f"""old() {{
    {program} -w 10 -S "$1" 2>/dev/null | sed -n '/ -j {CHAIN}$/s/^-A/-D/p'
}}
list() {{
    :
}}
if [ "${{1:-apply}}" = remove ]; then
    former=$(old {parent}; old OUTPUT)
    printf '*filter\\n%s\\nCOMMIT\\n' "$former" | {restore} -n -w 10
    if {program} -w 10 -S {CHAIN} >/dev/null 2>&1; then
        {program} -w 10 -F {CHAIN}
        {program} -w 10 -X {CHAIN}
    fi
    rm -f "$record"
    exit 0
fi
{_PREPARE}"""
    if parent == USER_CHAIN:
        text += f"{program} -w 10 -N {USER_CHAIN} 2>/dev/null || {program} -w 10 -S {USER_CHAIN} >/dev/null\n"
    # One transaction: no packet passes between the old rules and the new ones. The old ones are listed
    # before: the program that takes them holds the lock that listing them needs.
    text += f"""former=$(old {parent})
{{
    echo '*filter'
    echo ':{CHAIN} - [0:0]'
    echo "$former"
    cat <<'RULES'
{_lines(chain_rules(want) + insert)}RULES
    echo COMMIT
}} | {restore} -n -w 10
"""
    if cgroup["method"] != NONE:
        text += f"""{_folder_script(cgroup)}former=$(old OUTPUT)
if failure=$({{
    echo '*filter'
    echo "$former"
    cat <<'RULES'
{_lines(host)}RULES
    echo COMMIT
}} | {restore} -n -w 10 2>&1); then
    host=yes
else
    host="no, $(echo "$failure" | head -n 1)"
fi
"""
    return text + _FINISH


def _insert(rules: list[str]) -> list[str]:
    """The same rules, put before everything else of their chain, in order."""
    return [re.sub(r"^-A (\S+)", rf"-I \1 {number}", rule) for number, rule in enumerate(rules, 1)]


def _lines(rules: list[str]) -> str:
    return "".join(rule + "\n" for rule in rules)


def _nft_script(want: dict[str, Any], cgroup: dict[str, Any]) -> str:
    addresses = ", ".join(want["addresses"])
    ports = ", ".join(str(port) for port in sorted(want.get("except_ports") or []))
    returns = f"    tcp dport {{ {ports} }} return\n    udp dport {{ {ports} }} return\n" if ports else ""
    level = _units.SLICE_PATH.count("/") + 1
    match = (
        f'socket cgroupv2 level {level} "{_units.SLICE_PATH}"'
        if cgroup["method"] == PATH
        else f"meta cgroup {CLASS_ID}"
    )
    text = f"""list() {{
    nft -s list table ip {TABLE}
}}
if [ "${{1:-apply}}" = remove ]; then
    nft -f - <<'RULES'
table ip {TABLE}
delete table ip {TABLE}
RULES
    rm -f "$record"
    exit 0
fi
{_PREPARE}nft -f - <<'RULES'
table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  chain metadata {{
{returns}    reject
  }}
  chain containers {{
    type filter hook forward priority filter; policy accept;
    ip daddr {{ {addresses} }} jump metadata
  }}
  chain host_network {{
    type filter hook output priority filter; policy accept;
  }}
}}
RULES
"""
    if cgroup["method"] != NONE:
        text += f"""{_folder_script(cgroup)}if failure=$(nft -f - 2>&1 <<'RULES'
add rule ip {TABLE} host_network ip daddr {{ {addresses} }} {match} jump metadata
RULES
); then
    host=yes
else
    host="no, $(echo "$failure" | head -n 1)"
fi
"""
    return text + _FINISH


def _words(rule: str) -> list[str]:
    return shlex.split(rule)


def _chain(rules: list[str], name: str) -> list[list[str]]:
    return [_words(rule) for rule in rules if rule.startswith(f"-A {name} ")]


def missing(want: dict[str, Any], observed: dict[str, Any], wanted_script: str) -> list[str]:
    """What of the block does not stand in the kernel, in words."""
    record = observed["record"]
    current = record.get("wanted", "-") in wanted_script
    host_on = current and record.get("host") == "yes"
    if observed["backend"] == "nftables":
        if observed["rules"] is None or not current or observed["rules"] != record.get("rules"):
            return [f"the rules of the nftables table ip {TABLE}"]
        return _lost_cgroup(observed) if host_on else []
    rules = observed["rules"]
    found = []
    if _chain(rules, CHAIN) != [_words(rule) for rule in chain_rules(want)]:
        found.append(f"the rules of the chain {CHAIN}")
    if not _leads(rules, jumps(want, observed["parent"]), observed["parent"]):
        found.append(f"the jump at the head of the chain {observed['parent']}")
    if not current:
        found.append("a run of the current script")
    elif host_on and not _leads(rules, host_jumps(want, observed["cgroup"]["method"]), "OUTPUT"):
        found.append("the jump at the head of the chain OUTPUT")
    elif host_on:
        found += _lost_cgroup(observed)
    return found


def _leads(rules: list[str], wanted: list[str], chain: str) -> bool:
    """Rules behind others can be passed by: ours must come first, and no stale one may remain."""
    words = _chain(rules, chain)
    ours = [rule for rule in words if rule[-2:] == ["-j", CHAIN]]
    return words[: len(wanted)] == ours == [_words(rule) for rule in wanted]


def _lost_cgroup(observed: dict[str, Any]) -> list[str]:
    """A rule holds on to the cgroup it was made with, also when another one has taken its path."""
    if observed["cgroup"]["identity"] == observed["record"].get("identity"):
        return []
    return ["the cgroup that the rules for the host's network name"]


def leftovers(observed: dict[str, Any]) -> list[str]:
    found = [
        path
        for path, text in (
            (_units.BLOCK_SCRIPT, observed["script"]),
            (_units.BLOCK_UNIT, observed["unit"]),
            (_units.SLICE_UNIT, observed["slice"]),
        )
        if text is not None
    ]
    rules = observed["rules"] or []
    present = bool(rules) if isinstance(rules, str) else f"-N {CHAIN}" in rules
    return [*found, *(["the rules"] if present else [])]


def files(want: dict[str, Any], observed: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """By path, the wanted text and the text found."""
    return {
        _units.SLICE_UNIT: (_units.slice_unit(), observed["slice"]),
        _units.BLOCK_SCRIPT: (script(want, observed), observed["script"]),
        _units.BLOCK_UNIT: (_units.block_unit(), observed["unit"]),
    }


def plan(want: dict[str, Any], observed: dict[str, Any], active: bool, predicted: str | None) -> list[dict[str, Any]]:
    """``active``: the unit has run since boot; ``predicted``: why rules cannot be observed yet."""
    if not observed["managed"]:
        return []
    if want["state"] == "absent":
        left = leftovers(observed)
        reason = "Containers may read the metadata address again."
        return [action("host", "unblock_metadata", _units.BLOCK, reason, before={"present": left})] if left else []
    actions = []
    for path, (text, found) in files(want, observed).items():
        if text != found:
            reason = "Containers are kept from the metadata address."
            actions.append(action("host", "write", path, reason, before=found, after=text))
    absent = missing(want, observed, script(want, observed))
    if actions or absent or not active:
        reason = "Missing: " + ", ".join(absent or ["a run of the unit since boot"]) + "."
        addresses = {"addresses": want["addresses"], "except_ports": want.get("except_ports") or []}
        step = action("host", "block_metadata", _units.BLOCK, reason, {"missing": absent}, addresses)
        actions.append(dict(step, predicted_because=predicted))
    return actions


def host_network_findings(
    observed: dict[str, Any], services: list[str], parents: dict[str, bool]
) -> list[dict[str, Any]]:
    """``services`` want the host's network; ``parents`` says which running ones are under the slice."""
    if not observed["managed"]:
        return []
    host = observed["record"].get("host", "")
    if observed["cgroup"]["method"] == NONE or host.startswith("no"):
        reason = host.partition(", ")[2] or "the node has no cgroup hierarchy that a firewall rule can match"
        return [_unblocked(name, reason) for name in services]
    outside = [name for name in services if not parents.get(name, True)]
    return [_unblocked(name, "it does not run under the slice ascend-fleet.slice, create it again") for name in outside]


def _unblocked(service: str, reason: str) -> dict[str, Any]:
    message = f"{service} is on the host's network and can read the metadata address: {reason}."
    return finding("metadata-host-network", message, service=service, key="network", value="host")


def in_slice(cgroups: str, method: str) -> bool:
    """Whether the text of /proc/<pid>/cgroup puts a process under the slice, in the hierarchy that counts."""
    for line in cgroups.splitlines():
        _number, controllers, path = [*line.split(":", 2), "", ""][:3]
        counts = controllers == "" if method == PATH else "net_cls" in controllers.split(",")
        if counts and path.startswith(f"/{_units.SLICE_PATH}/"):
            return True
    return False


def cgroup_parent(driver: str) -> str:
    """The parent for containers on the host's network, as the engine's cgroup driver wants it written."""
    return _units.SLICE if driver == "systemd" else "/" + _units.SLICE_PATH


# --- apply


def block(system: System, active: bool) -> None:
    # Never a restart: docker.service requires the unit and would be restarted with it.
    verb = "reload" if active else "start"
    result = system.run(["systemctl", verb, _units.BLOCK], timeout=60)
    if result.rc == 0:
        return
    journal = system.run(["journalctl", "-u", _units.BLOCK, "-n", "5", "--no-pager", "-o", "cat"], timeout=20)
    detail = " ".join((journal.out or result.err).split())
    raise FleetError("metadata-block-failed", f"{_units.BLOCK} failed: {detail}", value=detail)


def unblock(system: System) -> None:
    if system.exists(_units.BLOCK_SCRIPT):
        result = system.run([system.path(_units.BLOCK_SCRIPT), "remove"], timeout=60)
        if result.rc != 0:
            detail = " ".join(result.err.split())
            raise FleetError("metadata-block-failed", f"The rules of {_units.BLOCK} stay: {detail}", value=detail)
    system.run(["systemctl", "stop", _units.BLOCK], timeout=60)
    for path in (_units.BLOCK_SCRIPT, _units.BLOCK_UNIT, _units.SLICE_UNIT):
        _units.remove(system, path)
