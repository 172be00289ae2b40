# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a fleet into one document per node. Pure; what it needs to know comes through ``World``.

Private to the collection.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.ascend.fleet.plugins.module_utils import _bake, _placement, _soc
from ansible_collections.ascend.fleet.plugins.module_utils._document import SCHEMA
from ansible_collections.ascend.fleet.plugins.module_utils._findings import finding
from ansible_collections.ascend.fleet.plugins.plugin_utils import (
    _data,
    _host_settings,
    _images,
    _jobs,
    _merge,
    _models,
    _packages,
    _problems,
)
from ansible_collections.ascend.fleet.plugins.plugin_utils._entries import Checker, Entry, Files, expand
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds import table as kind_table
from ansible_collections.ascend.fleet.plugins.plugin_utils._kinds._base import Kind, Parts, Settings, target_flaws
from ansible_collections.ascend.fleet.plugins.plugin_utils._merge import RawEntry
from ansible_collections.ascend.fleet.plugins.plugin_utils._options import Flaw, suggestion
from ansible_collections.ascend.fleet.plugins.plugin_utils._ports import conflicts
from ansible_collections.ascend.fleet.plugins.plugin_utils._problems import Place, Problem

if TYPE_CHECKING:
    from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle import Bundle

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Folders every system has before it starts an engine.
SYSTEM_FOLDERS = ("/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/var/run")
SINGLE = "entries"


class Variables(NamedTuple):
    """The ``fleet_*`` variables of a host, and those that could not be read."""

    values: Mapping[str, Any]
    flaws: Sequence[Flaw] = ()


@dataclass(frozen=True)
class World:
    """What surrounds the compiler."""

    variables: Callable[[str], Variables]
    match: Callable[[str], list[str]]
    """Host pattern to hosts in the order of the inventory; ValueError when it is no pattern."""
    address: Callable[[str], str]
    scope: Callable[[], list[str]]
    """Every host of the fleet, also those a limit leaves out of the play."""
    folder: Callable[[str], str]
    """Where relative files of the controller are, for a host."""
    files: Files
    bundle: Callable[[str, bool, str | None], Bundle] | None = None
    """The bundle at a path of the controller, its signature verified; BundleError when it may not be used."""


@dataclass
class Compiled:
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


class Staged(NamedTuple):
    """Images that a role brings without any service, and the engine they are for."""

    images: Sequence[Any]
    engine: Mapping[str, Any] | None = None


class Service(NamedTuple):
    """One container of a host."""

    entry: Entry
    values: dict[str, Any]
    parts: Parts


def compile_fleet(
    hosts: Sequence[str],
    world: World,
    entries: Sequence[Any] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    staged: Staged | None = None,
) -> Compiled:
    """Documents for ``hosts``; none at all when anything is wrong anywhere.

    ``entries`` stands for the inventory's own when a role is used by itself.
    """
    return _Compiler(hosts, world, entries, kinds, staged).compile()


