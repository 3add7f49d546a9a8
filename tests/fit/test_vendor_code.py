"""Families whose code has a say: the vector pass is then only a bound, and the answers must still be the exact ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import pytest
from hypothesis import given
from tests.fit.kit import FAMILIES, ask, card, pod, registry

from hami_core.behaviour import Candidate, FitBehaviour, FitContext, Rule
from hami_core.fit import Fleet
from hami_core.model import Device, DeviceRequest, DeviceUse, Placement, PodRequest
from hami_core.objects import NodeFacts
from hami_core.registry import Registry
from hami_core.testing.strategies import World, worlds
from hami_core.verdict import Broken, Fits, Reason


class LikesLateCards:
    """Adds up to ten points a node: the more, the higher the index of the first card that is given."""

    ceiling = 10.0

    def __call__(self, placement: Placement, uses: Mapping[str, DeviceUse], _request: PodRequest) -> float:
        given = [share.uuid for shares in placement.shares_of("GPU") for share in shares]
        return 2.0 * min(5, uses[given[0]].device.index) if given else 0.0


class LikesNeighbours:
    """Adds ten points for a container whose cards are on one board, less where they are not; says so beforehand."""

    ceiling = 10.0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def layout(self, devices: Sequence[Device]) -> Hashable:
        return tuple(sorted(Counter(device.numa for device in devices).values()))

    def bounds(self, layout: Hashable, request: PodRequest, _choice: int) -> tuple[float, float]:
        assert isinstance(layout, tuple)
        counts = [asked.count for c in request.containers for asked in c.devices if asked.family == "GPU"]
        most = sum(10.0 * min(count, max(layout)) / count for count in counts) if layout else 0.0
        return (sum(10.0 / count for count in counts) if layout else 0.0), most

    def __call__(self, placement: Placement, uses: Mapping[str, DeviceUse], _request: PodRequest) -> float:
        self.asked.append(placement.node)
        boards = [
            Counter(uses[share.uuid].device.numa for share in shares) for shares in placement.shares_of("GPU") if shares
        ]
        return sum(10.0 * max(board.values()) / board.total() for board in boards)


def pairs(candidates: Sequence[Candidate], request: DeviceRequest, _context: FitContext) -> list[Candidate]:
    """Takes cards in pairs of neighbours only, as modules with two chips demand it."""
    by_module: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        by_module.setdefault(candidate.use.device.index // 2, []).append(candidate)
    whole = [candidate for module in by_module.values() if len(module) == 2 for candidate in module]
    return whole[: request.count - request.count % 2]


def no_third_card(use: DeviceUse, _request: DeviceRequest, _context: FitContext) -> bool:
    return use.device.index != 2


def doubled(device: Device, _context: FitContext) -> int:
    return device.core_units * 2


DEMANDING = registry(
    GPU=FitBehaviour(
        rules=(Rule(reason=Reason.CUSTOM_RULE, test=no_third_card),),
        chooser=pairs,
        chooses=lambda _pod, request: request.count == 2,
        node_scorer=LikesLateCards(),
    ),
    NPU=FitBehaviour(effective_cores=doubled),
)


BOUNDED = registry(GPU=FitBehaviour(node_scorer=LikesNeighbours()))


def build(world: World, served: Registry) -> Fleet:
    fleet = Fleet(served)
    for node in world.nodes:
        fleet.upsert_node(node.facts, node.devices)
    return fleet


@pytest.mark.parametrize("served", [DEMANDING, BOUNDED], ids=["ceiling", "bounds"])
@given(world=worlds(families=FAMILIES))
def test_the_chosen_node_is_the_best_of_all_that_fit_exactly(world: World, served: Registry) -> None:
    fleet = build(world, served)
    for wanted in (*world.pods, *world.pods):
        choice = fleet.decide(wanted)
        fitting = [verdict for verdict in choice.verdicts().values() if isinstance(verdict, Fits)]
        best = min if wanted.node_policy == "spread" else max
        if choice.best is None:
            assert fitting == []
            continue
        assert choice.best.score == best(verdict.score for verdict in fitting)
        assert choice.best.placement.node == min(
            verdict.placement.node for verdict in fitting if verdict.score == choice.best.score
        )
        assert choice.best == fleet.snapshot().decide(wanted).best
        fleet.add_pod(wanted.key, choice.best.placement)


def test_what_a_vendor_adds_outweighs_how_full_a_node_is() -> None:
    for policy, chosen in (("binpack", "late"), ("spread", "early")):
        fleet = Fleet(DEMANDING)
        fleet.upsert_node(NodeFacts(name="late"), [card("gpu-late", index=5)])
        fleet.upsert_node(NodeFacts(name="early"), [card("gpu-early", index=1)])
        best = fleet.decide(pod(ask(), node_policy=policy)).best
        assert best is not None
        assert (best.placement.node, best.score) == (chosen, 10.0 if chosen == "late" else 2.0)


@pytest.mark.parametrize("policy", ["binpack", "spread"])
def test_a_scorer_that_says_its_bounds_is_asked_about_few_nodes(policy: str) -> None:
    scorer = LikesNeighbours()
    fleet = Fleet(registry(GPU=FitBehaviour(node_scorer=scorer)))
    for number in range(50):
        fleet.upsert_node(
            NodeFacts(name=f"node-{number:02}"), [card(f"gpu-{number}"), card(f"other-{number}", index=1)]
        )
    assert fleet.decide(pod(ask(), node_policy=policy)).best is not None
    assert scorer.asked == ["node-00"]
    fleet.upsert_node(NodeFacts(name="node-00"), [])
    fleet.upsert_node(NodeFacts(name="node-01"), [card("new", numa=1)])
    assert fleet.decide(pod(ask(), node_policy=policy)).best is not None
    assert scorer.asked == ["node-00", "node-01"]


@pytest.mark.parametrize("policy", ["binpack", "spread"])
@pytest.mark.parametrize("part", ["layout", "bounds"])
def test_where_the_bounds_cannot_be_had_every_node_is_tried(policy: str, part: str) -> None:
    def fail(*_args: object) -> None:
        raise ValueError

    scorer = LikesNeighbours()
    setattr(scorer, part, fail)
    fleet = Fleet(registry(GPU=FitBehaviour(node_scorer=scorer)))
    for name in ("node-a", "node-b"):
        fleet.upsert_node(NodeFacts(name=name), [card(f"gpu-{name}")])
    best = fleet.decide(pod(ask(), node_policy=policy)).best
    assert best is not None
    assert best.placement.node == "node-a"
    assert sorted(scorer.asked) == ["node-a", "node-b"]


def test_a_scorer_that_fails_breaks_its_node_alone() -> None:
    class Fails:
        ceiling = 1.0

        def __call__(self, placement: Placement, _uses: Mapping[str, DeviceUse], _request: PodRequest) -> float:
            return 1 / (placement.node != "node-a")

    fleet = Fleet(registry(GPU=FitBehaviour(node_scorer=Fails())))
    for name in ("node-a", "node-b"):
        fleet.upsert_node(NodeFacts(name=name), [card(f"gpu-{name}")])
    choice = fleet.decide(pod(ask()))
    assert choice.verdict("node-a") == Broken(problem="GPU: ZeroDivisionError: division by zero", plugin="Plugin")
    assert choice.best is not None
    assert choice.best.placement.node == "node-b"


def test_cores_are_checked_against_the_total_that_the_vendor_says() -> None:
    fleet = Fleet(DEMANDING)
    fleet.upsert_node(NodeFacts(name="node-a"), [card("npu-0", family="NPU", core_units=40)])
    assert fleet.decide(pod(ask(cores=80, family="NPU"))).best is not None
    assert str(fleet.decide(pod(ask(cores=81, family="NPU"))).verdict("node-a")) == "1/1 CardInsufficientCore"
