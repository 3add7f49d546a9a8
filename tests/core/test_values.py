"""Frozen values refuse what makes no sense, in words."""

from __future__ import annotations

import pytest

from hami_core.model import ContainerRequest, DeviceRequest, DeviceShare, PartitionPlacement, ScoringWeights


def test_a_bool_is_not_a_number() -> None:
    with pytest.raises(ValueError, match=r"^DeviceShare.memory_mib must be 0 or more; got True$"):
        DeviceShare(uuid="a", memory_mib=True)


def test_a_request_names_memory_exactly_once() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        DeviceRequest(family="NVIDIA", count=1)
    with pytest.raises(ValueError, match="exactly one"):
        DeviceRequest(family="NVIDIA", count=1, memory_mib=1, memory_percent=1)


def test_a_percentage_of_memory_is_rounded_down() -> None:
    assert DeviceRequest(family="NVIDIA", count=1, memory_percent=50).memory_on(46069) == 23034


def test_a_container_asks_for_a_family_once() -> None:
    asked = DeviceRequest(family="GPU", count=1, memory_mib=1)
    other = DeviceRequest(family="NPU", count=1, memory_mib=1)
    assert len(ContainerRequest(name="main", devices=(asked, other)).devices) == 2
    with pytest.raises(ValueError, match="container main asks for GPU twice"):
        ContainerRequest(name="main", devices=(asked, other, asked))


def test_weights_may_not_all_be_zero() -> None:
    with pytest.raises(ValueError, match="all be 0"):
        ScoringWeights(slot=0, core=0, memory=0)


@pytest.mark.parametrize(
    ("other", "overlaps"), [((0, 4), False), ((4, 1), True), ((7, 1), True), ((8, 1), False), ((0, 8), True)]
)
def test_partitions_overlap_when_they_share_a_slice(other: tuple[int, int], overlaps: bool) -> None:
    here = PartitionPlacement(start=4, size=4)
    there = PartitionPlacement(start=other[0], size=other[1])
    assert here.overlaps(there) is overlaps
    assert there.overlaps(here) is overlaps
