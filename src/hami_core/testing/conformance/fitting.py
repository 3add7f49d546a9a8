"""Checks of how pods fit, in many small worlds made of the plugin's own cards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import TypeVar

import attrs
from hypothesis import strategies as st

from hami_core.fit import Choice, Fleet
from hami_core.model import (
    ContainerKind,
    ContainerRequest,
    Device,
    DeviceRequest,
    DeviceShare,
    Partition,
    Placement,
    PodRequest,
)
from hami_core.objects import NodeFacts
from hami_core.registry import LoadedFamily
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.subject import Subject, pod_item
from hami_core.testing.conformance.trying import try_all
from hami_core.testing.strategies import Node, World, pod_requests
from hami_core.verdict import Broken, Fits, Reason, Rejected

_MIB_MORE = 16_384

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Case:
    """A world of one family's cards, and an order to do things in."""

    loaded: LoadedFamily
    world: World
    random: Random

    def __str__(self) -> str:
        cards = sum(len(node.devices) for node in self.world.nodes)
        return f"{len(self.world.nodes)} nodes with {cards} {self.loaded.family.name} cards"


def cases(subject: Subject) -> st.SearchStrategy[Case]:
    """Worlds of the plugin's cards: up to three nodes with some of the machine's cards each, and a few pods."""
    cards = {loaded.family.name: subject.cards(loaded) for loaded in subject.families}

    @st.composite
    def draw_case(draw: st.DrawFn) -> Case:
        loaded = draw(st.sampled_from(subject.families))
        count = draw(st.integers(1, 3))
        nodes = tuple(draw(_nodes(f"node-{n}", cards[loaded.family.name], first=n == 0)) for n in range(count))
        uuids = [card.uuid for node in nodes for card in node.devices]
        pods = tuple(
            draw(pod_requests(families=[loaded.family], name=f"pod-{n}", uuids=uuids))
            for n in range(draw(st.integers(1, 5)))
        )
        return Case(loaded=loaded, world=World(nodes=nodes, pods=pods), random=draw(_RANDOMS))

    return draw_case()


_RANDOMS = st.randoms(use_true_random=False)


@st.composite
def _nodes(draw: st.DrawFn, name: str, cards: Sequence[Device], *, first: bool) -> Node:
    chosen = draw(st.lists(st.sampled_from(cards), unique_by=lambda card: card.uuid, max_size=8))
    health = st.sampled_from([True, True, True, False])
    devices = [
        attrs.evolve(card, uuid=card.uuid if first else f"{name}-{card.uuid}", healthy=draw(health)) for card in chosen
    ]
    return Node(facts=NodeFacts(name=name), devices=tuple(devices))


def build(subject: Subject, nodes: Sequence[Node]) -> Fleet:
    """A fleet of these nodes."""
    fleet = Fleet(subject.registry)
    for node in nodes:
        fleet.upsert_node(node.facts, node.devices)
    return fleet


def fill(fleet: Fleet, pods: Sequence[PodRequest]) -> list[Choice]:
    """Place pods one after another, as far as they fit."""
    choices = []
    for pod in pods:
        choice = fleet.decide(pod)
        choices.append(choice)
        if choice.best:
            fleet.add_pod(pod.key, choice.best.placement)
    return choices


def placed(choices: Sequence[Choice]) -> list[tuple[PodRequest, Placement]]:
    """The pods that found a place, with it."""
    return [(choice.pod, choice.best.placement) for choice in choices if choice.best]


@check("fit")
def no_card_is_promised_twice(subject: Subject) -> None:
    """The one thing a scheduler must never do."""

    def rule(case: Case) -> None:
        done = placed(fill(build(subject, case.world.nodes), case.world.pods))
        for node in case.world.nodes:
            here = [placement for _, placement in done if placement.node == node.name]
            for device in node.devices:
                _not_overbooked(case, device, [_busiest(placement, device.uuid) for placement in here])

    try_all(cases(subject), rule)


@attrs.frozen(kw_only=True)
class _Booked:
    slots: int = 0
    memory_mib: int = 0
    core_units: int = 0
    partitions: tuple[Partition, ...] = ()


def _busiest(placement: Placement, uuid: str) -> _Booked:
    """What a pod needs of a card at its busiest, counted by living through its containers one by one."""
    staying: list[DeviceShare] = []
    moments: list[list[DeviceShare]] = []
    for container in placement.containers:
        own = [share for shares in container.shares.values() for share in shares if share.uuid == uuid]
        moments.append(staying + own)
        if container.kind is not ContainerKind.INIT:
            staying = staying + own
    return _Booked(
        slots=max((len(now) for now in moments), default=0),
        memory_mib=max((sum(share.memory_mib for share in now) for now in moments), default=0),
        core_units=max((sum(share.core_units for share in now) for now in moments), default=0),
        partitions=tuple(share.partition for share in staying if share.partition is not None),
    )


