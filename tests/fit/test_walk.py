"""The common fit loop, reason by reason."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fit.kit import ask, card, fleet, held, pod, registry, uuids

from hami_core.behaviour import Candidate, FitBehaviour, Rule
from hami_core.fit import Fleet
from hami_core.model import (
    ContainerKind,
    DeviceRequest,
    Partition,
    PartitionPlacement,
    PodRequest,
    Selector,
)
from hami_core.objects import NodeFacts
from hami_core.verdict import Broken, Fits, Reason, Rejected


def reasons(made: Fleet, wanted: PodRequest) -> str:
    verdict = made.decide(wanted).verdict("node-a")
    assert isinstance(verdict, Rejected), verdict
    return str(verdict)


@pytest.mark.parametrize(
    ("reason", "device", "used", "wanted", "selector"),
    [
        (Reason.UNHEALTHY, {"healthy": False}, None, ask(), {}),
        (Reason.TYPE_MISMATCH, {}, None, ask(), {"allow_types": ("A100",)}),
        (Reason.TYPE_MISMATCH, {}, None, ask(), {"deny_types": ("a40",)}),
        (Reason.TYPE_MISMATCH, {"mode": "mps"}, None, ask(), {"mode": "hami-core"}),
        (Reason.UUID_MISMATCH, {}, None, ask(), {"allow_uuids": ("gpu-9",)}),
        (Reason.UUID_MISMATCH, {}, None, ask(), {"deny_uuids": ("gpu-0",)}),
        (Reason.SLOTS_EXHAUSTED, {"slots": 1}, (1, 1), ask(), {}),
        (Reason.MEMORY, {}, (46_000, 0), ask(69), {}),
        (Reason.MEMORY, {}, (1, 0), ask(percent=100), {}),
        (Reason.CORES, {}, (1, 80), ask(cores=21), {}),
        (Reason.CORES, {"core_units": 50}, None, ask(cores=100), {}),
        (Reason.EXCLUSIVE, {}, (1, 0), ask(cores=100), {}),
        (Reason.EXCLUSIVE, {}, (1, 0), ask(cores=250), {}),
        (Reason.CORES_EXHAUSTED, {}, (1, 100), ask(cores=0), {}),
    ],
)
def test_a_card_is_passed_over_for_its_first_reason(
    reason: Reason,
    device: dict[str, Any],
    used: tuple[int, int] | None,
    wanted: DeviceRequest,
    selector: dict[str, Any],
) -> None:
    made = fleet(card(**device))
    if used:
        made.add_pod("other", held(gpu_0=used))
    chosen = pod(wanted, selectors={"GPU": Selector(**selector)})
    assert reasons(made, chosen) == f"1/1 {reason}"
    assert made.decide(chosen).best is None


@pytest.mark.parametrize(
    ("device", "used", "wanted"),
    [
        ({"slots": 2}, (1, 1), ask()),
        ({}, (46_000, 0), ask(68)),
        ({}, (1, 80), ask(cores=20)),
        ({"core_units": 200}, (1, 10), ask(cores=100)),
        ({"core_units": 0}, None, ask(cores=0)),
        ({}, None, ask(percent=100)),
        ({"memory_mib": 101}, (51, 0), ask(percent=50)),
    ],
)
def test_a_card_that_just_has_room_is_taken(
    device: dict[str, Any], used: tuple[int, int] | None, wanted: DeviceRequest
) -> None:
    made = fleet(card(**device))
    if used:
        made.add_pod("other", held(gpu_0=used))
    assert isinstance(made.decide(pod(wanted)).best, Fits)


def test_reasons_are_counted_over_the_cards_of_the_family_and_sorted() -> None:
    cards = [card(f"gpu-{n}", index=n) for n in range(4)]
    made = fleet(*cards[:3], card("gpu-3", index=3, healthy=False), card("npu-0", family="NPU"))
    made.add_pod("other", held(gpu_0=(46_000, 0), gpu_1=(46_000, 0)))
    text = "1/4 AllocatedCardsInsufficientRequest, 1/4 CardNotHealth, 2/4 CardInsufficientMemory"
    assert reasons(made, pod(ask(1000, count=2))) == text


def test_a_node_with_fewer_cards_than_asked_for_is_too_small() -> None:
    made = fleet(card(), card("npu-0", family="NPU"), card("npu-1", family="NPU", index=1))
    assert reasons(made, pod(ask(count=2))) == "NodeInsufficientDevice"


def test_mutex_refuses_cards_in_use_alone_and_in_a_chain() -> None:
    made = fleet(card("gpu-0"), card("gpu-1", index=1))
    made.add_pod("other", held(gpu_1=(10, 0)))
    for policy in ("mutex", "mutex,binpack"):
        best = made.decide(pod(ask(), device_policy=policy)).best
        assert best is not None
        assert uuids(best.placement) == [["gpu-0"]]
    made.add_pod("another", held(gpu_0=(10, 0)))
    assert reasons(made, pod(ask(), device_policy="mutex")) == "2/2 ExclusiveDeviceAllocateConflict"


def test_a_bound_pod_starts_over_on_the_next_numa_node() -> None:
    made = fleet(card("gpu-0", numa=0), card("gpu-1", index=1, numa=1), card("gpu-2", index=2, numa=0))
    bound = pod(ask(count=2), selectors={"GPU": Selector(numa_bind=True)})
    best = made.decide(bound).best
    assert best is not None
    assert sorted(uuids(best.placement)[0]) == ["gpu-0", "gpu-2"]
    made.add_pod("other", held(gpu_2=(46_068, 0)))
    text = "1/3 AllocatedCardsInsufficientRequest, 1/3 CardInsufficientMemory, 1/3 NumaNotFit"
    assert reasons(made, bound) == text


def test_containers_of_a_pod_share_no_more_cards_than_the_family_allows() -> None:
    made = fleet(card("npu-0", family="NPU", memory_mib=3000), card("npu-1", family="NPU", index=1))
    once, twice = pod(ask(2000, family="NPU")), pod(ask(2000, family="NPU"), ask(2000, family="NPU"))
    made.add_pod("other", held(family="NPU", npu_1=(45_000, 0)))
    assert made.decide(once).best is not None
    assert reasons(made, twice) == "2/2 CardInsufficientMemory"
    made.remove_pod("other")
    best = made.decide(twice).best
    assert best is not None
    assert uuids(best.placement, "NPU") == [["npu-1"], ["npu-1"]]
    made.add_pod("other", held(family="NPU", npu_1=(43_000, 0)))
    assert reasons(made, twice) == "1/2 CardInsufficientMemory, 1/2 CardNotFoundCustomFilterRule"


def test_a_gate_refuses_the_node_before_any_card_is_looked_at() -> None:
    gated = registry(GPU=FitBehaviour(gate=lambda _request, _context: Reason.MODE))
    made = fleet(card("gpu-0"), card("gpu-1", index=1, healthy=False), registry=gated)
    assert reasons(made, pod(ask())) == "1/2 ModeNotFit"


def test_a_vendor_rule_comes_after_the_common_ones() -> None:
    rule = Rule(reason=Reason.CUSTOM_RULE, test=lambda use, _request, _context: use.device.index != 1)
    made = fleet(card("gpu-0"), card("gpu-1", index=1), registry=registry(GPU=FitBehaviour(rules=(rule,))))
    text = "1/2 AllocatedCardsInsufficientRequest, 1/2 CardNotFoundCustomFilterRule"
    assert reasons(made, pod(ask(count=2))) == text


def _first_by_index(candidates: Any, request: DeviceRequest, _context: Any) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.use.device.index)[: request.count]


def test_a_chooser_sees_every_fitting_card_most_preferred_first() -> None:
    seen: list[list[str]] = []

    def choose(candidates: Any, request: DeviceRequest, context: Any) -> list[Candidate]:
        seen.append([candidate.use.device.uuid for candidate in candidates])
        return _first_by_index(candidates, request, context)

    choosy = registry(GPU=FitBehaviour(chooser=choose, chooses=lambda _pod, _request: True))
    cards = [card(f"gpu-{n}", index=n) for n in range(3)]
    made = fleet(*cards, registry=choosy)
    made.add_pod("other", held(gpu_1=(1000, 0)))
    best = made.decide(pod(ask(count=2))).best
    assert best is not None
    assert (seen[0], uuids(best.placement)) == (["gpu-2", "gpu-0", "gpu-1"], [["gpu-0", "gpu-1"]])


def test_a_chooser_that_finds_too_few_is_tallied_over_the_cards_asked_for() -> None:
    one = registry(GPU=FitBehaviour(chooser=lambda c, _r, _x: c[:1], chooses=lambda _pod, _request: True))
    made = fleet(*(card(f"gpu-{n}", index=n) for n in range(3)), registry=one)
    assert reasons(made, pod(ask(count=2))) == "1/2 AllocatedCardsInsufficientRequest"


def test_a_bound_pod_with_a_chooser_keeps_the_numa_node_that_had_enough() -> None:
    """The walk reaches NUMA node 0 last, where one card is left: the whole group on node 1 must not be forgotten."""
    choosy = registry(GPU=FitBehaviour(chooser=_first_by_index, chooses=lambda _pod, _request: True))
    made = fleet(*(card(f"gpu-{n}", index=n, numa=int(n > 1)) for n in range(4)), registry=choosy)
    made.add_pod("other", held(gpu_0=(46_068, 0)))
    best = made.decide(pod(ask(count=2), selectors={"GPU": Selector(numa_bind=True)})).best
    assert best is not None
    assert uuids(best.placement) == [["gpu-2", "gpu-3"]]


def _halves(use: Any, memory_mib: int, _request: DeviceRequest) -> tuple[Partition, int, int] | None:
    for start in (0, 4):
        place = PartitionPlacement(start=start, size=4)
        if memory_mib <= 20_000 and not any(place.overlaps(taken.placement) for taken in use.partitions):
            return Partition(profile="half", placement=place), 20_000, 42
    return None


def test_a_partitioned_card_serves_one_container_several_times() -> None:
    made = fleet(card(mode="mig"), registry=registry(GPU=FitBehaviour(partitioner=_halves)))
    best = made.decide(pod(ask(5000, count=2))).best
    assert best is not None
    (shares,) = best.placement.shares_of("GPU")
    assert [(share.memory_mib, share.core_units) for share in shares] == [(20_000, 42), (20_000, 42)]
    assert [share.partition.placement.start for share in shares if share.partition] == [0, 4]


def test_a_partitioned_card_without_a_free_place_says_so() -> None:
    made = fleet(card(mode="mig"), registry=registry(GPU=FitBehaviour(partitioner=_halves)))
    best = made.decide(pod(ask(5000))).best
    assert best is not None
    made.add_pod("one", best.placement)
    assert (
        reasons(made, pod(ask(5000, count=2))) == "1/1 AllocatedCardsInsufficientRequest, 1/1 CardMigTopologyInfeasible"
    )


def test_a_partitioned_card_of_a_family_that_cannot_partition_is_refused() -> None:
    assert reasons(fleet(card(mode="mig")), pod(ask())) == "1/1 CardMigTopologyInfeasible"


def test_a_partitioned_card_may_be_one_of_several_that_a_chooser_sees() -> None:
    both = FitBehaviour(partitioner=_halves, chooser=_first_by_index, chooses=lambda _pod, _request: True)
    made = fleet(card("gpu-0", mode="mig"), card("gpu-1", index=1), registry=registry(GPU=both))
    best = made.decide(pod(ask(5000, count=2))).best
    assert best is not None
    assert uuids(best.placement) == [["gpu-0", "gpu-0"]]


def test_a_vendor_failure_breaks_one_node_for_one_decision() -> None:
    def fails(use: Any, _request: Any, _context: Any) -> bool:
        if use.device.uuid == "gpu-0":
            raise RuntimeError("no link table")
        return True

    faulty = registry(GPU=FitBehaviour(rules=(Rule(reason=Reason.CUSTOM_RULE, test=fails),)))
    made = fleet(card("gpu-0"), registry=faulty)
    made.upsert_node(NodeFacts(name="node-b"), [card("gpu-1")])
    choice = made.decide(pod(ask()))
    assert choice.verdict("node-a") == Broken(problem="GPU: RuntimeError: no link table", plugin="Plugin")
    assert choice.best is not None
    assert choice.best.placement.node == "node-b"


def test_several_families_in_one_pod_must_all_find_room() -> None:
    made = fleet(card(), card("npu-0", family="NPU", memory_mib=100))
    both = pod(ask(), (ContainerKind.APP, ask(200, family="NPU")))
    assert reasons(made, both) == "1/1 CardInsufficientMemory"
    verdict = made.decide(both).verdict("node-a")
    assert isinstance(verdict, Rejected)
    assert (verdict.container, verdict.devices[0].family) == ("c1", "NPU")


def test_a_family_nobody_serves_is_not_found() -> None:
    made = fleet(card())
    assert reasons(made, pod(ask(family="TPU"))) == "Device type not found"