class _Compiler:
    def __init__(
        self,
        hosts: Sequence[str],
        world: World,
        entries: Sequence[Any] | None,
        kinds: Mapping[str, Kind] | None,
        staged: Staged | None,
    ) -> None:
        schema = _data.entry_schema()
        self.hosts = list(hosts)
        self.world = world
        self.single = entries
        self.staged = staged
        self.image_option = schema["common"]["image"]
        self.kinds = kind_table(schema) if kinds is None else kinds
        self.checker = Checker(schema, self.kinds, world.files)
        self.known = _host_settings.options()
        self.reserved = _data.reserved_names()
        self.problems: list[Problem] = []
        self.result = Compiled()
        self._variables: dict[str, Variables] = {}
        self._matches: dict[str, set[str] | None] = {}
        self._eligible: dict[tuple[str, str], list[str]] = {}
        self._scope: list[str] | None = None
        self._addresses: list[str] | None = None
        self._digests: dict[str, str | None] = {}
        self._bundles: dict[tuple[str, bool, str | None], Bundle] = {}

    def compile(self) -> Compiled:
        compiled = {host: self._host(host) for host in self.hosts}
        self._check_selection(compiled)
        self.result.errors = _problems.collect(self.problems)
        if not self.result.errors:
            for host, services in compiled.items():
                self._emit(host, services)
            self.result.errors = _problems.collect(self.problems)
            if self.result.errors:
                self.result.documents = {}
        return self.result

    # One host -----------------------------------------------------------------------------

    def _host(self, host: str) -> list[Service]:
        variables = self._read(host)
        self._complain(host, (Flaw(f.key, f.value, f.message, f.remedy) for f in variables.flaws))
        settings, flaws = _host_settings.check(self.known, variables.values, self.reserved)
        self._complain(host, flaws)
        if self.single is not None:
            # Who uses a role by itself has chosen already.
            settings["fleet_only"] = []
        elif self.staged is None and not self._is_looked_for(host, settings["fleet_hosts"]):
            remedy = "Give it with -e or in group_vars/all.yml, since it is read before the variables of any node."
            self._complain(host, [Flaw("fleet_hosts", settings["fleet_hosts"], "does not match this node", remedy)])
        self.result.settings[host] = settings
        self._check_files(host, settings)
        if settings["fleet_image_peer"]:
            holder = self._fleet()[0]
            self._complain(host, _images.add_peer(settings, holder, self.world.address(holder)))
        if self.staged:
            self._complain(host, self._given(host)[1])
        services: list[Service] = []
        for entry in self._entries(host):
            services += self._services(host, entry, settings)
        self._check_together(host, services, settings)
        return services

    def _is_looked_for(self, host: str, pattern: str) -> bool:
        """Whether the playbooks would find the node; one's own play may name any hosts by the default."""
        return pattern == _data.defaults()["fleet_hosts"] or host in (self._match(pattern) or ())

    def _read(self, host: str) -> Variables:
        if host not in self._variables:
            found = self.world.variables(host)
            # Role defaults stand below every value of the inventory.
            values = {**_data.defaults(), **_host_settings.gather(found.values)}
            self._variables[host] = Variables(values, found.flaws)
        return self._variables[host]

    def _complain(self, host: str, flaws: Iterable[Flaw], place: Place | None = None) -> None:
        for flaw in flaws:
            self.problems.append(Problem(host, place or Place(flaw.key), flaw))

    def _check_files(self, host: str, settings: dict[str, Any]) -> None:
        files = self.world.files
        for key, look, remedy in (
            ("fleet_ca_bundle", files.bundle_problem, "Name a file of the controller that holds certificates."),
            ("fleet_sdk_wheels", files.folder_problem, "Name a directory of the controller that holds the wheels."),
        ):
            if settings[key]:
                given, settings[key] = settings[key], self._absolute(host, settings[key])
                problem = look(settings[key])
                if problem:
                    self._complain(host, [Flaw(key, given, problem, remedy)])

        self._open_bundle(host, settings)
        self._complain(host, _images.check_registries(settings, files, lambda path: self._absolute(host, path)))

    def _open_bundle(self, host: str, settings: dict[str, Any]) -> None:
        given, key = settings["fleet_bundle"], settings["fleet_bundle_key"]
        if not given or self.world.bundle is None:
            settings["fleet_bundle"] = None
            return
        # Most fleets have none, and Ansible keeps no bytecode.
        from ansible_collections.ascend.fleet.plugins.plugin_utils._bundle import BundleError

        settings["fleet_bundle"] = self._absolute(host, given)
        place = (settings["fleet_bundle"], settings["fleet_bundle_signed"], key and self._absolute(host, key))
        try:
            if place not in self._bundles:
                self._bundles[place] = self.world.bundle(*place)
            settings["fleet_bundle"] = self._bundles[place]
        except BundleError as error:
            settings["fleet_bundle"] = None
            remedy = "Copy the whole bundle again; with fleet_bundle_signed: false one without signature is taken."
            self._complain(host, [Flaw("fleet_bundle", given, f"cannot be used: {error}", remedy)])

    def _absolute(self, host: str, path: str) -> str:
        return os.path.normpath(os.path.join(self.world.folder(host), os.path.expanduser(path)))

    # Entries ------------------------------------------------------------------------------

    def _raw(self, host: str) -> Iterator[RawEntry | tuple[Place, Flaw]]:
        if self.single is not None:
            return self._listed()
        return _merge.entries(self._read(host).values)

    def _listed(self) -> Iterator[RawEntry | tuple[Place, Flaw]]:
        """A role brings whatever its kind is."""
        for raw in _merge.listed(SINGLE, self.single, "service"):
            kind = self.kinds.get(str(raw.values.get("kind"))) if isinstance(raw, RawEntry) else None
            yield raw._replace(family=kind.family) if kind and isinstance(raw, RawEntry) else raw

    def _entries(self, host: str) -> list[Entry]:
        found: list[Entry] = []
        for raw in self._raw(host):
            if not isinstance(raw, RawEntry):
                self._complain(host, [raw[1]], raw[0])
                continue
            entry, flaws = self.checker.check(raw, self.world.folder(host))
            self._complain(host, flaws, raw.place)
            if entry and self._is_for(host, entry):
                found.append(entry)
        return found

    def _is_for(self, host: str, entry: Entry) -> bool:
        pattern, replicas = entry.values["nodes"], entry.values["replicas"]
        for index, wanted in enumerate(entry.values["reach"]):
            self._matching(host, entry, f"reach[{index}].nodes", wanted["nodes"])
        if pattern and host not in self._matching(host, entry, "nodes", pattern):
            return False
        if replicas is None or entry.values["state"] == "absent":
            return True
        eligible = self._eligible_hosts(host, entry)
        if replicas > len(eligible):
            hint = f"Lower it to {len(eligible)}, or give more nodes the entry."
            nodes = "1 node" if len(eligible) == 1 else f"{len(eligible)} nodes"
            flaw = Flaw("replicas", replicas, f"is more than the {nodes} that may run it", hint)
            self._complain(host, [flaw], entry.place)
            return False
        return host in eligible[:replicas]

    def _matching(self, host: str, entry: Entry, key: str, pattern: str) -> set[str]:
        matching = self._match(pattern)
        if not matching:
            what = "matches no host of the inventory" if matching is not None else "is no host pattern"
            remedy = "Write a group, a host or a pattern of these, as after hosts: in a play."
            self._complain(host, [Flaw(key, pattern, what, remedy)], entry.place)
        return matching or set()

    def _match(self, pattern: str) -> set[str] | None:
        if pattern not in self._matches:
            try:
                self._matches[pattern] = set(self.world.match(pattern))
            except ValueError:
                self._matches[pattern] = None
        return self._matches[pattern]

    def _eligible_hosts(self, host: str, entry: Entry) -> list[str]:
        """Hosts that see the entry and match it, whether a limit lets them into the play or not."""
        key = (entry.place.variable, entry.name)
        if key not in self._eligible:
            pattern = entry.values["nodes"]
            matching = self._match(pattern) if pattern else None
            self._eligible[key] = [
                other
                for other in self._fleet()
                if (matching is None or other in matching) and (other == host or self._sees(other, key))
            ]
        return self._eligible[key]

    def _sees(self, host: str, key: tuple[str, str]) -> bool:
        raws = (raw for raw in self._raw(host) if isinstance(raw, RawEntry))
        return any((raw.place.variable, raw.values.get("name")) == key for raw in raws)

    def _fleet(self) -> list[str]:
        if self._scope is None:
            scope = self.world.scope()
            self._scope = scope + [host for host in self.hosts if host not in set(scope)]
        return self._scope

    # Services -----------------------------------------------------------------------------

    def _services(self, host: str, entry: Entry, settings: Mapping[str, Any]) -> Iterator[Service]:
        ready = Settings(
            ready_timeout=settings["fleet_ready_timeout"],
            sha256=self.world.files.content,
            work_dir=settings["fleet_work_dir"],
        )
        for values in expand(entry.values):
            if entry.kind.family == _jobs.FAMILY:
                values["part"] = self._part(host, entry, values)
            values["model"] = _models.placed(values["model"], settings["fleet_work_dir"])
            parts = entry.kind.compile(values, ready)
            if values["state"] != "absent":
                self._complain(host, [*parts.flaws, *target_flaws(parts)], entry.place)
            yield Service(entry, values, parts)

    def _part(self, host: str, entry: Entry, values: Mapping[str, Any]) -> dict[str, int]:
        nodes = self._eligible_hosts(host, entry)[: values["replicas"]] if values["spread"] else []
        return _jobs.part(values, len(nodes), nodes.index(host) if host in nodes else 0)

    def _check_together(self, host: str, services: Sequence[Service], settings: Mapping[str, Any]) -> None:
        names: dict[str, Place] = {}
        for service in services:
            name, place = service.values["name"], service.entry.place
            if name in names:
                remedy = "Give each service of a node a name of its own."
                self._complain(host, [Flaw("name", name, f"is the name of {names[name]} too", remedy)], place)
            names.setdefault(name, place)
        kept = _kept(services)
        for service, other, port in conflicts(services):
            remedy = "Choose another port, or another address with bind."
            flaw = Flaw("port", port, f"is published by {other.values['name']} too", remedy)
            self._complain(host, [flaw], service.entry.place)
        self._check_images(host, kept)
        self._check_models(host, kept)
        self._check_packages(host, kept)
        self._check_cards(host, kept, settings["fleet_npus_expected"])

    def _check_images(self, host: str, services: Sequence[Service]) -> None:
        """A name stands for one image on a node: of two, each run would bring the one and then the other."""
        seen: dict[str, Service] = {}
        for service in services:
            image = service.values["image"]
            first = seen.setdefault(image["reference"], service)
            other = first.values["image"]["digest"]
            if image["digest"] != other:
                told = f"is not that of {first.values['name']}, which has {other or 'none'} for the same image"
                remedy = "Write the same digest in both entries, or give one of the images another tag."
                self._complain(host, [Flaw("image.digest", image["digest"], told, remedy)], service.entry.place)

    def _check_models(self, host: str, services: Sequence[Service]) -> None:
        places = {service.values["name"]: service.entry.place for service in services}
        for name, flaw in _models.conflicts(_models_of(services)):
            self._complain(host, [flaw], places[name])

    def _check_packages(self, host: str, services: Sequence[Service]) -> None:
        places = {service.values["name"]: service.entry.place for service in services}
        for name, flaw in _packages.conflicts(_packages_of(services)):
            self._complain(host, [flaw], places[name])

    def _check_cards(self, host: str, services: Sequence[Service], expected: int | None) -> None:
        owners: dict[int, str] = {}
        # Jobs share cards among themselves, one after the other, but with no service.
        for service in sorted(services, key=_is_job):
            cards = service.values["npus"]["cards"] or []
            for card in cards:
                flaw = None
                if expected is not None and card >= expected:
                    flaw = Flaw(
                        "npus",
                        cards,
                        f"names card {card}, but the node has {expected} (fleet_npus_expected)",
                        f"Use cards from 0 to {expected - 1}." if expected else "Set npus: 0.",
                    )
                elif card in owners:
                    remedy = "Give each card to one service, or write a number and let the collection choose."
                    flaw = Flaw("npus", cards, f"names card {card}, which {owners[card]} has too", remedy)
                if flaw:
                    self._complain(host, [flaw], service.entry.place)
                    break
                if not _is_job(service):
                    owners[card] = service.values["name"]

    def _check_selection(self, compiled: Mapping[str, Sequence[Service]]) -> None:
        if any(_merge.VARIABLE.match(problem.place.variable) and not problem.place.entry for problem in self.problems):
            # Entries that cannot be read have names that nobody knows.
            return
        known = {name for services in compiled.values() for service in services for name in _names(service)}
        for host in self.hosts:
            for name in self.result.settings[host]["fleet_only"]:
                # Entries with flaws are no services yet, but their names are known.
                if name not in known and not any(problem.place.entry == name for problem in self.problems):
                    flaw = Flaw("fleet_only", name, "is the name of no entry", suggestion(name, known))
                    self._complain(host, [flaw])

    # Documents ----------------------------------------------------------------------------

    def _emit(self, host: str, services: Sequence[Service]) -> None:
        settings = self.result.settings[host]
        predicted = self._predict(host, services, settings)
        only = set(settings["fleet_only"])
        chosen = [service for service in services if not only or only & set(_names(service))]
        for service in chosen:
            for check, key, message in service.parts.notes:
                self.result.findings.append(
                    {"host": host, **finding(check, message, service=service.values["name"], key=key)}
                )
        self.result.documents[host] = self._document(host, services, chosen, settings, predicted)

    def _predict(
        self, host: str, services: Sequence[Service], settings: Mapping[str, Any]
    ) -> dict[str, list[int] | None]:
        expected = settings["fleet_npus_expected"]
        predicted: dict[str, list[int] | None] = {s.values["name"]: s.values["npus"]["cards"] for s in services}
        problems: dict[str, str] = {}
        if expected is not None:
            rules = _placement.Rules(pairs=_soc.profile(settings["fleet_soc"]).pairs)
            placement = _jobs.place(
                expected, rules, [s for s in services if not _is_job(s)], [s for s in services if _is_job(s)]
            )
            predicted.update(placement.assignments)
            problems = {problem.service: problem.message for problem in placement.problems}
            self.result.findings += [{"host": host, **item} for item in _placement.findings_of(placement.problems)]
        for service in services:
            name = service.values["name"]
            if not service.values["npus"]["count"]:
                predicted[name] = []
            self.result.table.append(_row(host, service, predicted[name], problems.get(name)))
        return predicted

    def _document(
        self,
        host: str,
        known: Sequence[Service],
        services: Sequence[Service],
        settings: Mapping[str, Any],
        predicted: Mapping[str, list[int] | None],
    ) -> dict[str, Any]:
        """The document with ``services``, those chosen of all that are ``known``."""
        kept = _kept(services)
        bundle: Bundle | None = settings["fleet_bundle"] or None
        bakes = self._bakes(kept, settings, bundle)
        jobs = [service for service in services if _is_job(service)]
        needs = _host_settings.Needs(_use_cards(kept), _use_cards(_kept(known)), _waits(_kept(known)))
        of_host = _host_settings.host_part(settings, needs, self._ca_bundle(settings), self._no_proxy(settings))
        document = {
            "schema": SCHEMA,
            "node": host,
            "host": self._host_from_bundle(bundle, of_host, settings),
            "artefacts": self._from_bundle(host, bundle, self._artefacts(host, kept, settings), settings),
            "bakes": bakes,
            "services": [_service(s, predicted[s.values["name"]]) for s in services if not _is_job(s)],
            "jobs": [_jobs.document(job, settings["fleet_work_dir"]) for job in jobs],
            "cpu_jobs": settings["fleet_cpu_jobs"],
            "prune": settings["fleet_prune"] if self._is_whole(settings) else "ignore",
            "release": settings["fleet_release"],
            "reach": [pair for service in _first_instances(kept) for pair in self._reach(host, service)],
        }
        document = _bake.with_images(document, {bake["id"]: _bake.placeholder(bake["id"]) for bake in bakes})
        named = [_jobs.named(item, job.values) for item, job in zip(document["jobs"], jobs, strict=True)]
        return {**document, "jobs": named}

    def _is_whole(self, settings: Mapping[str, Any]) -> bool:
        """Whether the document has everything that the fleet keeps on the node."""
        return self.single is None and not settings["fleet_only"]

    def _artefacts(self, host: str, kept: Sequence[Service], settings: Mapping[str, Any]) -> dict[str, Any]:
        wanted = [(service.values["image"], service.values["name"]) for service in kept]
        if self.staged:
            wanted += [(image, None) for image in self._given(host)[0]]
        return {
            "images": _images.rows(wanted, settings),
            "image_store": _images.store(settings, self._is_whole(settings), self.staged and self.staged.engine),
            "registries": _images.registries(settings, self._digest),
            "models": _models_of(kept),
            "packages": _packages.documents(_packages_of(kept)),
        }

    def _from_bundle(
        self, host: str, bundle: Bundle | None, artefacts: dict[str, Any], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a node would fetch, out of the bundle; all that it lacks is told."""
        if bundle is None:
            return artefacts
        found = {
            **artefacts,
            "images": bundle.images(artefacts["images"], settings["fleet_bundle_arch"]),
            "models": bundle.models(artefacts["models"]),
        }
        remedy = "Make the bundle again from this inventory (playbook ascend.fleet.bundle)."
        for lacking in bundle.taken():
            self._complain(host, [Flaw("fleet_bundle", bundle.root, lacking, remedy)])
        return found

    @staticmethod
    def _host_from_bundle(bundle: Bundle | None, host: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        return bundle.host(host, settings["fleet_bundle_arch"], settings["fleet_bundle_os"]) if bundle else host

    def _given(self, host: str) -> tuple[list[dict[str, Any]], list[Flaw]]:
        images = self.staged.images if self.staged else []
        return _images.given(images, self.image_option, self.world.files, lambda path: self._absolute(host, path))

    def _digest(self, path: str) -> str:
        if path not in self._digests:
            self._digests[path] = self.world.files.digest(path)
        return str(self._digests[path])

    def _bakes(
        self, services: Iterable[Service], settings: Mapping[str, Any], bundle: Bundle | None
    ) -> list[dict[str, Any]]:
        """Images to be made on the way, each once however many services run from it."""
        found: dict[str, dict[str, Any]] = {}
        for service in services:
            bake, kind, values = service.parts.bake, service.entry.kind, service.values
            if bake is None:
                continue
            files = self.world.files.digest(bake.tasks) if bake.tasks else _data.install_digest(kind.role)
            base, npus = values["image"]["reference"], bool(values["npus"]["count"])
            inputs = dict(bake.inputs)
            if bundle:
                wanted = {"role": kind.role, "base": base, "inputs": inputs}
                inputs = bundle.bake(wanted, settings["fleet_bundle_arch"])
            row = {
                "id": _bake.identity(kind.name, base, inputs, files, npus),
                "kind": kind.name,
                "role": kind.role,
                "tasks": bake.tasks,
                "base": base,
                "inputs": inputs,
                "files_digest": files,
                "mounts": [dict(mount) for mount in bake.mounts],
                "manifests": list(bake.manifests),
                "npus": npus,
                "registry": settings["fleet_registry"],
                "services": [],
            }
            found.setdefault(row["id"], row)["services"].append(values["name"])
        return list(found.values())

    def _ca_bundle(self, settings: Mapping[str, Any]) -> dict[str, str] | None:
        path = settings["fleet_ca_bundle"]
        if not path:
            return None
        return {"source": path, "sha256": self._digest(path)}

    def _no_proxy(self, settings: Mapping[str, Any]) -> list[str]:
        """What is inside: the loopback, the registries, and the networks of the nodes.

        Networks and not nodes, since another value restarts engines and a node more is no reason for that.
        """
        proxy = settings["fleet_proxy"]
        if not (proxy.get("http") or proxy.get("https")) or proxy.get("no_proxy") is not None:
            return []
        addresses = [registry["address"] for registry in settings["fleet_registries"]]
        addresses += [settings["fleet_registry"].partition("/")[0]] if settings["fleet_registry"] else []
        registries = [address.partition(":")[0] for address in addresses]
        if self._addresses is None:
            self._addresses = sorted({_network(self.world.address(host)) for host in self._fleet()})
        return list(dict.fromkeys([*LOOPBACK, *registries, *self._addresses]))

    def _reach(self, host: str, service: Service) -> Iterator[dict[str, Any]]:
        for wanted in service.values["reach"]:
            matching = self._match(wanted["nodes"]) or set()
            for other in [name for name in self._fleet() if name in matching and name != host]:
                yield {
                    "from_service": service.entry.name,
                    "host": other,
                    "address": self.world.address(other),
                    "port": wanted["port"],
                }


def _is_job(service: Service) -> bool:
    return service.entry.kind.family == _jobs.FAMILY


def _network(address: str) -> str:
    """The network of an address, as large as one segment usually is; the domain of a name."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        _host, dot, domain = address.partition(".")
        return f"{dot}{domain}" or address
    return str(ipaddress.ip_network(f"{address}/{24 if parsed.version == 4 else 64}", strict=False))


def _kept(services: Iterable[Service]) -> list[Service]:
    return [service for service in services if service.values["state"] != "absent"]


def _use_cards(services: Iterable[Service]) -> bool:
    return any(service.values["npus"]["count"] for service in services)


def _names(service: Service) -> tuple[str, str]:
    return service.entry.name, service.values["name"]


def _first_instances(services: Iterable[Service]) -> Iterator[Service]:
    seen = set()
    for service in services:
        if service.entry.name not in seen:
            seen.add(service.entry.name)
            yield service


def _service(service: Service, predicted: list[int] | None) -> dict[str, Any]:
    values, parts = service.values, service.parts
    absent = values["state"] == "absent"
    return {
        "name": values["name"],
        "entry": service.entry.name,
        "kind": service.entry.kind.name,
        "state": values["state"],
        "npus": {**values["npus"], "profile": parts.profile},
        "predicted_cards": predicted,
        "on_change": values["on_change"],
        "container": parts.container,
        "checks": [] if absent else parts.checks,
        "probe": parts.probe,
        "answer": parts.answer,
    }


def _row(host: str, service: Service, cards: list[int] | None, problem: str | None) -> dict[str, Any]:
    values = service.values
    return {
        "node": host,
        "service": values["name"],
        "kind": service.entry.kind.name,
        "state": values["state"],
        "npus": values["npus"]["count"],
        "cards": cards,
        "image": service.parts.container["image"],
        "port": values["port"],
        "bind": values["bind"],
        "problem": problem,
    }


def _models_of(services: Iterable[Service]) -> list[dict[str, Any]]:
    return _models.documents(
        (service.values["name"], model)
        for service in services
        for model in filter(None, [service.values["model"], *service.parts.models])
    )


def _packages_of(services: Iterable[Service]) -> list[tuple[str, dict[str, Any]]]:
    return [(service.values["name"], package) for service in services for package in service.parts.packages]


def _waits(services: Iterable[Service]) -> list[str]:
    """What must be mounted before the engine starts; jobs are not started with it."""
    sources = {
        mount["source"]
        for service in services
        if not _is_job(service)
        for mount in service.parts.container["mounts"]
        if mount["type"] == "bind"
    }
    return sorted(path for path in sources if not path.startswith(tuple(f"{folder}/" for folder in SYSTEM_FOLDERS)))
