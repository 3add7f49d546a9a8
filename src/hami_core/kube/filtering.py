"""Filter and prioritize: the extender's questions, answered from memory. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from hami_core.errors import AdmissionRefused, BadQuantity, BadWire
from hami_core.fit.plan import node_policy
from hami_core.inventory import read_inventory
from hami_core.kube.cache import Flight
from hami_core.kube.decisions import Decisions, new_decision
from hami_core.kube.explanations import Answer
from hami_core.kube.locks import busy_nodes
from hami_core.kube.records import decode_node, decode_object
from hami_core.kube.settings import NodeChoice, Settings
from hami_core.kube.verdicts import Verdicts
from hami_core.model import PodRequest
from hami_core.objects import PodFacts, read_pod
from hami_core.requests import pod_request
from hami_core.verdict import Fits, Rejected
from hami_core.wire.extender import FilterArgs, FilterResult, HostPriority, NodeItems

if TYPE_CHECKING:
    import msgspec

    from hami_core.fit import Fleet
    from hami_core.kube.cache import Cache

POD_GROUP = "scheduling.x-k8s.io/pod-group"
TOP_SCORE = 10


@attrs.frozen(kw_only=True)
class AskedPod:
    """A pod as the scheduler sent it, or as the API server has it now."""

    facts: PodFacts
    resource_version: str
    gang: bool

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> AskedPod:
        """Read a pod object. Raises BadWire."""
        facts = read_pod(raw)
        metadata = raw.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, Mapping) else None
        spec = raw.get("spec")
        group = spec.get("schedulingGroup") if isinstance(spec, Mapping) else None
        named = bool(group.get("podGroupName")) if isinstance(group, Mapping) else False
        return cls(
            facts=facts,
            resource_version=version if isinstance(version, str) else "",
            gang=named or bool(facts.labels.get(POD_GROUP)),
        )

    def request(self, cache: Cache, settings: Settings) -> PodRequest:
        """What it asks for. Raises AdmissionRefused, BadQuantity or BadWire."""
        return pod_request(
            self.facts, cache.registry, node_policy=settings.node_policy, device_policy=settings.device_policy
        )


class Filtering:
    """Answers filter and prioritize.

    Args:
        cache: the cluster.
        decisions: who hears of the outcome.
        settings: how the process was set up.
    """

    def __init__(self, cache: Cache, decisions: Decisions, settings: Settings) -> None:
        self._cache = cache
        self._decisions = decisions
        self._settings = settings
        self._verdicts = Verdicts(cache.fleet)

    async def filter(self, args: FilterArgs) -> FilterResult:
        """Name the node, or nodes, that can take the pod. Raises BadWire."""
        pod = AskedPod.of(decode_object(args.pod))
        names, nodes = _candidates(args)
        decision = new_decision()
        try:
            request = pod.request(self._cache, self._settings)
        except (AdmissionRefused, BadQuantity, BadWire) as err:
            facts = pod.facts
            asked = PodRequest(namespace=facts.namespace, name=facts.name, uid=facts.uid)
            self._decisions.unreadable(asked, decision, str(err))
            return FilterResult(unresolvable=dict.fromkeys(names, str(err)), **_answer((), nodes))
        if not request.families:
            return FilterResult(**_answer(names, nodes))
        busy = self._cache.flights.get(request.key)
        if busy is not None and busy.deadline_s is None:
            return FilterResult(error=f"{pod.facts.where} is being bound to node {busy.placement.node}")
        fleet = self._simulated(nodes)
        if fleet is not None:
            return await self._simulate(fleet, request, names, nodes)
        if self._settings.node_choice is NodeChoice.SCHEDULER:
            return await self._all_that_fit(request, decision, names, nodes)
        return await self._reserve(pod, request, decision, names, nodes)

    async def prioritize(self, args: FilterArgs) -> list[HostPriority]:
        """Score the candidates, 0 to 10. Raises BadWire."""
        pod = AskedPod.of(decode_object(args.pod))
        names, _nodes = _candidates(args)
        flat = [HostPriority(host=name, score=0) for name in names]
        try:
            request = pod.request(self._cache, self._settings)
        except (AdmissionRefused, BadQuantity, BadWire):
            return flat
        if not request.families:
            return flat
        held = self._cache.flights.get(request.key)
        if held is not None:
            return [HostPriority(host=name, score=TOP_SCORE * (name == held.placement.node)) for name in names]
        answers = await self._verdicts.of(self._cache.fleet.decide(request, names), names)
        sign = -1 if node_policy(request, self._cache.registry).take == "lowest" else 1
        scores = {n: sign * answer.verdict.score for n, answer in answers.items() if isinstance(answer.verdict, Fits)}
        low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
        spread = high - low
        return [
            HostPriority(host=name, score=_scaled(scores[name] - low, spread) if name in scores else 0)
            for name in names
        ]

    async def _reserve(
        self,
        pod: AskedPod,
        request: PodRequest,
        decision: str,
        names: Sequence[str],
        nodes: Mapping[str, msgspec.Raw] | None,
    ) -> FilterResult:
        began_s = time.perf_counter()
        cache, settings = self._cache, self._settings
        free = self._without_busy(request, names)
        choice, reservation = cache.fleet.reserve(request, free, now_s=cache.clock(), hold_s=settings.hold_s)
        if reservation is None and len(free) < len(names):
            choice, reservation = cache.fleet.reserve(request, names, now_s=cache.clock(), hold_s=settings.hold_s)
        if reservation is None:
            cache.land(request.key)
            answers = await self._verdicts.of(choice, names)
            self._decisions.rejected(request, decision, answers, time.perf_counter() - began_s)
            return _failed(answers, nodes)
        cache.flights[request.key] = Flight(
            request=request,
            decision=decision,
            placement=reservation.best.placement,
            resource_version=pod.resource_version,
            gang=pod.gang,
            deadline_s=reservation.deadline_s,
        )
        self._decisions.reserved(request, decision, reservation.best, time.perf_counter() - began_s)
        return FilterResult(**_answer((reservation.best.placement.node,), nodes))

    def _without_busy(self, request: PodRequest, names: Sequence[str]) -> Sequence[str]:
        """The candidates on which a bind need not wait for another pod's allocation."""
        if not self._cache.locks:
            return names
        busy = busy_nodes(
            self._cache.locks,
            request.namespace,
            request.name,
            now=datetime.now(UTC),
            timeout_s=self._settings.lock_timeout_s,
        )
        return [name for name in names if name not in busy] if busy else names

    async def _all_that_fit(
        self, request: PodRequest, decision: str, names: Sequence[str], nodes: Mapping[str, msgspec.Raw] | None
    ) -> FilterResult:
        began_s = time.perf_counter()
        answers = await self._verdicts.of(self._cache.fleet.decide(request, names), names)
        fitting = [name for name in names if isinstance(answers[name].verdict, Fits)]
        if not fitting:
            self._decisions.rejected(request, decision, answers, time.perf_counter() - began_s)
        rest = _failed({name: answer for name, answer in answers.items() if not isinstance(answer.verdict, Fits)}, None)
        return FilterResult(failed=rest.failed, unresolvable=rest.unresolvable, **_answer(fitting, nodes))

    def _simulated(self, nodes: Mapping[str, msgspec.Raw] | None) -> Fleet | None:
        """A copy of the fleet with nodes that the cluster does not have; None where it has them all."""
        strange = [raw for name, raw in (nodes or {}).items() if name not in self._cache.inventories]
        if not strange:
            return None
        fleet = self._cache.fleet.snapshot()
        for raw in strange:
            found = read_inventory(decode_node(raw), self._cache.registry)
            fleet.upsert_node(found.node, found.devices, broken=found.broken)
        return fleet

    async def _simulate(
        self, fleet: Fleet, request: PodRequest, names: Sequence[str], nodes: Mapping[str, msgspec.Raw] | None
    ) -> FilterResult:
        """An autoscaler asks about nodes that could be: an answer, no reservation, no event."""
        choice = fleet.decide(request, names)
        if choice.best is None:
            return _failed(await Verdicts(fleet).of(choice, names), nodes)
        return FilterResult(**_answer((choice.best.placement.node,), nodes))


def _candidates(args: FilterArgs) -> tuple[Sequence[str], Mapping[str, msgspec.Raw] | None]:
    """Names of the candidates, and their objects where they came as objects."""
    if args.node_names is not None:
        return args.node_names, None
    assert args.nodes is not None
    nodes = {decode_node(raw).name: raw for raw in args.nodes.items}
    return tuple(nodes), nodes


def _answer(names: Sequence[str], nodes: Mapping[str, msgspec.Raw] | None) -> dict[str, Any]:
    """The nodes in the form in which they came."""
    if nodes is None:
        return {"node_names": list(names)}
    return {"nodes": NodeItems(items=[nodes[name] for name in names])}


def _failed(answers: Mapping[str, Answer], nodes: Mapping[str, msgspec.Raw] | None) -> FilterResult:
    curable: dict[str, str] = {}
    hopeless: dict[str, str] = {}
    for name, answer in answers.items():
        helped = isinstance(answer.verdict, Rejected) and answer.verdict.curable
        (curable if helped else hopeless)[name] = answer.text
    return FilterResult(failed=curable, unresolvable=hopeless, **_answer((), nodes))


def _scaled(above: float, spread: float) -> int:
    return round(TOP_SCORE * above / spread) if spread > 0 else TOP_SCORE
