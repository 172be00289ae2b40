# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node and its document: observed and planned. Private to the collection."""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Sequence

from ansible_collections.ascend.fleet.plugins.module_utils import (
    _bake_records,
    _container_facts,
    _host,
    _host_engine,
    _node_checks,
    _node_files,
    _node_npus,
    _node_rollback,
    _node_secrets,
    _node_services,
    _node_status,
    _node_storage,
    _reach,
)
from ansible_collections.ascend.fleet.plugins.module_utils._container_engine import EngineDefaults, is_job, is_running
from ansible_collections.ascend.fleet.plugins.module_utils._container_facts import Neighbour, NodeFacts
from ansible_collections.ascend.fleet.plugins.module_utils._container_plan import plan_container
from ansible_collections.ascend.fleet.plugins.module_utils._engine_socket import EngineReader, EngineUnavailable
from ansible_collections.ascend.fleet.plugins.module_utils._findings import WARNING
from ansible_collections.ascend.fleet.plugins.module_utils._node_image_scope import NOTHING, ImageScope
from ansible_collections.ascend.fleet.plugins.module_utils._node_services import Placed, Work
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

if TYPE_CHECKING:
    from ansible_collections.ascend.fleet.plugins.module_utils._node_bakes import BakeScope
    from ansible_collections.ascend.fleet.plugins.module_utils._node_jobs import JobPlan

Json = Dict[str, Any]

ENGINE_MISSING = "the container engine is installed and started before"
ENGINE_STOPPED = "it cannot be seen while the container engine is stopped"


class NodePlan(NamedTuple):
    """What differs from the document, what stands against it, and what is there."""

    actions: list[Json]
    findings: list[Json]
    services: list[Json]
    placed: list[Placed]
    work: list[Work]
    node: Json
    jobs: JobPlan | None = None
    images: Sequence[Json] = ()
    bakes: Sequence[Json] = ()


