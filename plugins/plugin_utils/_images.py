# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and registries of the inventory as parts of the document. Private to the collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _catalogue, _options
from ansible_collections.ascend.fleet.plugins.plugin_utils._entries import Files, archive_flaws
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw

VARIABLE = "fleet_registries"
PEER = "image_peer"
ROLE_VARIABLE = "images"
DOCKER = "docker"
# Where Docker looks for the authority of a registry.
CERTIFICATES = "/etc/docker/certs.d/{host}/ca.crt"


def check_registries(settings: dict[str, Any], files: Files, absolute: Callable[[str], str]) -> Iterator[Flaw]:
    """Files of the controller under their whole paths, and what is wrong with them or between the keys."""
    addresses: set[str] = set()
    for index, row in enumerate(settings[VARIABLE]):
        where = f"{VARIABLE}[{index}]"
        if row["address"] in addresses:
            yield Flaw(f"{where}.address", row["address"], "is described twice", "Describe each registry once.")
        addresses.add(row["address"])
        if bool(row["username"]) != bool(row["password_file"]):
            lacking = "password_file" if row["username"] else "username"
            yield Flaw(f"{where}.{lacking}", None, "is missing", "Give username and password_file together.")
        if row["password_file"] and row["login_command"]:
            given = row["login_command"]
            yield Flaw(f"{where}.login_command", given, "is a second login", "Give a file or a command, not both.")
        for key, problem, remedy in (
            ("password_file", files.secret_problem, "Put the password into a file with mode 0600."),
            ("ca_file", files.bundle_problem, "Name a file of the controller that holds certificates."),
        ):
            if row[key]:
                given, row[key] = row[key], absolute(row[key])
                found = problem(row[key])
                if found:
                    yield Flaw(f"{where}.{key}", given, found, remedy)


def registries(settings: Mapping[str, Any], digest: Callable[[str], str]) -> list[dict[str, Any]]:
    return [
        {
            "address": row["address"],
            "insecure": row["insecure"],
            "mirror": row["mirror"],
            "login": _login(row),
            "ca": authorities
            and {
                "path": CERTIFICATES.format(host=row["address"]),
                "source": authorities,
                "sha256": digest(authorities),
            },
        }
        for row in settings[VARIABLE]
        for authorities in (_authorities(row, settings),)
    ]


def _authorities(row: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """An engine in use takes these over at once, and those of the system only when it starts again."""
    given = row["ca_file"] or (None if row["insecure"] else settings["fleet_ca_bundle"])
    return str(given) if given else None


def _login(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the login comes from; the login itself is in no document."""
    if row["login_command"]:
        return {"command": row["login_command"]}
    return {"username": row["username"], "password_file": row["password_file"]} if row["username"] else None


def add_peer(settings: dict[str, Any], holder: str, address: str) -> Iterator[Flaw]:
    """The registry on the first node is one that speaks HTTP, to every engine of the fleet."""
    if not settings["fleet_image_peer_image"]:
        remedy = "Name the image of a registry, such as one made from docker.io/library/registry:2."
        yield Flaw("fleet_image_peer_image", None, "is missing", remedy)
    where = f"{address}:{settings['fleet_image_peer_port']}"
    keys = ("mirror", "username", "password_file", "login_command", "ca_file")
    settings[VARIABLE] = [*settings[VARIABLE], {"address": where, "insecure": True, **dict.fromkeys(keys)}]
    settings[PEER] = {"host": holder, "address": address, "port": settings["fleet_image_peer_port"]}


def store(settings: Mapping[str, Any], whole: bool, engine: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``whole``: the document names all images that the fleet wants on the node, so that others may go."""
    return {
        "engine": DOCKER,
        "address": None,
        "namespace": None,
        "hosts_dir": None,
        "dragonfly": settings["fleet_dragonfly"],
        **{key: value for key, value in (engine or {}).items() if value is not None},
        "retries": settings["fleet_image_retries"],
        "prune": whole and settings["fleet_image_prune"],
        "peer": settings.get(PEER),
    }


def rows(wanted: Iterable[tuple[Mapping[str, Any], str | None]], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each image once, with all services that run from it."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for image, service in wanted:
        key = (image["reference"], image["digest"], image["archive"], image["archive_on"])
        row = found.setdefault(key, {**_row(image), "check": settings["fleet_image_check"], "services": []})
        row["services"] += [service] if service else []
    return list(found.values())


def _row(image: Mapping[str, Any]) -> dict[str, Any]:
    known = _catalogue.image(image["reference"])
    return {
        "reference": image["reference"],
        "digest": image["digest"],
        "archive": {"path": image["archive"], "on": image["archive_on"]} if image["archive"] else None,
        "needs": known
        and {"release": known.release, "family": known.family, "arch": known.arch, "driver": known.driver},
    }


def given(
    images: Sequence[Any], option: Mapping[str, Any], files: Files, absolute: Callable[[str], str]
) -> tuple[list[dict[str, Any]], list[Flaw]]:
    """Images that a role brings, checked as those of entries are."""
    listed = {"type": "list", "elements": {**option, "required": True}}
    typed, flaws = _options.parse(listed, list(images), ROLE_VARIABLE)
    if flaws:
        return [], flaws
    for index, image in enumerate(typed):
        flaws += archive_flaws(image, files, absolute, f"{ROLE_VARIABLE}[{index}].archive")
    return typed, flaws
