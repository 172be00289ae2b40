# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nodes of a cluster offer a job: which of them fit, and what a container could ask for. Pure; private."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_names as names
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_values import Compute, Values

# A node's own pods ask for some of it, so that a request of everything would never be scheduled.
REQUESTED_SHARE = Decimal("0.8")
REASONS = 3
_KEEPS_OUT = ("NoSchedule", "NoExecute")


@dataclass(frozen=True)
class Offer:
    """One node that the job's selector finds, and why it does not fit, if so."""

    name: str
    npus: Decimal
    cpu: Decimal
    memory: Decimal
    obstacle: str | None


def offers(nodes: Sequence[Mapping[str, Any]], values: Values) -> list[Offer]:
    return [_offer(node, values) for node in nodes if _selected(node, values)]


def _selected(node: Mapping[str, Any], values: Values) -> bool:
    labels = node["metadata"].get("labels") or {}
    wanted = {**values.dialect.node_selector, **values.node_selector}
    return all(labels.get(key) == value for key, value in wanted.items())


def _offer(node: Mapping[str, Any], values: Values) -> Offer:
    allocatable = node.get("status", {}).get("allocatable") or {}
    has = {key: names.quantity(allocatable.get(key, "0")) or Decimal(0) for key in allocatable}
    npus, cpu, memory = (has.get(key, Decimal(0)) for key in (values.dialect.npu_resource, "cpu", "memory"))
    obstacle = _closed(node, values.tolerations)
    wanted = (("NPUs", npus, values.npus), ("cpu", cpu, values.main.requests.cpu),
              ("memory", memory, values.main.requests.memory))  # fmt: skip
    for what, there, asked in wanted:
        if obstacle is None and asked is not None and there < (names.quantity(asked) or 0):
            obstacle = f"too little {what}" if what != "NPUs" else f"{there} NPUs"
    return Offer(node["metadata"]["name"], npus, cpu, memory, obstacle)


def _closed(node: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> str | None:
    if node.get("spec", {}).get("unschedulable"):
        return "cordoned"
    conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions") or ()}
    if conditions.get("Ready", "True") != "True":
        return "not ready"
    for taint in node.get("spec", {}).get("taints") or ():
        if taint.get("effect") in _KEEPS_OUT and not any(_tolerates(item, taint) for item in tolerations):
            return f"taint {taint['key']}"
    return None


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def check(found: Sequence[Offer], values: Values) -> Iterator[Problem]:
    """The job starts only when every one of its nodes is there."""
    fitting = [offer for offer in found if offer.obstacle is None]
    if len(fitting) >= values.nodes:
        return
    reasons = [f"{offer.name}: {offer.obstacle}" for offer in found if offer.obstacle]
    why = f" ({'; '.join(reasons[:REASONS])}{'; ...' if len(reasons) > REASONS else ''})" if reasons else ""
    message = f"{values.nodes} are asked for and {len(fitting)} fit{why}."
    yield Problem("nodes-few", "volcano_job_nodes", message, values.nodes)


def propose(found: Sequence[Offer], values: Values) -> tuple[Compute, Compute]:
    """Requests and limits that fit the smallest node: its cpu and memory in proportion to the NPUs of the job.

    What the job says of itself is never contradicted: limits hold its requests and its shared memory, if the node does.
    """
    usable = [o for o in found if o.obstacle is None and o.npus >= values.npus and o.cpu > 0 and o.memory > 0]
    if not usable:
        return Compute(), Compute()
    cpu = min(offer.cpu * values.npus / offer.npus for offer in usable)
    memory = min(offer.memory * values.npus / offer.npus for offer in usable)
    most_cpu, most_memory = min(offer.cpu for offer in usable), min(offer.memory for offer in usable)
    asked = [template.requests for template in (values.main, values.work)]
    allowed = [template.limits for template in (values.main, values.work)]
    limits = Compute(
        cpu=_raised(names.cpu_text, cpu, most_cpu, [one.cpu for one in asked]),
        memory=_raised(names.memory_text, memory, most_memory, [values.shm_size, *(one.memory for one in asked)]),
    )
    requests = Compute(
        cpu=_lowered(names.cpu_text(cpu * REQUESTED_SHARE), [one.cpu for one in allowed]),
        memory=_lowered(names.memory_text(memory * REQUESTED_SHARE), [one.memory for one in allowed]),
    )
    return requests, limits


def _raised(
    text: Callable[[Decimal], str], share: Decimal, most: Decimal, needs: Iterable[int | str | None]
) -> int | str:
    raised = max([text(share), *_given(needs)], key=_amount)
    return raised if _amount(raised) <= most else text(most)


def _lowered(proposed: str, limits: Iterable[int | str | None]) -> int | str:
    return min([proposed, *_given(limits)], key=_amount)


def _given(amounts: Iterable[int | str | None]) -> list[int | str]:
    return [amount for amount in amounts if amount is not None]


def _amount(value: int | str) -> Decimal:
    return names.quantity(value) or Decimal(0)
