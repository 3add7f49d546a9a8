"""Hypothesis strategies that build valid worlds: cards, nodes, pods and what pods hold.

Valid means that a real cluster could look so: uuids are unique, requests are of families that exist, placements name
cards of their node. Most examples are small, because a small world that fails can be read. Invalid input has its own
strategies, named for what is wrong with it. No strategy takes a knob for how often something happens::

    @given(worlds(families=[MY_FAMILY]))
    def test_a_card_is_never_over_promised(world): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hami_core.family import Family
from hami_core.model import (
    ContainerKind,
    ContainerRequest,
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    Placement,
    PodRequest,
    ScoringWeights,
    Selector,
)
from hami_core.objects import NodeFacts

CARD_MEMORY_MIB = (46_068, 81_920, 24_576, 16_384, 128)
MODELS = ("A40", "A100-SXM4-80GB", "H100")
NODE_POLICIES = ("binpack", "spread")
DEVICE_POLICIES = (
    "binpack",
    "spread",
    "numa",
    "mutex",
    "topology-aware",
    "binpack,numa",
    "numa,spread",
    "mutex,binpack",
)


T = TypeVar("T")
_USUALLY = 7


@attrs.frozen(kw_only=True)
class Node:
    """A node and its cards."""

    facts: NodeFacts
    devices: tuple[Device, ...]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.facts.name


@attrs.frozen(kw_only=True)
class World:
    """A cluster and the pods that want to go there, in order of arrival."""

    nodes: tuple[Node, ...]
    pods: tuple[PodRequest, ...]


def mostly(usual: T, *seldom: T) -> SearchStrategy[T]:
    """The usual value, seldom another one."""
    return st.sampled_from([usual] * _USUALLY * len(seldom) + list(seldom))


# Strategies are made once: making them costs more than drawing from them, and a world draws hundreds of times.
_USUALLY_TRUE = st.sampled_from([True] * _USUALLY + [False])
_MEMORY_MIB = st.sampled_from(CARD_MEMORY_MIB)
_SLOTS = st.integers(1, 10)
_NUMA = st.integers(0, 1)
_MODEL = st.sampled_from(["", *(f"-{model}" for model in MODELS)])
_CARDS = st.sampled_from([2, 4, 1, 3, 0, 5])
_TIMES_CORES = mostly(1, 2, 0)
_ASKED_MIB = st.one_of(st.sampled_from([1000, 3000, 20_000, 46_068]), st.integers(0, 100_000))
_ASKED_PERCENT = st.integers(0, 100)
_ASKED_CORES = st.sampled_from([0, 10, 30, 60, 100])
_ASKED_COUNT = st.sampled_from([1, 1, 2, 3])
_KINDS = st.lists(mostly(ContainerKind.APP, ContainerKind.SIDECAR, ContainerKind.INIT), min_size=1, max_size=3)
_TYPES = st.lists(st.sampled_from(MODELS), max_size=2, unique=True)
_SOME = st.sampled_from(["all", "all", "one NUMA node", "types", "uuids"])
_NAMESPACE = st.sampled_from(["team-a", "team-b"])
_NODE_POLICY = st.sampled_from(NODE_POLICIES)
_DEVICE_POLICY = st.sampled_from(DEVICE_POLICIES)
_WEIGHTS = mostly(ScoringWeights(), ScoringWeights(slot=0, core=1, memory=3))
_YES_OR_NO = st.booleans()


@st.composite
def devices(draw: st.DrawFn, family: Family, *, uuid: str, index: int) -> Device:
    """One card of `family`."""
    return Device(
        uuid=uuid,
        family=family.name,
        model=family.name + draw(_MODEL),
        index=index,
        memory_mib=draw(_MEMORY_MIB),
        core_units=family.units.cores_per_card * draw(_TIMES_CORES),
        slots=draw(_SLOTS),
        numa=draw(_NUMA),
        healthy=draw(_USUALLY_TRUE),
        mode="hami-core",
    )


@st.composite
def nodes(draw: st.DrawFn, *, name: str, families: Sequence[Family]) -> Node:
    """A node of that name with cards of each family or of some, seldom with none."""
    cards = [
        draw(devices(family, uuid=f"{name}-{family.name}-{index}", index=index))
        for family in families
        for index in range(draw(_CARDS))
    ]
    cordoned = draw(st.sampled_from(cards)).uuid if cards and not draw(_USUALLY_TRUE) else ""
    annotations = {"hami.io/device-cordon": cordoned} if cordoned else {}
    return Node(facts=NodeFacts(name=name, annotations=annotations), devices=tuple(cards))


@st.composite
def device_requests(draw: st.DrawFn, family: Family) -> DeviceRequest:
    """What a container may ask of `family`: a size or a percentage, some cores, none or all."""
    as_size = draw(_YES_OR_NO)
    return DeviceRequest(
        family=family.name,
        count=draw(_ASKED_COUNT),
        memory_mib=draw(_ASKED_MIB) if as_size else None,
        memory_percent=None if as_size else draw(_ASKED_PERCENT),
        core_units=family.units.cores_per_card * draw(_ASKED_CORES) // 100,
    )


@st.composite
def container_requests(draw: st.DrawFn, *, families: Sequence[Family]) -> tuple[ContainerRequest, ...]:
    """The containers of a pod, init containers first; at least one asks for a card."""
    kinds = sorted(draw(_KINDS), key=_app_last)
    asking = draw(st.integers(0, len(kinds) - 1))
    containers = []
    for index, kind in enumerate(kinds):
        asks: tuple[DeviceRequest, ...] = ()
        if index == asking or draw(_YES_OR_NO):
            asks = (draw(device_requests(draw(st.sampled_from(families)))),)
        containers.append(ContainerRequest(name=f"c{index}", kind=kind, devices=asks))
    return tuple(containers)


def _app_last(kind: ContainerKind) -> bool:
    return kind is ContainerKind.APP


@st.composite
def selectors(draw: st.DrawFn, uuids: Sequence[str]) -> Selector:
    """Which cards a pod accepts; most accept all."""
    what = draw(_SOME)
    if what == "types":
        return Selector(allow_types=tuple(draw(_TYPES)), deny_types=tuple(draw(_TYPES)[:1]), numa_bind=draw(_YES_OR_NO))
    if what == "uuids" and uuids:
        some = st.lists(st.sampled_from(uuids), max_size=2, unique=True)
        return Selector(allow_uuids=tuple(draw(some)), deny_uuids=tuple(draw(some)))
    return Selector(numa_bind=what == "one NUMA node")


@st.composite
def pod_requests(
    draw: st.DrawFn, *, families: Sequence[Family], name: str = "pod", uuids: Iterable[str] = ()
) -> PodRequest:
    """A pod that asks for cards of `families`; its selectors may name cards out of `uuids`."""
    containers = draw(container_requests(families=families))
    asked = sorted({request.family for container in containers for request in container.devices})
    known = sorted(uuids)
    return PodRequest(
        namespace=draw(_NAMESPACE),
        name=name,
        containers=containers,
        node_policy=draw(_NODE_POLICY),
        device_policy=draw(_DEVICE_POLICY),
        weights=draw(_WEIGHTS),
        selectors={family: draw(selectors(known)) for family in asked},
    )


@st.composite
def worlds(draw: st.DrawFn, *, families: Sequence[Family]) -> World:
    """A few nodes and a few pods. Placing the pods one after another gives every reachable state of such a cluster."""
    count = draw(st.integers(1, 4))
    cluster = tuple(draw(nodes(name=f"node-{n}", families=families)) for n in range(count))
    uuids = [device.uuid for node in cluster for device in node.devices]
    arrivals = draw(st.integers(2, 7))
    pods = tuple(draw(pod_requests(families=families, name=f"pod-{n}", uuids=uuids)) for n in range(arrivals))
    return World(nodes=cluster, pods=pods)


@st.composite
def placements(draw: st.DrawFn, node: Node) -> Placement:
    """What a pod may hold on `node` by its annotations: shares no larger than the card, of cards that exist."""
    containers = []
    for index in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(node.devices), unique_by=lambda d: d.uuid, max_size=2))
        shares: dict[str, tuple[DeviceShare, ...]] = {}
        for device in chosen:
            memory_mib = draw(st.integers(0, device.memory_mib))
            core_units = draw(st.integers(0, min(100, device.core_units)))
            share = DeviceShare(uuid=device.uuid, memory_mib=memory_mib, core_units=core_units)
            shares[device.family] = (*shares.get(device.family, ()), share)
        kind = draw(st.sampled_from(ContainerKind))
        containers.append(ContainerShares(name=f"c{index}", kind=kind, shares=shares))
    containers.sort(key=lambda container: _app_last(container.kind))
    return Placement(node=node.name, containers=tuple(containers))


@st.composite
def placements_that_disagree(draw: st.DrawFn, node: Node, family: Family) -> Placement:
    """What wrong or late annotations may say: cards that `node` does not have, or more than there is of one."""
    uuid = draw(st.sampled_from(["nobody-knows-me", *(device.uuid for device in node.devices)]))
    share = DeviceShare(uuid=uuid, memory_mib=draw(st.integers(0, 2**31 - 1)), core_units=draw(st.integers(0, 1000)))
    return Placement(node=node.name, containers=(ContainerShares(name="c0", shares={family.name: (share,)}),))
