#!/bin/sh
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
""":"
exec "${ASCEND_SIM_PYTHON:-/usr/bin/python3}" -SE "$0" "$@"

Test double of Huawei's ``hccn_tool``: it reads the same JSON state as the simulated ``npu-smi``.

One file, standard library only, Python 3.8 or later: copy it to a simulated server as
``/usr/local/Ascend/driver/tools/hccn_tool``, mode 0755. State: ``/etc/ascend-sim/state.json`` or
``$ASCEND_SIM_STATE``, key ``hccn`` (README.md beside this file).
A2 and A3 take ``-i N -<what> -g``; A5 takes ``-g -<what> -i N [-u UDIE -p PORT]``.
"""

from __future__ import annotations

import json
import os
import sys

STATE_FILE = "/etc/ascend-sim/state.json"

# What -<what> -g prints over the values of one device.
QUERIES = {
    "-ip": "ipaddr:{ip}\nnetmask:{netmask}\n",
    "-link": "link status: {link}\n",
    "-net_health": "net health status: {net_health}\n",
    "-tls": "dev_id:{id}, tls switch[{tls}](0:disable, 1:enable), "
    "tls preconfigured[{tls_preconfigured}](0:non-preset, 1:preset), "
    "tls alarm time threshold[60]days\n",
    "-gateway": "default gateway:{gateway}, Iface:eth{id}\n",
    "-netdetect": "netdetect address: {netdetect}\n",
    "-fec": "fec mode: {fec}\n",
}
PORT_QUERIES = {"-link": "link status: {link}\n", "-ip": "ipaddr:{ip}\nnetmask:{netmask}\n"}
ADDRESSES = ("-ip", "-gateway", "-netdetect")
PORT_COLUMNS = (
    ("UdieID", "udie", 6),
    ("PortID", "port", 6),
    ("Speed", "speed", 6),
    ("PortType", "type", 8),
    ("Link Status", "link", 11),
    ("Media Type", "media", 10),
)
OUT_OF_RANGE = "Device ID is out of the valid range.\nCmd execute failed!\n"
FAILED = "Cmd execute failed!\n"
NO_ADDRESS = "no ip was preset\n"
NO_ADDRESS_STATUS = 13
PACKETS = 3


def device_defaults(number: int) -> dict:
    """A device nobody configured otherwise: up, reachable, without TLS."""
    return {
        "id": number,
        "ip": f"192.168.100.{10 + number}",
        "netmask": "255.255.255.0",
        "gateway": "192.168.100.1",
        "netdetect": "192.168.100.1",
        "link": "UP",
        "net_health": "Success",
        "tls": 0,
        "tls_preconfigured": 1,
        "fec": "rs FEC mode",
        "unreachable": [],
        "ports": [
            {"udie": 0, "port": 4, "speed": 200, "type": "ETH", "link": "UP", "media": "Electrical"},
            {"udie": 1, "port": 8, "speed": 200, "type": "UB", "link": "UP", "media": "Optical"},
        ],
    }


def answer(state: dict, argv: list) -> tuple:
    """(stdout, exit status) for these arguments."""
    request = _request(argv, is_a5=state.get("family") == "A5")
    if request is None:
        return FAILED, 1
    if not 0 <= request["number"] < len(state["chips"]):
        return OUT_OF_RANGE, 1
    configured = (state.get("hccn") or {}).get(str(request["number"])) or {}
    device = dict(device_defaults(request["number"]), **configured)
    if "fault" in device:
        return device["fault"].get("text", ""), device["fault"].get("rc", 1)
    if request["what"] == "-ping":
        return _ping(device, request["rest"])
    if request["what"] == "-dev_info":
        return _ports(device), 0
    if request["rest"]:
        return _port(device, request["what"], request["rest"])
    return _plain(device, request["what"])


def _request(argv, is_a5):
    """{"number", "what", "rest"}, or None where the generation's order is not kept."""
    head, number, what = (
        (argv[:1] == ["-g"] and argv[2:3] == ["-i"], argv[3:4], argv[1:2])
        if is_a5
        else (argv[:1] == ["-i"] and argv[3:4] == ["-g"], argv[1:2], argv[2:3])
    )
    if not head or not number or not number[0].isdigit():
        return None
    known = ("-ping", "-dev_info") if is_a5 else ("-ping",)
    if what[0] not in QUERIES and what[0] not in known:
        return None
    return {"number": int(number[0]), "what": what[0], "rest": argv[4:]}


def _plain(device, what):
    key = what[1:]
    if what in ADDRESSES and device[key] is None:
        return NO_ADDRESS, NO_ADDRESS_STATUS
    return QUERIES[what].format(**device), 0


def _port(device, what, rest):
    """``-u UDIE -p PORT`` of the A5 narrows a query to one port."""
    if what not in PORT_QUERIES or rest[0::2] != ["-u", "-p"] or len(rest) != 4:
        return FAILED, 1
    for port in device["ports"]:
        if [str(port["udie"]), str(port["port"])] == rest[1::2]:
            return PORT_QUERIES[what].format(**dict(device, **port)), 0
    return OUT_OF_RANGE, 1


def _ports(device):
    rule = "+" + "+".join("-" * (width + 2) for _title, _key, width in PORT_COLUMNS) + "+\n"
    rows = [[title for title, _key, _width in PORT_COLUMNS]]
    rows += [[port[key] for _title, key, _width in PORT_COLUMNS] for port in device["ports"]]
    lines = []
    for row in rows:
        cells = [f" {value!s:<{column[2]}} " for column, value in zip(PORT_COLUMNS, row)]
        lines.append("|" + "|".join(cells) + "|\n")
    return rule + lines[0] + rule + "".join(lines[1:]) + rule


def _ping(device, rest):
    if len(rest) < 2 or rest[0] != "address":
        return FAILED, 1
    address = rest[1]
    lost = device["link"] != "UP" or address in device["unreachable"]
    lines = [f"device {device['id']} PING {address}"]
    for number in range(PACKETS):
        lines.append(
            f"recv time out seq={number}" if lost else f"recv seq={number},time={0.046 if number else 0.137:.6f}ms"
        )
    received = 0 if lost else PACKETS
    loss = 100.0 * (PACKETS - received) / PACKETS
    lines.append(f"{PACKETS} packets transmitted, {received} received, {loss:.2f}% packet loss")
    return "".join(line + "\n" for line in lines), 0


def main(argv: list) -> int:
    path = os.environ.get("ASCEND_SIM_STATE", STATE_FILE)
    try:
        with open(path, encoding="utf-8") as stream:
            state = json.load(stream)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulated hccn_tool: cannot read the state: {error}\n")
        return 2
    text, status = answer(state, argv)
    sys.stdout.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
