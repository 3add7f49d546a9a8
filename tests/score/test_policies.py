"""Built-in policies, chains of them, and policies that somebody else brings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from tests.fit.kit import PLAIN, ask, card, fleet, held, pod, registry, uuids

from hami_core.errors import PluginFault
from hami_core.fit import Fleet
from hami_core.hookspecs import hookimpl
from hami_core.model import Device, DeviceUse, ScoringWeights, Selector
from hami_core.objects import NodeFacts
from hami_core.registry import Registry
from hami_core.score.builtin import POLICIES, fullness
from hami_core.score.cards import card_order, card_scores
from hami_core.score.policy import DevicePolicy, FloatArray, NodeColumns, NodePolicy, Policy

KNOWN: Mapping[tuple[str, str], Policy] = {(str(policy.kind), policy.name): policy for policy in POLICIES}


def use(uuid: str, *, index: int = 0, numa: int = 0, memory_mib: int = 0, slots: int = 0) -> DeviceUse:
    device = Device(uuid=uuid, family="GPU", model="GPU-X", index=index, memory_mib=1000, slots=10, numa=numa)
    return DeviceUse(device=device, memory_used_mib=memory_mib, slots_used=slots)


EMPTY = use("empty", index=0, numa=1)
HALF = use("half", index=1, numa=0, memory_mib=500, slots=1)
FULL = use("full", index=2, numa=1, memory_mib=900, slots=3)
CARDS = (EMPTY, HALF, FULL)


@pytest.mark.parametrize(
    ("policy", "numa_bind", "tried"),
    [
        ("binpack", False, ["full", "half", "empty"]),
        ("spread", False, ["empty", "half", "full"]),
        ("mutex", False, ["empty", "half", "full"]),
        ("topology-aware", False, ["empty", "half", "full"]),
        ("something else", False, ["empty", "half", "full"]),
        ("numa", False, ["full", "empty", "half"]),
        ("numa,binpack", False, ["full", "empty", "half"]),
        ("numa,spread", False, ["empty", "full", "half"]),
        (" binpack , numa ", False, ["full", "half", "empty"]),
        ("unknown,mutex", False, ["empty", "half", "full"]),
        ("binpack", True, ["half", "full", "empty"]),
        ("spread", True, ["empty", "full", "half"]),
        ("binpack,spread", True, ["full", "empty", "half"]),
    ],
)
def test_cards_are_tried_in_the_order_of_the_policy(policy: str, numa_bind: bool, tried: list[str]) -> None:
    order = card_order(policy, KNOWN, numa_bind=numa_bind)
    arranged = order.arrange(CARDS, (), ScoringWeights())
    assert [card.device.uuid for card in reversed(arranged)] == tried


def test_equal_cards_are_tried_from_the_last_in_a_single_policy_and_in_a_chain() -> None:
    equals = (use("a", index=0), use("b", index=1))
    for policy in ("binpack", "spread", "binpack,numa"):
        arranged = card_order(policy, KNOWN).arrange(equals, (), ScoringWeights())
        assert [card.device.uuid for card in arranged] == ["a", "b"]


def test_mutex_is_exclusive_in_a_chain_too() -> None:
    exclusive = {
        policy for policy in ("mutex", "mutex,binpack", "spread", "numa") if card_order(policy, KNOWN).exclusive
    }
    assert exclusive == {"mutex", "mutex,binpack"}


def test_a_cards_score_counts_slots_cores_and_memory_by_their_weights() -> None:
    half = DeviceUse(device=card(memory_mib=1000, slots=4), slots_used=1, memory_used_mib=500, core_units_used=10)
    assert card_scores([half], (), ScoringWeights()) == pytest.approx((8.5,))
    assert card_scores([half], (), ScoringWeights(slot=0, core=0, memory=2)) == pytest.approx((10.0,))
    assert card_scores([DeviceUse(device=card(slots=0))], (), ScoringWeights()) == (0.0,)


def test_a_request_counts_on_cards_registered_under_the_bare_family_name_only() -> None:
    bare, named = (DeviceUse(device=card(model=model, memory_mib=1000, slots=10)) for model in ("GPU", "GPU-A40"))
    scores = card_scores([bare, named], (ask(percent=50, cores=10, count=3),), ScoringWeights())
    assert scores == pytest.approx((7.0, 0.0))


def test_a_node_is_as_full_as_its_slots_cores_and_memory_together() -> None:
    def column(*values: int) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    nodes = NodeColumns(
        slots=column(10, 10, 0),
        slots_used=column(5, 0, 0),
        core_units=column(100, 100, 100),
        core_units_used=column(50, 0, 0),
        memory_mib=column(8000, 8000, 8000),
        memory_used_mib=column(4000, 0, 4000),
    )
    assert fullness(nodes).tolist() == [15.0, 0.0, 0.0]
    assert fullness(nodes).dtype == np.float32


@pytest.mark.parametrize(("policy", "chosen"), [("binpack", "b"), ("spread", "a"), ("no such policy", "b")])
def test_nodes_are_taken_by_the_policy_the_pod_names(policy: str, chosen: str) -> None:
    made = Fleet(PLAIN)
    for name in ("a", "b"):
        made.upsert_node(NodeFacts(name=name), [card(f"gpu-{name}")])
    made.add_pod("other", held("b", gpu_b=(1000, 10)))
    best = made.decide(pod(ask(), node_policy=policy)).best
    assert best is not None
    assert best.placement.node == chosen


# ---- policies of a third party -------------------------------------------------------------------------------------


def _free_memory(nodes: NodeColumns) -> FloatArray:
    return (nodes.memory_mib - nodes.memory_used_mib).astype(np.float32)


def _by_uuid(use: DeviceUse, _score: float) -> float:
    return -ord(use.device.uuid[-1])


class Outsider:
    @hookimpl
    def hami_policies(self) -> list[Policy]:
        return [
            NodePolicy(name="roomiest", score=_free_memory),
            NodePolicy(name="tightest", score=_free_memory, take="lowest"),
            DevicePolicy(name="by-letter", preference=_by_uuid),
        ]


class Rival(Outsider):
    """Brings policies of the same names."""


@pytest.fixture(scope="module")
def extended() -> Registry:
    return registry(Outsider())


@pytest.mark.parametrize(("policy", "chosen"), [("roomiest", "large"), ("tightest", "small")])
def test_a_pod_may_name_a_node_policy_of_a_plugin(extended: Registry, policy: str, chosen: str) -> None:
    made = Fleet(extended)
    for name, memory_mib in (("large", 80_000), ("medium", 40_000), ("small", 16_000)):
        made.upsert_node(NodeFacts(name=name), [card(f"gpu-{name}", memory_mib=memory_mib)])
    best = made.decide(pod(ask(), node_policy=policy)).best
    assert best is not None
    assert best.placement.node == chosen


def test_a_pod_may_name_a_device_policy_of_a_plugin_alone_or_in_a_chain(extended: Registry) -> None:
    made = fleet(card("gpu-b"), card("gpu-a", index=1), card("gpu-c", index=2, numa=1), registry=extended)
    for policy, chosen in (("by-letter", "gpu-a"), ("numa,by-letter", "gpu-c")):
        best = made.decide(pod(ask(), device_policy=policy)).best
        assert best is not None
        assert uuids(best.placement) == [[chosen]]


def test_numa_binding_keeps_the_groups_of_a_plugins_policy_together(extended: Registry) -> None:
    cards = [card(f"gpu-{letter}", index=n, numa=n % 2) for n, letter in enumerate("abcd")]
    bound = pod(ask(count=2), device_policy="by-letter", selectors={"GPU": Selector(numa_bind=True)})
    best = fleet(*cards, registry=extended).decide(bound).best
    assert best is not None
    assert uuids(best.placement) == [["gpu-b", "gpu-d"]]


@pytest.mark.parametrize(
    ("scores", "problem"),
    [([1.0], "must score every node"), ([float("nan"), 1.0], "must score every node"), (["x"], "ValueError")],
    ids=["too few", "not a number", "fails"],
)
def test_a_policy_that_gives_no_usable_scores_is_named(scores: list[float], problem: str) -> None:
    class Odd:
        @hookimpl
        def hami_policies(self) -> list[Policy]:
            return [NodePolicy(name="odd", score=lambda _nodes: np.array(scores).astype(np.float32))]

    made = fleet(card(), registry=registry(Odd()))
    made.upsert_node(NodeFacts(name="node-b"), [card("gpu-b")])
    with pytest.raises(PluginFault, match=f"node policy odd: {problem}"):
        made.decide(pod(ask(), node_policy="odd"))
    assert made.decide(pod(ask())).best is not None


def test_a_policy_is_not_asked_about_nodes_that_can_take_nothing() -> None:
    class Share:
        @hookimpl
        def hami_policies(self) -> list[Policy]:
            return [NodePolicy(name="share", score=lambda nodes: nodes.slots_used / nodes.slots)]

    made = fleet(card(), registry=registry(Share()))
    made.upsert_node(NodeFacts(name="cpu"), [])
    made.upsert_node(NodeFacts(name="closed"), [card("gpu-c", slots=0)])
    best = made.decide(pod(ask(), node_policy="share")).best
    assert best is not None
    assert best.placement.node == "node-a"


def test_two_policies_of_one_name_stop_the_start() -> None:
    with pytest.raises(PluginFault, match="node policy roomiest is already served"):
        registry(Outsider(), Rival())
