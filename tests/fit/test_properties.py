"""What must hold in every world: no card is over-promised, no order of things matters, every reason is true."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.fit.kit import FAMILIES, GPU, PLAIN

from hami_core.fit import Choice, Fleet
from hami_core.model import ContainerKind, ContainerRequest, DeviceShare, Placement, PodRequest
from hami_core.testing.strategies import Node, World, device_requests, worlds
from hami_core.verdict import Fits, Reason, Rejected

WORLDS = worlds(families=FAMILIES)


def build(nodes: Sequence[Node]) -> Fleet:
    fleet = Fleet(PLAIN)
    for node in nodes:
        fleet.upsert_node(node.facts, node.devices)
    return fleet


def fill(fleet: Fleet, pods: Sequence[PodRequest]) -> list[Choice]:
    """Place the pods one after another; each choice is from before the pod was there."""
    choices = []
    for pod in pods:
        choice = fleet.decide(pod)
        choices.append(choice)
        if choice.best:
            fleet.add_pod(pod.key, choice.best.placement)
    return choices


def most_at_once(placement: Placement) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Slots, memory and cores a placement needs of each card at its busiest, by replaying the pod's life."""
    peak: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    staying: list[tuple[str, DeviceShare]] = []
    for container in placement.containers:
        own = [(family, share) for family, shares in container.shares.items() for share in shares]
        running = staying + own
        if container.kind is not ContainerKind.INIT:
            staying = running
        now: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        for family, share in running:
            for place, amount in enumerate((1, share.memory_mib, share.core_units)):
                now[family, share.uuid][place] += amount
        for card, amounts in now.items():
            peak[card] = [max(pair) for pair in zip(peak[card], amounts, strict=True)]
    return {card: (slots, memory, cores) for card, (slots, memory, cores) in peak.items()}


@given(WORLDS)
def test_no_card_is_ever_promised_more_than_it_has(world: World) -> None:
    fleet = build(world.nodes)
    placed = [choice.best.placement for choice in fill(fleet, world.pods) if choice.best]
    for node in world.nodes:
        here = [most_at_once(placement) for placement in placed if placement.node == node.name]
        for device in node.devices:
            card = device.family, device.uuid
            slots, memory, cores = (sum(needs[card][place] for needs in here if card in needs) for place in range(3))
            assert slots <= device.slots
            assert memory <= device.memory_mib
            assert cores <= device.core_units
            assert device.healthy or slots == 0


@given(WORLDS)
def test_the_books_say_what_the_placements_say(world: World) -> None:
    fleet = build(world.nodes)
    placed = [choice.best.placement for choice in fill(fleet, world.pods) if choice.best]
    for node in world.nodes:
        here = [most_at_once(placement) for placement in placed if placement.node == node.name]
        for use in fleet.uses(node.name):
            card = use.device.family, use.device.uuid
            expected = tuple(sum(needs[card][place] for needs in here if card in needs) for place in range(3))
            assert expected == (use.slots_used, use.memory_used_mib, use.core_units_used)


@given(WORLDS)
def test_the_chosen_node_is_the_best_scored_of_all_that_fit(world: World) -> None:
    fleet = build(world.nodes)
    for pod in world.pods:
        choice = fleet.decide(pod)
        fitting = [verdict for verdict in choice.verdicts().values() if isinstance(verdict, Fits)]
        if choice.best is None:
            assert fitting == []
            continue
        assert choice.best in fitting
        best = min if pod.node_policy == "spread" else max
        score = best(verdict.score for verdict in fitting)
        first = min(verdict.placement.node for verdict in fitting if verdict.score == score)
        assert (score, first) == (choice.best.score, choice.best.placement.node)
        fleet.add_pod(pod.key, choice.best.placement)


@given(WORLDS)
def test_what_is_remembered_of_a_shape_equals_a_fresh_decision(world: World) -> None:
    fleet = build(world.nodes)
    for pod in (*world.pods, *world.pods[:2]):
        for other in (pod, world.pods[0]):
            remembered, fresh = fleet.decide(other), fleet.snapshot().decide(other)
            assert fresh.best == remembered.best
            assert fresh.verdicts() == remembered.verdicts()
        chosen = fleet.decide(pod).best
        if chosen:
            fleet.add_pod(pod.key, chosen.placement)
        else:
            fleet.remove_pod(pod.key)