def _not_overbooked(case: Case, device: Device, booked: Sequence[_Booked]) -> None:
    advice = "Look at the chooser and the partitioner: they may pick only what they were offered, each card once."
    limits = {"slots": device.slots, "memory_mib": device.memory_mib}
    if case.loaded.fit.effective_cores is None:
        limits["core_units"] = device.core_units
    for name, limit in limits.items():
        total = sum(getattr(pod, name) for pod in booked)
        require(total <= limit, f"{case}: {device.uuid} gives {total} {name} of {limit}", advice)
    require(device.healthy or not any(pod.slots for pod in booked), f"unhealthy {device.uuid} is given away", advice)
    partitions = [partition for pod in booked for partition in pod.partitions]
    for one, other in combinations(partitions, 2):
        apart = not one.placement.overlaps(other.placement)
        require(apart, f"{device.uuid} holds {one} and {other} at once", "Pass over the partitions in `use`.")


@check("fit")
def a_container_gets_what_it_asked_for(subject: Subject) -> None:
    """As many cards as asked for, each another one, each with the memory and the cores."""

    def rule(case: Case) -> None:
        devices = {card.uuid: card for node in case.world.nodes for card in node.devices}
        for pod, placement in placed(fill(build(subject, case.world.nodes), case.world.pods)):
            for asked, given in zip(pod.containers, placement.containers, strict=True):
                for request in asked.devices:
                    _complete(request, given.shares.get(request.family, ()), devices)

    try_all(cases(subject), rule)


def _complete(request: DeviceRequest, shares: Sequence[DeviceShare], devices: dict[str, Device]) -> None:
    found = f"{request} is given {[(share.uuid, share.memory_mib, share.core_units) for share in shares]}"
    require(len(shares) == request.count, found, "A chooser returns exactly `request.count` candidates, or None.")
    whole = [share.uuid for share in shares if share.partition is None]
    require(len(set(whole)) == len(whole), found, "Choose each card once.")
    for share in shares:
        enough = share.memory_mib >= request.memory_on(devices[share.uuid].memory_mib)
        require(enough, found, "Give at least the memory that was asked for.")


@check("fit")
def no_code_of_the_plugin_fails(subject: Subject) -> None:
    """An exception in a rule or chooser makes the node useless for every pod."""

    def rule(case: Case) -> None:
        fleet = build(subject, case.world.nodes)
        for choice in fill(fleet, case.world.pods):
            for node, verdict in choice.verdicts().items():
                found = f"{case}: {node} cannot be judged: {verdict}"
                require(not isinstance(verdict, Broken), found, "Find the exception with HAMI_TRACE_HOOKS=1.")

    try_all(cases(subject), rule)


@check("fit")
def the_same_world_gives_the_same_answer(subject: Subject) -> None:
    """Two schedulers, or one after a restart, must agree."""

    def rule(case: Case) -> None:
        first = fill(build(subject, case.world.nodes), case.world.pods)
        second = fill(build(subject, case.world.nodes), case.world.pods)
        same = [choice.best for choice in first] == [choice.best for choice in second]
        advice = "No clock, no randomness, no state, no set order in hami_fit."
        require(same, f"{case}: two runs differ", advice)

    try_all(cases(subject), rule)


@check("fit")
def the_order_of_cards_and_nodes_does_not_matter(subject: Subject) -> None:
    """Kubernetes lists objects in any order."""

    def rule(case: Case) -> None:
        mixed = [attrs.evolve(node, devices=_shuffled(case.random, node.devices)) for node in case.world.nodes]
        straight = fill(build(subject, case.world.nodes), case.world.pods)
        shuffled = fill(build(subject, _shuffled(case.random, mixed)), case.world.pods)
        for one, other in zip(straight, shuffled, strict=True):
            found = f"{case}: listed in another order, {one.pod.name} goes to {other.best}, not {one.best}"
            require(one.best == other.best, found, "Break ties by index and uuid, never by the order you are given.")

    try_all(cases(subject), rule)


def _shuffled(random: Random, items: Sequence[T]) -> tuple[T, ...]:
    return tuple(random.sample(list(items), len(items)))


@check("fit")
def releasing_restores_the_cards(subject: Subject) -> None:
    """What pods held is free again, whatever the order they leave in."""

    def rule(case: Case) -> None:
        fleet = build(subject, case.world.nodes)
        before = {node.name: repr(fleet.uses(node.name)) for node in case.world.nodes}
        keys = [choice.pod.key for choice in fill(fleet, case.world.pods)]
        for key in _shuffled(case.random, keys):
            fleet.remove_pod(key)
        after = {node.name: repr(fleet.uses(node.name)) for node in case.world.nodes}
        require(before == after, f"{case}: cards are not free after all pods left", "Write no state into devices.")

    try_all(cases(subject), rule)