class Node:
    def __init__(
        self,
        system: System,
        params: Json,
        npus: Future[Json | None] | None = None,
        reader: Callable[[str], EngineReader] = EngineReader,
    ) -> None:
        """``npus`` is a reading of the cards that is under way already."""
        self.system = system
        self._npus = npus
        self.removing = params["action"] == "remove"
        self.document: Json = _node_services.removed(params["document"]) if self.removing else params["document"]
        self.asked = {one["name"]: _node_rollback.wanted(one) for one in self.document["services"]}
        self.rolling_back = bool(params.get("rollback"))
        self.scope = set(params["scope"])
        self.interrupting = bool(params["interrupting"])
        self.observing = params["action"] == "observe"
        self.secrets: dict[str, str] = params["secrets"] or {}
        host = _with_login(self.document["host"], params.get("proxy"))
        self.host = dict(_host.removed(host) if self.removing else host, files=params["files"] or {})
        self.reader = reader(self.host["engine"]["socket"])
        self.staying: list[Json] = []
        if self.rolling_back:
            self.document, self.staying = _node_rollback.document(system, self.document, self.reader.image)
        artefacts: Json = self.document["artefacts"]
        self.images = ImageScope(
            system, artefacts, self.host, params.get("logins") or [], self.reader, params.get("peer")
        )
        self._params = params

    def plan(self) -> NodePlan:
        dead = _node_storage.findings(self.system, self.document)
        if dead:
            # Any look at what lies there would hang.
            return NodePlan([], dead, [], [], [], {"npu": None, "engine": None})
        pairs = self.document["reach"] if self.observing and "host" in self.scope else []
        with ThreadPoolExecutor(max_workers=4) as pool:
            # npu-smi, peers, programs of the host, engine and registries each take their time elsewhere.
            npus = self._npus or pool.submit(_node_npus.read, self.system, self.document, self.scope)
            reach = pool.submit(_reach.check, pairs)
            of_host = pool.submit(self._plan_host)
            containers, unavailable = self._containers()
            images = pool.submit(self.images.look, unavailable is None) if "images" in self.scope else None
            actions, findings, host = of_host.result()
            npu = npus.result()
            findings = findings + self.staying + reach.result() + self._against_npus(npu)
        node = {"npu": _node_npus.summary(npu), "engine": _engine(host)}
        coming = ENGINE_MISSING if unavailable and _brings_engine(actions) else None
        unseen = ENGINE_STOPPED if coming and (host.get("engine") or {}).get("installed") else None
        if self.removing and unavailable and not _host_engine.has_program(self.system):
            # Without an engine there is no container to remove.
            return NodePlan(actions, findings, [], [], [], node)
        if unavailable and coming is None:
            return NodePlan(actions, [*findings, unavailable.finding], [], [], [], node)
        about_images = NOTHING
        if images:
            about_images = self.images.plan(images.result(), npu, coming, unseen, self._ways_back)
        actions, findings = actions + about_images.actions, findings + about_images.findings
        unpacked, against = self._plan_packages(actions)
        actions, findings = actions + unpacked, findings + against
        actions = actions + self._plan_bakes(npu, coming, unseen)
        actions = actions + self._plan_models(actions)
        seen = self.document["services"] if self.scope & {"services", "images"} else []
        placed = [Placed(service, None, []) for service in seen]
        work: list[Work] = []
        if "services" in self.scope:
            placed, problems = self._place(npu, containers, host)
            work, against = self._plan_services(placed, containers, npu, host, actions, coming, unseen)
            actions = actions + [act for one in work for act in one.actions]
            findings = _node_checks.told_once(findings + problems + against)
        lines = [_status(one, containers) for one in placed]
        if unseen:
            lines = [dict(line, state="unknown") for line in lines]
        jobs = None
        if "jobs" in self.scope and self.document["jobs"]:
            leaving = {one.spec["name"] for one in work if one.state == "absent"}
            jobs = self._plan_jobs(npu, containers, actions, leaving, coming)
            actions = actions + jobs.actions
            if self.observing:
                # Where they are carried out, what stands against one job stops no other.
                findings = findings + jobs.findings
            lines += jobs.lines()
        bridged = {one["name"] for one in self.document["services"] if one["container"]["network"] != "host"}
        findings = findings + _host.firewall_findings(host, actions, bridged)
        findings = findings + _node_files.findings(self.system, actions)
        return NodePlan(actions, findings, lines, placed, work, node, jobs, about_images.lines, self.bake_lines())

    def _against_npus(self, npu: Json | None) -> list[Json]:
        found = _node_npus.findings(npu, self.document)
        # Whoever removes needs no card, and broken cards may be the very reason to remove what holds them.
        return [dict(item, severity=WARNING) for item in found] if self.removing else found

    def read_secret(self, identity: str) -> str:
        return _node_secrets.content(self.system, identity, self.secrets)

    def _plan_host(self) -> tuple[list[Json], list[Json], Json]:
        partial = self.document["prune"] == "ignore"
        if self.scope == {"mounts"}:
            return (*_host.plan_storage(self.host, _host.observe_storage(self.system, self.host), partial), {})
        on_host_network = [s["name"] for s in self.document["services"] if s["container"]["network"] == "host"]
        if "host" not in self.scope and not ("services" in self.scope and on_host_network):
            return [], [], {}
        observed = _host.observe(self.system, self.host, self.reader)
        if "host" not in self.scope:
            return [], [], observed
        actions, findings = _host.plan(self.host, observed, partial)
        findings = findings + _host.host_network_findings(observed, on_host_network)
        if not self.interrupting:
            actions = [act for act in actions if not act["interrupts"]]
        return actions, findings, observed

    def _containers(self) -> tuple[dict[str, Json], EngineUnavailable | None]:
        elsewhere = self.scope == {"images"} and not self.images.on_docker
        if elsewhere or not self.scope & {"services", "images", "bakes", "jobs"}:
            return {}, None
        try:
            return _container_facts.read_containers(self.reader), None
        except EngineUnavailable as error:
            return {}, error

    # What few documents have is loaded where one has it: a node reads the source of everything anew at each call.

    def _plan_packages(self, earlier: list[Json]) -> tuple[list[Json], list[Json]]:
        wanted = [] if self.removing or "packages" not in self.scope else self.document["artefacts"]["packages"]
        if not wanted:
            return [], []
        from ansible_collections.ascend.fleet.plugins.module_utils import _node_packages

        return _node_packages.plan(wanted, _node_storage.coming(earlier))

    def _plan_models(self, earlier: list[Json]) -> list[Json]:
        wanted = [] if self.removing or "models" not in self.scope else self.document["artefacts"]["models"]
        if not wanted:
            return []
        from ansible_collections.ascend.fleet.plugins.module_utils import _node_models

        return _node_models.plan(self.system, wanted, _node_storage.coming(earlier))

    @functools.cached_property
    def bakes(self) -> BakeScope:
        from ansible_collections.ascend.fleet.plugins.module_utils._node_bakes import BakeScope

        return BakeScope(self.system, self._wanted_bakes(), self.reader, self.images.reaching, self._params)

    def _wanted_bakes(self) -> list[Json]:
        return [] if self.removing else self.document["bakes"]

    def bake_lines(self) -> list[Json]:
        return self.bakes.lines() if self._wanted_bakes() else []

    def _plan_bakes(self, npu: Json | None, engine_coming: str | None, unseen: str | None) -> list[Json]:
        """Baked images get the names that they have on this node."""
        in_scope = "bakes" in self.scope
        if not self._wanted_bakes() and not (in_scope and _bake_records.records(self.system)):
            return []
        if not engine_coming:
            from ansible_collections.ascend.fleet.plugins.module_utils import _bake

            references = self.bakes.look((npu or {}).get("soc"), in_scope)
            self.document = _bake.with_images(self.document, references)
        if not in_scope:
            return []
        actions = self.bakes.plan(engine_coming, unseen)
        if not engine_coming and (self.document["artefacts"].get("image_store") or {}).get("prune"):
            actions = actions + self.bakes.removals(self._ways_back)
        return actions

    def _ways_back(self, changing: set[str]) -> set[str]:
        return _node_rollback.images(self.system, self.asked, changing)

    def _place(self, npu: Json | None, containers: dict[str, Json], host: Json) -> tuple[list[Placed], list[Json]]:
        neighbours = [
            _container_facts.neighbour(container)
            for container in containers.values()
            # A job that has ended holds no card any more.
            if is_running(container) or not is_job(container)
        ]
        parent = _host.cgroup_parent(host) if host else None
        return _node_services.place(self.document, npu, neighbours, self.system.exists, parent)

    def _plan_services(
        self,
        placed: list[Placed],
        containers: dict[str, Json],
        npu: Json | None,
        host: Json,
        earlier: list[Json],
        engine_coming: str | None,
        unseen: str | None,
    ) -> tuple[list[Work], list[Json]]:
        """Service by service; each finds what the ones before it leave."""
        work, findings = _node_services.orphans(self.document, containers)
        findings = findings + self._checks(placed, containers, npu, _node_storage.coming(earlier))
        if engine_coming:
            coming = [(one, _node_services.predicted(one, engine_coming, unseen)) for one in placed if one.spec]
            return [_work(one, actions) for one, actions in coming], findings
        staged = {act["target"] for act in earlier if act["scope"] in ("images", "bakes")}
        specs = [one.spec for one in placed if one.spec is not None]
        told = (host.get("engine") or {}).get("info")
        facts = _container_facts.observe(self.reader, self.system, specs, containers, told)
        facts = facts._replace(
            paths=dict(facts.paths, **self._paths_to_come(earlier)), defaults=self._defaults_to_come(facts.defaults)
        )
        leaving = [one.spec["name"] for one in work]
        for one in placed:
            if one.spec is None:
                continue
            name, state = one.service["name"], one.service["state"]
            secrets = [] if state == "absent" else _node_secrets.plan(self.system, one.service, self.secrets)
            actions, against = plan_container(
                one.spec,
                containers.get(name),
                facts.images.get(one.spec["image"]),
                facts,
                state=state,
                on_change=one.service["on_change"],
                release=self.document["release"],
                leaving=leaving,
                image_coming=one.spec["image"] in staged,
            )
            findings += against
            if state == "absent":
                leaving.append(name)
            work.append(
                _work(one, secrets + _node_services.with_restart(one.service, containers.get(name), secrets, actions))
            )
            facts = _node_services.with_neighbour(facts, one, actions)
        for one_work in work:
            if one_work.state == "absent":
                one_work.actions.extend(_node_secrets.leftovers(self.system, one_work.spec["name"]))
        return work, findings

    def _plan_jobs(
        self,
        npu: Json | None,
        containers: dict[str, Json],
        earlier: list[Json],
        leaving: set[str],
        engine_coming: str | None,
    ) -> JobPlan:
        from ansible_collections.ascend.fleet.plugins.module_utils import _node_jobs

        placed, _problems = self._place(npu, containers, {})

        def facts_of(specs: list[Json]) -> NodeFacts:
            facts = _container_facts.observe(self.reader, self.system, specs, containers)
            return facts._replace(paths=dict(facts.paths, **self._paths_to_come(earlier)))

        return _node_jobs.plan(
            self.system,
            self.document,
            npu,
            containers,
            [(one.service["name"], one.cards) for one in placed if one.service["state"] != "absent"],
            None if engine_coming else facts_of,
            {act["target"] for act in earlier if act["scope"] in ("images", "bakes")},
            leaving,
            _node_storage.coming(earlier),
            engine_coming,
        )

    def _checks(
        self, placed: list[Placed], containers: dict[str, Json], npu: Json | None, mounting: list[str]
    ) -> list[Json]:
        chips = _node_npus.by_card(npu)
        going = self._going(containers)
        freed = {card for other in going for card in other.cards}
        ports_to_come = any(containers[other.name]["HostConfig"].get("NetworkMode") == "host" for other in going)
        findings = []
        for one in placed:
            if one.service["state"] == "present":
                current = containers.get(one.service["name"])
                running = current is not None and is_running(current)
                service = _node_storage.without_unmounted(one.service, mounting)
                if ports_to_come:
                    service = _node_checks.without_ports(service)
                cards = [card for card in one.cards if card not in freed]
                findings += _node_checks.run(self.system, service, cards, chips, running)
        return findings

    def _going(self, containers: dict[str, Json]) -> list[Neighbour]:
        """Running containers that this run removes or stops before it starts another."""
        neighbours = [_container_facts.neighbour(container) for container in containers.values()]
        names = _node_services.leaving(self.document, neighbours) | set(self.document["release"])
        return [other for other in neighbours if other.running and other.name in names]

    def _defaults_to_come(self, defaults: EngineDefaults) -> EngineDefaults:
        """Log settings as the document has them: a hand-changed daemon.json is no reason to replace a container."""
        engine = self.host["engine"]
        if not engine["manage"]:
            return defaults
        daemon = engine["daemon"]
        return defaults._replace(
            log_driver=daemon.get("log-driver", defaults.log_driver),
            log_options={**(defaults.log_options or {}), **daemon.get("log-opts", {})},
        )

    def _paths_to_come(self, earlier: list[Json]) -> dict[str, str]:
        """Paths that are missing now and will be there when a container is made."""
        secrets = {_node_secrets.path_of(identity): _container_facts.FILE for identity in self.secrets}
        folders = {act["target"]: _container_facts.FOLDER for act in earlier if act["action"] == "create_directory"}
        mounting = _node_storage.coming(earlier)
        stored = [path for path, _service in _node_storage.paths(self.document) if _node_storage.lies(path, mounting)]
        return {**secrets, **folders, **dict.fromkeys(stored, _container_facts.FOLDER)}


def _with_login(host: Json, urls: Json | None) -> Json:
    engine = host["engine"]
    return dict(host, engine=dict(engine, proxy=dict(engine["proxy"], **urls))) if urls else host


def _work(one: Placed, actions: list[Json]) -> Work:
    return Work(one.spec or {}, one.service["state"], one.service["probe"], actions)


def _status(one: Placed, containers: dict[str, Json]) -> Json:
    return _node_status.status(one.service, containers.get(one.service["name"]), one.cards)


def _brings_engine(actions: list[Json]) -> bool:
    return any(act["scope"] == "host" and act["action"] in _host.ENGINE_COMES for act in actions)


def _engine(observed: Json) -> Json | None:
    engine = observed.get("engine")
    return engine and {key: engine.get(key) for key in ("installed", "active", "version", "backend")}
