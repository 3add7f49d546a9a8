"""Other sizes for shares that are held: never more than a card has, never over the quota, and shrinking always."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hami_nvidia
from hami_core.fit import Fleet
from hami_core.model import (
    ContainerKind,
    ContainerShares,
    Device,
    DeviceShare,
    Partition,
    PartitionPlacement,
    Placement,
)
from hami_core.objects import NodeFacts
from hami_core.registry import load_registry
from hami_core.resizing import CannotResize, Wish, larger, no_room, over_quota, resized

REGISTRY = load_registry(plugins=[hami_nvidia])
TOTAL_MIB, TOTAL_CORES = 10000, 100
sizes = st.integers(min_value=1, max_value=TOTAL_MIB)
cores = st.integers(min_value=1, max_value=TOTAL_CORES)


def placement(
    *shares: tuple[str, int, int], family: str = "NVIDIA", kind: ContainerKind = ContainerKind.APP
) -> Placement:
    """A container `c0`, `c1` and on for each share."""
    return Placement(
        node="n",
        containers=tuple(
            ContainerShares(
                name=f"c{index}",
                kind=kind,
                shares={family: (DeviceShare(uuid=uuid, memory_mib=memory_mib, core_units=core_units),)},
            )
            for index, (uuid, memory_mib, core_units) in enumerate(shares)
        ),
    )


def fleet(**held: Placement) -> Fleet:
    made = Fleet(REGISTRY)
    card = Device(uuid="GPU-a", family="NVIDIA", model="NVIDIA A40", memory_mib=TOTAL_MIB, slots=10)
    made.upsert_node(NodeFacts(name="n"), [card])
    for key, each in held.items():
        made.add_pod(key, each, label=f"team/{key}")
    return made


@given(st.tuples(sizes, cores), st.tuples(sizes, cores), st.tuples(sizes, cores))
def test_what_is_granted_leaves_the_card_whole(
    mine: tuple[int, int], theirs: tuple[int, int], new: tuple[int, int]
) -> None:
    before = placement(("GPU-a", *mine))
    here = fleet(mine=before, theirs=placement(("GPU-a", *theirs)))
    after = resized(before, Wish(memory_mib=new[0], cores=new[1]), REGISTRY)
    refused = no_room(here, "mine", before, after)
    totals = (TOTAL_MIB, TOTAL_CORES)
    fits = all(new[i] <= mine[i] or new[i] + theirs[i] <= totals[i] for i in (0, 1))
    assert (refused == ()) == fits


@given(sizes, cores, sizes, cores)
def test_until_it_is_settled_no_less_than_either_size_is_counted(one: int, one_c: int, two: int, two_c: int) -> None:
    (container,) = larger(placement(("GPU-a", one, one_c)), placement(("GPU-a", two, two_c))).containers
    (share,) = container.shares["NVIDIA"]
    assert (share.memory_mib, share.core_units) == (max(one, two), max(one_c, two_c))


def test_a_refusal_says_the_card_and_how_much_is_left() -> None:
    before = placement(("GPU-a", 4000, 30))
    here = fleet(mine=before, theirs=placement(("GPU-a", 5000, 60)))
    after = resized(before, Wish(memory_mib=5001, cores=41), REGISTRY)
    assert no_room(here, "mine", before, after) == (
        "GPU-a: 5001 MiB asked, 5000 MiB not held by others",
        "GPU-a: 41 cores asked, 40 not held by others",
    )


def test_init_containers_need_their_peak_alone() -> None:
    before = placement(("GPU-a", 6000, 0), ("GPU-a", 6000, 0), kind=ContainerKind.INIT)
    after = resized(before, Wish(memory_mib=10000, container="c1"), REGISTRY)
    assert no_room(fleet(mine=before), "mine", before, after) == ()


def test_the_quota_of_the_namespace_counts_for_what_grows_and_not_for_what_shrinks() -> None:
    before = placement(("GPU-a", 4000, 30))
    here = fleet(mine=before)
    here.set_quota("team", {"nvidia.com/gpumem": 5000, "nvidia.com/gpucores": 10})
    grown = resized(before, Wish(memory_mib=5001), REGISTRY)
    assert over_quota(here, "team", before, grown, REGISTRY) == (
        "quota of team: nvidia.com/gpumem: 1001 more, 4000 used of 5000",
    )
    shrunk = resized(before, Wish(memory_mib=5000, cores=20), REGISTRY)
    assert over_quota(here, "team", before, shrunk, REGISTRY) == ()


def partitioned() -> Placement:
    part = Partition(profile="1g.5gb", placement=PartitionPlacement(start=0, size=1))
    share = DeviceShare(uuid="GPU-a", memory_mib=4864, core_units=14, partition=part)
    return Placement(node="n", containers=(ContainerShares(name="c0", shares={"NVIDIA": (share,)}),))


@pytest.mark.parametrize(
    ("held", "wish", "why"),
    [
        (placement(("GPU-a", 1, 1), ("GPU-a", 1, 1)), Wish(memory_mib=2), r"say which container.*c0 \(NVIDIA\), c1"),
        (placement(("GPU-a", 1, 1)), Wish(memory_mib=2, container="x"), "no container x has a share"),
        (placement(("GPU-a", 1, 1)), Wish(memory_mib=2, family="MLU"), "no container MLU has a share"),
        (placement(("A", 1, 1), family="nobody"), Wish(memory_mib=2), "no plugin serves nobody"),
        (partitioned(), Wish(memory_mib=2), "hardware partition"),
        (Placement(node="n"), Wish(memory_mib=2), "no container has a share"),
    ],
)
def test_what_cannot_be_resized_is_refused_with_the_reason(held: Placement, wish: Wish, why: str) -> None:
    with pytest.raises(CannotResize, match=why):
        resized(held, wish, REGISTRY)
