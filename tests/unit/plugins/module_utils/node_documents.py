# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small documents and observations of a node with eight 910B3 cards, for tests of the node layer."""

from __future__ import annotations

from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import Neighbour


def service(name, npus=0, state="present", cards=None, **container):
    options = {
        "name": name,
        "image": "registry:5000/web:1",
        "ports": [],
        "network": "bridge",
        "secret_files": [],
        "cgroup_parent": None,
        "stop_timeout": 120,
        **container,
    }
    return {
        "name": name,
        "entry": name,
        "kind": "container",
        "state": state,
        "npus": {"count": len(cards) if cards else npus, "cards": cards, "profile": "plain"},
        "on_change": "recreate",
        "container": options,
        "checks": [],
        "probe": {"type": "none", "timeout": 60, "interval": 1},
        "answer": None,
    }


def document(*services, prune="report", release=()):
    return {
        "host": {"npus": {"dev": "/dev", "ascend_root": "/usr/local/Ascend", "needed": True, "expected": 8}},
        "bakes": [],
        "services": list(services),
        "prune": prune,
        "release": list(release),
        "reach": [],
        "jobs": [],
    }


def npus(count=8, unhealthy=()):
    return {
        "soc": "Ascend910B3",
        "npus": [
            {"npu_id": n, "chip_id": 0, "davinci_id": n, "health": "Alarm" if n in unhealthy else "OK"}
            for n in range(count)
        ],
        "processes": [],
    }


def neighbour(name, service=None, cards=(), running=True):
    return Neighbour(name, service, running, list(cards), [], 0, 0)


def container(name, service=None, running=True, cards=(), started="2026-01-01T00:00:00.5Z"):
    labels = {"io.ascend.fleet.schema": "1", "io.ascend.fleet.service": service} if service else {}
    return {
        "Name": "/" + name,
        "Image": "sha256:0",
        "Config": {"Labels": labels, "Env": []},
        "HostConfig": {"Devices": [{"PathOnHost": f"/dev/davinci{card}"} for card in cards]},
        "State": {"Running": running, "StartedAt": started},
    }
