"""The public API as a scheduler author uses it. Never run: mypy checks that what the documentation shows has types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never, assert_type

from hami_core import (
    Broken,
    Choice,
    ContainerKind,
    ContainerRequest,
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    DeviceUse,
    Fits,
    Fleet,
    NodeFacts,
    Placement,
    PodRequest,
    Reason,
    Registry,
    Rejected,
    Reservation,
    ScoringWeights,
    Selector,
    Verdict,
    load_registry,
)


def state_a_node(fleet: Fleet, labels: Mapping[str, str]) -> None:
    card = Device(uuid="GPU-0", family="NVIDIA", model="NVIDIA A40", memory_mib=46_068, slots=10, custom={"rack": 3})
    fleet.upsert_node(NodeFacts(name="node-1", labels=labels), [card], broken={"MLU": "register annotation: no ':'"})
    fleet.remove_node("node-2")
    fleet.set_quota("team-a", {"nvidia.com/gpumem": 40_000})


def state_a_pod(fleet: Fleet) -> bool:
    share = DeviceShare(uuid="GPU-0", memory_mib=8_000, core_units=30)
    warm_up = ContainerShares(name="warm-up", kind=ContainerKind.INIT)
    main = ContainerShares(name="main", shares={"NVIDIA": (share,)})
    fleet.add_pod(
        "team-a/old", Placement(node="node-1", containers=(warm_up, main)), init_done=True, label="team-a/old"
    )
    return fleet.remove_pod("team-a/old")


def ask(fleet: Fleet) -> Choice:
    pod = PodRequest(
        namespace="team-a",
        name="train",
        containers=(
            ContainerRequest(name="main", devices=(DeviceRequest(family="NVIDIA", count=2, memory_percent=50),)),
        ),
        node_policy="spread",
        device_policy="numa,binpack",
        weights=ScoringWeights(memory=10),
        selectors={"NVIDIA": Selector(deny_types=("T4",), numa_bind=True)},
    )
    return fleet.decide(pod, nodes=["node-1", "node-2"])


def place(fleet: Fleet, pod: PodRequest, now_s: float) -> Placement | None:
    choice, reservation = fleet.reserve(pod, now_s=now_s, hold_s=30.0)
    assert_type(choice, Choice)
    assert_type(reservation, Reservation | None)
    if reservation is None:
        return None
    fleet.confirm(reservation.key)
    assert_type(fleet.release("another"), bool)
    assert_type(fleet.expire(now_s + 60), tuple[str, ...])
    return reservation.best.placement


def explain(choice: Choice) -> list[str]:
    assert_type(choice.best, Fits | None)
    assert_type(choice.verdict("node-1"), Verdict)
    return [f"{node}: {words(verdict)}" for node, verdict in choice.verdicts().items()]


def words(verdict: Verdict) -> str:
    match verdict:
        case Fits(score=score, placement=placement):
            return f"{score} on {placement.node}"
        case Rejected(devices=devices):
            return ", ".join(card.detail for card in devices if card.reason is Reason.MEMORY)
        case Broken(problem=problem):
            return problem
        case _:
            assert_never(verdict)


def read(fleet: Fleet) -> int:
    readers_copy = fleet.snapshot()
    assert_type(readers_copy, Fleet)
    uses: Sequence[DeviceUse] = readers_copy.uses("node-1")
    return sum(use.memory_free_mib for use in uses)


def pinned_to_plugins_of_my_own(plugin: object) -> Fleet:
    registry: Registry = load_registry(plugins=[plugin])
    return Fleet(registry)
