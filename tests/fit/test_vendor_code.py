"""Families whose code has a say: the vector pass is then only a bound, and the answers must still be the exact ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from tests.fit.kit import FAMILIES, ask, card, pod, registry

from hami_core.behaviour import Candidate, FitBehaviour, FitContext, Rule
from hami_core.fit import Fleet
from hami_core.model import Device, DeviceRequest, DeviceUse, Placement, PodRequest
from hami_core.objects import NodeFacts
from hami_core.testing.strategies import World, worlds
from hami_core.verdict import Broken, Fits, Reason


class LikesLateCards:
    """Adds up to ten points a node: the more, the higher the index of the first card that is given."""

    ceiling = 10.0

    def __call__(self, placement: Placement, uses: Mapping[str, DeviceUse], _request: PodRequest) -> float:
        given = [share.uuid for shares in placement.shares_of("GPU") for share in shares]
        return 2.0 * min(5, uses[given[0]].device.index) if given else 0.0


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


def build(world: World) -> Fleet:
    fleet = Fleet(DEMANDING)
    for node in world.nodes:
        fleet.upsert_node(node.facts, node.devices)
    return fleet


@given(worlds(families=FAMILIES))
def test_the_chosen_node_is_the_best_of_all_that_fit_exactly(world: World) -> None:
    fleet = build(world)
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
