"""A pod's request, resolved once per decision: families, policies, quota room. Everything an attempt needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from hami_core.model import ContainerRequest, DeviceRequest, PodRequest, Selector
from hami_core.score.builtin import BINPACK_NODES, DEFAULT_NODE_POLICY
from hami_core.score.cards import CardOrder, card_order
from hami_core.score.policy import NodePolicy, PolicyKind

if TYPE_CHECKING:
    from hami_core.registry import LoadedFamily, Registry

MAX_CORE_REQUEST = 100
"""A container gets at most one card's worth of cores per card, whatever it writes."""

_NO_SELECTOR = Selector()


@attrs.frozen
class Room:
    """What a namespace quota still leaves this pod of one family; None where nothing is limited."""

    memory_mib: int | None = None
    core_units: int | None = None


@attrs.frozen(kw_only=True)
class Ask:
    """One container's request to one family, with all that bears on it."""

    loaded: LoadedFamily
    request: DeviceRequest
    selector: Selector
    order: CardOrder
    room: Room | None

    @property
    def core_units(self) -> int:
        """Cores wanted on each card."""
        return min(self.request.core_units, MAX_CORE_REQUEST)


@attrs.frozen(kw_only=True)
class Step:
    """One container: its place in the pod and its asks, sorted by family. No asks: it needs no card."""

    index: int
    container: ContainerRequest
    asks: tuple[Ask, ...]


@attrs.frozen(kw_only=True)
class Plan:
    """A pod, ready to be tried on nodes. `unknown` names a family nobody serves: then no node can fit."""

    pod: PodRequest
    steps: tuple[Step, ...]
    node_policy: NodePolicy
    families: tuple[LoadedFamily, ...]
    unknown: str | None = None

    @property
    def asks(self) -> tuple[Ask, ...]:
        """All asks, container by container."""
        return tuple(ask for step in self.steps for ask in step.asks)


def make_plan(pod: PodRequest, registry: Registry, rooms: Mapping[str, Room]) -> Plan:
    """Resolve `pod` against the registry. `rooms` is the quota left, by family, where there is one."""
    names = pod.families
    unknown = next((name for name in names if name not in registry.families), None)
    loaded = {name: registry.families[name] for name in names if name in registry.families}
    selectors = {name: pod.selectors.get(name, _NO_SELECTOR) for name in loaded}
    orders = {
        name: card_order(pod.device_policy, registry.policies, numa_bind=selectors[name].numa_bind) for name in loaded
    }
    steps = tuple(
        Step(
            index=index,
            container=container,
            asks=tuple(
                Ask(
                    loaded=loaded[request.family],
                    request=request,
                    selector=selectors[request.family],
                    order=orders[request.family],
                    room=rooms.get(request.family),
                )
                for request in sorted(container.devices, key=_family_of)
                if request.family in loaded
            ),
        )
        for index, container in enumerate(pod.containers)
    )
    policy = node_policy(pod, registry)
    return Plan(pod=pod, steps=steps, node_policy=policy, families=tuple(loaded.values()), unknown=unknown)


def node_policy(pod: PodRequest, registry: Registry) -> NodePolicy:
    """The policy that orders the nodes for `pod`: the one it names, else the default."""
    policy = registry.policies.get((PolicyKind.NODE, pod.node_policy))
    if not isinstance(policy, NodePolicy):
        policy = registry.policies.get((PolicyKind.NODE, DEFAULT_NODE_POLICY), BINPACK_NODES)
        assert isinstance(policy, NodePolicy)
    return policy


def _family_of(request: DeviceRequest) -> str:
    return request.family