@given(WORLDS)
def test_a_rejection_without_details_is_the_one_with_details_less_its_cards(world: World) -> None:
    fleet = build(world.nodes)
    for pod in world.pods:
        choice = fleet.decide(pod)
        for one in (choice, fleet.decide(attrs.evolve(pod, containers=pod.containers[-1:], selectors={}))):
            for node, verdict in one.verdicts().items():
                bare = attrs.evolve(verdict, devices=()) if isinstance(verdict, Rejected) else verdict
                assert one.verdict(node, details=False) == bare
        if choice.best:
            fleet.add_pod(pod.key, choice.best.placement)


@given(WORLDS, st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_cards_does_not_matter(world: World, random: Random) -> None:
    nodes = [attrs.evolve(node, devices=tuple(random.sample(node.devices, len(node.devices)))) for node in world.nodes]
    shuffled = build(random.sample(nodes, len(nodes)))
    straight = build(world.nodes)
    for first, second in zip(fill(straight, world.pods), fill(shuffled, world.pods), strict=True):
        assert first.best == second.best
    for node in world.nodes:
        assert straight.uses(node.name) == shuffled.uses(node.name)


@given(WORLDS, device_requests(GPU), st.sampled_from(["binpack", "spread", "mutex", "numa"]), st.integers(0, 50_000))
def test_more_free_memory_never_turns_a_yes_into_a_no(world: World, asked, policy: str, more_mib: int) -> None:
    assume(asked.memory_mib is not None)
    pod = PodRequest(name="probe", containers=(ContainerRequest(name="c", devices=(asked,)),), device_policy=policy)
    roomier = [
        attrs.evolve(node, devices=tuple(attrs.evolve(d, memory_mib=d.memory_mib + more_mib) for d in node.devices))
        for node in world.nodes
    ]
    before, after = build(world.nodes), build(roomier)
    for choice in fill(before, world.pods):
        if choice.best:
            after.add_pod(choice.pod.key, choice.best.placement)
    verdicts, roomy = before.decide(pod).verdicts(), after.decide(pod).verdicts()
    for node, verdict in verdicts.items():
        if isinstance(verdict, Fits):
            assert isinstance(roomy[node], Fits)


@given(WORLDS)
def test_a_rejection_names_reasons_that_are_true_of_its_cards(world: World) -> None:
    fleet = build(world.nodes)
    fill(fleet, world.pods[:-1])
    pod = attrs.evolve(world.pods[-1], containers=world.pods[-1].containers[:1])
    asked = {request.family: request for request in pod.containers[0].devices}
    for node, verdict in fleet.decide(pod).verdicts().items():
        if not isinstance(verdict, Rejected):
            continue
        uses = {use.device.uuid: use for use in fleet.uses(node)}
        assert all(count > 0 for count in verdict.tally.values())
        for noted in verdict.devices:
            use, request = uses[noted.uuid], asked[noted.family]
            need_mib = request.memory_on(use.device.memory_mib)
            cores = min(request.core_units, 100)
            selector = pod.selectors[noted.family]
            true_of = {
                Reason.UNHEALTHY: not use.device.healthy,
                Reason.CORDONED: use.cordoned,
                Reason.UUID_MISMATCH: use.device.uuid in selector.deny_uuids
                or use.device.uuid not in (selector.allow_uuids or [use.device.uuid]),
                Reason.SLOTS_EXHAUSTED: use.slots_used >= use.device.slots,
                Reason.MEMORY: use.memory_free_mib < need_mib,
                Reason.CORES: use.core_units_free < cores,
                Reason.EXCLUSIVE: use.slots_used > 0,
                Reason.CORES_EXHAUSTED: use.core_units_free == 0 and cores == 0,
            }
            assert true_of.get(noted.reason, True), noted


@given(WORLDS)
def test_asking_changes_nothing(world: World) -> None:
    fleet = build(world.nodes)
    fill(fleet, world.pods[:-1])
    before = {node.name: fleet.uses(node.name) for node in world.nodes}
    first = fleet.decide(world.pods[-1])
    first.verdicts()
    second = fleet.decide(world.pods[-1])
    assert (first.best, first.verdicts()) == (second.best, second.verdicts())
    assert before == {node.name: fleet.uses(node.name) for node in world.nodes}