@check("fit")
def room_never_turns_a_yes_into_a_no(subject: Subject) -> None:
    """A pod that fits still fits when another one leaves, and when every card has more memory."""

    def rule(case: Case) -> None:
        fleet = build(subject, case.world.nodes)
        choices = fill(fleet, case.world.pods)
        pod = attrs.evolve(case.world.pods[-1], name="late")
        before = fleet.decide(pod)
        if before.best is None:
            return
        for choice in choices:
            fleet.remove_pod(choice.pod.key)
            found = f"{case}: {pod.name} fits beside {choice.pod.name}, but not without it"
            require(fleet.decide(pod).best, found, "Let a rule refuse only for what is taken.")
        by_size = all(request.memory_mib is not None for item in pod.containers for request in item.devices)
        if by_size:
            nodes = [attrs.evolve(node, devices=tuple(map(_roomier, node.devices))) for node in case.world.nodes]
            roomier = build(subject, nodes).decide(pod).best
            require(roomier, f"{case}: {pod.name} does not fit larger cards", "Refuse for too little, never too much.")

    try_all(cases(subject), rule)


def _roomier(card: Device) -> Device:
    return attrs.evolve(card, memory_mib=card.memory_mib + _MIB_MORE)


@check("fit")
def an_idle_machine_takes_the_simplest_pod(subject: Subject) -> None:
    """A count of one, nothing else: the first thing that anybody tries."""
    for loaded in subject.families:
        resource = loaded.family.resources.count
        pod = subject.request(subject.admit(pod_item({resource: 1})).pod)
        node = Node(facts=NodeFacts(name="node-a"), devices=subject.cards(loaded))
        verdict = build(subject, [node]).decide(pod).verdict("node-a")
        found = f"{resource}: 1 does not fit {len(node.devices)} idle {loaded.family.name} cards: {verdict}"
        require(isinstance(verdict, Fits), found, "Compare what admission writes with what a card has.")


@check("fit")
def sick_and_missing_cards_are_not_given(subject: Subject) -> None:
    """An unhealthy card, a cordoned one and an empty node each say why they are no use."""
    for loaded in subject.families:
        pod = PodRequest(name="p", containers=(_simplest(loaded),))
        cards = subject.cards(loaded)
        cordon = {"hami.io/device-cordon": ",".join(card.uuid for card in cards)}
        worlds = {
            Reason.UNHEALTHY: Node(
                facts=NodeFacts(name="n"), devices=tuple(attrs.evolve(card, healthy=False) for card in cards)
            ),
            Reason.CORDONED: Node(facts=NodeFacts(name="n", annotations=cordon), devices=cards),
            Reason.NODE_TOO_SMALL: Node(facts=NodeFacts(name="n"), devices=()),
        }
        for reason, node in worlds.items():
            verdict = build(subject, [node]).decide(pod).verdict("n")
            fair = isinstance(verdict, Rejected) and (reason in verdict.tally or not node.devices)
            advice = "Leave health to Device.healthy; a chooser sees only cards that may be used."
            require(fair, f"{loaded.family.name}: expected {reason}, the verdict is {verdict}", advice)


def _simplest(loaded: LoadedFamily) -> ContainerRequest:
    request = DeviceRequest(family=loaded.family.name, count=1, memory_mib=1)
    return ContainerRequest(name="c", devices=(request,))


@check("fit")
def selectors_select(subject: Subject) -> None:
    """A pod that names cards gets these, and never the ones it refuses."""
    for loaded in subject.families:
        keys, cards = loaded.family.selectors, subject.cards(loaded)
        node = Node(facts=NodeFacts(name="n"), devices=cards)
        last = cards[-1].uuid
        others = ",".join(card.uuid for card in cards[:-1])
        wanted: dict[str, str] = {}
        if keys.allow_uuids:
            wanted[keys.allow_uuids] = last
        if keys.deny_uuids and others:
            wanted[keys.deny_uuids] = others
        for key, value in wanted.items():
            item = pod_item({loaded.family.resources.count: 1}, annotations={key: value})
            best = build(subject, [node]).decide(subject.request(subject.admit(item).pod)).best
            given = (
                {}
                if best is None
                else {share.uuid for held in best.placement.shares_of(loaded.family.name) for share in held}
            )
            advice = "Leave selectors to the core, or honour context.pod.selectors in the chooser."
            require(best is None or given == {last}, f"{key}: {value} gives {sorted(given)}", advice)


@check("fit", Ability.CHOOSER)
def a_chooser_takes_only_what_it_is_offered(subject: Subject) -> None:
    """Candidates have passed every rule; anything else has not."""

    def rule(case: Case) -> None:
        for pod, placement in placed(fill(build(subject, case.world.nodes), case.world.pods)):
            allowed = {node.name: {card.uuid for card in node.devices if card.healthy} for node in case.world.nodes}
            used: dict[str, int] = defaultdict(int)
            for held in placement.shares_of(case.loaded.family.name):
                for share in held:
                    used[share.uuid] += 1
            strangers = sorted(set(used) - allowed[placement.node])
            require(not strangers, f"{pod.name} is given {strangers} of another node", "Return given candidates only.")

    try_all(cases(subject), rule)
