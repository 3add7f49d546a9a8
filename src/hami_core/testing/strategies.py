"""Hypothesis strategies that build valid worlds: cards, nodes, pods and what pods hold.

Valid means that a real cluster could look so: uuids are unique, requests are of families that exist, placements name
cards of their node. Most examples are small, because a small world that fails can be read. Invalid input has its own
strategies, named for what is wrong with it. No strategy takes a knob for how often something happens::

    @given(worlds(families=[MY_FAMILY]))
    def test_a_card_is_never_over_promised(world): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

CARD_MEMORY_MIB = (1, 128, 16_384, 24_576, 46_068, 81_920)
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


def devices(family: Family, *, uuid: str, index: int) -> SearchStrategy[Device]:
    """One card of `family`."""
    return st.builds(
        Device,
        uuid=st.just(uuid),
        family=st.just(family.name),
        model=st.sampled_from([family.name, *(f"{family.name}-{model}" for model in MODELS)]),
        index=st.just(index),
        memory_mib=st.sampled_from(CARD_MEMORY_MIB),
        core_units=st.sampled_from([family.units.cores_per_card, family.units.cores_per_card * 2, 0]),
        slots=st.integers(1, 10),
        numa=st.integers(0, 1),
        healthy=st.sampled_from([True, True, True, False]),
        mode=st.just("hami-core"),
    )


@st.composite
def nodes(draw: st.DrawFn, *, name: str, families: Sequence[Family]) -> Node:
    """A node of that name, with no cards, or a few of one family or more."""
    cards: list[Device] = []
    for family in draw(st.lists(st.sampled_from(families), unique_by=lambda family: family.name, max_size=2)):
        count = draw(st.integers(1, 5))
        cards += [draw(devices(family, uuid=f"{name}-{family.name}-{n}", index=n)) for n in range(count)]
    cordoned = draw(st.sets(st.sampled_from([card.uuid for card in cards]), max_size=1)) if cards else set()
    annotations = {"hami.io/device-cordon": ",".join(sorted(cordoned))} if cordoned else {}
    return Node(facts=NodeFacts(name=name, annotations=annotations), devices=tuple(cards))


def device_requests(family: Family) -> SearchStrategy[DeviceRequest]:
    """What a container may ask of `family`: a size or a percentage, some cores, none or all."""
    cores = st.sampled_from([0, 0, 10, 30, 60, family.units.cores_per_card])
    sizes = st.one_of(st.sampled_from([1, 1000, 3000, 20_000, 46_068]), st.integers(0, 100_000))
    count = st.integers(1, 3)
    name = st.just(family.name)
    return st.one_of(
        st.builds(DeviceRequest, family=name, count=count, memory_mib=sizes, core_units=cores),
        st.builds(DeviceRequest, family=name, count=count, memory_percent=st.integers(0, 100), core_units=cores),
    )


@st.composite
def container_requests(draw: st.DrawFn, *, families: Sequence[Family]) -> tuple[ContainerRequest, ...]:
    """The containers of a pod, init containers first; at least one asks for a card."""
    kinds = sorted(draw(st.lists(st.sampled_from(ContainerKind), min_size=1, max_size=4)), key=_app_last)
    asking = draw(st.integers(0, len(kinds) - 1))
    containers = []
    for index, kind in enumerate(kinds):
        least = 1 if index == asking else 0
        wanted = draw(
            st.lists(st.sampled_from(families), unique_by=lambda f: f.name, min_size=least, max_size=max(1, least))
        )
        asks = tuple(draw(device_requests(family)) for family in wanted)
        containers.append(ContainerRequest(name=f"c{index}", kind=kind, devices=asks))
    return tuple(containers)


def _app_last(kind: ContainerKind) -> bool:
    return kind is ContainerKind.APP


def selectors(uuids: Sequence[str]) -> SearchStrategy[Selector]:
    """Which cards a pod accepts; most accept all."""
    some = st.lists(st.sampled_from(uuids), max_size=2, unique=True).map(tuple) if uuids else st.just(())
    narrowed = st.builds(
        Selector,
        allow_types=st.lists(st.sampled_from(MODELS), max_size=2, unique=True).map(tuple),
        deny_types=st.lists(st.sampled_from(MODELS), max_size=1).map(tuple),
        allow_uuids=some,
        deny_uuids=some,
        numa_bind=st.booleans(),
    )
    return st.one_of(st.just(Selector()), st.builds(Selector, numa_bind=st.booleans()), narrowed)


@st.composite
def pod_requests(
    draw: st.DrawFn, *, families: Sequence[Family], name: str = "pod", uuids: Iterable[str] = ()
) -> PodRequest:
    """A pod that asks for cards of `families`; its selectors may name cards out of `uuids`."""
    containers = draw(container_requests(families=families))
    asked = sorted({request.family for container in containers for request in container.devices})
    known = sorted(uuids)
    return PodRequest(
        namespace=draw(st.sampled_from(["team-a", "team-b"])),
        name=name,
        containers=containers,
        node_policy=draw(st.sampled_from(NODE_POLICIES)),
        device_policy=draw(st.sampled_from(DEVICE_POLICIES)),
        weights=draw(st.one_of(st.just(ScoringWeights()), st.just(ScoringWeights(slot=0, core=1, memory=3)))),
        selectors={family: draw(selectors(known)) for family in asked},
    )


@st.composite
def worlds(draw: st.DrawFn, *, families: Sequence[Family]) -> World:
    """A few nodes and a few pods. Placing the pods one after another gives every reachable state of such a cluster."""
    count = draw(st.integers(1, 4))
    cluster = tuple(draw(nodes(name=f"node-{n}", families=families)) for n in range(count))
    uuids = [device.uuid for node in cluster for device in node.devices]
    arrivals = draw(st.integers(1, 6))
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
