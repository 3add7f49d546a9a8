"""The fit engine: a fleet of nodes with cards, what pods hold of them, and where the next pod fits.

No I/O, no clock, no Kubernetes: times come from the caller. All methods may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from hami_core.errors import UnknownName
from hami_core.fit.attempt import attempt, broken_by
from hami_core.fit.choice import Choice, Reservation
from hami_core.fit.columns import BoolArray
from hami_core.fit.explain import bare, rejection
from hami_core.fit.memo import Memo, Scores
from hami_core.fit.plan import Plan, make_plan
from hami_core.fit.quota import Quotas
from hami_core.fit.search import best_node
from hami_core.fit.state import Holding, State, Stray, holding
from hami_core.fit.tally import Tallies, plain_ask
from hami_core.fit.walk import Refusal
from hami_core.model import Device, DeviceUse, Placement, PodRequest
from hami_core.objects import NodeFacts
from hami_core.verdict import Broken, Fits, Reason, Verdict

if TYPE_CHECKING:
    from hami_core.registry import Registry

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Fleet:
    """Nodes, cards, holdings and decisions.

    A fleet starts empty; hosts feed it what they see and ask it where a pod fits::

        fleet = Fleet()
        fleet.upsert_node(NodeFacts(name="node-a"), devices)
        choice = fleet.decide(pod)
        if choice.best:
            fleet.add_pod(pod.key, choice.best.placement, label=f"{pod.namespace}/{pod.name}")
    """

    def __init__(self, registry: Registry | None = None) -> None:
        """Start without nodes.

        Args:
            registry: the families and policies to serve; None loads the installed plugins with their defaults.
        """
        if registry is None:
            from hami_core.registry import load_registry  # noqa: PLC0415 - embedding with a registry needs no plugins

            registry = load_registry()
        self.registry = registry
        self._lock = threading.RLock()
        self._state = State()
        self._quotas = Quotas()
        self._reservations: dict[str, Reservation] = {}
        self._memo = Memo()
        self._scores = Scores()

    # ---- inventory -------------------------------------------------------------------------------------------------

    def upsert_node(self, node: NodeFacts, devices: Sequence[Device], *, broken: Mapping[str, str] = _NOTHING) -> None:
        """Add a node, or replace everything known of it.

        Args:
            node: the node, as vendors' rules may read it. Its cordon annotation is honoured for every family.
            devices: its cards, of all families. Cards that cannot be (a uuid twice) make their family broken here.
            broken: families of this node that could not be read, with the problem; their pods get `Broken`.
        """
        with self._lock:
            self._state.upsert_node(node, devices, broken)

    def remove_node(self, name: str) -> None:
        """Forget a node. What pods hold on it is kept, for when it comes back.

        Raises:
            UnknownName: there is no such node.
        """
        with self._lock:
            self._state.remove_node(name)

    # ---- holdings --------------------------------------------------------------------------------------------------

    def add_pod(self, key: str, placement: Placement, *, init_done: bool = False, label: str = "") -> None:
        """Count what a pod holds, in place of anything it held or had reserved before.

        Args:
            key: the pod's identity, as in `PodRequest.key`.
            placement: where it is. Unknown nodes and cards are kept and count once they appear; see `strays`.
            init_done: its init containers have ended and hold nothing any more.
            label: ``namespace/name``, for messages; the namespace's quota is charged. Defaults to `key`.

        Raises:
            BadQuantity: the placement takes more of a card than any card has; nothing is changed.
        """
        held = holding(key, placement, init_done=init_done, label=label)
        with self._lock:
            self._reservations.pop(key, None)
            self._put(held)

    def remove_pod(self, key: str) -> bool:
        """Give back what a pod holds or has reserved. False where there was nothing."""
        with self._lock:
            self._reservations.pop(key, None)
            return self._drop(key) is not None

    def set_quota(self, namespace: str, limits: Mapping[str, int]) -> None:
        """Set a namespace's limits by resource name (``nvidia.com/gpumem``), in the resource's own units.

        Several quotas of a namespace are combined by the caller; an empty mapping lifts the limits.
        """
        with self._lock:
            self._quotas.set_limits(namespace, limits)

    def _put(self, held: Holding) -> None:
        self._drop(held.key)
        self._state.add(held)
        self._quotas.charge(held, 1)

    def _drop(self, key: str) -> Holding | None:
        held = self._state.remove(key)
        if held is not None:
            self._quotas.charge(held, -1)
        return held

    # ---- decisions -------------------------------------------------------------------------------------------------

    def decide(self, pod: PodRequest, nodes: Sequence[str] | None = None) -> Choice:
        """Find the best node for `pod` among `nodes`, or among all. Changes nothing.

        What the pod itself holds or has reserved counts as free.

        Raises:
            PluginFault: the node policy that the pod names gives no usable scores.
        """
        with self._lock, self._aside(pod.key):
            plan = self._plan(pod)
            return self._choice(plan, self._best(plan, nodes), nodes)

    def reserve(
        self, pod: PodRequest, nodes: Sequence[str] | None = None, *, now_s: float, hold_s: float = 60.0
    ) -> tuple[Choice, Reservation | None]:
        """Decide and, in the same step, hold the chosen place, so that no other caller can get it.

        The reservation replaces what the pod held, also for good: only the caller knows whether it was placed and never
        started, and is decided anew, or runs, and must not be asked about. Where nothing fits, an earlier reservation
        of the pod ends and anything it was confirmed to hold stays.

        Args:
            pod: what to place.
            nodes: the candidates; None means all.
            now_s: the caller's clock, any monotonic one.
            hold_s: how long the place is kept without `confirm`.
        """
        with self._lock:
            choice = self.decide(pod, nodes)
            if choice.best is None:
                self.release(pod.key)
                return choice, None
            reservation = Reservation(key=pod.key, best=choice.best, deadline_s=now_s + hold_s)
            self._put(holding(pod.key, choice.best.placement, label=f"{pod.namespace}/{pod.name}"))
            self._reservations[pod.key] = reservation
            return choice, reservation

    def confirm(self, key: str) -> None:
        """Keep a reservation for good. Confirming what is confirmed already changes nothing.

        Raises:
            UnknownName: nothing is held under this key: it expired, or was never reserved.
        """
        with self._lock:
            if key not in self._state.holdings:
                raise UnknownName(kind="reservation", name=key)
            self._reservations.pop(key, None)

    def release(self, key: str) -> bool:
        """Give a reservation back. False where there is none, as for a pod that is confirmed already."""
        with self._lock:
            if self._reservations.pop(key, None) is None:
                return False
            self._drop(key)
            return True

    def expire(self, now_s: float) -> tuple[str, ...]:
        """Give back every reservation whose deadline has passed; returns their keys, sorted."""
        with self._lock:
            due = sorted(key for key, held in self._reservations.items() if held.deadline_s <= now_s)
            for key in due:
                self.release(key)
            return tuple(due)

    # ---- views -----------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the known nodes, sorted."""
        with self._lock:
            return self._state.nodes

    def uses(self, node: str) -> tuple[DeviceUse, ...]:
        """The node's cards and what is taken of them, sorted by family, index and uuid.

        Raises:
            UnknownName: there is no such node.
        """
        with self._lock:
            view = self._state.view(node)
            if view is None:
                raise UnknownName(kind="node", name=node)
            return tuple(use for family in sorted(view.cards) for use in view.cards[family])

    def stamp(self, node: str) -> int | None:
        """A number that grows whenever anything changes on the node; None where it is unknown or has no cards."""
        with self._lock:
            row = self._state.row(node)
            return None if row is None else int(self._state.totals.stamps[row])

    def quota(self, namespace: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """A namespace's limits, in the resources' own units, and what it uses, in MiB and core units; by resource."""
        with self._lock:
            return self._quotas.limits(namespace), self._quotas.used(namespace, self.registry)

    def holders(self, node: str, uuid: str) -> tuple[Holding, ...]:
        """What pods hold that have a share of this card, sorted by label."""
        with self._lock:
            return tuple(
                held
                for held in self._state.on_node(node)
                if any(card_uuid == uuid for (_family, card_uuid), _taken in held.taken)
            )

    def holding(self, key: str) -> Holding | None:
        """What one pod holds or has reserved, or None."""
        with self._lock:
            return self._state.holdings.get(key)

    def strays(self) -> tuple[Stray, ...]:
        """Shares of cards that no known node has, sorted: a node late in reporting, or annotations that are wrong."""
        with self._lock:
            return self._state.strays()

    def snapshot(self) -> Fleet:
        """An independent copy for a reader that wants one unchanging picture."""
        other = Fleet(self.registry)
        with self._lock:
            other._state = self._state.copy()
            other._quotas = self._quotas.copy()
            other._reservations = dict(self._reservations)
        return other

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _plan(self, pod: PodRequest) -> Plan:
        return make_plan(pod, self.registry, self._quotas.rooms(pod, self.registry))

    def _again(self, plan: Plan) -> Plan:
        """The plan with the quota as it stands now."""
        limited = any(ask.room is not None for ask in plan.asks)
        return self._plan(plan.pod) if limited or self._quotas.rooms(plan.pod, self.registry) else plan

    @contextmanager
    def _aside(self, key: str) -> Iterator[None]:
        """Put what the pod itself holds aside for a while."""
        held = self._drop(key)
        try:
            yield
        finally:
            if held is not None:
                self._put(held)

    def _best(self, plan: Plan, nodes: Sequence[str] | None) -> Fits | None:
        def judge(row: int) -> tuple[Fits, float] | None:
            verdict, added = self._judge(plan, self._state.name(row), details=False)
            return (verdict, added) if isinstance(verdict, Fits) else None

        known = self._memo.recall(plan, self._state)
        scores = self._scores.of(plan.node_policy, self._state)
        return best_node(plan, self._state, known, scores=scores, among=self._rows(nodes), judge=judge)

    def _rows(self, nodes: Sequence[str] | None) -> BoolArray | None:
        return None if nodes is None else self._state.rows_of(nodes)

    def _choice(self, plan: Plan, best: Fits | None, nodes: Sequence[str] | None) -> Choice:
        def candidates() -> tuple[str, ...]:
            return self.nodes if nodes is None else tuple(sorted(set(nodes)))

        tallies: Tallies | None = None

        def judge(node: str, details: bool) -> Verdict:  # noqa: FBT001 - positional, as `Choice` calls it
            nonlocal tallies
            with self._lock, self._aside(plan.pod.key):
                now = self._again(plan)
                ask = None if details else plain_ask(now)
                if ask is not None:
                    tallies = tallies or Tallies(now, ask, self._state)
                    known = tallies.of(node, self._state)
                    if known is not None:
                        return known
                return self._judge(now, node, details=details)[0]

        return Choice(pod=plan.pod, best=best, candidates=candidates, judge=judge)

    def _judge(self, plan: Plan, name: str, *, details: bool) -> tuple[Verdict, float]:
        """The exact verdict for one node, and what vendors added to its score."""
        view = self._state.view(name, [loaded.family.name for loaded in plan.families])
        row = self._state.row(name)
        if view is None or (row is None and not any(loaded.family.name in view.broken for loaded in plan.families)):
            return bare(Reason.UNREGISTERED), 0.0
        if plan.unknown is not None:
            return bare(Reason.TYPE_NOT_FOUND), 0.0
        placed = attempt(plan, view)
        if isinstance(placed, Refusal):
            container = plan.pod.containers[placed.index].name
            holdings = self._state.on_node(name) if details else None
            return rejection(placed, container, holdings), 0.0
        if isinstance(placed, Broken) or row is None:
            assert isinstance(placed, Broken)
            return placed, 0.0
        added = 0.0
        for loaded in plan.families:
            scorer = loaded.fit.node_scorer
            if scorer is None:
                continue
            uses = {use.device.uuid: use for use in view.cards[loaded.family.name]}
            try:
                added += scorer(placed, uses, plan.pod)
            except Exception as err:  # noqa: BLE001 - a vendor's code failed: this node cannot be judged
                return broken_by(err, loaded), 0.0
        base = self._scores.of(plan.node_policy, self._state)[row]
        return Fits(score=float(base + np.float32(added)), placement=placed), added
