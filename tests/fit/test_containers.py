"""Containers of one pod over its life: init containers peak, sidecars and app containers add up."""

from __future__ import annotations

import pytest
from tests.fit.kit import ask, card, fleet, pod, uuids

from hami_core.fit.usage import Taken, taken_by
from hami_core.model import ContainerKind, ContainerShares, DeviceShare, Partition, PartitionPlacement
from hami_core.verdict import Fits

INIT, SIDECAR, APP = ContainerKind.INIT, ContainerKind.SIDECAR, ContainerKind.APP


def shares(kind: ContainerKind, memory_mib: int, core_units: int = 0) -> ContainerShares:
    return ContainerShares(
        kind=kind, shares={"GPU": (DeviceShare(uuid="gpu-0", memory_mib=memory_mib, core_units=core_units),)}
    )


@pytest.mark.parametrize(
    ("containers", "slots", "memory_mib", "core_units"),
    [
        ([shares(INIT, 100, 10), shares(INIT, 300, 5)], 1, 300, 10),
        ([shares(APP, 100, 10), shares(APP, 200, 20)], 2, 300, 30),
        ([shares(INIT, 500, 50), shares(APP, 100, 10), shares(APP, 100, 10)], 2, 500, 50),
        ([shares(SIDECAR, 100, 10), shares(INIT, 500, 5), shares(APP, 50, 20)], 2, 600, 30),
        ([shares(INIT, 500, 5), shares(SIDECAR, 100, 10), shares(APP, 50, 20)], 2, 500, 30),
    ],
    ids=[
        "init containers peak",
        "app containers add up",
        "the larger counts, field by field",
        "init beside sidecar",
        "",
    ],
)
def test_a_card_gives_a_pod_its_busiest_moment(
    containers: list[ContainerShares], slots: int, memory_mib: int, core_units: int
) -> None:
    assert taken_by(containers) == {("GPU", "gpu-0"): Taken(slots, memory_mib, core_units)}


def test_init_containers_that_have_ended_hold_nothing() -> None:
    containers = [shares(INIT, 500), shares(SIDECAR, 100), shares(APP, 50)]
    assert taken_by(containers, init_done=True) == {("GPU", "gpu-0"): Taken(2, 150, 0)}
    assert taken_by([shares(INIT, 500)], init_done=True) == {}


def test_partitions_of_init_and_app_containers_are_both_kept() -> None:
    def part(start: int) -> ContainerShares:
        place = Partition(profile="half", placement=PartitionPlacement(start=start, size=4))
        return ContainerShares(
            kind=INIT if start else APP,
            shares={"GPU": (DeviceShare(uuid="gpu-0", memory_mib=10, partition=place),)},
        )

    (taken,) = taken_by([part(4), part(0)]).values()
    assert [partition.placement.start for partition in taken.partitions] == [0, 4]


@pytest.mark.parametrize(
    ("containers", "fits"),
    [
        ([(INIT, ask(900)), (INIT, ask(900)), (APP, ask(900))], True),
        ([(APP, ask(600)), (APP, ask(600))], False),
        ([(SIDECAR, ask(600)), (APP, ask(600))], False),
        ([(SIDECAR, ask(600)), (INIT, ask(600)), (APP, ask(100))], False),
        ([(INIT, ask(600)), (SIDECAR, ask(600)), (APP, ask(100))], True),
        ([(INIT, ask(1100)), (APP, ask(100))], False),
    ],
)
def test_a_pod_fits_when_every_moment_of_its_life_does(containers: list, fits: bool) -> None:
    choice = fleet(card(memory_mib=1000)).decide(pod(*containers))
    assert isinstance(choice.verdict("node-a"), Fits) is fits


def test_a_rejection_names_the_first_container_without_a_place() -> None:
    verdict = fleet(card(memory_mib=1000)).decide(pod(ask(500), ask(600), ask(900))).verdict("node-a")
    assert verdict.container == "c1"


def test_what_a_pod_holds_shrinks_when_its_init_containers_end() -> None:
    made = fleet(card(memory_mib=1000))
    best = made.decide(pod((INIT, ask(900)), (APP, ask(100)))).best
    made.add_pod("pod", best.placement)
    assert made.uses("node-a")[0].memory_used_mib == 900
    made.add_pod("pod", best.placement, init_done=True)
    assert made.uses("node-a")[0].memory_used_mib == 100


def test_containers_of_a_pod_spread_over_the_cards_by_the_policy() -> None:
    cards = [card(f"gpu-{n}", index=n) for n in range(3)]
    for policy, places in (("spread", {"gpu-0", "gpu-1", "gpu-2"}), ("binpack", {"gpu-2"})):
        best = fleet(*cards).decide(pod(ask(), ask(), ask(), device_policy=policy)).best
        assert {uuid for container in uuids(best.placement) for uuid in container} == places


def test_containers_without_cards_keep_their_place_in_the_placement() -> None:
    from hami_core.model import ContainerRequest, PodRequest

    wanted = PodRequest(
        name="p", containers=(ContainerRequest(name="web"), ContainerRequest(name="train", devices=(ask(),)))
    )
    best = fleet(card()).decide(wanted).best
    assert [(c.name, bool(c.shares)) for c in best.placement.containers] == [("web", False), ("train", True)]
